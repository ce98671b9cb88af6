use std::sync::Arc;

use super::*;
use crate::data_chunk::fingerprint;
use crate::data_source::DataSource;
use crate::error::ErrorKind;

const DATASET: &str = "dataset_id=0909090909090909090909090909090909090909090909090909090909090909";

fn chunk(id: u8, start: u64, generation: u64) -> ChunkName {
    let block_range = start..start + 10;
    let files = [("a", None)].into_iter();
    ChunkName {
        fingerprint: fingerprint((&[id; 32], &[9; 32]), &block_range, files),
        block_range,
        id: [id; 32],
        len_bytes: 3,
        generation,
        unsynced: None,
    }
}

fn put(root: &Path, name: &ChunkName) -> PathBuf {
    let dir = root.join(DATASET).join(name.format());
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("a"), "abc").unwrap();
    dir
}

fn list(source: &FileSource, url: &str) -> Result<Vec<DataChunk>, SourceError> {
    let (mut chunks, cancel) = (Vec::new(), CancelToken::new());
    source.list(&ListRequest::new(url, &cancel), &mut |chunk| {
        chunks.push(chunk);
    })?;
    chunks.sort_by_key(|chunk| (chunk.block_range.start, chunk.id));
    Ok(chunks)
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[test]
fn what_is_listed_can_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a b");
    let names = [(3, 0, 1), (1, 10, 2), (2, 10, 3)].map(|(id, at, g)| chunk(id, at, g));
    for name in &names {
        put(&root, name);
    }
    fs::write(root.join("stranger"), "").unwrap();
    let source = Arc::new(FileSource::new([dir.path().to_owned()]));
    let at = url(&root).replace(' ', "%20");
    for at in [at.clone(), format!("{at}/")] {
        let chunks = list(&source, &at).unwrap();
        let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id[0]).collect();
        assert_eq!(ids, [3, 1, 2]);
        let url = &chunks[0].files["a"];
        source.check(url).unwrap();
        let mut text = String::new();
        let opened = source.open(&crate::data_source::OpenRequest::new(
            url,
            &CancelToken::new(),
        ));
        opened
            .unwrap()
            .into_reader()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "abc");
    }
}

#[test]
fn what_is_deleted_or_perhaps_lost_is_not_listed() {
    let dir = tempfile::tempdir().unwrap();
    let [kept, deleted] = [chunk(1, 0, 1), chunk(2, 10, 2)];
    let unsynced = |boot| ChunkName {
        unsynced: Some(boot),
        ..chunk(3, 20, 3)
    };
    put(dir.path(), &kept);
    put(dir.path(), &deleted);
    put(dir.path(), &unsynced(1));
    let source = FileSource::new([dir.path().to_owned()]);
    assert_eq!(list(&source, &url(dir.path())).unwrap().len(), 2);
    put(dir.path(), &unsynced(crate::data_source::local::boot_tag()));
    assert_eq!(list(&source, &url(dir.path())).unwrap().len(), 3);
    let tombstones = dir.path().join("_tombstones-2");
    fs::create_dir(&tombstones).unwrap();
    fs::write(tombstones.join(format!("2-{}", "02".repeat(32))), "").unwrap();
    assert_eq!(list(&source, &url(dir.path())).unwrap().len(), 2);
}

#[test]
fn nothing_outside_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    let secret = put(&outside, &chunk(1, 0, 1));
    fs::create_dir(&root).unwrap();
    let source = FileSource::new([root.clone()]);
    assert_eq!(
        list(&source, &url(&outside)).unwrap_err().kind(),
        ErrorKind::Denied
    );
    // A link in the place of a dataset, of a chunk, of a file.
    let link = |to: &Path, at: &Path| std::os::unix::fs::symlink(to, at).unwrap();
    link(&outside.join(DATASET), &root.join(DATASET));
    assert!(list(&source, &url(&root)).unwrap().is_empty());
    fs::remove_file(root.join(DATASET)).unwrap();
    fs::create_dir(root.join(DATASET)).unwrap();
    let at = root.join(DATASET).join(chunk(1, 0, 1).format());
    link(&secret, &at);
    assert!(list(&source, &url(&root)).unwrap().is_empty());
    fs::remove_file(&at).unwrap();
    fs::create_dir(&at).unwrap();
    link(&secret.join("a"), &at.join("a"));
    assert!(list(&source, &url(&root)).unwrap().is_empty());
    fs::remove_file(at.join("a")).unwrap();
    fs::write(at.join("a"), "abc").unwrap();
    assert_eq!(list(&source, &url(&root)).unwrap().len(), 1);
    let missing = list(&source, &url(&root.join("missing"))).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn a_listing_that_nobody_wants_ends() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &chunk(1, 0, 1));
    let (source, cancel) = (FileSource::new([dir.path().to_owned()]), CancelToken::new());
    cancel.cancel();
    let (url, mut count) = (url(dir.path()), 0);
    let ended = source.list(&ListRequest::new(&url, &cancel), &mut |_| count += 1);
    assert!(ended.is_err() && count == 0);
}

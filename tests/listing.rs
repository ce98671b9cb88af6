//! One worker's data directory as another one's source.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use data_manager::data_chunk::DataChunk;
use data_manager::data_source::{CancelToken, DataSource, FileSource, ListRequest};
use support::origin::Origin;
use support::{DEADLINE, builder, bytes, chunk, id, open, temp_dir};

/// Of no bytes.
const DIGEST: &str = "#sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn list(dir: &std::path::Path) -> Vec<DataChunk> {
    let (mut chunks, cancel) = (Vec::new(), CancelToken::new());
    let url = format!("file://{}", dir.display());
    let source = FileSource::new([dir.to_owned()]);
    let request = ListRequest::new(&url, &cancel);
    source
        .list(&request, &mut |chunk| chunks.push(chunk))
        .unwrap();
    chunks.sort_by_key(|chunk| chunk.block_range.start);
    chunks
}

#[test]
fn a_data_directory_is_brought_into_another_one() {
    let (first, second, origin) = (temp_dir(), temp_dir(), Origin::start());
    origin.file("a", bytes(1, 5000));
    origin.file("b", Vec::new());
    let publisher = open(first.path());
    let url = |path: &str| origin.url(path);
    let chunks = [
        chunk(1, 0..5, [("a b.parquet", url("a")), ("ü", url("b"))]),
        chunk(2, 5..9, [("a", url("a")), ("b", url("b") + DIGEST)]),
        chunk(3, 9..12, [("a", url("a"))]),
    ];
    for chunk in chunks {
        publisher.download_chunk(chunk).wait().unwrap();
    }
    // Deleted, but still read: whoever lists it later would come too late.
    let held = publisher.get_chunk(&id(3)).unwrap();
    drop(publisher.delete_chunk(id(3)));
    let tombstones = first.path().join("_tombstones");
    let deadline = std::time::Instant::now() + DEADLINE;
    while support::read_dir(&tombstones).is_empty() {
        assert!(std::time::Instant::now() < deadline, "no tombstone");
        std::thread::yield_now();
    }
    assert!(held.path().is_dir());

    let chunks = list(first.path());
    assert_eq!(chunks.len(), 2, "{chunks:?}");
    assert!(chunks[1].files["b"].ends_with(DIGEST), "{chunks:?}");
    assert!(!chunks[1].files["a"].contains('#'), "{chunks:?}");
    let reader = builder(second.path()).serve_files_from(first.path());
    let reader = reader.open().unwrap();
    let all = reader.set_assignment(chunks);
    all.wait_timeout(DEADLINE).unwrap().unwrap();
    let mut arrived = reader.list_chunks();
    arrived.sort_unstable();
    assert_eq!(arrived, [id(1), id(2)]);
    let guard = reader.get_chunk(&id(1)).unwrap();
    let brought = std::fs::read(guard.path().join("a b.parquet")).unwrap();
    assert_eq!(brought, bytes(1, 5000));
    // What was declared for the first is declared for the second.
    assert!(list(second.path())[1].files["b"].ends_with(DIGEST));
}

/// A byte that changed in a manifest takes its chunk out of the list.
#[test]
fn a_manifest_that_does_not_hold_is_not_believed() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("b", Vec::new());
    let publisher = open(dir.path());
    let files = [("b", origin.url("b") + DIGEST)];
    publisher
        .download_chunk(chunk(1, 0..5, files))
        .wait()
        .unwrap();
    drop(publisher);
    assert_eq!(list(dir.path()).len(), 1);
    let manifest = support::chunk_dirs(dir.path())[0].join("_chunk.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text = text.replace("e3b0c442", "e3b0c443");
    std::fs::write(&manifest, text).unwrap();
    assert!(list(dir.path()).is_empty());
}

//! The store alone: what each operation leaves on disk, also when it is interrupted or repeated.

mod hostile;
mod strangers;
mod writing;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;

use tempfile::{TempDir, tempdir};
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::data_chunk::{DataChunk, MANIFEST_NAME};
use crate::data_source::checksums::Checksums;
use crate::data_source::local::layout::ChunkName;
use crate::data_source::local::staging::Progress;

fn spec(n: u8) -> Arc<ChunkSpec> {
    let files = ["a", "b"].map(|name| (name.to_owned(), "http://h/x".to_owned()));
    let chunk = DataChunk {
        id: [n; 32],
        dataset_id: [9; 32],
        block_range: 0..35,
        files: HashMap::from(files),
    };
    Arc::new(ChunkSpec::check(chunk).unwrap())
}

fn open(dir: &TempDir) -> (LocalDataSource, Scan) {
    LocalDataSource::open(dir.path(), Durability::Full).unwrap()
}

/// Stages the files of `spec`, each with its name in it, without committing them.
fn stage(store: &LocalDataSource, spec: &ChunkSpec) -> (Staging, Vec<FetchedFile>) {
    stage_long(store, spec, 1)
}

/// The same, with each name as many times.
fn stage_long(
    store: &LocalDataSource,
    spec: &ChunkSpec,
    times: usize,
) -> (Staging, Vec<FetchedFile>) {
    let staging = store.stage(spec).unwrap();
    let fetched = spec
        .files
        .iter()
        .enumerate()
        .map(|(index, file)| {
            let (mut part, progress) = staging.open_part(index).unwrap();
            assert_eq!(progress, Progress::Empty);
            let content = file.name.repeat(times);
            part.append(content.as_bytes()).unwrap();
            part.complete(xxh3_64(content.as_bytes())).unwrap()
        })
        .collect();
    (staging, fetched)
}

fn commit(store: &LocalDataSource, n: u8) -> StoredChunk {
    let spec = spec(n);
    let (staging, fetched) = stage(store, &spec);
    store.commit(&staging, &spec, &fetched).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_committed_chunk_is_its_files_and_its_manifest() {
    let dir = tempdir().unwrap();
    let (store, scan) = open(&dir);
    assert!(scan.chunks.is_empty() && scan.findings.is_empty());
    let stored = commit(&store, 1);
    assert_eq!(names(stored.path()), ["_chunk.json", "a", "b"]);
    assert_eq!(stored.len_bytes(), 2);
    assert!(names(&dir.path().join("_staging")).is_empty());
    store.check(&stored).unwrap();
    for path in [
        stored.path().to_path_buf(),
        stored.path().join("a"),
        stored.path().join(MANIFEST_NAME),
    ] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
    drop(store);
    let (_store, scan) = open(&dir);
    assert_eq!(scan.chunks[0].path(), stored.path());
    assert!(scan.chunks[0].spec.same_content(&stored.spec));
    let read = scan.chunks[0].read_contents().unwrap();
    assert_eq!(Some(read), stored.contents());
}

#[test]
fn what_is_staged_is_nothing_until_it_is_committed() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let (staging, mut fetched) = stage_long(&store, &spec(1), 300_000);
    fetched[1].len_bytes += 1;
    let error = store
        .commit(&staging, &spec(1), &fetched)
        .unwrap_err()
        .error;
    assert_eq!(
        (error.kind(), error.file()),
        (crate::ErrorKind::Damaged, Some("b"))
    );
    drop((store, staging));
    let (store, scan) = open(&dir);
    assert!(scan.chunks.is_empty());
    // What was complete is recognised, and what was changed since is not.
    let parts = dir
        .path()
        .join("_staging")
        .join(StagingKey::of(&spec(1)).dir())
        .join("_parts");
    assert_eq!(names(&parts), ["0.json", "0.part", "1.json", "1.part"]);
    fs::write(parts.join("1.part"), "x").unwrap();
    let staging = store.stage(&spec(1)).unwrap();
    let complete = FetchedFile {
        len_bytes: 300_000,
        xxh3: xxh3_64("a".repeat(300_000).as_bytes()),
    };
    assert_eq!(
        staging.open_part(0).unwrap().1,
        Progress::Complete(complete)
    );
    assert_eq!(staging.open_part(1).unwrap().1, Progress::Empty);
    store.abandon(&StagingKey::of(&spec(1))).unwrap();
    store.abandon(&StagingKey::of(&spec(1))).unwrap();
    assert!(names(&dir.path().join("_staging")).is_empty());
}

#[test]
fn a_small_file_that_was_not_committed_is_fetched_again() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    drop(stage(&store, &spec(1)));
    let parts = dir
        .path()
        .join("_staging")
        .join(StagingKey::of(&spec(1)).dir())
        .join("_parts");
    assert_eq!(names(&parts), ["0.part", "1.part"]);
    // What lies there without a record is not taken for anything.
    let (staging, fetched) = stage(&store, &spec(1));
    let stored = store.commit(&staging, &spec(1), &fetched).unwrap();
    assert_eq!(fs::read(stored.path().join("a")).unwrap(), b"a");
    assert_eq!(names(stored.path()), ["_chunk.json", "a", "b"]);
}

#[test]
fn bytes_are_only_written_after_what_they_are_a_part_of() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let version = Version {
        validator: "\"1\"".to_owned(),
        total_bytes: Some(4),
    };
    let staging = store.stage(&spec(1)).unwrap();
    let (mut part, _) = staging.open_part(0).unwrap();
    part.remember(Some(version.clone())).unwrap();
    part.append(b"ab").unwrap();
    drop((part, staging));
    let staging = store.stage(&spec(1)).unwrap();
    let (mut part, progress) = staging.open_part(0).unwrap();
    assert_eq!(progress, Progress::Partial(version.clone()));
    // Once it is complete, its record says so: it would be gone on with otherwise.
    part.remember(Some(version)).unwrap();
    part.append(b"cd").unwrap();
    let complete = part.complete(xxh3_64(b"abcd")).unwrap();
    drop(staging);
    let staging = store.stage(&spec(1)).unwrap();
    let progress = staging.open_part(0).unwrap().1;
    assert_eq!(progress, Progress::Complete(complete));
}

#[test]
fn a_removal_may_be_repeated_from_wherever_it_broke_off() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let stored = commit(&store, 1);
    store.bury(&stored).unwrap();
    store.bury(&stored).unwrap();
    let name = stored.path().file_name().unwrap().to_owned();
    // As after a failure between the rename and the rest.
    fs::rename(stored.path(), dir.path().join("_trash").join(&name)).unwrap();
    fs::remove_file(dir.path().join("_trash").join(&name).join("a")).unwrap();
    assert_eq!(store.remove(&stored).unwrap(), Removed::Gone);
    assert_eq!(store.remove(&stored).unwrap(), Removed::Gone);
    for own in ["_trash", "_tombstones", "_quarantine"] {
        assert!(names(&dir.path().join(own)).is_empty(), "{own}");
    }
}

#[test]
fn a_buried_chunk_is_doomed_and_an_exhumed_one_is_not() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let (first, second) = (commit(&store, 1), commit(&store, 2));
    store.bury(&first).unwrap();
    store.bury(&second).unwrap();
    store.exhume(&second).unwrap();
    store.exhume(&second).unwrap();
    drop(store);
    let (store, scan) = open(&dir);
    assert_eq!(scan.doomed.len(), 1);
    assert_eq!(scan.doomed[0].spec.id, [1; 32]);
    assert_eq!(scan.chunks.len(), 1);
    store.remove(&scan.doomed[0]).unwrap();
    // A generation is not used again, so no tombstone can hit another chunk.
    assert!(commit(&store, 3).generation > second.generation);
}

#[test]
fn the_trash_is_emptied_of_what_is_ours() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let (whole, foreign) = (commit(&store, 1), commit(&store, 2));
    let trash = dir.path().join("_trash");
    for stored in [&whole, &foreign] {
        let name = stored.path().file_name().unwrap().to_owned();
        fs::rename(stored.path(), trash.join(&name)).unwrap();
        if stored.generation == foreign.generation {
            fs::write(trash.join(name).join("theirs"), "x").unwrap();
        }
    }
    fs::write(trash.join("mine"), "x").unwrap();
    fs::create_dir_all(trash.join(StagingKey::of(&spec(3)).dir()).join("_parts")).unwrap();
    store.empty_trash().unwrap();
    assert_eq!(names(&trash), ["mine"]);
    let kept = dir
        .path()
        .join("_quarantine")
        .join(foreign.path().file_name().unwrap());
    assert_eq!(names(&kept), ["theirs"]);
}

#[test]
fn a_manifest_that_is_no_file_is_damage_and_stops_nobody() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let stored = commit(&store, 1);
    commit(&store, 2);
    drop(store);
    let manifest = stored.path().join(MANIFEST_NAME);
    fs::remove_file(&manifest).unwrap();
    fs::create_dir(&manifest).unwrap();
    let (store, scan) = open(&dir);
    assert_eq!((scan.chunks.len(), scan.findings.len()), (2, 0));
    let error = store.check(&scan.chunks[0]).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Damaged);
    store.check(&scan.chunks[1]).unwrap();
}

#[test]
fn names_that_do_not_agree_with_their_manifests_are_damage() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let path = commit(&store, 1).path().to_owned();
    drop(store);
    let name = path.file_name().unwrap().to_str().unwrap();
    let said = ChunkName::parse(name).unwrap();
    let lies = [
        ChunkName {
            block_range: 0..36,
            ..said.clone()
        },
        ChunkName {
            id: [2; 32],
            ..said.clone()
        },
        ChunkName {
            len_bytes: 3,
            ..said.clone()
        },
        ChunkName {
            fingerprint: !said.fingerprint,
            ..said.clone()
        },
    ];
    let mut at = path.clone();
    for lie in lies {
        let to = path.with_file_name(lie.format());
        fs::rename(&at, &to).unwrap();
        at = to;
        let (store, scan) = open(&dir);
        let error = store.check(&scan.chunks[0]).unwrap_err();
        assert!(error.to_string().contains("disagree"), "{error}");
    }
}

#[test]
fn damage_has_a_name() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let stored = commit(&store, 1);
    let file = stored.path().join("b");
    fs::write(&file, "longer").unwrap();
    let error = store.check(&stored).unwrap_err();
    assert!(
        error.to_string().contains("6 bytes instead of 1"),
        "{error}"
    );
    fs::remove_file(&file).unwrap();
    assert_eq!(store.check(&stored).unwrap_err().file(), Some("b"));
    std::os::unix::fs::symlink("a", &file).unwrap();
    let error = store.check(&stored).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
    let kept = store.quarantine(&stored).unwrap();
    assert_eq!(names(&kept), ["_chunk.json", "a.quarantined", "b"]);
}

#[test]
fn what_arrived_in_this_run_is_not_read_again_and_what_an_earlier_one_left_is_read_once() {
    let dir = tempdir().unwrap();
    let version = Version {
        validator: "v".to_owned(),
        total_bytes: Some(6),
    };
    let of = |bytes: &[u8]| {
        let mut sums = Checksums::new(false);
        sums.update(bytes);
        sums
    };
    let reopen = |store: &LocalDataSource| {
        let (part, progress) = store.stage(&spec(1)).unwrap().open_part(0).unwrap();
        assert_eq!(progress, Progress::Partial(version.clone()));
        part
    };
    let (store, _) = open(&dir);
    let (mut part, _) = store.stage(&spec(1)).unwrap().open_part(0).unwrap();
    part.remember(Some(version.clone())).unwrap();
    part.append(b"abc").unwrap();
    part.keep_sums(of(b"abc"));
    drop(part);

    // Whoever read it would see something else.
    let path = store.stage(&spec(1)).unwrap().parts().path().join("0.part");
    fs::write(&path, b"ABC").unwrap();
    let mut sums = reopen(&store).sums(false).unwrap();
    sums.update(b"def");
    assert_eq!(sums.finish().0, xxh3_64(b"abcdef"));

    // They were taken, and of another run there are none.
    let mut part = reopen(&store);
    assert_eq!(part.sums(false).unwrap().finish().0, xxh3_64(b"ABC"));
    part.keep_sums(of(b"abc"));
    drop((part, store));
    let (store, _) = open(&dir);
    let mut part = reopen(&store);
    assert_eq!(part.sums(false).unwrap().finish().0, xxh3_64(b"ABC"));

    // A file that starts again has none either, also where it gets as long as it was.
    part.keep_sums(of(b"abc"));
    part.restart().unwrap();
    part.append(b"xyz").unwrap();
    assert_eq!(part.sums(false).unwrap().finish().0, xxh3_64(b"xyz"));

    // Nor has one whose directory was removed in between.
    part.keep_sums(of(b"xyz"));
    drop(part);
    store.abandon(&StagingKey::of(&spec(1))).unwrap();
    let (mut part, _) = store.stage(&spec(1)).unwrap().open_part(0).unwrap();
    part.append(b"uvw").unwrap();
    assert_eq!(part.sums(false).unwrap().finish().0, xxh3_64(b"uvw"));
}

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use rustix::io::Errno;
use tempfile::TempDir;

use super::*;
use crate::data_chunk::{ChunkSpec, DataChunk};
use crate::data_source::FetchedFile;
use crate::data_source::local::Durability;
use crate::error::ErrorKind;

const LARGE: usize = 3 * BUFFER_LEN + 17;

/// A store with a chunk of three files, the second one large and with a declared digest.
fn committed(durability: Durability) -> (TempDir, LocalDataSource, StoredChunk) {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = LocalDataSource::open(dir.path(), durability).unwrap();
    let contents = [b"a".to_vec(), vec![7; LARGE], Vec::new()];
    let sums = contents.each_ref().map(|bytes| {
        let mut sums = Checksums::new(true);
        sums.update(bytes);
        sums.finish()
    });
    let digest = crate::data_chunk::hex_encode(&sums[1].1.unwrap());
    let urls = ["", &format!("#sha256={digest}"), ""];
    let files = ["a", "b", "c"].iter().zip(urls);
    let files = files.map(|(name, end)| ((*name).to_owned(), format!("http://h/{name}{end}")));
    let spec = Arc::new(
        ChunkSpec::check(DataChunk {
            id: [1; 32],
            dataset_id: [2; 32],
            block_range: 0..35,
            files: files.collect(),
        })
        .unwrap(),
    );
    let staging = store.stage(&spec).unwrap();
    let mut fetched: Vec<FetchedFile> = Vec::new();
    for (index, bytes) in contents.iter().enumerate() {
        let (mut part, _) = staging.open_part(index).unwrap();
        part.append(bytes).unwrap();
        fetched.push(part.complete(sums[index].0).unwrap());
    }
    let stored = store.commit(&staging, &spec, &fetched).unwrap();
    (dir, store, stored)
}

/// Reads all of it, `max_bytes` at a time; how many steps that took.
fn verify(store: &LocalDataSource, chunk: &StoredChunk, max_bytes: u64) -> Result<u64, Error> {
    let mut verification = Verification::new(chunk.clone());
    let (mut steps, mut bytes) = (0, 0);
    loop {
        let step = verification.step(store, max_bytes)?;
        assert!(step.bytes <= max_bytes);
        (steps, bytes) = (steps + 1, bytes + step.bytes);
        if step.whole {
            assert_eq!(bytes, chunk.len_bytes());
            return Ok(steps);
        }
    }
}

#[test]
fn what_was_committed_is_verified_in_steps() {
    let (_dir, store, stored) = committed(Durability::Full);
    assert_eq!(verify(&store, &stored, u64::MAX).unwrap(), 1);
    assert!(verify(&store, &stored, 100_000).unwrap() >= 8);
    assert!(verify(&store, &stored.as_found(), 1 << 20).is_ok());
}

#[test]
fn one_changed_byte_is_found_and_its_file_named() {
    let (_dir, store, stored) = committed(Durability::Full);
    let path = stored.path().join("b");
    let mut bytes = fs::read(&path).unwrap();
    bytes[LARGE / 2] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = verify(&store, &stored, 100_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!((error.file(), error.chunk_id()), (Some("b"), Some([1; 32])));
    assert!(error.to_string().contains("XXH3"), "{error}");
}

#[test]
fn what_is_no_regular_file_is_damage_and_never_blocks() {
    let (_dir, store, stored) = committed(Durability::Full);
    let (a, elsewhere) = (stored.path().join("a"), stored.path().join("elsewhere"));
    let is_damaged = |what: &str| {
        let error = verify(&store, &stored, u64::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
        assert_eq!(error.file(), Some("a"), "{what}: {error}");
    };
    fs::rename(&a, &elsewhere).unwrap();
    is_damaged("missing");
    symlink(&elsewhere, &a).unwrap();
    is_damaged("a link to what was committed");
    fs::remove_file(&a).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&a).status();
    assert!(made.unwrap().success());
    is_damaged("a FIFO");
    fs::remove_file(&a).unwrap();
    fs::create_dir(&a).unwrap();
    is_damaged("a directory");
    fs::remove_dir(&a).unwrap();
    fs::write(&a, "ab").unwrap();
    is_damaged("another length");
    fs::remove_file(&a).unwrap();
    fs::rename(&elsewhere, &a).unwrap();
    assert!(verify(&store, &stored, u64::MAX).is_ok());
}

#[test]
fn a_link_in_the_place_of_the_chunk_is_damage() {
    let (dir, store, stored) = committed(Durability::Full);
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(stored.path(), &elsewhere).unwrap();
    symlink(&elsewhere, stored.path()).unwrap();
    let error = verify(&store, &stored, u64::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[test]
fn another_manifest_is_damage() {
    let (_dir, store, stored) = committed(Durability::Full);
    let path = stored.path().join(MANIFEST_NAME);
    let manifest = fs::read(&path).unwrap();
    fs::write(&path, &manifest[1..]).unwrap();
    let error = verify(&store, &stored, u64::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[test]
fn a_disk_that_fails_says_nothing_of_the_chunk() {
    let kind = |code| not_read(io::Error::from_raw_os_error(code)).kind();
    assert_eq!(kind(Errno::IO.raw_os_error()), ErrorKind::Io);
    assert_eq!(kind(Errno::ACCESS.raw_os_error()), ErrorKind::Denied);
    for (errno, kind) in [
        (Errno::IO, ErrorKind::Io),
        (Errno::MFILE, ErrorKind::Io),
        (Errno::ACCESS, ErrorKind::Denied),
        (Errno::NOENT, ErrorKind::Damaged),
    ] {
        assert_eq!(not_opened(errno.into()).kind(), kind, "{errno}");
    }
}

#[test]
fn what_is_synced_loses_its_tag_and_is_believed_at_the_next_start() {
    let (dir, store, stored) = committed(Durability::None);
    assert!(stored.name().unsynced.is_some() && !stored.is_unverified());
    let synced = store.promote(&stored).unwrap().unwrap();
    assert!(!stored.path().exists() && synced.name().unsynced.is_none());
    assert!(verify(&store, &synced, u64::MAX).is_ok());
    drop(store);
    let (_store, scan) = LocalDataSource::open(dir.path(), Durability::Full).unwrap();
    let found: Vec<_> = scan.chunks.iter().map(StoredChunk::path).collect();
    assert_eq!(found, [synced.path()]);
}

#[test]
fn what_is_of_another_boot_is_found_apart() {
    let (dir, store, stored) = committed(Durability::None);
    drop(store);
    let (store, scan) = LocalDataSource::open(dir.path(), Durability::None).unwrap();
    assert_eq!((scan.chunks.len(), scan.unverified.len()), (1, 0));
    drop(store);
    let mut name = stored.name();
    for boot in [0, name.unsynced.unwrap() ^ 1] {
        let before = stored.path().with_file_name(name.format());
        name.unsynced = Some(boot);
        fs::rename(before, stored.path().with_file_name(name.format())).unwrap();
        let (_store, scan) = LocalDataSource::open(dir.path(), Durability::None).unwrap();
        assert_eq!((scan.chunks.len(), scan.unverified.len()), (0, 1));
    }
}

#[test]
fn a_small_chunk_takes_a_small_buffer() {
    let (dir, _store, large) = committed(Durability::Full);
    assert_eq!(Verification::new(large).buffer_len(), BUFFER_LEN);
    let spec = Arc::new(ChunkSpec::found(([3; 32], [2; 32]), 0..1, 0));
    let nothing: &[FetchedFile] = &[];
    let empty = StoredChunk::new(Arc::from(dir.path()), spec, nothing, 1, None);
    assert_eq!(Verification::new(empty).buffer_len(), 1);
}

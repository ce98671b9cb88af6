//! References: what is held stays, untouched, at the same path, and goes with the last one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use data_manager::ErrorKind;
use data_manager::data_manager::{ChunkGuard, DataManagerImpl};
use support::origin::Origin;
use support::{DATASET, DEADLINE, bytes, chunk, chunk_dirs, id, open, read_dir, temp_dir};

fn with_chunk(manager: &DataManagerImpl, origin: &Origin, n: u8) -> ChunkGuard {
    let path = format!("{n}");
    origin.file(&path, bytes(u64::from(n), 5000));
    let task = manager.download_chunk(chunk(n, 0..10, [("f", origin.url(&path))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    manager.get_chunk(&id(n)).unwrap()
}

fn is_whole(guard: &ChunkGuard) -> bool {
    std::fs::read(guard.path().join("f"))
        .is_ok_and(|read| read == bytes(u64::from(guard.id()[0]), 5000))
}

#[test]
fn a_deleted_chunk_stays_until_the_last_reference_goes() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let first = with_chunk(&manager, &origin, 1);
    let second = manager.find_chunk(DATASET, 0).unwrap();
    let third = second.clone();
    let task = manager.delete_chunk(id(1));
    assert!(manager.find_chunk(DATASET, 0).is_none() && manager.get_chunk(&id(1)).is_none());
    for guard in [first, second] {
        assert!(manager.wait_idle(DEADLINE));
        assert!(is_whole(&guard) && task.wait_timeout(Duration::ZERO).is_none());
        drop(guard);
    }
    assert!(manager.wait_idle(DEADLINE));
    assert!(is_whole(&third));
    let path = third.path().to_owned();
    std::thread::spawn(move || drop(third)).join().unwrap();
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(!path.exists());
    assert!(manager.wait_idle(DEADLINE));
    for own in ["_tombstones", "_trash", "_staging", "_quarantine"] {
        assert!(read_dir(&dir.path().join(own)).is_empty(), "{own}");
    }
}

#[test]
fn a_chunk_asked_for_again_while_it_is_held_comes_back_without_a_fetch() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let guard = with_chunk(&manager, &origin, 1);
    let description = chunk(1, 0..10, [("f", origin.url("1"))]);
    for settle in [false, true] {
        let delete = manager.delete_chunk(id(1));
        if settle {
            // Now its tombstone is on disk.
            assert!(manager.wait_idle(DEADLINE));
            assert_eq!(read_dir(&dir.path().join("_tombstones")).len(), 1);
        }
        let task = manager.download_chunk(description.clone());
        task.wait_timeout(DEADLINE).unwrap().unwrap();
        assert_eq!(delete.wait().unwrap_err().kind(), ErrorKind::Superseded);
        assert!(read_dir(&dir.path().join("_tombstones")).is_empty());
        assert_eq!(manager.get_chunk(&id(1)).unwrap().path(), guard.path());
    }
    assert_eq!(origin.hits("1"), 1);
    drop(guard);
    assert!(manager.wait_idle(DEADLINE));
    assert!(
        is_whole(&manager.get_chunk(&id(1)).unwrap()),
        "the old guards' end is not the chunk's"
    );
    manager
        .delete_chunk(id(1))
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    assert!(chunk_dirs(dir.path()).is_empty());
}

#[test]
fn another_content_under_a_held_id_lives_beside_it() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let old = with_chunk(&manager, &origin, 1);
    let delete = manager.delete_chunk(id(1));
    origin.file("new", bytes(9, 100));
    let task = manager.download_chunk(chunk(1, 0..20, [("f", origin.url("new"))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let new = manager.get_chunk(&id(1)).unwrap();
    assert_ne!(old.path(), new.path());
    assert!(is_whole(&old) && delete.wait_timeout(Duration::ZERO).is_none());
    assert_eq!(manager.find_chunk(DATASET, 15).unwrap().path(), new.path());
    drop(old);
    delete.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(std::fs::read(new.path().join("f")).unwrap(), bytes(9, 100));
    assert_eq!(manager.list_chunks(), [id(1)]);
    assert_eq!(chunk_dirs(dir.path()).len(), 1);
}

#[test]
fn a_guard_outlives_its_manager_and_keeps_the_directory() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let guard = with_chunk(&manager, &origin, 1);
    drop(manager);
    assert!(is_whole(&guard));
    let locked = DataManagerImpl::open(dir.path()).unwrap_err();
    assert_eq!(locked.kind(), ErrorKind::Locked);
    drop(guard);
    assert_eq!(open(dir.path()).list_chunks(), [id(1)]);
}

#[test]
fn a_guard_of_a_deleted_chunk_may_be_the_last_thing_alive() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let guard = with_chunk(&manager, &origin, 1);
    drop(manager.delete_chunk(id(1)));
    drop(manager);
    assert!(is_whole(&guard));
    drop(guard);
    let manager = open(dir.path());
    assert!(manager.list_chunks().is_empty());
    assert!(manager.wait_idle(DEADLINE));
    assert!(chunk_dirs(dir.path()).is_empty());
}

/// Readers that hold and let go while a chunk comes and goes: each sees whole files or no chunk.
#[test]
fn readers_never_see_a_chunk_go_under_them() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    drop(with_chunk(&manager, &origin, 1));
    let description = chunk(1, 0..10, [("f", origin.url("1"))]);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut found = 0;
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        if let Some(guard) = manager.find_chunk(DATASET, 3) {
                            assert!(is_whole(&guard));
                            found += 1;
                        }
                    }
                    found
                })
            })
            .collect();
        for _ in 0..60 {
            drop(manager.delete_chunk(id(1)));
            manager
                .download_chunk(description.clone())
                .wait_timeout(DEADLINE)
                .unwrap()
                .unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(chunk_dirs(dir.path()).len(), 1);
}

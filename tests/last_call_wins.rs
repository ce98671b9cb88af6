//! Calls in any order: the disk gets to what the last ones ask for, and every task says how it
//! ended.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use data_manager::ErrorKind;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::ChunkTask;
use support::origin::{Gate, Origin, Reply};
use support::{DATASET, DEADLINE, bytes, chunk, chunk_dirs, id, open, read_dir, temp_dir};

#[allow(
    clippy::needless_pass_by_value,
    reason = "reads better at its many calls"
)]
fn ok(task: ChunkTask) {
    task.wait_timeout(DEADLINE)
        .expect("in time")
        .expect("ends well");
}

fn kind(task: &ChunkTask) -> ErrorKind {
    task.wait_timeout(DEADLINE)
        .expect("in time")
        .expect_err("fails")
        .kind()
}

#[test]
fn identical_calls_join_one_fetch() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let gate = Gate::default();
    origin.serve("f", Reply::Gated(gate.clone(), bytes(1, 10).into()));
    let manager = open(dir.path());
    let description = chunk(1, 0..5, [("f", origin.url("f"))]);
    let tasks: Vec<_> = (0..10)
        .map(|_| manager.download_chunk(description.clone()))
        .collect();
    gate.open();
    tasks.into_iter().for_each(ok);
    ok(manager.download_chunk(description));
    assert_eq!(origin.hits("f"), 1);
}

#[test]
fn a_delete_supersedes_a_download_and_the_other_way_round() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.script("f", vec![Reply::Silence, Reply::File(bytes(1, 10).into())]);
    let manager = open(dir.path());
    let description = chunk(1, 0..5, [("f", origin.url("f"))]);
    let first = manager.download_chunk(description.clone());
    origin.wait_for_hits("f", 1);
    let delete = manager.delete_chunk(id(1));
    let joined = manager.delete_chunk(id(1));
    let second = manager.download_chunk(description);
    assert_eq!(kind(&first), ErrorKind::Superseded);
    ok(delete);
    ok(joined);
    ok(second);
    assert_eq!(manager.list_chunks(), [id(1)]);
}

#[test]
fn a_later_description_replaces_one_that_is_not_there_yet() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.serve("old", Reply::Silence);
    origin.file("new", bytes(2, 10));
    let manager = open(dir.path());
    let old = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("old"))]));
    origin.wait_for_hits("old", 1);
    let new = manager.download_chunk(chunk(1, 0..9, [("f", origin.url("new"))]));
    assert_eq!(kind(&old), ErrorKind::Superseded);
    ok(new);
    assert_eq!(manager.get_chunk(&id(1)).unwrap().block_range(), 0..9);
    assert!(read_dir(&dir.path().join("_staging")).is_empty());
}

#[test]
fn another_description_of_a_visible_chunk_is_refused() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", bytes(1, 10));
    let manager = open(dir.path());
    let url = origin.url("f");
    ok(manager.download_chunk(chunk(1, 0..5, [("f", url.clone())])));
    let digest = format!("{url}#sha256={}", "00".repeat(32));
    let others = [
        ("block_range", chunk(1, 0..6, [("f", url.clone())])),
        ("files", chunk(1, 0..5, [("g", url.clone())])),
        (
            "files",
            chunk(1, 0..5, [("f", url.clone()), ("g", url.clone())]),
        ),
        ("sha256", chunk(1, 0..5, [("f", digest)])),
        (
            "dataset_id",
            DataChunk {
                dataset_id: [7; 32],
                ..chunk(1, 0..5, [("f", url)])
            },
        ),
    ];
    for (field, other) in others {
        let error = manager
            .download_chunk(other)
            .wait_timeout(DEADLINE)
            .unwrap()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().starts_with(field), "{error}");
    }
    assert_eq!(manager.get_chunk(&id(1)).unwrap().block_range(), 0..5);
    assert_eq!(origin.hits("f"), 1);
    // Elsewhere is not something else.
    ok(manager.download_chunk(chunk(1, 0..5, [("f", "http://127.0.0.1:1/x".to_owned())])));
}

#[test]
fn any_sequence_ends_where_its_last_calls_point() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let describe = |n: u8, variant: u64| {
        let path = format!("{n}-{variant}");
        let start = u64::from(n) * 100;
        (
            path.clone(),
            chunk(n, start..start + 10 + variant, [("f", origin.url(&path))]),
        )
    };
    for n in 0..8 {
        for variant in 0..2 {
            let (path, _) = describe(n, variant);
            origin.file(&path, bytes(u64::from(n) * 2 + variant, 20_000));
        }
    }
    for seed in 0..6 {
        let mut choices = bytes(seed, 400).into_iter();
        let mut expected = [None; 8];
        let mut guards = Vec::new();
        while let (Some(which), Some(what)) = (choices.next(), choices.next()) {
            let n = which % 8;
            let slot = &mut expected[usize::from(n)];
            match what % 8 {
                0..=2 => {
                    drop(manager.delete_chunk(id(n)));
                    *slot = None;
                }
                3 => guards.extend(manager.get_chunk(&id(n))),
                4 => drop(guards.pop()),
                _ => {
                    // A variant that is asked for while the other one is visible would be
                    // refused, so the other one is dropped first.
                    let variant = u64::from(what >> 7);
                    if slot.is_some_and(|current| current != variant) {
                        drop(manager.delete_chunk(id(n)));
                    }
                    drop(manager.download_chunk(describe(n, variant).1));
                    *slot = Some(variant);
                }
            }
        }
        assert!(manager.wait_idle(DEADLINE));
        for (n, variant) in (0..8u8).zip(expected) {
            let found = manager.find_chunk(DATASET, u64::from(n) * 100);
            assert_eq!(found.is_some(), variant.is_some(), "seed {seed}, chunk {n}");
            if let (Some(found), Some(variant)) = (found, variant) {
                let expected = bytes(u64::from(n) * 2 + variant, 20_000);
                assert!(std::fs::read(found.path().join("f")).unwrap() == expected);
                assert_eq!(found.block_range().end, u64::from(n) * 100 + 10 + variant);
            }
        }
        drop(guards);
        assert!(manager.wait_idle(DEADLINE));
        let wanted = expected.iter().flatten().count();
        let started = std::time::Instant::now();
        while chunk_dirs(dir.path()).len() != wanted {
            // The last guards were dropped: their chunks go behind our back.
            assert!(started.elapsed() < DEADLINE);
            std::thread::yield_now();
        }
    }
}

#[test]
fn an_assignment_is_a_difference() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let describe = |n: u8| {
        let start = u64::from(n) * 10;
        chunk(n, start..start + 10, [("f", origin.url(&format!("{n}")))])
    };
    (0..6).for_each(|n| origin.file(&format!("{n}"), bytes(1, 100)));
    ok(manager.set_assignment((0..4).map(describe)));
    assert_eq!(manager.list_chunks(), [0, 1, 2, 3].map(id));
    ok(manager.set_assignment((0..4).map(describe)));
    ok(manager.set_assignment((2..6).map(describe)));
    assert_eq!(manager.list_chunks(), [2, 3, 4, 5].map(id));
    assert_eq!(
        chunk_dirs(dir.path()).len(),
        4,
        "the task waits for what it drops"
    );
    let hits: usize = (0..6).map(|n| origin.hits(&format!("{n}"))).sum();
    assert_eq!(hits, 6, "nothing is fetched twice");
    // It replaces what is visible under another description.
    origin.file("other", bytes(3, 7));
    let other = chunk(5, 50..55, [("f", origin.url("other"))]);
    ok(manager.set_assignment((2..5).map(describe).chain([other])));
    assert_eq!(manager.get_chunk(&id(5)).unwrap().block_range(), 50..55);
    ok(manager.set_assignment([]));
    assert!(manager.list_chunks().is_empty() && chunk_dirs(dir.path()).is_empty());
}

#[test]
fn a_bad_entry_spoils_nothing() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", bytes(1, 100));
    let manager = open(dir.path());
    let good = |n: u8| chunk(n, 0..5, [("f", origin.url("f"))]);
    let bad = |n: u8, name: &str| chunk(n, 0..5, [(name, origin.url("f"))]);
    ok(manager.set_assignment([good(1), good(2)]));
    let task = manager.set_assignment([bad(1, "../x"), bad(3, "a/b"), good(4)]);
    let error = task.wait_timeout(DEADLINE).unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.chunk_id()),
        (ErrorKind::Refused, Some(id(1)))
    );
    assert_eq!(
        manager.list_chunks(),
        [id(1), id(4)],
        "a bad entry keeps the chunk of its id"
    );
}

#[test]
fn an_assignment_joins_its_like_and_is_superseded_by_another() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let gate = Gate::default();
    origin.serve("f", Reply::Gated(gate.clone(), bytes(1, 10).into()));
    let manager = open(dir.path());
    let set = |ids: &[u8]| -> Vec<_> {
        ids.iter()
            .map(|n| chunk(*n, 0..5, [("f", origin.url("f"))]))
            .collect()
    };
    let first = manager.set_assignment(set(&[1, 2]));
    let same = manager.set_assignment(set(&[2, 1]));
    assert!(first.wait_timeout(Duration::from_millis(50)).is_none());
    let other = manager.set_assignment(set(&[1]));
    assert_eq!(kind(&first), ErrorKind::Superseded);
    assert_eq!(kind(&same), ErrorKind::Superseded);
    let joined = manager.set_assignment(set(&[1]));
    gate.open();
    ok(other);
    ok(joined);
    assert_eq!(manager.list_chunks(), [id(1)]);
    // A single call that reverses a part of it supersedes it too.
    origin.serve("f", Reply::Silence);
    let reversed = manager.set_assignment(set(&[1, 3]));
    drop(manager.delete_chunk(id(3)));
    assert_eq!(kind(&reversed), ErrorKind::Superseded);
}

#[test]
fn a_failing_chunk_ends_the_assignment_once_the_rest_is_there() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", bytes(1, 100));
    let manager = open(dir.path());
    let set = [
        chunk(1, 0..5, [("f", origin.url("missing"))]),
        chunk(2, 0..5, [("f", origin.url("f"))]),
    ];
    for _ in 0..2 {
        let error = manager
            .set_assignment(set.clone())
            .wait_timeout(DEADLINE)
            .unwrap()
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.chunk_id()),
            (ErrorKind::NotFound, Some(id(1)))
        );
        assert_eq!(manager.list_chunks(), [id(2)]);
    }
}

#[test]
fn after_the_shutdown_everything_says_so() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", bytes(1, 10));
    origin.serve("stalls", Reply::Silence);
    let manager = open(dir.path());
    let events = manager.events();
    ok(manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))])));
    let unfinished = manager.download_chunk(chunk(2, 0..5, [("f", origin.url("stalls"))]));
    let assignment = manager.set_assignment([
        chunk(1, 0..5, [("f", origin.url("f"))]),
        chunk(2, 0..5, [("f", origin.url("stalls"))]),
    ]);
    origin.wait_for_hits("stalls", 1);
    let started = std::time::Instant::now();
    manager.shutdown(DEADLINE).unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    manager.shutdown(DEADLINE).unwrap();
    for task in [unfinished, assignment] {
        assert_eq!(kind(&task), ErrorKind::ShutDown);
    }
    assert_eq!(kind(&manager.delete_chunk(id(1))), ErrorKind::ShutDown);
    assert_eq!(kind(&manager.set_assignment([])), ErrorKind::ShutDown);
    let again = chunk(3, 0..5, [("f", origin.url("f"))]);
    assert_eq!(kind(&manager.download_chunk(again)), ErrorKind::ShutDown);
    assert!(manager.list_chunks().is_empty() && manager.find_chunk(DATASET, 0).is_none());
    assert!(events.count() > 0, "the events end");
    // The directory is free although the manager still exists.
    assert_eq!(open(dir.path()).list_chunks(), [id(1)]);
}

#[test]
fn of_two_entries_of_an_assignment_with_one_id_the_later_counts() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    origin.file("f", bytes(1, 10));
    let one = |end: u64| chunk(1, 0..end, [("f", origin.url("f"))]);
    let end = || manager.get_chunk(&id(1)).unwrap().block_range().end;
    for ends in [[5, 6], [5, 6], [6, 5], [7, 5], [5, 7]] {
        // Superseded where the first of them was on its way already.
        let task = manager.set_assignment(ends.map(one));
        let _ = task.wait_timeout(DEADLINE).unwrap();
        assert!(manager.wait_idle(DEADLINE));
        assert_eq!(end(), ends[1], "of {ends:?}");
    }
    // Of bad entries the error is the first one's, in the order of the call.
    let bad = |n: u8, name: &str| chunk(n, 0..5, [(name, origin.url("f"))]);
    let task = manager.set_assignment([bad(9, ".."), one(7), bad(3, "a/b")]);
    let error = task.wait_timeout(DEADLINE).unwrap().unwrap_err();
    assert_eq!(error.chunk_id(), Some(id(9)));
    assert_eq!(end(), 7);
}

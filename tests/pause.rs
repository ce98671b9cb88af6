//! A pause: nothing is begun, all else goes on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::{Duration, Instant};

use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerImpl, Event, HoldUp, WaitReason};
use support::source::{Behaviour, ScriptedSource};
use support::{DATASET, DEADLINE, builder, chunk, id, temp_dir};

fn url(n: u8) -> String {
    format!("test://host/{n}")
}

fn one_file(n: u8) -> DataChunk {
    let block = u64::from(n);
    chunk(n, block..block + 1, [("f", url(n))])
}

fn count(manager: &DataManagerImpl) -> (usize, usize) {
    let chunks = manager.stats().chunks;
    (chunks.available, chunks.waiting)
}

#[test]
fn what_is_in_flight_ends_and_nothing_else_begins_until_it_is_resumed() {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = builder(dir.path()).slots(1).source("test", source.clone());
    let manager = manager.open().unwrap();
    let events = manager.events();
    for n in 1..=3 {
        source.script(&url(n), Behaviour::Held(10));
    }
    let first = manager.download_chunk(one_file(1));
    source.wait_for_opened(1);
    manager.download_chunk(one_file(2));

    manager.pause();
    manager.pause();
    assert!(manager.stats().paused);
    let third = manager.download_chunk(one_file(3));
    source.release(&url(1));
    // The end of the first is what gives its slot to the next one, where there is no pause.
    first.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(source.opened(), [url(1)]);
    assert_eq!(count(&manager), (1, 2));
    assert!(!manager.wait_idle(Duration::ZERO));

    assert!(manager.find_chunk(DATASET, 1).is_some());
    let gone = manager.delete_chunk(id(1));
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    let gone = manager.delete_chunk(id(2));
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(source.opened(), [url(1)]);
    assert_eq!(count(&manager), (0, 1));

    source.release(&url(3));
    manager.resume();
    third.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(!manager.stats().paused && manager.wait_idle(DEADLINE));
    manager.shutdown(DEADLINE).unwrap();
    let told = events.filter_map(|event| match event {
        Event::Paused => Some("paused"),
        Event::Resumed => Some("resumed"),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), ["paused", "resumed"]);
}

/// What was begun has files left that were not: they wait, too.
#[test]
fn the_rest_of_a_chunk_waits() {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = builder(dir.path()).slots(1).source("test", source.clone());
    let manager = manager.open().unwrap();
    let files = [("a", url(1)), ("b", url(2))];
    for (_, url) in &files {
        source.script(url, Behaviour::Held(10));
    }
    let task = manager.download_chunk(chunk(1, 0..1, files));
    source.wait_for_opened(1);
    manager.pause();
    let first = source.opened().remove(0);
    source.release(&first);
    source.wait_for_active("host", 0);
    let deadline = Instant::now() + DEADLINE;
    while manager.stats().files_in_flight > 0 {
        assert!(Instant::now() < deadline, "it never lands");
        std::thread::yield_now();
    }
    assert_eq!(source.opened().len(), 1);
    assert!(task.wait_timeout(Duration::ZERO).is_none());
    let estimate = manager.stats().estimate;
    assert_eq!(estimate.held_up_by, HoldUp::Paused);
    assert_eq!(estimate.left_seconds, None, "nobody knows until when");
    let status = manager.chunk_status(&id(1)).unwrap();
    assert_eq!(status.wait_reason, Some(WaitReason::Paused));
    let why = status.to_string();
    assert!(
        why.ends_with("; it waits until downloads are resumed"),
        "{why}"
    );
    manager.resume();
    source.release(&url(1));
    source.release(&url(2));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
}

/// Whoever shuts down, or opens the directory again, has not to know of it.
#[test]
fn a_pause_ends_with_the_manager() {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    source.script(&url(1), Behaviour::Bytes(10));
    let open = || builder(dir.path()).source("test", source.clone()).open();
    let manager = open().unwrap();
    manager.pause();
    manager.download_chunk(one_file(1));
    manager.shutdown(DEADLINE).unwrap();
    drop(manager);
    let manager = open().unwrap();
    assert!(!manager.stats().paused);
    let task = manager.download_chunk(one_file(1));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
}

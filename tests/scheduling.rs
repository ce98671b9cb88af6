//! Whose turn it is: limits in all and for each host, files side by side, turns of datasets, short
//! chunks beside long ones, priorities, and deletes beside downloads.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerBuilder, DataManagerImpl, Priority};
use support::source::{Behaviour, ScriptedSource};
use support::{DATASET, DEADLINE, builder, chunk, id, temp_dir};
use tempfile::TempDir;

struct World {
    manager: DataManagerImpl,
    source: ScriptedSource,
    _dir: TempDir,
}

fn world(set: impl FnOnce(DataManagerBuilder) -> DataManagerBuilder) -> World {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = set(builder(dir.path()).source("test", source.clone()));
    World {
        manager: manager.open().unwrap(),
        source,
        _dir: dir,
    }
}

fn url(host: &str, n: u8, file: &str) -> String {
    format!("test://{host}/{n}/{file}")
}

/// A chunk with these files of one host.
fn of_host(host: &str, n: u8, files: &[&str]) -> DataChunk {
    let block = u64::from(n);
    chunk(
        n,
        block..block + 1,
        files.iter().map(|file| (*file, url(host, n, file))),
    )
}

impl World {
    /// Asks for it; each of its files is held back until it is released.
    fn ask_held(&self, host: &str, n: u8, files: &[&str]) {
        for file in files {
            self.source.script(&url(host, n, file), Behaviour::Held(10));
        }
        self.manager.download_chunk(of_host(host, n, files));
    }

    fn release(&self, host: &str, n: u8, file: &str) {
        self.source.release(&url(host, n, file));
    }
}

#[test]
fn limits_hold_in_all_and_for_each_host_and_change_while_it_runs() {
    let world = world(|builder| builder.slots(6).slots_per_host(2));
    for n in 0..8 {
        world.ask_held("a", n, &["f"]);
        world.ask_held("b", 100 + n, &["f"]);
    }
    world.source.wait_for_active("a", 2);
    world.source.wait_for_active("b", 2);
    assert_eq!(world.manager.stats().files_in_flight, 4);
    assert_eq!(world.manager.stats().slots_per_host, 2);

    world.manager.set_slots_per_host(3);
    world.source.wait_for_active("a", 3);
    world.source.wait_for_active("b", 3);
    world.manager.set_slots_per_host(8);
    world.manager.set_slots(10);
    world.source.wait_for_opened(10);
    assert_eq!(world.manager.stats().slots, 10);

    world.manager.set_slots(1);
    for n in 0..8 {
        world.release("a", n, "f");
        world.release("b", 100 + n, "f");
    }
    assert!(world.manager.wait_idle(DEADLINE));
    assert_eq!(world.manager.list_chunks().len(), 16);
    let (a, b) = (world.source.most_active("a"), world.source.most_active("b"));
    assert!(a <= 8 && b <= 8 && a + b >= 10, "{a} {b}");
}

#[test]
fn fewer_slots_than_files_in_flight_start_nothing_new() {
    let world = world(|builder| builder.slots(3));
    for n in 0..6 {
        world.ask_held("a", n, &["f"]);
    }
    world.source.wait_for_active("a", 3);
    world.manager.set_slots(1);
    for n in 0..2 {
        world.release("a", n, "f");
    }
    world.source.wait_for_active("a", 1);
    // The third one's end is what lets the next one begin.
    assert_eq!(world.source.opened().len(), 3);
    world.release("a", 2, "f");
    world.source.wait_for_opened(4);
    assert!(world.source.active("a") <= 1);
}

#[test]
fn a_full_host_does_not_stop_another_one() {
    let world = world(|builder| builder.slots(4).slots_per_host(2));
    for n in 0..50 {
        world.ask_held("a", n, &["f"]);
    }
    let task = world.manager.download_chunk(of_host("b", 200, &["f"]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(world.source.active("a"), 2);
}

#[test]
fn a_chunk_alone_has_its_files_side_by_side() {
    let world = world(|builder| builder.slots(4));
    world.ask_held("a", 1, &["a", "b", "c", "d"]);
    world.source.wait_for_active("a", 4);
}

#[test]
fn files_of_a_chunk_come_from_whichever_host_has_room() {
    let world = world(|builder| builder.slots(4).slots_per_host(1));
    world.ask_held("a", 1, &["f"]);
    world.source.wait_for_active("a", 1);
    let files = [("a", url("a", 2, "a")), ("b", url("b", 2, "b"))];
    world.source.script(&files[1].1, Behaviour::Held(10));
    world.manager.download_chunk(chunk(2, 5..6, files));
    world.source.wait_for_active("b", 1);
    assert_eq!(world.source.active("a"), 1);
}

#[test]
fn a_short_chunk_is_not_stuck_behind_a_long_one() {
    let world = world(|builder| builder.slots(2));
    let long = ["a", "b", "c", "d", "e", "f"];
    world.ask_held("h", 1, &long);
    world.source.wait_for_active("h", 2);
    let short = world.manager.download_chunk(of_host("h", 2, &["f"]));
    world.release("h", 1, "a");
    short.wait_timeout(DEADLINE).unwrap().unwrap();
    // It went before the long chunk's third file.
    assert_eq!(world.source.opened()[2], url("h", 2, "f"));
}

#[test]
fn a_dataset_with_many_chunks_does_not_stop_anothers_first() {
    let world = world(|builder| builder.slots(1));
    for n in 0..200 {
        world.ask_held("h", n, &["f"]);
    }
    world.source.wait_for_active("h", 1);
    let mut other = of_host("h", 201, &["f"]);
    other.dataset_id = [1; 32];
    assert_ne!(other.dataset_id, DATASET);
    let task = world.manager.download_chunk(other);
    let first = world.source.opened()[0].clone();
    world.source.release(&first);
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(world.source.opened()[1], url("h", 201, "f"));
}

#[test]
fn what_a_query_waits_for_goes_first() {
    let world = world(|builder| builder.slots(1));
    for n in 0..20 {
        world.ask_held("h", n, &["f"]);
    }
    world.source.wait_for_active("h", 1);
    assert!(world.manager.set_priority(&id(17), Priority::High));
    assert!(!world.manager.set_priority(&id(99), Priority::High));
    let status = world.manager.chunk_status(&id(17)).unwrap();
    assert_eq!(status.priority, Priority::High);
    world.source.release(&world.source.opened()[0]);
    world.source.wait_for_opened(2);
    assert_eq!(world.source.opened()[1], url("h", 17, "f"));
    world.release("h", 17, "f");
    world.source.wait_for_opened(3);
    assert_eq!(world.source.opened()[2], url("h", 1, "f"));
}

#[test]
fn deletes_run_beside_downloads() {
    let world = world(|builder| builder.slots(1));
    let present = world.manager.download_chunk(of_host("h", 1, &["f"]));
    present.wait_timeout(DEADLINE).unwrap().unwrap();
    for n in 2..9 {
        world.ask_held("h", n, &["f"]);
    }
    world.source.wait_for_active("h", 1);
    let gone = world.manager.delete_chunk(id(1));
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(world.source.active("h"), 1);
}

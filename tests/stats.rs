//! What a manager says of itself: what is in flight, what waits for what, who holds what, how long it
//! takes, and why one chunk is not here, or not gone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{
    ChunkState, ChunkStatus, DataManagerBuilder, DataManagerImpl, HoldUp, InFlight, Stats,
    WaitReason,
};
use support::origin::{Origin, Reply};
use support::source::{Behaviour, ScriptedSource};
use support::{DATASET, DEADLINE, builder, bytes, chunk, id, open, temp_dir};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(600);

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

/// A chunk with one file.
fn of_host(host: &str, n: u8) -> DataChunk {
    let block = u64::from(n);
    chunk(n, block..block + 1, [("f", format!("test://{host}/{n}/f"))])
}

impl World {
    fn ask(&self, host: &str, n: u8, behaviour: Behaviour) {
        let url = format!("test://{host}/{n}/f");
        self.source.script(&url, behaviour);
        self.manager.download_chunk(of_host(host, n));
    }

    fn status(&self, n: u8) -> ChunkStatus {
        status(&self.manager, n)
    }
}

fn status(manager: &DataManagerImpl, n: u8) -> ChunkStatus {
    manager.chunk_status(&id(n)).unwrap()
}

fn wait_for(manager: &DataManagerImpl, what: impl Fn(&Stats) -> bool) -> Stats {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let stats = manager.stats();
        if what(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "{stats:#?}");
        std::thread::yield_now();
    }
}

/// Waits for a file in flight.
fn wait_for_flight(manager: &DataManagerImpl, is: impl Fn(&InFlight) -> bool) -> InFlight {
    let stats = wait_for(manager, |stats| stats.in_flight.iter().any(&is));
    stats.in_flight.into_iter().find(is).unwrap()
}

#[test]
fn what_is_in_flight_is_shown_with_its_bytes_its_rate_and_its_attempt() {
    let (origin, dir) = (Origin::start(), temp_dir());
    let content = Arc::new(bytes(1, 300_000));
    let replies = vec![
        Reply::Cut(content.clone(), 100_000),
        Reply::StallRange(content, 50_000),
    ];
    origin.script("a", replies);
    let manager = open(dir.path());
    manager.download_chunk(chunk(1, 0..10, [("a.parquet", origin.url("a"))]));

    let row = wait_for_flight(&manager, |row| row.done_bytes == 150_000);
    assert_eq!((row.chunk_id, row.file.as_str()), (id(1), "a.parquet"));
    assert_eq!(row.host, origin.address().to_string());
    assert_eq!((row.attempt, row.total_bytes), (2, Some(300_000)));
    assert!(row.bytes_per_second > 0);
    let stats = manager.stats();
    assert_eq!((stats.files_in_flight, stats.in_flight.len()), (1, 1));
    assert_eq!((stats.totals.attempts, stats.totals.retries), (2, 1));
    assert_eq!(stats.estimate.left_bytes, Some(150_000));
    assert_eq!(stats.estimate.held_up_by, HoldUp::Sources);

    let status = status(&manager, 1);
    assert_eq!((status.attempts, status.failures), (2, 1));
    let text = status.to_string();
    assert!(text.contains("150000 of 300000 bytes are here"), "{text}");
    assert!(text.contains("attempt 2"), "{text}");
    // A stall is seen, and nobody knows how long it takes.
    wait_for_flight(&manager, |row| row.bytes_per_second == 0);
    let stats = wait_for(&manager, |stats| stats.estimate.bytes_per_second == 0);
    assert_eq!(stats.estimate.left_seconds, None);
}

#[test]
fn what_waits_says_for_what_and_what_holds_it_all_up() {
    let world = world(|builder| builder.slots(2).slots_per_host(1));
    for n in 0..3 {
        world.ask("a", n, Behaviour::Held(10));
        world.ask("b", 10 + n, Behaviour::Held(10));
    }
    for n in 20..27 {
        world.ask("c", n, Behaviour::Held(10));
    }
    world.source.wait_for_active("a", 1);
    world.source.wait_for_active("b", 1);
    let stats = world.manager.stats();
    assert_eq!((stats.waits.host_slot, stats.waits.slot), (4, 7));
    assert_eq!(stats.estimate.held_up_by, HoldUp::Slots);
    assert_eq!(stats.estimate.left_chunks, 13);
    // As long as those whose sources have said.
    wait_for(&world.manager, |stats| {
        stats.estimate.left_bytes == Some(130)
    });

    let status = world.status(2);
    assert_eq!(status.wait_reason, Some(WaitReason::HostSlot));
    assert_eq!(status.waits_for_host.as_deref(), Some("a"));
    assert!(
        status.to_string().starts_with("it waits for a,"),
        "{status}"
    );
    assert_eq!(world.status(26).wait_reason, Some(WaitReason::Slot));
    assert_eq!(world.status(26).waits_for_host, None);
    assert_eq!(world.status(0).wait_reason, None, "it is in flight");

    world.manager.set_slots(8);
    let stats = world.manager.stats();
    assert_eq!((stats.waits.host_slot, stats.waits.slot), (10, 0));
    assert_eq!(stats.estimate.held_up_by, HoldUp::HostSlots);

    world.manager.pause();
    let stats = world.manager.stats();
    assert_eq!((stats.waits.paused, stats.waits.host_slot), (10, 0));
    assert_eq!(stats.estimate.held_up_by, HoldUp::Paused);
    assert_eq!(world.status(26).wait_reason, Some(WaitReason::Paused));
    world.manager.resume();
    assert_eq!(world.manager.stats().waits.paused, 0);
}

#[test]
fn what_backs_off_or_waits_for_a_host_that_rests_says_until_when() {
    let world = world(|builder| builder.slots(8).first_backoff(LONG).longest_backoff(LONG));
    for n in 0..30 {
        world.ask("down", n, Behaviour::Down);
    }
    let stats = wait_for(&world.manager, |stats| {
        stats.hosts_resting == 1 && stats.chunks.transferring == 0
    });
    assert_eq!(stats.waits.backoff + stats.waits.host_resting, 30);
    assert!(stats.waits.host_resting >= 10, "{:?}", stats.waits);
    assert_eq!(stats.estimate.held_up_by, HoldUp::HostsResting);
    assert_eq!(stats.estimate.left_seconds, None);
    let failed = u64::try_from(stats.waits.backoff).unwrap();
    assert_eq!(stats.totals.failed_attempts, failed);
    assert_eq!(stats.totals.failures.values().sum::<u64>(), failed);

    let statuses: Vec<ChunkStatus> = (0..30).map(|n| world.status(n)).collect();
    let of = |reason| {
        statuses
            .iter()
            .filter(move |s| s.wait_reason == Some(reason))
    };
    assert_eq!(of(WaitReason::Backoff).count(), stats.waits.backoff);
    for resting in of(WaitReason::HostResting) {
        assert_eq!(resting.waits_for_host.as_deref(), Some("down"));
        assert!(resting.next_try_in_ms.unwrap() > 60_000);
        let text = resting.to_string();
        assert!(text.contains("down, which failed for everybody"), "{text}");
    }
    for failed in of(WaitReason::Backoff) {
        assert!(failed.last_error_ms.unwrap() < 60_000, "{failed:?}");
        assert!(
            failed.to_string().starts_with("attempt 1 failed "),
            "{failed}"
        );
    }
}

#[test]
fn what_the_disk_has_no_room_for_waits_for_it() {
    let world = world(|builder| builder.max_bytes(1000));
    world.ask("a", 1, Behaviour::Bytes(900));
    wait_for(&world.manager, |stats| stats.chunks.available == 1);
    for n in 2..20 {
        world.ask("a", n, Behaviour::Bytes(900));
    }
    let stats = wait_for(&world.manager, |stats| stats.waits.disk_space > 0);
    assert_eq!(stats.estimate.held_up_by, HoldUp::DiskSpace);
    assert_eq!(stats.estimate.left_seconds, None);
    assert_eq!(stats.estimate.left_chunks, 18);
    assert_eq!(stats.estimate.left_bytes, Some(18 * 900), "as the first");
    world.manager.delete_chunk(id(1));
    let room = wait_for(&world.manager, |stats| stats.totals.downloaded_chunks == 2);
    assert!(room.totals.failures[&ErrorKind::NoSpace] > 0);
}

#[test]
fn failures_are_counted_by_how_they_failed() {
    let world = world(|builder| builder.first_backoff(LONG).longest_backoff(LONG));
    for (n, behaviour) in [
        (1, Behaviour::Busy),
        (2, Behaviour::Missing),
        (3, Behaviour::Missing),
    ] {
        world.ask("a", n, behaviour);
    }
    let stats = wait_for(&world.manager, |stats| stats.totals.failed_attempts == 3);
    let kind = |n| world.status(n).last_error.unwrap().kind();
    let expected = BTreeMap::from([(kind(1), 1), (kind(2), 2)]);
    assert_eq!(stats.totals.failures, expected);
    assert_eq!(stats.waits.backoff, 3);
    assert_eq!(stats.estimate.held_up_by, HoldUp::Backoff);
    assert_eq!(
        stats.estimate.left_chunks, 1,
        "nobody waits for what failed"
    );
    assert_eq!(world.status(2).state, ChunkState::Failed);
    let text = world.status(2).to_string();
    assert!(
        text.contains("or at once if it is asked for again"),
        "{text}"
    );
}

#[test]
fn what_a_failed_attempt_left_is_known_while_it_backs_off() {
    let (origin, dir) = (Origin::start(), temp_dir());
    origin.serve("a", Reply::Cut(Arc::new(bytes(1, 300_000)), 100_000));
    let slow = builder(dir.path())
        .first_backoff(LONG)
        .longest_backoff(LONG);
    let manager = slow.open().unwrap();
    manager.download_chunk(chunk(1, 0..10, [("a", origin.url("a"))]));
    wait_for(&manager, |stats| stats.chunks.backing_off == 1);
    let status = status(&manager, 1);
    assert_eq!(status.done_bytes, 100_000);
    assert_eq!(status.total_bytes, Some(300_000));
    assert_eq!(manager.stats().estimate.left_bytes, Some(200_000));
}

#[test]
fn what_is_deleted_and_held_is_shown_with_the_oldest_and_its_age() {
    let world = world(|builder| builder);
    for n in 1..=2 {
        world.ask("a", n, Behaviour::Bytes(10));
    }
    assert!(world.manager.wait_idle(DEADLINE));
    let first = world.manager.get_chunk(&id(1)).unwrap();
    let again = first.clone();
    let found = world.manager.find_chunk(DATASET, 2).unwrap();
    assert_eq!(world.status(1).references, 2);
    assert_eq!(world.status(1).to_string(), "it is here; 2 references");
    assert_eq!(world.manager.stats().held.contents, 0);

    let before = Instant::now();
    let gone = world.manager.delete_chunk(id(1));
    let after = Instant::now();
    world.manager.delete_chunk(id(2));
    let stats = wait_for(&world.manager, |stats| stats.held.contents == 2);
    assert_eq!(stats.held.oldest.unwrap().chunk_id, id(1));
    assert_eq!(stats.waits.references, 2);
    assert_eq!(stats.estimate.held_up_by, HoldUp::References);
    assert_eq!(stats.estimate.left_seconds, None);
    let least = after.elapsed();
    let status = world.status(1);
    let most = before.elapsed();
    let held = Duration::from_millis(status.held_ms.unwrap());
    assert!(
        held + Duration::from_millis(2) >= least && held <= most,
        "{held:?}"
    );
    assert_eq!((status.state, status.references), (ChunkState::Held, 2));
    assert_eq!(status.wait_reason, Some(WaitReason::References));
    let text = status.to_string();
    assert!(
        text.contains("goes when the last reference is dropped; 2 references"),
        "{text}"
    );

    drop(first);
    assert_eq!(world.status(1).references, 1);
    drop(again);
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    let held = world.manager.stats().held;
    assert_eq!((held.contents, held.oldest.unwrap().chunk_id), (1, id(2)));
    drop(found);
    let stats = wait_for(&world.manager, |stats| stats.totals.removed_chunks == 2);
    assert_eq!((stats.held.contents, stats.held.oldest), (0, None));
    assert_eq!(stats.estimate.held_up_by, HoldUp::Nothing);
    assert_eq!(stats.estimate.left_seconds, Some(0));
}

/// What comes back is referred to by those who held it, and by those who found it since.
#[test]
fn references_are_counted_over_a_delete_that_is_taken_back() {
    let world = world(|builder| builder);
    world.ask("a", 1, Behaviour::Bytes(10));
    assert!(world.manager.wait_idle(DEADLINE));
    let before = world.manager.get_chunk(&id(1)).unwrap();
    world.manager.delete_chunk(id(1));
    let back = world.manager.download_chunk(of_host("a", 1));
    back.wait_timeout(DEADLINE).unwrap().unwrap();
    let since = world.manager.get_chunk(&id(1)).unwrap();
    assert_eq!(world.status(1).references, 2);
    assert_eq!(world.status(1).held_ms, None);
    assert_eq!(world.manager.stats().held.contents, 0);
    drop((before, since));
    wait_for(&world.manager, |_| world.status(1).references == 0);
}

#[test]
fn the_estimate_is_about_right_under_a_limit_on_bandwidth() {
    const LIMIT: u64 = 400_000;
    let (origin, dir) = (Origin::start(), temp_dir());
    let limited = builder(dir.path()).slots(2).bandwidth_limit(LIMIT);
    let manager = limited.open().unwrap();
    for n in 0..20 {
        let path = n.to_string();
        origin.file(&path, bytes(u64::from(n), 100_000));
        let block = u64::from(n);
        manager.download_chunk(chunk(n, block..block + 1, [("f", origin.url(&path))]));
    }
    let half_way = wait_for(&manager, |stats| {
        let limited = stats.estimate.held_up_by == HoldUp::BandwidthLimit;
        stats.chunks.available >= 6 && limited
    });
    let (asked, available) = (Instant::now(), half_way.chunks.available);
    let half_way = half_way.estimate;
    // Each is as long, and two of those that are left may have come in part.
    let most = u64::try_from(20 - available).unwrap() * 100_000;
    let left = half_way.left_bytes.unwrap();
    assert!(
        (most.saturating_sub(200_000)..=most).contains(&left),
        "{half_way:?}"
    );
    assert!(half_way.guessed_chunks >= 1, "{half_way:?}");
    let rate = half_way.bytes_per_second;
    assert!((LIMIT / 2..=LIMIT * 3 / 2).contains(&rate), "{half_way:?}");
    assert!(manager.wait_idle(DEADLINE));
    let (took, said) = (asked.elapsed().as_secs(), half_way.left_seconds.unwrap());
    let right = took <= 2 * said + 2 && said <= 2 * took + 2;
    assert!(right, "{took} s, not {said} s");
    let end = manager.stats().estimate;
    assert_eq!((end.left_bytes, end.left_seconds), (Some(0), Some(0)));
    assert_eq!((end.left_chunks, end.held_up_by), (0, HoldUp::Nothing));
}

#[test]
fn in_json_names_are_snake_case_and_ids_are_hex() {
    let world = world(|builder| builder.slots(1));
    world.ask("a", 1, Behaviour::Bytes(10));
    assert!(world.manager.wait_idle(DEADLINE));
    let guard = world.manager.get_chunk(&id(1)).unwrap();
    world.manager.delete_chunk(id(1));
    world.ask("a", 2, Behaviour::Missing);
    wait_for(&world.manager, |stats| stats.totals.failed_attempts == 1);
    world.ask("a", 3, Behaviour::Stall(10));
    wait_for_flight(&world.manager, |row| row.done_bytes == 10);
    wait_for(&world.manager, |stats| stats.held.contents == 1);

    let json = serde_json::to_value(world.manager.stats()).unwrap();
    let row = &json["in_flight"][0];
    assert_eq!(row["chunk_id"], "03".repeat(32));
    assert_eq!((&row["file"], &row["host"]), (&"f".into(), &"a".into()));
    for number in ["attempt", "done_bytes", "bytes_per_second"] {
        assert!(row[number].is_u64(), "{number}: {row}");
    }
    assert_eq!(
        (&json["slots"], &json["slots_per_host"]),
        (&1.into(), &1.into())
    );
    assert_eq!(json["held"]["oldest"]["chunk_id"], "01".repeat(32));
    assert!(json["held"]["oldest"]["held_ms"].is_u64());
    assert_eq!(json["totals"]["failures"]["not_found"], 1);
    assert_eq!(json["waits"]["references"], 1);
    assert_eq!(json["estimate"]["held_up_by"], "sources");
    assert_eq!(json["estimate"]["left_chunks"], 1);
    let status = serde_json::to_value(world.status(1)).unwrap();
    assert_eq!(status["chunk_id"], "01".repeat(32));
    assert_eq!(status["wait_reason"], "references");
    assert_eq!(status["references"], 1);
    drop(guard);
}

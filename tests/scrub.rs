//! What is on disk is read again: damage that nobody did through the library is found, and nothing
//! false is ever shown, nor anything sound lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{ChunkState, DataManagerImpl, Durability, Event, ScrubStats};
use support::origin::{Gate, Origin, Reply};
use support::{DEADLINE, builder, bytes, chunk, chunk_dirs, id, open, read_dir, temp_dir};

const LARGE: usize = 5_000_000;

/// Chunk `n`: a small file and one of `len` bytes.
fn describe(origin: &Origin, n: u8, len: usize) -> DataChunk {
    let (small, large) = (format!("{n}/small"), format!("{n}/large"));
    origin.file(&small, bytes(1, 10));
    origin.file(&large, bytes(u64::from(n), len));
    let start = u64::from(n) * 10;
    let files = [("small", origin.url(&small)), ("large", origin.url(&large))];
    chunk(n, start..start + 10, files)
}

fn get(manager: &DataManagerImpl, chunk: DataChunk) {
    let task = manager.download_chunk(chunk);
    task.wait_timeout(DEADLINE).unwrap().unwrap();
}

fn verify(manager: &DataManagerImpl, n: u8) -> Result<(), data_manager::Error> {
    manager.verify(&id(n)).wait_timeout(DEADLINE).unwrap()
}

fn dir_of(data_dir: &Path, n: u8) -> PathBuf {
    let hex = format!("{n:02x}").repeat(32);
    let is = |path: &PathBuf| path.to_string_lossy().contains(&format!("-{hex}-"));
    chunk_dirs(data_dir).into_iter().find(is).unwrap()
}

/// Changes one byte in the middle of the large file.
fn flip(dir: &Path) {
    let path = dir.join("large");
    let mut content = std::fs::read(&path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(path, content).unwrap();
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::yield_now();
    }
}

fn scrub_of(manager: &DataManagerImpl) -> ScrubStats {
    manager.stats().scrub
}

#[test]
fn one_changed_byte_is_found_and_fetched_again_while_the_others_serve() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    for n in [1, 2] {
        get(&manager, describe(&origin, n, LARGE));
        verify(&manager, n).unwrap();
    }
    let events = manager.events();
    let guard = manager.get_chunk(&id(1)).unwrap();
    let held = guard.path().to_owned();
    flip(&held);
    let gate = Gate::default();
    let again = Reply::Gated(gate.clone(), bytes(1, LARGE).into());
    origin.serve("1/large", again);
    let error = verify(&manager, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert_eq!(error.file(), Some("large"));
    // Nobody is handed what is damaged, and whoever has it keeps it.
    assert_eq!(manager.list_chunks(), [id(2)]);
    origin.wait_for_hits("1/large", 2);
    verify(&manager, 2).unwrap();
    assert!(held.join("large").is_file() && read_dir(&dir.path().join("_quarantine")).is_empty());
    gate.open();
    assert!(manager.wait_idle(DEADLINE));
    let fresh = manager.get_chunk(&id(1)).unwrap();
    assert_ne!(fresh.path(), held);
    assert!(std::fs::read(fresh.path().join("large")).unwrap() == bytes(1, LARGE));
    assert!(held.join("large").is_file());
    drop(guard);
    wait_until("the damaged one is put aside", || {
        manager.stats().totals.quarantined == 1
    });
    assert!(!held.exists());
    let stats = scrub_of(&manager);
    assert_eq!((stats.damaged, stats.chunks), (1, 3), "{stats:?}");
    let of_one = |event: &Event| match event {
        Event::Damaged { chunk_id, .. } | Event::Verified { chunk_id, .. } => Some(chunk_id[0]),
        _ => None,
    };
    let told: Vec<u8> = std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(|event| of_one(&event))
        .collect();
    assert_eq!(told, [1, 2]);
}

#[test]
fn only_what_is_visible_can_be_verified() {
    let dir = temp_dir();
    let manager = open(dir.path());
    assert_eq!(verify(&manager, 1).unwrap_err().kind(), ErrorKind::NotFound);
    manager.shutdown(DEADLINE).unwrap();
    assert_eq!(verify(&manager, 1).unwrap_err().kind(), ErrorKind::ShutDown);
}

#[test]
fn the_scrub_finds_damage_by_itself() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    for n in 1..=3 {
        get(&manager, describe(&origin, n, 300_000));
    }
    let events = manager.events();
    flip(&dir_of(dir.path(), 2));
    assert_eq!(scrub_of(&manager), ScrubStats::default());
    manager.set_scrub_rate(Some(1 << 40)).unwrap();
    let round = loop {
        let event = events.recv_timeout(DEADLINE).unwrap();
        if let Event::ScrubRound {
            chunks, damaged, ..
        } = event
        {
            break (chunks, damaged);
        }
    };
    assert_eq!(round, (2, 1));
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(manager.list_chunks(), [id(1), id(2), id(3)]);
    assert!(std::fs::read(dir_of(dir.path(), 2).join("large")).unwrap() == bytes(2, 300_000));
    let stats = scrub_of(&manager);
    assert_eq!((stats.rounds, stats.chunks, stats.damaged), (1, 2, 1));
    assert_eq!((stats.round_done, stats.round_chunks), (3, 3));
    assert_eq!(stats.rate, Some(1 << 40));
}

#[test]
fn a_scrub_of_nothing_begins_with_the_first_chunk() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = builder(dir.path()).scrub_rate(1 << 40).open().unwrap();
    get(&manager, describe(&origin, 1, 1000));
    wait_until("a round", || scrub_of(&manager).rounds == 1);
    assert_eq!(scrub_of(&manager).bytes, 1010);
    // The next one is an hour away.
    get(&manager, describe(&origin, 2, 1000));
    manager.set_scrub_rate(None).unwrap();
    manager.set_scrub_rate(Some(1 << 40)).unwrap();
    verify(&manager, 2).unwrap();
    assert_eq!(scrub_of(&manager).rounds, 1);
}

#[test]
fn the_scrub_keeps_to_its_rate_and_goes_on_where_it_was() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    for n in 1..=2 {
        get(&manager, describe(&origin, n, 2_000_000));
    }
    let rate = 1_000_000;
    let started = Instant::now();
    manager.set_scrub_rate(Some(rate)).unwrap();
    wait_until("two steps", || scrub_of(&manager).bytes > rate);
    // The second begins when the first is paid for.
    assert!(started.elapsed() >= Duration::from_millis(950));
    wait_until("a chunk", || scrub_of(&manager).round_done == 1);
    let stats = scrub_of(&manager);
    assert!(stats.bytes <= 4_000_020 && stats.rounds == 0, "{stats:?}");
    // At this rate the next step would be paid for in 2 s, and more is read before at most by one.
    let paid = started.elapsed().as_secs_f64() * 1e6;
    assert!(stats.bytes as f64 <= paid + 1.1e6, "{stats:?}");
    wait_until("the next chunk", || scrub_of(&manager).bytes > 2_000_010);
    manager.set_scrub_rate(None).unwrap();
    assert_eq!(scrub_of(&manager).rate, None);
    // While these are read, which takes longer than it rests, it would have come to the end.
    let (turned_off, mut others) = (Instant::now(), 0);
    while turned_off.elapsed() < Duration::from_secs(2) {
        verify(&manager, 1).unwrap();
        others += 1;
    }
    let stats = scrub_of(&manager);
    assert_eq!((stats.chunks, stats.rounds), (1 + others, 0), "{stats:?}");
    manager.set_scrub_rate(Some(1 << 40)).unwrap();
    wait_until("the round", || scrub_of(&manager).rounds == 1);
    let stats = scrub_of(&manager);
    assert_eq!(
        (stats.chunks - others, stats.round_done),
        (2, 2),
        "{stats:?}"
    );
    let error = manager.set_scrub_rate(Some(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(scrub_of(&manager).rate, Some(1 << 40));
}

#[test]
fn a_chunk_that_the_scrub_is_at_is_deleted_at_once() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    get(&manager, describe(&origin, 1, LARGE));
    // It would take two months.
    manager.set_scrub_rate(Some(1)).unwrap();
    wait_until("it begins", || scrub_of(&manager).bytes > 0);
    let delete = manager.delete_chunk(id(1));
    delete.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(chunk_dirs(dir.path()).is_empty());
    assert_eq!(scrub_of(&manager).damaged, 0);
    let started = Instant::now();
    manager.shutdown(DEADLINE).unwrap();
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_chunk_deleted_while_it_is_verified_is_not_damaged() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    for round in 0..20 {
        get(&manager, describe(&origin, 1, 3_000_000));
        let (first, joined) = (manager.verify(&id(1)), manager.verify(&id(1)));
        let before = scrub_of(&manager).bytes;
        if round % 2 == 0 {
            wait_until("it begins", || scrub_of(&manager).bytes > before);
        }
        let delete = manager.delete_chunk(id(1));
        delete.wait_timeout(DEADLINE).unwrap().unwrap();
        for task in [first, joined] {
            let outcome = task.wait_timeout(DEADLINE).unwrap();
            let kind = outcome.err().map(|error| error.kind());
            assert!(
                matches!(kind, None | Some(ErrorKind::Superseded)),
                "{kind:?}"
            );
        }
    }
    assert_eq!(scrub_of(&manager).damaged, 0);
    assert_eq!(manager.stats().totals.quarantined, 0);
}

#[test]
fn a_shutdown_does_not_wait_for_a_verification() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    for (n, len) in [(1, 1000), (2, 40_000_000), (3, 40_000_000)] {
        get(&manager, describe(&origin, n, len));
    }
    let before = scrub_of(&manager).bytes;
    let tasks = [1, 2, 3, 2].map(|n| manager.verify(&id(n)));
    wait_until("it begins", || {
        scrub_of(&manager).bytes > before + 1_100_000
    });
    let started = Instant::now();
    manager.shutdown(DEADLINE).unwrap();
    assert!(started.elapsed() < Duration::from_secs(2));
    let ends = tasks.map(|task| task.wait_timeout(Duration::ZERO).unwrap());
    let kinds = ends.map(|end| end.err().map(|error| error.kind()));
    let fine = |kind: &Option<ErrorKind>| matches!(kind, None | Some(ErrorKind::ShutDown));
    assert!(kinds.iter().all(fine), "{kinds:?}");
}

/// Gives chunks the names that they would have if the machine had been started anew since they were
/// committed without a sync.
fn reboot(data_dir: &Path) {
    for path in chunk_dirs(data_dir) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let parts: Vec<&str> = name.split('-').take(6).collect();
        let other = format!("{}-deadbeef", parts.join("-"));
        std::fs::rename(&path, path.with_file_name(other)).unwrap();
    }
}

/// Two chunks, of which the second is damaged in the middle, as after a power cut.
fn after_a_power_cut(origin: &Origin) -> tempfile::TempDir {
    let dir = temp_dir();
    let manager = builder(dir.path())
        .durability(Durability::None)
        .open()
        .unwrap();
    for n in 1..=2 {
        get(&manager, describe(origin, n, LARGE));
    }
    manager.shutdown(DEADLINE).unwrap();
    drop(manager);
    reboot(dir.path());
    flip(&dir_of(dir.path(), 2));
    dir
}

#[test]
fn what_was_not_synced_is_verified_before_anybody_sees_it() {
    let origin = Origin::start();
    let dir = after_a_power_cut(&origin);
    let manager = open(dir.path());
    let events = manager.events();
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(manager.list_chunks(), [id(1)]);
    assert!(manager.chunk_status(&id(2)).is_none());
    let shown: Vec<u8> = std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(|event| match event {
            Event::Available { chunk_id, .. } => Some(chunk_id[0]),
            _ => None,
        })
        .collect();
    assert!(!shown.contains(&2), "{shown:?}");
    assert_eq!(manager.stats().totals.quarantined, 1);
    verify(&manager, 1).unwrap();
    // It was synced, so the next start believes it.
    let path = manager.get_chunk(&id(1)).unwrap().path().to_owned();
    assert!(!path.to_string_lossy().ends_with("-deadbeef"));
    let read = scrub_of(&manager).bytes;
    assert!(read >= LARGE as u64, "{read}");
    manager.shutdown(DEADLINE).unwrap();
    drop(manager);
    let manager = open(dir.path());
    assert_eq!(manager.list_chunks(), [id(1)]);
    assert_eq!(manager.get_chunk(&id(1)).unwrap().path(), path);
}

#[test]
fn what_is_asked_for_while_it_is_verified_is_fetched_only_if_it_is_damaged() {
    let origin = Origin::start();
    let dir = after_a_power_cut(&origin);
    let manager = open(dir.path());
    let tasks = [1, 2].map(|n| manager.download_chunk(describe(&origin, n, LARGE)));
    for task in tasks {
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    assert_eq!(manager.list_chunks(), [id(1), id(2)]);
    assert_eq!((origin.hits("1/large"), origin.hits("2/large")), (1, 2));
    for n in 1..=2 {
        verify(&manager, n).unwrap();
    }
}

#[test]
fn a_delete_does_not_wait_until_all_is_verified_and_a_shutdown_loses_nothing() {
    let origin = Origin::start();
    let dir = temp_dir();
    let lazy = || builder(dir.path()).durability(Durability::None);
    let manager = lazy().open().unwrap();
    for n in 1..=6 {
        get(&manager, describe(&origin, n, LARGE));
    }
    drop(manager);
    reboot(dir.path());
    let manager = lazy().open().unwrap();
    let delete = manager.delete_chunk(id(6));
    delete.wait_timeout(DEADLINE).unwrap().unwrap();
    manager.shutdown(DEADLINE).unwrap();
    drop(manager);
    assert_eq!(chunk_dirs(dir.path()).len(), 5);
    let manager = lazy().open().unwrap();
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(manager.list_chunks(), [1, 2, 3, 4, 5].map(id));
}

#[test]
fn what_was_found_damaged_does_not_come_back_at_a_start_that_reads_no_bytes() {
    for fetched_again in [false, true] {
        let (dir, origin) = (temp_dir(), Origin::start());
        let mut manager = open(dir.path());
        get(&manager, describe(&origin, 1, LARGE));
        if !fetched_again {
            // Where it comes from is not remembered.
            manager.shutdown(DEADLINE).unwrap();
            drop(manager);
            manager = open(dir.path());
        }
        // The check behind the start may not come by while the file is written.
        wait_until("checked", || manager.stats().space.audits > 0);
        let guard = manager.get_chunk(&id(1)).unwrap();
        flip(guard.path());
        let error = verify(&manager, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(manager.wait_idle(DEADLINE));
        assert_eq!(manager.list_chunks().len(), usize::from(fetched_again));
        drop(manager.delete_chunk(id(1)));
        assert!(manager.wait_idle(DEADLINE));
        manager.shutdown(DEADLINE).unwrap();
        drop((manager, guard));
        let manager = open(dir.path());
        assert!(manager.list_chunks().is_empty(), "{fetched_again}");
    }
}

#[test]
fn what_cannot_be_read_is_deleted_with_what_came_after_it() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    get(&manager, describe(&origin, 1, 1000));
    manager.shutdown(DEADLINE).unwrap();
    drop(manager);
    // A format of the future: root may read everything, so permissions say nothing here.
    let manifest = dir_of(dir.path(), 1).join("_chunk.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let later = text.replace("\"version\": 1", "\"version\": 2");
    std::fs::write(&manifest, later).unwrap();
    let manager = open(dir.path());
    wait_until("unreadable", || manager.list_chunks().is_empty());
    let status = manager.chunk_status(&id(1)).unwrap();
    assert_eq!(status.state, ChunkState::Unreadable);
    get(&manager, describe(&origin, 1, 1000));
    assert_eq!(manager.list_chunks(), [id(1)]);
    let task = manager.delete_chunk(id(1));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(manager.wait_idle(DEADLINE));
    assert!(manager.chunk_status(&id(1)).is_none());
    manager.shutdown(DEADLINE).unwrap();
    drop(manager);
    let manager = open(dir.path());
    assert!(manager.list_chunks().is_empty());
}

#[test]
fn an_emptied_quarantine_makes_room() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = builder(dir.path()).max_bytes(1_500_000).open().unwrap();
    get(&manager, describe(&origin, 1, 1_000_000));
    flip(&dir_of(dir.path(), 1));
    assert_eq!(verify(&manager, 1).unwrap_err().kind(), ErrorKind::Damaged);
    wait_until("too little room", || {
        manager.stats().space.waits_for.is_some() && manager.stats().totals.quarantined == 1
    });
    for kept in read_dir(&dir.path().join("_quarantine")) {
        std::fs::remove_dir_all(kept).unwrap();
    }
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(manager.list_chunks(), [id(1)]);
}

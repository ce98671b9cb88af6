//! What the data directory takes of the disk: how much it may, who goes first when it is too little,
//! and that what is said of it is so.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_manager::{
    ChunkState, ChunkTask, DataManagerBuilder, DataManagerImpl, Event, SpaceArea, SpaceShortage,
};
use data_manager::data_source::{DataSource, OpenRequest, Opened, SourceError};
use support::origin::{Origin, Reply};
use support::source::{Behaviour, ScriptedSource};
use support::{DEADLINE, builder, bytes, chunk, chunk_dirs, id, read_dir, temp_dir};

/// All regular files below `dir` but the library's own, each counted once however often it is
/// renamed while this looks.
fn contents(dir: &Path) -> u64 {
    let (mut seen, mut sum, mut left) = (HashSet::new(), 0, vec![dir.to_owned()]);
    while let Some(path) = left.pop() {
        let Ok(metadata) = path.symlink_metadata() else {
            continue;
        };
        let own = path
            .extension()
            .is_some_and(|extension| extension == "json");
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten();
            left.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        } else if !own && path.file_name().is_some_and(|name| name != "_lock") {
            let new = seen.insert(metadata.ino());
            sum += if new { metadata.len() } else { 0 };
        }
    }
    sum
}

/// Runs `during` and calls `look` all the while.
fn watch(look: impl Fn() + Sync, during: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                look();
                // Leaves the processor to what is watched.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        during();
        over.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
    });
    look();
}

fn wait_for(manager: &DataManagerImpl, what: impl Fn(&DataManagerImpl) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !what(manager) {
        assert!(Instant::now() < deadline, "{:#?}", manager.stats());
        std::thread::yield_now();
    }
}

fn waits_for(manager: &DataManagerImpl) -> Option<SpaceShortage> {
    manager.stats().space.waits_for
}

/// Short rests, and what is not there is looked for again and again.
fn quick(dir: &Path, source: &ScriptedSource) -> DataManagerBuilder {
    builder(dir).source("x", source.clone()).slots(4)
}

/// Asks for chunk `n`, with files of these lengths.
fn want(manager: &DataManagerImpl, source: &ScriptedSource, n: u8, lens: &[usize]) -> ChunkTask {
    let names: Vec<String> = (0..lens.len()).map(|index| format!("f{index}")).collect();
    let files = names.iter().zip(lens).map(|(name, len)| {
        let url = format!("x://host/{n}/{name}");
        source.script(&url, Behaviour::Bytes(*len));
        (name.as_str(), url)
    });
    let range = u64::from(n)..u64::from(n) + 1;
    manager.download_chunk(chunk(n, range, files))
}

fn next(events: &mut impl Iterator<Item = Event>, is: impl Fn(&Event) -> bool) -> Event {
    events.find(is).unwrap()
}

#[test]
fn max_bytes_holds_at_every_moment_and_downloads_go_on_after_a_delete() {
    const MAX: u64 = 1_000_000;
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = quick(dir.path(), &source).max_bytes(MAX).open().unwrap();
    let mut events = manager.events();
    let look = || {
        let (there, space) = (contents(dir.path()), manager.stats().space);
        assert!(there <= MAX, "{there} bytes on disk");
        let counted = space.committed_bytes + space.staged_bytes + space.reserved_bytes;
        assert!(counted <= MAX, "{space:?}");
    };
    watch(look, || {
        (1..=8).for_each(|n| drop(want(&manager, &source, n, &[300_000])));
        wait_for(&manager, |manager| manager.list_chunks().len() == 3);
        wait_for(&manager, |m| waits_for(m) == Some(SpaceShortage::MaxBytes));
    });
    let short = next(&mut events, |event| {
        matches!(event, Event::SpaceShort { .. })
    });
    let Event::SpaceShort { reason, error, .. } = short else {
        unreachable!()
    };
    assert_eq!(
        (reason, error.kind()),
        (SpaceShortage::MaxBytes, ErrorKind::NoSpace)
    );
    assert!(
        error.to_string().contains("max_bytes is 1000000"),
        "{error}"
    );

    // What waits is known to be too large by now: nobody is asked for it again.
    wait_for(&manager, |manager| {
        manager.stats().totals.failed_attempts > 20
    });
    let mut asked = source.opened();
    asked.sort();
    asked.dedup();
    assert_eq!(source.opened().len(), asked.len(), "{:?}", source.opened());

    let there = manager.list_chunks();
    manager.delete_chunk(there[0]);
    wait_for(&manager, |manager| manager.list_chunks().len() == 3);
    assert!(manager.list_chunks().contains(&there[1]) && manager.list_chunks().contains(&there[2]));
    let shown = manager.list_chunks();
    for n in (1..=8).map(id).filter(|n| !shown.contains(n)) {
        manager.delete_chunk(n);
    }
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(waits_for(&manager), None);
    next(&mut events, |event| matches!(event, Event::SpaceBack));
    assert_eq!(manager.stats().space.committed_bytes, 900_000);
    assert_eq!(manager.stats().space.reserved_bytes, 0);
}

#[test]
fn what_is_promised_to_one_is_nobody_elses() {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = quick(dir.path(), &source).max_bytes(1_000_000).open();
    let manager = manager.unwrap();
    let url = |n: u8| format!("x://host/{n}");
    for n in 1..=4 {
        source.script(&url(n), Behaviour::Held(300_000));
        let range = u64::from(n)..u64::from(n) + 1;
        drop(manager.download_chunk(chunk(n, range, [("f", url(n))])));
    }
    // Not a byte has arrived, and there is room for no more than three.
    wait_for(&manager, |m| waits_for(m) == Some(SpaceShortage::MaxBytes));
    wait_for(&manager, |m| m.stats().space.reserved_bytes == 900_000);
    assert_eq!((contents(dir.path()), source.active("host")), (0, 3));
    (1..=4).for_each(|n| source.release(&url(n)));
    wait_for(&manager, |manager| manager.list_chunks().len() == 3);
    assert_eq!(manager.stats().space.reserved_bytes, 0);
}

#[test]
fn a_chunk_that_can_never_fit_ends_its_task_and_is_in_nobodys_way() {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = quick(dir.path(), &source).max_bytes(1_000_000).slots(1);
    let manager = manager.open().unwrap();
    // One file is too large; and two are, together.
    for (n, lens) in [(1, &[2_000_000][..]), (2, &[600_000, 600_000])] {
        let error = want(&manager, &source, n, lens).wait_timeout(DEADLINE);
        let error = error.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.to_string().contains("can never fit"), "{error}");
        wait_for(&manager, |manager| manager.stats().space.staged_bytes == 0);
        wait_for(&manager, |manager| {
            let status = manager.chunk_status(&id(n)).unwrap();
            status.wanted && status.state == ChunkState::Failed
        });
        assert_eq!(waits_for(&manager), None);
    }
    let asked = source.opened().len();
    for n in 3..=4 {
        let task = want(&manager, &source, n, &[450_000]);
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    // Tried again, and without a word to the source.
    let failed = manager.stats().totals.failed_attempts;
    wait_for(&manager, |m| m.stats().totals.failed_attempts > failed + 4);
    assert_eq!(source.opened().len(), asked + 2);
    assert_eq!(manager.list_chunks(), [id(3), id(4)]);
}

#[test]
fn those_that_fit_one_at_a_time_get_there_one_after_the_other() {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = quick(dir.path(), &source).max_bytes(1_000_000).open();
    let manager = manager.unwrap();
    // All begin at once, and none has room for its last file beside the others' first.
    let files = [300_000; 3];
    (1..=4).for_each(|n| drop(want(&manager, &source, n, &files)));
    for left in (1..=4).rev() {
        wait_for(&manager, |manager| manager.list_chunks().len() == 1);
        if left > 1 {
            wait_for(&manager, |m| waits_for(m) == Some(SpaceShortage::MaxBytes));
        }
        let arrived = manager.list_chunks();
        assert_eq!(arrived.len(), 1);
        drop(manager.delete_chunk(arrived[0]));
    }
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(waits_for(&manager), None);
}

/// A body that never ends, of a length that nobody says.
#[derive(Debug)]
struct Endless;

impl DataSource for Endless {
    fn open(&self, _: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        Ok(Opened::new(io::repeat(7)))
    }
}

#[test]
fn a_body_of_unknown_length_has_its_room_as_it_comes() {
    const MAX: u64 = 20_000_000;
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = quick(dir.path(), &source).source("endless", Endless);
    let manager = manager.max_bytes(MAX).open().unwrap();
    let look = || {
        let there = contents(dir.path());
        assert!(there <= MAX, "{there} bytes on disk");
    };
    watch(look, || {
        let task = manager.download_chunk(chunk(1, 1..2, [("f", "endless://x/".to_owned())]));
        let error = task.wait_timeout(DEADLINE).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
    });
    drop(manager.delete_chunk(id(1)));
    let task = want(&manager, &source, 2, &[300_000]);
    task.wait_timeout(DEADLINE).unwrap().unwrap();
}

/// A file system in memory, gone with this value.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path, options: &str) -> Option<Self> {
        let mut command = Command::new("mount");
        let mount = ["-t", "tmpfs", "-o", options, "tmpfs"];
        let quiet = std::process::Stdio::null();
        let status = command.args(mount).arg(at).stderr(quiet).status();
        let mounted = status.is_ok_and(|status| status.success());
        mounted.then(|| Tmpfs(at.to_owned()))
    }

    fn free_bytes(&self) -> u64 {
        let said = rustix::fs::statvfs(&self.0).unwrap();
        said.f_bavail * said.f_frsize
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn min_free_bytes_are_left_to_others() {
    const MIN: u64 = 1 << 20;
    /// Manifests and directories are not counted.
    const OWN: u64 = 100 << 10;
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let Some(disk) = Tmpfs::mount(dir.path(), "size=2m") else {
        eprintln!("skipped: needs root");
        return;
    };
    let manager = quick(dir.path(), &source).min_free_bytes(MIN).open();
    let manager = manager.unwrap();
    let look = || assert!(disk.free_bytes() >= MIN - OWN, "{}", disk.free_bytes());
    watch(look, || {
        (1..=6).for_each(|n| drop(want(&manager, &source, n, &[300_000])));
        wait_for(&manager, |m| {
            m.list_chunks().len() == 3 && waits_for(m) == Some(SpaceShortage::MinFreeBytes)
        });
    });
    assert!(manager.stats().space.free_bytes.unwrap() >= MIN);
    // Another program frees the disk, or fills it: that is nobody's call, and noticed all the same.
    let first = manager.list_chunks()[0];
    drop(manager.delete_chunk(first));
    wait_for(&manager, |manager| manager.list_chunks().len() == 3);
    let status = |n| manager.chunk_status(&id(n)).unwrap();
    let waits = (1..=6).filter(|n| !manager.list_chunks().contains(&id(*n)) && id(*n) != first);
    let errors = waits.map(|n| status(n).last_error.unwrap().to_string());
    assert!(errors.into_iter().all(|e| e.contains("min_free_bytes is")));
    drop(manager);
}

#[test]
fn a_disk_without_inodes_says_so_and_goes_on_after_a_delete() {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let Some(_disk) = Tmpfs::mount(dir.path(), "size=16m,nr_inodes=32") else {
        eprintln!("skipped: needs root");
        return;
    };
    let manager = quick(dir.path(), &source).open().unwrap();
    let tasks: Vec<_> = (1..=20)
        .map(|n| want(&manager, &source, n, &[10]))
        .collect();
    // A few fit, once what the others began is out of the way.
    wait_for(&manager, |m| {
        m.list_chunks().len() > 2 && waits_for(m) == Some(SpaceShortage::NoInodes)
    });
    let there = manager.list_chunks();
    // What cannot get there any more: all but the next one.
    let waits: Vec<u8> = (1..=20).filter(|n| !there.contains(&id(*n))).collect();
    waits[1..]
        .iter()
        .for_each(|n| drop(manager.delete_chunk(id(*n))));
    there.iter().for_each(|id| drop(manager.delete_chunk(*id)));
    let next = &tasks[usize::from(waits[0]) - 1];
    next.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(manager.wait_idle(DEADLINE));
    drop(manager);
}

/// Held against what is there: everything but what is reserved, of which there is nothing.
fn assert_counted(manager: &DataManagerImpl, dir: &Path) {
    let space = manager.stats().space;
    let committed: u64 = chunk_dirs(dir).iter().map(|dir| contents(dir)).sum();
    let of = |name: &str| contents(&dir.join(name));
    assert_eq!(space.committed_bytes, committed, "{space:?}");
    assert_eq!(space.staged_bytes, of("_staging"), "{space:?}");
    assert_eq!(space.trash_bytes, of("_trash"), "{space:?}");
    assert_eq!(space.quarantine_bytes, of("_quarantine"), "{space:?}");
    assert_eq!(space.reserved_bytes, 0, "{space:?}");
}

#[test]
fn the_ledger_is_what_is_on_disk_whatever_was_done() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let slow = Duration::from_secs(3600);
    let open = || {
        let builder = builder(dir.path())
            .longest_backoff(slow)
            .first_backoff(slow);
        builder.open().unwrap()
    };
    let manager = open();
    for n in 1..=6 {
        let (path, len) = (format!("{n}"), 50_000 + usize::from(n));
        let content = bytes(u64::from(n), len);
        match n {
            6 => origin.script(&path, vec![Reply::Cut(content.into(), 20_000)]),
            _ => origin.file(&path, content),
        }
        let range = u64::from(n)..u64::from(n) + 1;
        let task = manager.download_chunk(chunk(n, range, [("f", origin.url(&path))]));
        if n < 6 {
            task.wait_timeout(DEADLINE).unwrap().unwrap();
        }
    }
    wait_for(&manager, |manager| manager.stats().chunks.backing_off == 1);
    assert_counted(&manager, dir.path());
    assert_eq!(manager.stats().space.staged_bytes, 20_000);
    let gone = manager.delete_chunk(id(1));
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_counted(&manager, dir.path());
    // A stranger's file in a chunk that is deleted: the rest of it is put aside.
    let guard = manager.get_chunk(&id(2)).unwrap();
    std::fs::write(guard.path().join("notes"), [1; 700]).unwrap();
    drop(guard);
    let gone = manager.delete_chunk(id(2));
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_counted(&manager, dir.path());
    assert_eq!(manager.stats().space.quarantine_bytes, 700);
    let damaged = manager.get_chunk(&id(3)).unwrap().path().join("f");
    manager.shutdown(DEADLINE).unwrap();

    std::fs::write(damaged, [2; 100]).unwrap();
    let manager = open();
    wait_for(&manager, |m| {
        let stats = m.stats();
        stats.totals.quarantined == 1 && stats.space.audits == 1
    });
    assert!(manager.wait_idle(DEADLINE));
    assert_counted(&manager, dir.path());
    let space = manager.stats().space;
    assert_eq!(
        (space.committed_bytes, space.staged_bytes),
        (100_009, 20_000)
    );
    assert_eq!((space.quarantine_bytes, space.corrected_bytes), (800, 0));
    manager.delete_chunk(id(4));
    manager.delete_chunk(id(5));
    assert!(manager.wait_idle(DEADLINE));
    assert_counted(&manager, dir.path());
}

#[test]
fn a_ledger_that_is_off_is_corrected_and_told() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let slow = Duration::from_secs(3600);
    let builder = || {
        builder(dir.path())
            .longest_backoff(slow)
            .first_backoff(slow)
    };
    let manager = builder().open().unwrap();
    origin.script("1", vec![Reply::Cut(bytes(1, 50_000).into(), 20_000)]);
    drop(manager.download_chunk(chunk(1, 1..2, [("f", origin.url("1"))])));
    wait_for(&manager, |manager| manager.stats().chunks.backing_off == 1);
    drop(manager);
    // Opening measures what it knows the names of; this it does not.
    let staged = read_dir(&dir.path().join("_staging")).pop().unwrap();
    std::fs::write(staged.join("_parts/notes"), [1; 500]).unwrap();

    let manager = builder().open().unwrap();
    // Whoever subscribes first is told what was found before.
    let event = manager.events().recv_timeout(DEADLINE).unwrap();
    let Event::LedgerOff {
        area,
        counted_bytes,
        found_bytes,
        ..
    } = event
    else {
        panic!("{event:?}")
    };
    assert_eq!(area, SpaceArea::Staged);
    assert_eq!((counted_bytes, found_bytes), (20_000, 20_500));
    assert_counted(&manager, dir.path());
    let space = manager.stats().space;
    assert_eq!((space.audits, space.corrected_bytes), (1, 500));
}

#[test]
fn a_small_chunk_has_its_room_behind_many_that_find_none() {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = quick(dir.path(), &source).max_bytes(1_000_000);
    let manager = manager.longest_backoff(Duration::from_secs(3600)).open();
    let manager = manager.unwrap();
    let there = want(&manager, &source, 1, &[600_000]);
    there.wait_timeout(DEADLINE).unwrap().unwrap();
    (2..=30).for_each(|n| drop(want(&manager, &source, n, &[900_000])));
    let small = want(&manager, &source, 31, &[100_000]);
    small.wait_timeout(DEADLINE).unwrap().unwrap();
}

//! What a download that was broken off leaves on disk: how much of it is kept, for how long, and
//! what becomes of it when the disk is full.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_manager::{DataManagerBuilder, DataManagerImpl, Event};
use support::origin::{Origin, Reply};
use support::{DEADLINE, builder, bytes, chunk, id, read_dir, temp_dir};

/// Attempts come far apart, so that what one leaves can be looked at.
fn patient(dir: &Path) -> DataManagerBuilder {
    builder(dir)
        .first_backoff(Duration::from_secs(3600))
        .longest_backoff(Duration::from_secs(3600))
}

/// Asks for chunk `n`, of which `sent` bytes arrive before the transfer breaks off; returns when
/// the attempt has failed.
fn break_off(manager: &DataManagerImpl, origin: &Origin, n: u8, sent: usize) {
    let path = format!("f{n}");
    let content = Arc::new(bytes(u64::from(n), 300_000));
    let replies = vec![Reply::Cut(content.clone(), sent), Reply::File(content)];
    origin.script(&path, replies);
    let events = manager.events();
    let range = u64::from(n)..u64::from(n) + 1;
    manager.download_chunk(chunk(n, range, [("f", origin.url(&path))]));
    loop {
        let event = events.recv_timeout(DEADLINE).unwrap();
        if matches!(event, Event::Retried { .. }) {
            return;
        }
    }
}

/// Waits until staging holds that many directories.
fn wait_for_staged(dir: &Path, count: usize) {
    let deadline = Instant::now() + DEADLINE;
    while read_dir(&dir.join("_staging")).len() != count {
        assert!(
            Instant::now() < deadline,
            "{:?}",
            read_dir(&dir.join("_staging"))
        );
        std::thread::yield_now();
    }
}

#[test]
fn what_is_kept_is_counted_and_taken_up_again() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = patient(dir.path()).open().unwrap();
    break_off(&manager, &origin, 1, 100_000);
    break_off(&manager, &origin, 2, 50_000);
    let partials = manager.stats().partials;
    assert_eq!((partials.chunks, partials.bytes), (2, 150_000));
    drop(manager);

    let manager = patient(dir.path()).open().unwrap();
    let partials = manager.stats().partials;
    assert_eq!((partials.chunks, partials.bytes), (2, 150_000));
    let task = manager.download_chunk(chunk(1, 1..2, [("f", origin.url("f1"))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let partials = manager.stats().partials;
    assert_eq!((partials.chunks, partials.bytes), (1, 50_000));
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.headers["range"], "bytes=100000-");
}

#[test]
fn a_deleted_chunk_leaves_nothing_behind() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = patient(dir.path()).open().unwrap();
    break_off(&manager, &origin, 1, 100_000);
    let gone = manager.delete_chunk(id(1));
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(manager.stats().partials.chunks, 0);
    assert!(read_dir(&dir.path().join("_staging")).is_empty());
}

#[test]
fn beyond_the_limit_the_oldest_go_and_are_fetched_from_the_start() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = patient(dir.path()).partials_max_bytes(250_000);
    let manager = manager.open().unwrap();
    for n in 1..=3 {
        break_off(&manager, &origin, n, 100_000);
    }
    wait_for_staged(dir.path(), 2);
    assert_eq!(manager.stats().partials.bytes, 200_000);
    drop(manager);

    let manager = builder(dir.path()).open().unwrap();
    for n in 1..=3 {
        let range = u64::from(n)..u64::from(n) + 1;
        let files = [("f", origin.url(&format!("f{n}")))];
        let task = manager.download_chunk(chunk(n, range, files));
        task.wait_timeout(DEADLINE).unwrap().unwrap();
        let guard = manager.get_chunk(&id(n)).unwrap();
        let content = std::fs::read(guard.path().join("f")).unwrap();
        assert!(content == bytes(u64::from(n), 300_000));
        let last = origin.requests().pop().unwrap();
        assert_eq!(last.headers.contains_key("range"), n != 1, "chunk {n}");
    }
}

#[test]
fn what_is_too_old_goes_while_the_manager_runs_and_at_the_start() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let age = Duration::from_millis(300);
    let manager = patient(dir.path()).partials_max_age(age).open().unwrap();
    break_off(&manager, &origin, 1, 100_000);
    wait_for_staged(dir.path(), 0);
    assert_eq!(manager.stats().partials.bytes, 0);
    drop(manager);

    let manager = patient(dir.path()).open().unwrap();
    break_off(&manager, &origin, 2, 100_000);
    drop(manager);
    let short = Duration::from_nanos(1);
    let manager = patient(dir.path()).partials_max_age(short).open().unwrap();
    wait_for_staged(dir.path(), 0);
    drop(manager);
}

/// A file system of `size` in memory, gone with this value.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let mut command = Command::new("mount");
        let status = command
            .args(mount)
            .arg(at)
            .stderr(std::process::Stdio::null())
            .status();
        let mounted = status.is_ok_and(|status| status.success());
        mounted.then_some(Tmpfs(at))
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_left_alone_until_there_is_space() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let Some(_disk) = Tmpfs::mount(dir.path(), "1m") else {
        eprintln!("skipped: needs the right to mount a tmpfs");
        return;
    };
    let manager = builder(dir.path())
        .longest_backoff(Duration::from_secs(5))
        .first_backoff(Duration::from_secs(1))
        .slots(2)
        .open()
        .unwrap();
    let want = |n: u8| {
        let path = format!("f{n}");
        origin.file(&path, bytes(u64::from(n), 400_000));
        let range = u64::from(n)..u64::from(n) + 1;
        manager.download_chunk(chunk(n, range, [("f", origin.url(&path))]))
    };
    for n in 1..=2 {
        want(n).wait_timeout(DEADLINE).unwrap().unwrap();
    }
    let events = manager.events();
    let waiting: Vec<_> = (3..=40).map(want).collect();
    loop {
        match events.recv_timeout(DEADLINE).unwrap() {
            Event::Retried { error, .. } if error.kind() == ErrorKind::NoSpace => break,
            _ => {}
        }
    }
    assert!(manager.stats().space.waits_for.is_some());
    // It does not fetch what there is no room for, chunk after chunk.
    let requests = origin.requests().len();
    assert!(requests <= 8, "{requests} requests");

    // Room for two: both get there, though neither finds room beside what the other has staged.
    for n in 5..=40 {
        manager.delete_chunk(id(n));
    }
    for n in 1..=2 {
        manager.delete_chunk(id(n));
    }
    for task in &waiting[..2] {
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(manager.list_chunks(), [id(3), id(4)]);
    assert!(manager.stats().space.waits_for.is_none());
}

//! A directory that may only be read for a while, modes that other users can live with, and how many
//! descriptors all of it takes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::DataManagerImpl;
use support::origin::Origin;
use support::{DATASET, DEADLINE, builder, chunk, id, open, read_dir, temp_dir};

fn describe(n: u8, origin: &Origin) -> DataChunk {
    let start = u64::from(n) * 10;
    let files = ["a", "b"].map(|name| (name, origin.url("f")));
    chunk(n, start..start + 10, files)
}

fn get(manager: &DataManagerImpl, n: u8, origin: &Origin) {
    let task = manager.download_chunk(describe(n, origin));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
}

fn chattr(how: &str, dir: &Path) -> bool {
    let mut command = Command::new("chattr");
    let output = command.args(["-R", how]).arg(dir).output();
    output.is_ok_and(|output| output.status.success())
}

/// Makes the directory writable again, also where the test fails.
struct Immutable<'a>(&'a Path);

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        chattr("-i", self.0);
    }
}

#[test]
fn where_nothing_can_be_written_reads_and_lookups_go_on() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", b"content");
    get(&open(dir.path()), 1, &origin);
    let immutable = Immutable(dir.path());
    if !chattr("+i", dir.path()) || std::fs::write(dir.path().join("probe"), "").is_ok() {
        println!("skipped: needs chattr +i (root, and a file system that has it)");
        return;
    }
    let manager = open(dir.path());
    assert_eq!(manager.list_chunks(), [id(1)]);
    let guard = manager.find_chunk(DATASET, 15).unwrap();
    assert_eq!(std::fs::read(guard.path().join("a")).unwrap(), b"content");
    let download = manager.download_chunk(describe(2, &origin));
    let started = Instant::now();
    while manager
        .chunk_status(&id(2))
        .is_none_or(|status| status.last_error.is_none())
    {
        assert!(started.elapsed() < DEADLINE);
        std::thread::yield_now();
    }
    drop(guard);
    let delete = manager.delete_chunk(id(1));
    assert!(manager.list_chunks().is_empty());
    drop(immutable);
    // Both are tried again.
    download.wait_timeout(DEADLINE).unwrap().unwrap();
    delete.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(manager.list_chunks(), [id(2)]);
}

#[test]
fn other_users_can_read_where_that_was_asked_for() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", b"content");
    let builder = builder(&dir.path().join("data"));
    let manager = builder.dir_mode(0o755).file_mode(0o644).open().unwrap();
    get(&manager, 1, &origin);
    let guard = manager.get_chunk(&id(1)).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&guard.path().join("a")), 0o644);
    let dirs = guard.path().ancestors().take(3);
    assert!(dirs.map(mode).all(|mode| mode == 0o755));
}

#[test]
fn descriptors_go_by_the_slots_and_not_by_the_chunks() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", b"content");
    let manager = builder(dir.path()).slots(8).open().unwrap();
    let tasks: Vec<_> = (1..=200)
        .map(|n| manager.download_chunk(describe(n, &origin)))
        .collect();
    let in_dir = || {
        let targets = read_dir(Path::new("/proc/self/fd"));
        let targets = targets.iter().filter_map(|fd| fd.read_link().ok());
        targets.filter(|at| at.starts_with(dir.path())).count()
    };
    let mut most = 0;
    while manager.list_chunks().len() < tasks.len() {
        most = most.max(in_dir());
    }
    assert!(manager.wait_idle(DEADLINE));
    println!("{most} at the most, {} at rest", in_dir());
    // Of small files that wait for their commit up to 128 are open, however many chunks there are.
    assert!(most <= 48 + 128, "{most} descriptors");
    let guards: Vec<_> = (1..=200).map(|n| manager.get_chunk(&id(n))).collect();
    assert!(in_dir() <= 7, "{} descriptors at rest", in_dir());
    drop(guards);
}

//! Long files of this machine: what a copy by the kernel has in it, and what it takes of the disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerBuilder, DataManagerImpl};
use support::{DEADLINE, builder, bytes, chunk, id, temp_dir};

/// Not a multiple of any block.
const LONG_BYTES: usize = (20 << 20) + 12_345;

/// A directory with a long file in it, another one for the data, and a manager that copies from the
/// one to the other.
struct World {
    content: Vec<u8>,
    source: PathBuf,
    data: PathBuf,
}

impl World {
    fn new(dir: &Path) -> World {
        let world = World {
            content: bytes(1, LONG_BYTES),
            source: dir.join("source"),
            data: dir.join("data"),
        };
        fs::create_dir(&world.source).unwrap();
        fs::write(world.file(), &world.content).unwrap();
        world
    }

    fn file(&self) -> PathBuf {
        self.source.join("f")
    }

    fn builder(&self) -> DataManagerBuilder {
        builder(&self.data).serve_files_from(&self.source)
    }

    fn chunk(&self, n: u8, fragment: &str) -> DataChunk {
        let url = format!("file://{}{fragment}", self.file().display());
        chunk(n, 0..10, [("f.parquet", url)])
    }

    fn assert_copied(&self, manager: &DataManagerImpl, n: u8) {
        let guard = manager.get_chunk(&id(n)).unwrap();
        assert!(fs::read(guard.path().join("f.parquet")).unwrap() == self.content);
    }
}

fn sha256(content: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(content);
    format!("#sha256={}", data_encoding::HEXLOWER.encode(&digest))
}

#[test]
fn a_copy_is_whole_and_checked_wherever_it_lies() {
    let dirs = [Some(temp_dir()), tempfile::tempdir_in("/dev/shm").ok()];
    for dir in dirs.iter().flatten() {
        let world = World::new(dir.path());
        let manager = world.builder().open().unwrap();
        let good = world.chunk(1, &sha256(&world.content));
        manager.download_chunk(good).wait().unwrap();
        world.assert_copied(&manager, 1);
        let wrong = manager.download_chunk(world.chunk(2, &sha256(b"something else")));
        let error = wrong.wait_timeout(DEADLINE).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Digest);
    }
}

#[test]
fn a_copy_goes_by_the_limit_on_bandwidth_and_is_cancelled_in_it() {
    let dir = temp_dir();
    let world = World::new(dir.path());
    let limit = 10 << 20;
    let manager = world.builder().bandwidth_limit(limit).open().unwrap();
    let started = Instant::now();
    let copied = manager.download_chunk(world.chunk(1, ""));
    copied.wait_timeout(DEADLINE).unwrap().unwrap();
    let due = Duration::from_secs_f64(LONG_BYTES as f64 / limit as f64);
    assert!(
        started.elapsed() >= due.mul_f64(0.95),
        "{:?}",
        started.elapsed()
    );
    world.assert_copied(&manager, 1);

    let slow = manager.download_chunk(world.chunk(2, ""));
    let begun = || {
        manager
            .chunk_status(&id(2))
            .is_some_and(|status| status.done_bytes > 0)
    };
    while !begun() {
        assert!(started.elapsed() < DEADLINE, "it does not begin");
        std::thread::yield_now();
    }
    let asked = Instant::now();
    let deleted = manager.delete_chunk(id(2));
    deleted.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    assert!(slow.wait_timeout(DEADLINE).unwrap().is_err());
}

/// A file system of its own in a file, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn xfs(dir: &Path) -> Option<Mounted> {
        let (image, at) = (dir.join("image"), dir.join("mounted"));
        fs::create_dir(&at).unwrap();
        fs::File::create(&image).unwrap().set_len(1 << 29).unwrap();
        let run = |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
        let made = run(Command::new("mkfs.xfs")
            .args(["-q", "-m", "reflink=1"])
            .arg(&image))
            && run(Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&at));
        made.then_some(Mounted(at))
    }

    fn used_bytes(&self) -> u64 {
        let said = rustix::fs::statvfs(&self.0).unwrap();
        (said.f_blocks - said.f_bfree) * said.f_frsize
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn where_the_file_system_can_a_copy_shares_its_blocks() {
    let dir = temp_dir();
    let Some(mounted) = Mounted::xfs(dir.path()) else {
        eprintln!("skipped: needs mkfs.xfs (xfsprogs) with reflink, and the right to mount");
        return;
    };
    let world = World::new(&mounted.0);
    // Nothing that is written later counts for the copies.
    fs::File::open(world.file()).unwrap().sync_all().unwrap();
    // A limit gives no heed to where blocks end, the copies do.
    for (n, limit) in [(1, None), (2, Some(100_000_001))] {
        let manager = match limit {
            None => world.builder().open().unwrap(),
            Some(limit) => world.builder().bandwidth_limit(limit).open().unwrap(),
        };
        let before = mounted.used_bytes();
        manager.download_chunk(world.chunk(n, "")).wait().unwrap();
        let more = mounted.used_bytes().saturating_sub(before);
        world.assert_copied(&manager, n);
        assert!(
            more < 4 << 20,
            "{limit:?}: {more} bytes more for {LONG_BYTES}"
        );
    }
}

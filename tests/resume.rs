//! A process that is killed in the middle of a file: the next one goes on from its last byte.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_manager::data_chunk::DataChunk;
use support::origin::{Origin, Reply};
use support::{DEADLINE, bytes, chunk, id, open, read_dir, temp_dir};

const CHILD_DIR: &str = "DATA_MANAGER_TEST_CHILD_DIR";
const CHILD_URL: &str = "DATA_MANAGER_TEST_CHILD_URL";

fn one_file(url: String) -> DataChunk {
    chunk(1, 0..5, [("f", url)])
}

/// Not a test of its own: the process that is killed while it downloads.
#[test]
fn child() {
    let (Ok(dir), Ok(url)) = (std::env::var(CHILD_DIR), std::env::var(CHILD_URL)) else {
        return;
    };
    let manager = open(Path::new(&dir));
    manager.download_chunk(one_file(url)).wait().unwrap();
}

/// How many bytes are staged.
fn staged_bytes(dir: &Path) -> u64 {
    let parts = read_dir(&dir.join("_staging"))
        .into_iter()
        .flat_map(|staged| read_dir(&staged.join("_parts")));
    let parts = parts.filter(|path| path.extension().is_some_and(|kind| kind == "part"));
    parts
        .map(|path| path.metadata().map_or(0, |data| data.len()))
        .sum()
}

fn download_and_kill_at(dir: &Path, url: &str, staged: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child"])
        .env(CHILD_DIR, dir)
        .env(CHILD_URL, url)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + DEADLINE;
    while staged_bytes(dir) < staged {
        assert!(Instant::now() < deadline, "{} staged", staged_bytes(dir));
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_download_goes_on_from_its_last_byte_again_and_again() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let content = Arc::new(bytes(1, 1_000_000));
    // Three processes get so far; the origin sends the fourth what is left.
    let stops: [u64; 3] = [100_000, 400_000, 999_999];
    let mut sent = 0;
    for stop in stops {
        // What an origin sends that stalls is the beginning of a range, too.
        let reply = Reply::StallRange(content.clone(), usize::try_from(stop - sent).unwrap());
        origin.serve("f", reply);
        download_and_kill_at(dir.path(), &origin.url("f"), stop);
        sent = stop;
    }
    origin.serve("f", Reply::File(content.clone()));
    let manager = open(dir.path());
    let task = manager.download_chunk(one_file(origin.url("f")));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert!(std::fs::read(guard.path().join("f")).unwrap() == *content);
    let ranges: Vec<Option<String>> = origin
        .requests()
        .iter()
        .map(|request| request.headers.get("range").cloned())
        .collect();
    let expected = [None, Some(100_000), Some(400_000), Some(999_999)];
    let expected = expected.map(|from: Option<u64>| from.map(|from| format!("bytes={from}-")));
    assert_eq!(ranges, expected);
    assert_eq!(manager.stats().totals.downloaded_bytes, 1);
}

#[test]
fn a_file_that_changed_while_nobody_ran_starts_again() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let (before, after) = (Arc::new(bytes(1, 500_000)), Arc::new(bytes(2, 500_000)));
    origin.serve("f", Reply::StallRange(before, 300_000));
    download_and_kill_at(dir.path(), &origin.url("f"), 300_000);
    origin.serve("f", Reply::File(after.clone()));
    let manager = open(dir.path());
    let task = manager.download_chunk(one_file(origin.url("f")));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert!(std::fs::read(guard.path().join("f")).unwrap() == *after);
    assert!(manager.wait_idle(Duration::from_secs(10)));
}

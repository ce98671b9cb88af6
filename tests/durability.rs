//! What is synced, and when: the system calls of a download and of a delete, in their order.
//!
//! A power cut keeps what was synced before it, so a chunk that is announced has to be synced in
//! full before its rename, and the rename before the announcement.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::process::Command;

use data_manager::data_manager::Durability;
use support::origin::{Origin, Reply};
use support::{DEADLINE, builder, bytes, chunk, chunk_dirs, id, open, read_dir, temp_dir};

const CHILD_DIR: &str = "DATA_MANAGER_TEST_CHILD_DIR";
const TROUBLE_DIR: &str = "DATA_MANAGER_TEST_TROUBLE_DIR";
const CHILD_DURABILITY: &str = "DATA_MANAGER_TEST_CHILD_DURABILITY";
const CHILD_ORIGIN: &str = "DATA_MANAGER_TEST_CHILD_ORIGIN";

/// Not a test of its own: the process that is traced.
#[test]
fn child() {
    let (Ok(dir), Ok(origin)) = (std::env::var(CHILD_DIR), std::env::var(CHILD_ORIGIN)) else {
        return;
    };
    let dir = Path::new(&dir);
    // Creating a directory of this name is a system call that the trace shows.
    let announce = |what: &str| std::fs::create_dir(dir.join(format!("_said_{what}"))).unwrap();
    let durability = match std::env::var(CHILD_DURABILITY).as_deref() {
        Ok("ordered") => Durability::Ordered,
        Ok("none") => Durability::None,
        _ => Durability::Full,
    };
    let builder = builder(&dir.join("data")).durability(durability);
    let manager = builder.open().unwrap();
    let files = ["a", "b"].map(|name| (name, format!("{origin}{name}")));
    let description = chunk(1, 0..5, files);
    manager
        .download_chunk(description.clone())
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    announce("have");
    let guard = manager.get_chunk(&id(1)).unwrap();
    let task = manager.delete_chunk(id(1));
    assert!(manager.wait_idle(DEADLINE));
    announce("buried");
    manager
        .download_chunk(description)
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    announce("back");
    assert!(task.wait().is_err());
    drop(guard);
    manager
        .delete_chunk(id(1))
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    announce("gone");
}

/// Not a test of its own: a process to which the disk fails once, at a moment that its parent
/// chose. Whatever fails, what it says is what holds.
#[test]
fn child_with_trouble() {
    let (Ok(dir), Ok(origin)) = (std::env::var(TROUBLE_DIR), std::env::var(CHILD_ORIGIN)) else {
        return;
    };
    let dir = Path::new(&dir);
    let manager = open(dir);
    let describe = |n: u8| {
        let start = u64::from(n) * 10;
        chunk(
            n,
            start..start + 10,
            ["a", "b"].map(|name| (name, format!("{origin}{name}"))),
        )
    };
    let ok = |task: data_manager::data_manager::ChunkTask| {
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    };
    for n in 1..=3 {
        ok(manager.download_chunk(describe(n)));
    }
    // One that is deleted and stays so, one that is held and taken back, one that is held and left.
    ok(manager.delete_chunk(id(1)));
    let guards = [2, 3].map(|n| manager.get_chunk(&id(n)).unwrap());
    let deletes = [2, 3].map(|n| manager.delete_chunk(id(n)));
    assert!(manager.wait_idle(DEADLINE));
    ok(manager.download_chunk(describe(2)));
    assert_eq!(manager.list_chunks(), [id(2)]);
    std::mem::forget((guards, deletes));
    // As a crash: nothing is tidied up.
    std::process::abort();
}

/// Fails each sync of the data directory in turn, and looks what a start finds.
#[test]
fn whichever_sync_fails_nothing_is_lost_and_nothing_comes_back() {
    let origin = Origin::start();
    origin.file("a", bytes(1, 1000));
    origin.file("b", bytes(2, 10));
    let mut failed = 0;
    for target in ["", "/_staging", "/_tombstones", "/_trash", "dataset"] {
        for when in 1..=6 {
            let dir = temp_dir();
            let path = match target {
                "dataset" => dir.path().join(format!("dataset_id={}", "d5".repeat(32))),
                own => Path::new(&format!("{}{own}", dir.path().display())).to_owned(),
            };
            let traced = Command::new("strace")
                .args(["-f", "-qq", "-e", "trace=fsync", "-o"])
                .arg(dir.path().join("_trace"))
                .arg("-P")
                .arg(&path)
                .args(["-e", &format!("inject=fsync:error=EIO:when={when}")])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "child_with_trouble", "--nocapture"])
                .env(TROUBLE_DIR, dir.path())
                .env(CHILD_ORIGIN, origin.url(""))
                .output();
            let Ok(output) = traced else {
                println!("skipped: needs strace");
                return;
            };
            let text = String::from_utf8_lossy(&output.stderr);
            let trace = std::fs::read_to_string(dir.path().join("_trace")).unwrap_or_default();
            let injected = trace.contains("INJECTED");
            failed += usize::from(injected);
            // Opening itself may be what fails; then nothing was promised.
            if text.contains("Error(io: cannot sync a directory") && text.contains("support/mod.rs")
            {
                continue;
            }
            assert!(!text.contains("panicked"), "{target} {when}: {text}");
            let manager = open(dir.path());
            assert_eq!(manager.list_chunks(), [id(2)], "{target} {when}");
            assert!(manager.wait_idle(DEADLINE));
            assert_eq!(chunk_dirs(dir.path()).len(), 1, "{target} {when}");
            let guard = manager.get_chunk(&id(2)).unwrap();
            assert_eq!(
                std::fs::read(guard.path().join("a")).unwrap(),
                bytes(1, 1000)
            );
            if !injected {
                break;
            }
        }
    }
    println!("{failed} syncs failed");
    assert!(
        // How many there are depends on which thread does what: calls are counted by thread.
        failed >= 6,
        "only {failed} syncs failed: the injection does not work"
    );
}

/// Fails one sync after the other of files and of staging directories. What failed is never synced
/// again: the kernel may have dropped the pages, and would say that all is well.
#[test]
fn what_failed_to_sync_is_made_anew() {
    let origin = Origin::start();
    origin.file("a", bytes(1, 1000));
    origin.file("b", bytes(2, 10));
    let mut looked_at = 0;
    for when in 1..=8 {
        let dir = temp_dir();
        let trace_file = dir.path().join("_trace");
        let traced = Command::new("strace")
            .args(["-f", "-qq", "-y", "-s", "300"])
            .args(["-e", "trace=fsync,unlinkat", "-o"])
            .arg(&trace_file)
            .args(["-e", &format!("inject=fsync:error=EIO:when={when}")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "child_with_trouble", "--nocapture"])
            .env(TROUBLE_DIR, dir.path())
            .env(CHILD_ORIGIN, origin.url(""))
            .output();
        let Ok(output) = traced else {
            println!("skipped: needs strace");
            return;
        };
        let text = String::from_utf8_lossy(&output.stderr);
        if text.contains("Error(io: cannot sync a directory") && text.contains("support/mod.rs") {
            continue;
        }
        assert!(!text.contains("panicked"), "{when}: {text}");
        let trace = std::fs::read_to_string(trace_file).unwrap();
        looked_at += removed_before_synced_again(&trace);
        let manager = open(dir.path());
        assert_eq!(manager.list_chunks(), [id(2)], "{when}");
        assert!(manager.wait_idle(DEADLINE));
        let guard = manager.get_chunk(&id(2)).unwrap();
        let content = std::fs::read(guard.path().join("a")).unwrap();
        assert_eq!(content, bytes(1, 1000));
    }
    assert!(
        looked_at >= 3,
        "only {looked_at} syncs failed: the injection does not work"
    );
}

/// Of how many failed syncs in staging it holds.
fn removed_before_synced_again(trace: &str) -> usize {
    let lines: Vec<&str> = trace.lines().collect();
    let mut failed = 0;
    for (index, line) in lines.iter().enumerate() {
        let path = line.split(['<', '>']).nth(1).unwrap_or_default();
        if !line.contains("INJECTED") || !path.contains("/_staging/") {
            continue;
        }
        let name = format!("\"{}\"", path.rsplit('/').next().unwrap());
        let rest = &lines[index + 1..];
        let synced = |line: &str| line.contains("fsync") && line.contains(&format!("{path}>"));
        let removed = |line: &str| line.contains("unlinkat") && line.contains(&name);
        let removed = rest.iter().position(|line| removed(line));
        let removed = removed.unwrap_or_else(|| panic!("{path} is not removed:\n{trace}"));
        let again = rest[..removed].iter().any(|line| synced(line));
        assert!(!again, "{path}:\n{trace}");
        failed += 1;
    }
    failed
}

/// The calls of the trace that matter, in the order in which they were begun.
struct Trace(Vec<String>);

impl Trace {
    /// The position of the first call at or after `from` that has all of `parts` in it.
    fn find(&self, from: usize, parts: &[&str]) -> usize {
        let fits = |line: &&String| parts.iter().all(|part| line.contains(part));
        let found = self.0[from..].iter().position(|line| fits(&line));
        found
            .map(|at| from + at)
            .unwrap_or_else(|| panic!("no {parts:?} after call {from} of:\n{}", self.0.join("\n")))
    }
}

/// What the child does with that durability; `None` where it cannot be traced.
fn trace_of(durability: &str) -> Option<Trace> {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("a", bytes(1, 100_000));
    origin.file("b", bytes(2, 10));
    trace_in(dir.path(), &origin, durability)
}

/// The same in a directory that may have something in it.
fn trace_in(dir: &Path, origin: &Origin, durability: &str) -> Option<Trace> {
    let trace_file = dir.join("trace");
    let calls = [
        "fsync,fdatasync,sync_file_range,syncfs,rename,renameat,renameat2,mkdir,mkdirat",
        "unlink,unlinkat,rmdir,truncate,ftruncate,fallocate",
    ];
    let traced = Command::new("strace")
        .args(["-f", "-y", "-s", "300", "-e"])
        .arg(format!("trace={}", calls.join(",")))
        .arg("-o")
        .arg(&trace_file)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child"])
        .env(CHILD_DIR, dir)
        .env(CHILD_DURABILITY, durability)
        .env(CHILD_ORIGIN, origin.url(""))
        .output();
    let output = traced.ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let text = std::fs::read_to_string(trace_file).unwrap();
    // A call that another thread interrupts in the trace is shown where it began; what matters
    // here are calls of one thread, or calls that wait for each other.
    let trace = Trace(text.lines().map(str::to_owned).collect());
    for call in ["truncate", "fallocate"] {
        let cut = trace.0.iter().find(|line| line.contains(call));
        assert!(cut.is_none(), "files are only appended to: {cut:?}");
    }
    Some(trace)
}

impl Trace {
    /// All that is synced below the data directory at or after call `from`.
    fn synced(&self, from: usize) -> Vec<&String> {
        let calls = self.0[from..].iter();
        calls
            .filter(|line| line.contains("sync") && line.contains("/data"))
            .collect()
    }

    /// Where the chunk is committed, after all of it was synced.
    fn commit(&self) -> usize {
        let renamed = ["rename", "/_staging>", "/data/dataset_id=", "\"chunk="];
        let commit = self.find(0, &renamed);
        for (what, parts) in [
            ("a file", ["fsync", "/_parts/0.part"].as_slice()),
            ("the other file", &["fsync", "/_parts/1.part"]),
            ("the manifest", &["fsync", "/_chunk.json"]),
        ] {
            assert!(
                self.find(0, parts) < commit,
                "{what} is not synced before the rename"
            );
        }
        let named = self.find(0, &["rename", "/_parts>, \"1.part\""]);
        let staging = self.find(named, &["fsync", "/data/_staging/0101"]);
        assert!(
            named < staging && staging < commit,
            "the staging directory is not synced"
        );
        commit
    }
}

#[test]
fn ordered_waits_for_nothing_after_the_rename() {
    let Some(trace) = trace_of("ordered") else {
        println!("skipped: needs strace");
        return;
    };
    let commit = trace.commit();
    trace.find(commit, &["_said_gone"]);
    let synced = trace.synced(commit);
    assert!(synced.is_empty(), "{synced:?}");
}

#[test]
fn what_a_run_without_durability_left_is_synced_before_it_is_committed() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("a", bytes(1, 400_000));
    origin.serve("b", Reply::Silence);
    let data = dir.path().join("data");
    let careless = builder(&data).durability(Durability::None).open().unwrap();
    let files = ["a", "b"].map(|name| (name, origin.url(name)));
    let task = careless.download_chunk(chunk(1, 0..5, files));
    let record = || {
        let staged = read_dir(&data.join("_staging")).pop()?;
        std::fs::read_to_string(staged.join("_parts/0.json")).ok()
    };
    // Not while it is being written.
    let complete =
        |record: String| record.ends_with('}') && !record.contains("\"complete_xxh3\":null");
    let started = std::time::Instant::now();
    while !record().is_some_and(complete) {
        assert!(started.elapsed() < DEADLINE, "{:?}", record());
        std::thread::yield_now();
    }
    careless.shutdown(DEADLINE).unwrap();
    drop((task, careless));
    origin.file("b", bytes(2, 10));
    let Some(trace) = trace_in(dir.path(), &origin, "full") else {
        println!("skipped: needs strace");
        return;
    };
    trace.commit();
    assert_eq!(origin.hits("a"), 1, "it was there");
}

#[test]
fn without_durability_nothing_is_synced() {
    let Some(trace) = trace_of("none") else {
        println!("skipped: needs strace");
        return;
    };
    trace.find(0, &["_said_gone"]);
    let synced = trace.synced(0);
    assert!(synced.is_empty(), "{synced:?}");
}

#[test]
fn everything_is_synced_before_it_is_announced() {
    let Some(trace) = trace_of("full") else {
        println!("skipped: needs strace");
        return;
    };
    let commit = trace.commit();
    let have = trace.find(0, &["_said_have"]);
    let parent = trace.find(commit, &["fsync", "/data/dataset_id=", ">"]);
    assert!(parent < have, "announced before the rename is synced");
    let root = trace.find(
        trace.find(0, &["mkdir", "/data>, \"dataset_id="]),
        &["fsync", "/data>"],
    );
    assert!(root < have, "the dataset's directory is not synced");

    let buried = trace.find(0, &["_said_buried"]);
    let tombstone = trace.find(have, &["fsync", "/_tombstones/"]);
    let tombstones = trace.find(tombstone, &["fsync", "/_tombstones>"]);
    assert!(tombstones < buried, "a delete is not made to last");
    let back = trace.find(0, &["_said_back"]);
    let exhumed = trace.find(buried, &["unlink", "/_tombstones>, \""]);
    assert!(
        trace.find(exhumed, &["fsync", "/_tombstones>"]) < back,
        "a revival is not"
    );

    let gone = trace.find(0, &["_said_gone"]);
    let trashed = trace.find(back, &["rename", "/data/dataset_id=", "/_trash>, \"chunk="]);
    assert!(trace.find(trashed, &["fsync", "/_trash>"]) < gone);
    assert!(trace.find(trashed, &["fsync", "/data/dataset_id=", ">"]) < gone);
    assert!(trace.find(trashed, &["unlink", "/_trash/chunk="]) < gone);
}

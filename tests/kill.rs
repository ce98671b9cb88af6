//! kill -9 at random moments of downloads and deletes, then a look at the directory as a stranger
//! sees it, then a start.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use data_manager::data_manager::{ChunkGuard, ChunkTask, DataManagerImpl};
use support::origin::Origin;
use support::{DATASET, DEADLINE, bytes, chunk, chunk_dirs, id, open, read_dir, temp_dir};

/// How often the child is killed, unless `DATA_MANAGER_KILL_ROUNDS` says otherwise.
const ROUNDS: u64 = 48;
const CHUNKS: u8 = 12;
const FILES: [(&str, u64, usize); 3] = [("a", 0, 90_000), ("b", 1, 300_000), ("c", 2, 10)];
const CHILD_DIR: &str = "DATA_MANAGER_TEST_CHILD_DIR";
const CHILD_ORIGIN: &str = "DATA_MANAGER_TEST_CHILD_ORIGIN";
const CHILD_SEED: &str = "DATA_MANAGER_TEST_CHILD_SEED";

fn content(n: u8, file: u64, len: usize) -> Vec<u8> {
    bytes(u64::from(n) * 10 + file, len)
}

/// What the child said last about a chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    /// It asked for the chunk, and does not know yet.
    Want,
    /// The chunk is visible.
    Have,
    /// It asked for the chunk to be gone, and does not know yet.
    Drop,
    /// The chunk is gone.
    Gone,
}

/// Not a test of its own: the process that is killed. Downloads and deletes for ever, and says so.
#[test]
fn child() {
    let (Ok(dir), Ok(origin)) = (std::env::var(CHILD_DIR), std::env::var(CHILD_ORIGIN)) else {
        return;
    };
    let seed: u64 = std::env::var(CHILD_SEED).unwrap().parse().unwrap();
    let manager = open(Path::new(&dir));
    let say = |word: &str, n: u8| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{word} {n}").unwrap();
        out.flush().unwrap();
    };
    let mut pending: Vec<(&str, u8, Option<ChunkTask>)> = Vec::new();
    let mut guards: VecDeque<ChunkGuard> = VecDeque::new();
    for choice in bytes(seed, 100_000) {
        let n = choice % CHUNKS;
        // Some chunks are held while they are deleted, and taken back, or not, while they are held.
        let held = manager.get_chunk(&id(n)).filter(|_| choice & 0x40 == 0);
        if choice & 0x80 == 0 {
            say("want", n);
            pending.push(("have", n, Some(ask(&manager, &origin, n))));
        } else {
            say("drop", n);
            let task = manager.delete_chunk(id(n));
            // What is held is gone for good once its delete is on disk, long before its task ends.
            let ours = |guard: &ChunkGuard| *guard.id() == id(n);
            let is_held = held.is_some() || guards.iter().any(ours);
            pending.push(("gone", n, (!is_held).then_some(task)));
        }
        guards.extend(held);
        if guards.len() > 10 {
            guards.pop_front();
        }
        if pending.len() >= 4 {
            let (word, n, task) = pending.remove(0);
            let reached = match task {
                // What was superseded says nothing about the disk.
                Some(task) => task.wait_timeout(DEADLINE).unwrap().is_ok(),
                None => manager.wait_idle(DEADLINE),
            };
            if reached && !pending.iter().any(|(_, other, _)| *other == n) {
                say(word, n);
            }
        }
    }
}

fn ask(manager: &DataManagerImpl, origin: &str, n: u8) -> ChunkTask {
    let files = FILES.map(|(name, _, _)| (name, format!("{origin}{n}/{name}")));
    let start = u64::from(n) * 10;
    manager.download_chunk(chunk(n, start..start + 10, files))
}

/// Runs the child, kills it some time after a number of its words, and returns what it said.
fn run_and_kill(dir: &Path, origin: &Origin, seed: u64) -> Vec<(Said, u8)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD_DIR, dir)
        .env(CHILD_ORIGIN, origin.url(""))
        .env(CHILD_SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let parse = |line: String| {
        let (word, n) = line.split_once(' ')?;
        let said = match word {
            "want" => Said::Want,
            "have" => Said::Have,
            "drop" => Said::Drop,
            "gone" => Said::Gone,
            _ => return None,
        };
        Some((said, n.parse().ok()?))
    };
    // So many words, then a moment more. The sleep waits for nothing: it is what makes the moment of
    // the kill a random one.
    let moment = bytes(seed ^ 0xdead, 3);
    let mut said: Vec<_> = lines
        .by_ref()
        .filter_map(parse)
        .take(8 + usize::from(moment[0]) / 4)
        .collect();
    let delay_us = (u64::from(moment[1]) * 256 + u64::from(moment[2])) % 5000;
    std::thread::sleep(Duration::from_micros(delay_us));
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(lines.filter_map(parse));
    said
}

fn check_visible_directories(dir: &Path, round: u64) {
    for chunk_dir in chunk_dirs(dir) {
        let manifest = std::fs::read_to_string(chunk_dir.join("_chunk.json")).unwrap();
        assert!(manifest.contains("\"manifest\""), "round {round}");
        let n = u8::from_str_radix(
            &chunk_dir.to_string_lossy().split('-').nth(2).unwrap()[..2],
            16,
        );
        for (name, file, len) in FILES {
            let read = std::fs::read(chunk_dir.join(name)).unwrap();
            assert!(
                read == content(n.clone().unwrap(), file, len),
                "round {round}: {name} is not whole"
            );
        }
        assert_eq!(read_dir(&chunk_dir).len(), FILES.len() + 1, "round {round}");
    }
}

#[test]
fn whatever_the_moment_the_start_finds_what_was_acknowledged() {
    let (dir, origin) = (temp_dir(), Origin::start());
    for n in 0..CHUNKS {
        for (name, file, len) in FILES {
            origin.file(&format!("{n}/{name}"), content(n, file, len));
        }
    }
    let mut known: BTreeMap<u8, Said> = (0..CHUNKS).map(|n| (n, Said::Gone)).collect();
    let (mut have, mut gone) = (0, 0);
    let rounds = std::env::var("DATA_MANAGER_KILL_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    for round in 0..rounds {
        known.extend(
            run_and_kill(dir.path(), &origin, round)
                .into_iter()
                .map(|(said, n)| (n, said)),
        );
        check_visible_directories(dir.path(), round);
        let manager = open(dir.path());
        for (n, said) in &mut known {
            let found = manager.find_chunk(DATASET, u64::from(*n) * 10);
            match said {
                Said::Have => assert!(found.is_some(), "round {round}: chunk {n} was lost"),
                Said::Gone => assert!(found.is_none(), "round {round}: chunk {n} came back"),
                Said::Want | Said::Drop => {}
            }
            (have, gone) = (
                have + u64::from(*said == Said::Have),
                gone + u64::from(*said == Said::Gone),
            );
            *said = if found.is_some() {
                Said::Have
            } else {
                Said::Gone
            };
        }
        assert!(manager.wait_idle(DEADLINE));
        let present = known.values().filter(|said| **said == Said::Have).count();
        assert_eq!(manager.list_chunks().len(), present);
        assert_eq!(
            chunk_dirs(dir.path()).len(),
            present,
            "round {round}: leftovers"
        );
        assert_eq!(manager.stats().totals.quarantined, 0, "round {round}");
        assert_eq!(manager.stats().totals.foreign, 0, "round {round}");
        manager.shutdown(DEADLINE).unwrap();
        for own in ["_tombstones", "_quarantine"] {
            assert!(
                read_dir(&dir.path().join(own)).is_empty(),
                "round {round}: {own}"
            );
        }
    }
    println!("{rounds} kills; {have} chunks found that were acknowledged, {gone} gone that were");
    assert!(
        have > rounds / 2 && gone > rounds / 2,
        "the kills came too early to show anything: {have} {gone}"
    );
}

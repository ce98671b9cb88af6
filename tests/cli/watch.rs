//! `sync --watch`, signals, and what a terminal shows.

use std::process::Command;
use std::time::{Duration, Instant};

use data_manager::data_manager::DataManagerImpl;

use crate::support::origin::{Drip, Origin, Reply};
use crate::support::{bytes, id, temp_dir};
use crate::tool::{Running, assignment, described, run, served, tool};

/// Far longer than a clean end takes, and less than the kill that follows in earnest.
const SOON: Duration = Duration::from_secs(8);

#[test]
fn a_watched_file_is_followed_until_sigterm_which_is_a_good_end() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let file = assignment(dir.path(), [served(&origin, 1)]);
    let args = ["sync", "--watch", "--every", "50ms", "--assignment", &file];
    let mut running = Running::start(&data_dir, &args);
    running.line("reached: 1 chunk, 1.0 kB");
    assignment(dir.path(), [served(&origin, 1), served(&origin, 2)]);
    running.line("assignment: 2 chunks");
    running.line("reached: 2 chunks, 2.0 kB");
    std::fs::remove_file(&file).unwrap();
    running.line("the last good one holds");
    // A transfer that is under way, and stalls, does not hold the end up.
    origin.serve("stalls", Reply::Stall(bytes(3, 1000).into(), 10));
    let stalls = described(3, origin.url("stalls"));
    assignment(dir.path(), [served(&origin, 1), stalls]);
    origin.wait_for_hits("stalls", 1);
    running.signal("TERM");
    let told = Instant::now();
    assert_eq!(running.wait().code(), Some(0));
    assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
    let manager = DataManagerImpl::open(&data_dir).unwrap();
    assert_eq!(manager.list_chunks(), [id(1)]);
}

#[test]
fn a_watched_url_tells_in_json() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let file = assignment(dir.path(), [served(&origin, 1)]);
    origin.file("a.json", std::fs::read(&file).unwrap());
    let url = origin.url("a.json");
    let args = [
        "--json",
        "sync",
        "--watch",
        "--every",
        "1h",
        "--assignment",
        &url,
    ];
    let mut running = Running::start(&dir.path().join("data"), &args);
    let taken: serde_json::Value = serde_json::from_str(&running.line("assignment_taken")).unwrap();
    assert_eq!(taken["chunks"], 1);
    let reached: serde_json::Value = serde_json::from_str(&running.line("\"reached\"")).unwrap();
    assert_eq!(
        (&reached["chunks"], &reached["bytes"]),
        (&1.into(), &1000.into())
    );
    running.signal("INT");
    assert_eq!(running.wait().code(), Some(0));
}

/// Otherwise a worker's log would be about nothing else.
#[test]
fn a_chunk_that_fails_again_and_again_is_told_of_once() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let gone = described(2, origin.url("gone"));
    let file = assignment(dir.path(), [served(&origin, 1), gone]);
    let config = dir.path().join("config.json");
    std::fs::write(
        &config,
        r#"{"first_backoff_ms": 1, "longest_backoff_ms": 20}"#,
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let args = ["--config", config, "sync", "--watch", "--assignment", &file];
    let running = Running::start(&dir.path().join("data"), &args);
    running.line("failed: ");
    running.line("1 chunk, 1.0 kB; 1 failed, tried again");
    let tried = origin.hits("gone");
    origin.wait_for_hits("gone", tried + 10);
    origin.file("gone", bytes(2, 1000));
    let between = running.until("reached: 2 chunks, 2.0 kB");
    assert!(
        !between.iter().any(|line| line.contains("failed")),
        "{between:?}"
    );
}

#[test]
fn a_single_run_that_is_stopped_says_so_and_keeps_what_came() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let stalls = described(2, origin.url("stalls"));
    origin.serve("stalls", Reply::Stall(bytes(2, 1000).into(), 10));
    let file = assignment(dir.path(), [served(&origin, 1), stalls]);
    let mut running = Running::start(&data_dir, &["-v", "sync", "--assignment", &file]);
    running.line("is there");
    origin.wait_for_hits("stalls", 1);
    running.signal("INT");
    running.line("1 of 2 chunks there");
    assert_eq!(running.wait().code(), Some(130));
    assert_eq!(
        DataManagerImpl::open(&data_dir).unwrap().list_chunks(),
        [id(1)]
    );
}

/// Served slowly enough to be watched.
fn slow(origin: &Origin) -> String {
    let body = bytes(1, 40_000);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let first = head.len() + 1000;
    let drip = Drip {
        bytes: [head.as_bytes(), &body].concat(),
        first,
        step: 1000,
        pause: Duration::from_millis(40),
    };
    origin.serve("slow", Reply::Drip(drip));
    origin.url("slow")
}

#[test]
fn without_a_terminal_nothing_is_drawn() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let file = assignment(dir.path(), [described(1, slow(&origin))]);
    let said = run(&dir.path().join("data"), &["sync", "--assignment", &file]).ended_with(0);
    assert!(
        !said.out.contains('\u{1b}') && !said.err.contains(['\u{1b}', '\r']),
        "{said:?}"
    );
}

#[test]
fn at_a_terminal_there_are_bars() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let file = assignment(dir.path(), [described(1, slow(&origin))]);
    let command = tool(&dir.path().join("data"), &["sync", "--assignment", &file]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    // `script` gives it a terminal, and writes down what is drawn there.
    let script = Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--command",
            &words.join(" "),
            "/dev/null",
        ])
        .env("TERM", "xterm")
        .output();
    let Ok(script) = script else {
        println!("skipped: needs script (util-linux)");
        return;
    };
    let drawn = String::from_utf8_lossy(&script.stdout);
    assert!(script.status.success(), "{drawn}");
    let id = &"01".repeat(6);
    assert!(
        drawn.contains(&format!("{id} [")) && drawn.contains("0/1 chunks"),
        "{drawn:?}"
    );
    assert!(
        drawn.contains("of 40.0 kB") && drawn.contains("kB/s"),
        "{drawn:?}"
    );
    assert!(
        drawn.contains('\u{1b}') && drawn.contains("1 of 1 chunk there"),
        "{drawn:?}"
    );
}

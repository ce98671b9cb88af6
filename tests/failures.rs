//! Origins that fail: what is retried, what ends the task, and what never gets through.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_manager::{ChunkState, Event};
use support::origin::{Origin, Reply};
use support::{DEADLINE, bytes, chunk, chunk_dirs, id, open, read_dir, temp_dir};

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bytes))
}

/// Downloads one file that first fails with `replies`, then is served; checks what arrived.
fn survives(replies: Vec<Reply>) -> Origin {
    let (dir, origin) = (temp_dir(), Origin::start());
    let content = Arc::new(bytes(1, 300_000));
    let script = replies
        .into_iter()
        .chain([Reply::File(content.clone())])
        .collect();
    origin.script("f", script);
    let manager = open(dir.path());
    let events = manager.events();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert!(std::fs::read(guard.path().join("f")).unwrap() == *content);
    let retried = std::iter::from_fn(|| events.try_recv().ok())
        .filter(|event| matches!(event, Event::Retried { .. }));
    assert!(retried.count() > 0);
    assert_eq!(manager.chunk_status(&id(1)).unwrap().failures, 0);
    origin
}

#[test]
fn a_cut_body_is_resumed_from_where_it_broke() {
    let content = Arc::new(bytes(1, 300_000));
    let origin = survives(vec![Reply::Cut(content, 100_000)]);
    let ranges: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.headers.get("range").cloned())
        .collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".to_owned())]);
}

#[test]
fn what_arrived_is_kept_while_the_origin_is_busy() {
    let content = Arc::new(bytes(1, 300_000));
    let origin = survives(vec![
        Reply::Cut(content, 100_000),
        Reply::Status(503),
        Reply::Hangup,
    ]);
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.headers["range"], "bytes=100000-");
}

#[test]
fn a_file_that_changed_meanwhile_is_not_mixed() {
    let other = Arc::new(bytes(2, 300_000));
    survives(vec![Reply::Cut(other, 100_000)]);
}

#[test]
fn a_part_that_is_not_the_rest_is_not_taken_for_it() {
    let content = bytes(1, 300_000);
    for (range, part) in [
        ("100000-199999/300000", &content[100_000..200_000]),
        ("100001-299999/300000", &content[100_001..]),
        ("0-299999/300000", &content[..]),
        ("100000-299999/300001", &content[100_000..]),
        ("100000-299998/299999", &content[100_000..299_999]),
    ] {
        let mut raw = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {range}\r\n\
             Content-Length: {}\r\n\r\n",
            part.len()
        )
        .into_bytes();
        raw.extend_from_slice(part);
        survives(vec![
            Reply::Cut(content.clone().into(), 100_000),
            Reply::Raw(raw),
        ]);
    }
}

#[test]
fn unavailable_then_fine() {
    survives(vec![
        Reply::Status(503),
        Reply::Status(500),
        Reply::Status(429),
    ]);
}

#[test]
fn hung_up_then_fine() {
    survives(vec![Reply::Hangup, Reply::Hangup]);
}

#[test]
fn garbage_then_fine() {
    survives(vec![
        Reply::Raw(b"what?\r\n\r\n".to_vec()),
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Encoding: gzip\r\n\r\n123456789".to_vec()),
        Reply::Raw(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\nContent-Range: bytes 0-2/3\r\n\r\nabc".to_vec()),
    ]);
}

#[test]
fn missing_ends_the_task_with_everything_one_needs_to_know() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let url = origin.url("gone").replace("http://", "http://user:secret@") + "?token=secret";
    let task = manager.download_chunk(chunk(1, 0..5, [("f.parquet", url)]));
    let error = task.wait_timeout(DEADLINE).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        (error.chunk_id(), error.file()),
        (Some(id(1)), Some("f.parquet"))
    );
    assert_eq!(error.url(), Some(origin.url("gone").as_str()));
    let text = error.to_string();
    for part in ["404", &"01".repeat(32), "f.parquet", &origin.url("gone")] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!format!("{text} {error:?}").contains("secret"), "{error:?}");
    assert!(
        manager.wait_idle(DEADLINE),
        "a failed chunk keeps nobody waiting"
    );
    assert_eq!(
        manager.chunk_status(&id(1)).unwrap().state,
        ChunkState::Failed
    );
    assert!(manager.list_chunks().is_empty() && chunk_dirs(dir.path()).is_empty());
}

#[test]
fn missing_is_tried_again_until_it_is_there() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let events = manager.events();
    let description = chunk(1, 0..5, [("f", origin.url("f"))]);
    let task = manager.download_chunk(description.clone());
    assert!(task.wait_timeout(DEADLINE).unwrap().is_err());
    origin.file("f", bytes(1, 10));
    let mut seen = std::iter::from_fn(|| events.recv_timeout(DEADLINE).ok());
    assert!(seen.any(|event| matches!(event, Event::Available { .. })));
    assert_eq!(manager.list_chunks(), [id(1)]);
    manager.download_chunk(description).wait().unwrap();
}

#[test]
fn asking_again_after_a_failure_tries_at_once() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let forever = Duration::from_secs(3600);
    let manager = support::builder(dir.path())
        .longest_backoff(forever)
        .open()
        .unwrap();
    let description = chunk(1, 0..5, [("f", origin.url("f"))]);
    let first = manager.download_chunk(description.clone());
    assert!(first.wait_timeout(DEADLINE).unwrap().is_err());
    origin.file("f", bytes(1, 10));
    manager
        .download_chunk(description)
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
}

#[test]
fn a_wrong_digest_is_given_one_more_chance() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let (right, wrong) = (bytes(1, 1000), bytes(2, 1000));
    let url = |path: &str| format!("{}#sha256={}", origin.url(path), sha256(&right));
    origin.script(
        "once",
        vec![
            Reply::File(wrong.clone().into()),
            Reply::File(right.clone().into()),
        ],
    );
    origin.file("always", wrong);
    let manager = open(dir.path());
    manager
        .download_chunk(chunk(1, 0..5, [("f", url("once"))]))
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    let task = manager.download_chunk(chunk(2, 5..9, [("f", url("always"))]));
    let error = task.wait_timeout(DEADLINE).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Digest);
    assert!(origin.hits("always") >= 2);
    assert_eq!(manager.list_chunks(), [id(1)]);
    assert_eq!(chunk_dirs(dir.path()).len(), 1);
}

#[test]
fn a_body_without_an_end_of_its_own_needs_a_digest() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let body = bytes(1, 5000);
    let mut raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    raw.extend_from_slice(&body);
    origin.serve("f", Reply::Raw(raw));
    let manager = open(dir.path());
    let task = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
    assert_eq!(
        task.wait_timeout(DEADLINE).unwrap().unwrap_err().kind(),
        ErrorKind::Protocol
    );
    let declared = format!("{}#sha256={}", origin.url("f"), sha256(&body));
    let task = manager.download_chunk(chunk(2, 5..9, [("f", declared)]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(manager.list_chunks(), [id(2)]);
}

#[test]
fn a_stalled_transfer_is_broken_off_and_others_go_on() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let content = Arc::new(bytes(1, 300_000));
    let stall = Reply::Stall(content.clone(), 1000);
    origin.script("f", vec![stall, Reply::Silence, Reply::File(content)]);
    origin.file("other", bytes(2, 10));
    let stall_timeout = Duration::from_millis(300);
    let manager = support::builder(dir.path())
        .stall_timeout(stall_timeout)
        .open()
        .unwrap();
    let stalled = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
    let other = manager.download_chunk(chunk(2, 5..9, [("f", origin.url("other"))]));
    other.wait_timeout(DEADLINE).unwrap().unwrap();
    stalled.wait_timeout(DEADLINE).unwrap().unwrap();
}

#[test]
fn chunks_that_keep_failing_starve_nobody() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = support::builder(dir.path()).slots(1).open().unwrap();
    for n in 0..40 {
        let path = format!("bad{n}");
        origin.serve(&path, Reply::Status(503));
        drop(manager.download_chunk(chunk(n, 0..5, [("f", origin.url(&path))])));
    }
    origin.wait_for_hits("bad0", 1);
    let sound: Vec<_> = (100..110)
        .map(|n: u8| {
            origin.file(&format!("good{n}"), bytes(1, 10));
            let url = origin.url(&format!("good{n}"));
            manager.download_chunk(chunk(n, 5..9, [("f", url)]))
        })
        .collect();
    for task in sound {
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    assert!(
        !manager.wait_idle(Duration::ZERO),
        "a chunk between two attempts is not idle"
    );
}

/// A transfer that stalls, before the headers or in the body, is gone within a second.
#[test]
fn a_delete_breaks_off_a_stalled_transfer() {
    for stall in [
        Reply::Silence,
        Reply::Stall(Arc::new(bytes(1, 300_000)), 1000),
    ] {
        let (dir, origin) = (temp_dir(), Origin::start());
        origin.serve("f", stall.clone());
        let manager = open(dir.path());
        let download = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
        origin.wait_for_hits("f", 1);
        let started = Instant::now();
        let delete = manager.delete_chunk(id(1));
        delete.wait_timeout(DEADLINE).unwrap().unwrap();
        assert!(started.elapsed() < Duration::from_secs(1), "{stall:?}");
        assert_eq!(download.wait().unwrap_err().kind(), ErrorKind::Superseded);
        origin.wait_until_inactive();
        assert!(started.elapsed() < Duration::from_secs(1));
        assert!(manager.wait_idle(DEADLINE));
        assert!(read_dir(&dir.path().join("_staging")).is_empty());
        // The slot is free, and the connection pool is not poisoned.
        origin.file("g", bytes(2, 10));
        let next = manager.download_chunk(chunk(2, 0..5, [("g", origin.url("g"))]));
        next.wait_timeout(DEADLINE).unwrap().unwrap();
    }
}

#[test]
fn nobody_listens_at_first() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    origin.file("f", bytes(1, 10));
    let manager = open(dir.path());
    let refused = format!("http://127.0.0.1:{port}/f");
    let task = manager.download_chunk(chunk(1, 0..5, [("f", refused)]));
    assert!(
        task.wait_timeout(Duration::from_millis(300)).is_none(),
        "it may come up any time"
    );
    let status = manager.chunk_status(&id(1)).unwrap();
    assert_eq!(status.last_error.unwrap().kind(), ErrorKind::Network);
    // The same content from elsewhere joins, and is tried there at once.
    let moved = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
    moved.wait_timeout(DEADLINE).unwrap().unwrap();
    task.wait_timeout(DEADLINE).unwrap().unwrap();
}

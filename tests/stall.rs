//! Transfers that stall or drip have failed and are tried again; those that flow, however slowly,
//! have all the time they need.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::{Duration, Instant};

use data_manager::data_manager::{DataManagerBuilder, Event};
use data_manager::{Error, ErrorKind};
use support::origin::{Drip, Origin, Reply, etag};
use support::{DEADLINE, builder, bytes, chunk, id, temp_dir};

/// What a limit may be late by, on a machine that has other things to do.
const SLACK: Duration = Duration::from_secs(3);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// `head` at once, then all of `rest` a byte at a time, 50 ms each.
fn drip(head: &str, rest: impl AsRef<[u8]>) -> Reply {
    let bytes = [head.as_bytes(), rest.as_ref()].concat();
    Reply::Drip(Drip {
        bytes,
        first: head.len(),
        step: 1,
        pause: ms(50),
    })
}

fn head_of(content: &[u8]) -> String {
    let (len, tag) = (content.len(), etag(content));
    format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nETag: {tag}\r\n\r\n")
}

/// Has a file served as `reply` first and whole then; returns why the first attempt failed and
/// after how long, once the file is there.
fn fails_once(reply: Reply, set: impl Fn(DataManagerBuilder) -> DataManagerBuilder) -> Failure {
    let (dir, origin, content) = (temp_dir(), Origin::start(), bytes(1, 1000));
    origin.script("f", vec![reply, Reply::File(content.clone().into())]);
    let manager = set(builder(dir.path())).open().unwrap();
    let events = manager.events();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
    origin.wait_for_hits("f", 1);
    let started = Instant::now();
    let error = loop {
        match events.recv_timeout(DEADLINE).unwrap() {
            Event::Retried { error, .. } => break error,
            Event::Failed { error, .. } => panic!("it may pass: {error}"),
            Event::Available { .. } => panic!("it was waited for"),
            _ => {}
        }
    };
    let after = started.elapsed();
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert!(std::fs::read(guard.path().join("f")).unwrap() == content);
    Failure {
        error,
        after,
        origin,
    }
}

struct Failure {
    error: Error,
    after: Duration,
    origin: Origin,
}

impl Failure {
    fn within(&self, limit: Duration) {
        assert_eq!(self.error.kind(), ErrorKind::Network, "{}", self.error);
        // A little less: the attempt began before the origin saw it.
        let least = limit.saturating_sub(ms(100));
        assert!(self.after >= least, "{:?}: {}", self.after, self.error);
        assert!(self.after < limit + SLACK, "{:?}", self.after);
    }
}

#[test]
fn a_stall_before_the_headers() {
    let failure = fails_once(Reply::Silence, |builder| builder.stall_timeout(ms(300)));
    failure.within(ms(300));
}

#[test]
fn a_stall_in_the_body() {
    let stall = Reply::Stall(bytes(1, 1000).into(), 400);
    let failure = fails_once(stall, |builder| builder.stall_timeout(ms(1500)));
    failure.within(ms(1500));
    let resumed = failure.origin.requests().pop().unwrap();
    assert_eq!(resumed.headers["range"], "bytes=400-");
}

/// Each byte comes in time, the headers do not.
#[test]
fn headers_that_drip() {
    let headers = format!("HTTP/1.1 200 OK\r\nX-Filler: {}\r\n", "x".repeat(1000));
    let failure = fails_once(drip("", headers), |builder| builder.stall_timeout(ms(500)));
    failure.within(ms(500));
}

/// Nobody needs what a redirect says beside its headers, and nobody waits for it.
#[test]
fn a_redirect_that_drips() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let head = "HTTP/1.1 302 Found\r\nLocation: /g\r\nContent-Length: 1000\r\n\r\n";
    origin.serve("f", drip(head, [b'x'; 1000]));
    origin.file("g", bytes(1, 1000));
    let manager = builder(dir.path()).open().unwrap();
    let started = Instant::now();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
    assert_eq!((origin.hits("f"), origin.hits("g")), (1, 1));
}

/// Each redirect comes in time, and so does each byte of it.
#[test]
fn redirects_that_drip() {
    // The origin closes each connection, and says so: else the next request may be on its way on it.
    let head = "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /f\r\nX-Filler: ";
    let reply = drip(head, "xxx\r\nContent-Length: 0\r\n\r\n");
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.serve("f", reply);
    let manager = builder(dir.path())
        .stall_timeout(ms(1800))
        .connect_timeout(ms(100))
        .open()
        .unwrap();
    let events = manager.events();
    let started = Instant::now();
    drop(manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))])));
    let error = loop {
        match events.recv_timeout(DEADLINE).unwrap() {
            Event::Retried { error, .. } | Event::Failed { error, .. } => break error,
            _ => {}
        }
    };
    // Twice the time of one slow request, and not the time of six.
    let took = started.elapsed();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    assert!(took > ms(3500) && took < ms(3800) + SLACK, "{took:?}");
}

/// Each byte comes in time, and none of them is content.
#[test]
fn framing_that_drips() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=";
    let failure = fails_once(drip(head, [b'x'; 1000]), |builder| {
        builder.stall_timeout(ms(200)).min_rate(0)
    });
    failure.within(ms(800));
}

#[test]
fn a_body_that_drips() {
    let content = bytes(1, 1000);
    let reply = drip(&head_of(&content), content);
    let failure = fails_once(reply, |builder| builder.min_rate(1000).rate_window(ms(500)));
    failure.within(ms(500));
    assert!(
        failure.error.to_string().contains("1000 bytes/s"),
        "{}",
        failure.error
    );
    // What did arrive is not fetched again.
    let resumed = failure.origin.requests().pop().unwrap();
    let range = resumed.headers["range"].strip_prefix("bytes=").unwrap();
    assert!(range.trim_end_matches('-').parse::<u64>().unwrap() >= 5);
}

/// Ten windows and more than twice the limit for a stall, and never below the rate.
#[test]
fn a_body_that_flows_slowly_has_all_the_time_it_needs() {
    let (dir, origin, content) = (temp_dir(), Origin::start(), bytes(1, 40_000));
    let head = head_of(&content);
    let bytes = [head.as_bytes(), &content].concat();
    origin.serve(
        "f",
        Reply::Drip(Drip {
            first: head.len(),
            bytes,
            step: 1000,
            pause: ms(50),
        }),
    );
    let manager = builder(dir.path())
        .min_rate(2000)
        .rate_window(ms(200))
        .stall_timeout(ms(900))
        .open()
        .unwrap();
    let started = Instant::now();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(started.elapsed() >= ms(2000), "{:?}", started.elapsed());
    assert_eq!(origin.hits("f"), 1);
}

#[test]
fn what_is_all_there_was_not_too_slow() {
    let (dir, origin, content) = (temp_dir(), Origin::start(), bytes(1, 10));
    let head = head_of(&content);
    let late = Drip {
        bytes: [head.as_bytes(), &content].concat(),
        first: head.len(),
        step: content.len(),
        pause: ms(200),
    };
    origin.serve("f", Reply::Drip(late));
    let manager = builder(dir.path()).rate_window(ms(100)).open().unwrap();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(origin.hits("f"), 1);
}

#[test]
fn without_a_least_rate_a_drip_is_fine() {
    let (dir, origin, content) = (temp_dir(), Origin::start(), bytes(1, 10));
    origin.serve("f", drip(&head_of(&content), &content));
    let manager = builder(dir.path())
        .min_rate(0)
        .rate_window(ms(50))
        .open()
        .unwrap();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(origin.hits("f"), 1);
}

#[test]
fn the_rest_goes_on_meanwhile() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.serve("stuck", Reply::Silence);
    let manager = builder(dir.path()).slots(2).open().unwrap();
    let stuck = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("stuck"))]));
    origin.wait_for_hits("stuck", 1);
    let others: Vec<_> = (2..12)
        .map(|n| {
            origin.file(&format!("{n}"), bytes(n.into(), 10_000));
            let url = origin.url(&format!("{n}"));
            manager.download_chunk(chunk(n, 5..9, [("f", url)]))
        })
        .collect();
    for other in others {
        other.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    assert!(stuck.wait_timeout(Duration::ZERO).is_none());
    assert_eq!(origin.hits("stuck"), 1, "it is the same attempt still");
}

#[test]
fn a_window_of_nothing_is_refused() {
    let dir = temp_dir();
    let error = builder(dir.path()).rate_window(Duration::ZERO).open();
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().starts_with("rate_window: "), "{error}");
}

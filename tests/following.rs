//! An assignment document that is followed: what it says is wanted, and what it cannot say changes
//! nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_chunk::{AssignmentDocument, DataChunk};
use data_manager::data_manager::{DataManagerImpl, Event, Events};
use support::origin::{Origin, Reply, etag};
use support::{DEADLINE, builder, bytes, chunk, id, open, temp_dir};

const SOON: Duration = Duration::from_millis(5);
const NEVER: Duration = Duration::from_secs(24 * 3600);

fn described(origin: &Origin, n: u8) -> DataChunk {
    let path = format!("chunk-{n}");
    origin.file(&path, bytes(n.into(), 1000));
    let start = u64::from(n) * 10;
    chunk(n, start..start + 10, [("f", origin.url(&path))])
}

fn document(origin: &Origin, chunks: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let chunks = chunks.into_iter().map(|n| described(origin, n));
    AssignmentDocument::new(chunks.collect::<Vec<_>>())
        .to_json()
        .into_bytes()
}

/// The next event of the follower's.
fn next(events: &Events) -> Result<usize, ErrorKind> {
    loop {
        match events.recv_timeout(DEADLINE).unwrap() {
            Event::AssignmentTaken { chunks, .. } => return Ok(chunks),
            Event::AssignmentFailed { error, .. } => return Err(error.kind()),
            _ => {}
        }
    }
}

fn has(manager: &DataManagerImpl, chunks: &[u8]) {
    assert!(manager.wait_idle(DEADLINE));
    let ids: Vec<_> = chunks.iter().map(|n| id(*n)).collect();
    assert_eq!(manager.list_chunks(), ids);
}

#[test]
fn what_the_document_says_is_there_and_what_it_drops_is_gone() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let events = manager.events();
    origin.file("a.json", document(&origin, 1..=3));
    let follower = manager
        .follow_assignment(&origin.url("a.json"), SOON)
        .unwrap();
    assert_eq!(next(&events), Ok(3));
    has(&manager, &[1, 2, 3]);
    origin.file("a.json", document(&origin, 3..=4));
    assert_eq!(next(&events), Ok(2));
    has(&manager, &[3, 4]);
    let status = follower.status();
    assert_eq!((status.taken, status.chunks, status.failures), (2, 2, 0));
    assert!(status.answered >= 2 && status.answered_ms_ago.is_some() && status.error.is_none());
}

/// For whoever wants to look at it first.
#[test]
fn a_document_can_be_read_without_being_followed() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    origin.file("a.json", document(&origin, 1..=3));
    let read = manager.read_assignment(&origin.url("a.json")).unwrap();
    assert_eq!(read.chunks.len(), 3);
    assert!(manager.list_chunks().is_empty() && manager.wait_idle(DEADLINE));
    let kind = |url: &str| manager.read_assignment(url).unwrap_err().kind();
    assert_eq!(kind(&origin.url("none.json")), ErrorKind::NotFound);
    assert_eq!(kind("nobody://h/a.json"), ErrorKind::Refused);
    origin.file("a.json", b"{}".to_vec());
    assert_eq!(kind(&origin.url("a.json")), ErrorKind::Refused);
}

#[test]
fn a_document_that_does_not_come_holds_up_no_shutdown() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    origin.serve("a.json", Reply::Silence);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| manager.read_assignment(&origin.url("a.json")));
        origin.wait_for_hits("a.json", 1);
        manager.shutdown(DEADLINE).unwrap();
        let error = reading.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ShutDown);
    });
}

#[test]
fn no_bad_document_changes_anything() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let events = manager.events();
    origin.file("a.json", document(&origin, 1..=2));
    let follower = manager
        .follow_assignment(&origin.url("a.json"), SOON)
        .unwrap();
    assert_eq!(next(&events), Ok(2));
    has(&manager, &[1, 2]);
    let good = Arc::new(document(&origin, 5..=6));
    let bad = [
        (Reply::Status(404), ErrorKind::NotFound),
        (Reply::Status(503), ErrorKind::Unavailable),
        (Reply::Hangup, ErrorKind::Network),
        (Reply::Cut(good.clone(), good.len() - 1), ErrorKind::Network),
        (Reply::File(Arc::new(Vec::new())), ErrorKind::Refused),
        (Reply::File(Arc::new(b"{}".to_vec())), ErrorKind::Refused),
        (
            Reply::File(Arc::new(good[..good.len() - 1].to_vec())),
            ErrorKind::Refused,
        ),
        // Its end cannot be told from a cut.
        (
            Reply::Raw([b"HTTP/1.1 200 OK\r\n\r\n", &good[..]].concat()),
            ErrorKind::Protocol,
        ),
    ];
    for (reply, kind) in bad {
        origin.serve("a.json", reply.clone());
        // An answer that was on its way may be the one before.
        let told = std::iter::repeat_with(|| next(&events)).find(|told| *told == Err(kind));
        assert_eq!(told, Some(Err(kind)), "{reply:?}");
        has(&manager, &[1, 2]);
    }
    let status = follower.status();
    assert!(status.failures > 0 && status.error.is_some() && status.taken == 1);
    origin.serve("a.json", Reply::File(good));
    let told = std::iter::repeat_with(|| next(&events)).find(Result::is_ok);
    assert_eq!(told, Some(Ok(2)));
    has(&manager, &[5, 6]);
    let status = follower.status();
    assert!(status.error.is_none() && status.failures == 0 && status.taken == 2);
}

/// A chunk that nobody can fetch does not go missing without a word.
#[test]
fn what_a_document_has_in_it_that_cannot_be_had_is_told() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let events = manager.events();
    let odd = chunk(2, 20..30, [("f", "nobody://user:canary@h/f".to_owned())]);
    let chunks = AssignmentDocument::new([described(&origin, 1), odd]);
    origin.file("a.json", chunks.to_json());
    let follower = manager
        .follow_assignment(&origin.url("a.json"), SOON)
        .unwrap();
    let taken = |event| match event {
        Event::AssignmentTaken {
            chunks, refused, ..
        } => Some((chunks, refused)),
        _ => None,
    };
    let told = std::iter::from_fn(|| events.recv_timeout(DEADLINE).ok()).find_map(taken);
    assert_eq!(told, Some((2, 1)));
    has(&manager, &[1]);
    let status = follower.status();
    let why = status.refusal.unwrap();
    assert_eq!((status.refused, why.kind()), (1, ErrorKind::Refused));
    assert!(why.to_string().contains("nobody") && !why.to_string().contains("canary"));
    origin.file("a.json", document(&origin, 1..=1));
    let told = std::iter::from_fn(|| events.recv_timeout(DEADLINE).ok()).find_map(taken);
    assert_eq!(told, Some((1, 0)));
    assert!(follower.status().refusal.is_none());
}

#[test]
fn only_what_changed_is_asked_for_and_the_same_again_takes_nothing_back() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let events = manager.events();
    let json = document(&origin, 1..=1);
    let tag = etag(&json);
    origin.file("a.json", json);
    let _follower = manager
        .follow_assignment(&origin.url("a.json"), SOON)
        .unwrap();
    assert_eq!(next(&events), Ok(1));
    // The origin answers with the document each time, asked or not.
    manager
        .download_chunk(described(&origin, 9))
        .wait()
        .unwrap();
    let asked = origin.hits("a.json");
    origin.wait_for_hits("a.json", asked + 3);
    has(&manager, &[1, 9]);
    let known = |request: &support::origin::Request| request.headers.get("if-none-match").cloned();
    let requests = origin.requests();
    let mut asked = requests.iter().filter(|request| request.path == "/a.json");
    assert_eq!(asked.next().map(known), Some(None));
    assert!(asked.all(|request| known(request) == Some(tag.clone())));
}

/// What is the same by another name is read once and not with each question.
#[test]
fn a_new_name_for_the_same_document_is_learned() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let events = manager.events();
    let json = document(&origin, 1..=1);
    let named = |tag: &str| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"{tag}\"\r\n\r\n",
            json.len()
        );
        Reply::Raw([head.as_bytes(), &json].concat())
    };
    origin.script("a.json", vec![named("one"), named("two")]);
    let _follower = manager
        .follow_assignment(&origin.url("a.json"), SOON)
        .unwrap();
    assert_eq!(next(&events), Ok(1));
    origin.wait_for_hits("a.json", 4);
    let requests = origin.requests();
    let asked = requests.iter().filter(|request| request.path == "/a.json");
    let known: Vec<_> = asked
        .map(|request| request.headers.get("if-none-match").map(String::as_str))
        .take(4)
        .collect();
    let (one, two) = (Some("\"one\""), Some("\"two\""));
    assert_eq!(known, [None, one, two, two]);
}

/// What could never be taken is not read first.
#[test]
fn a_document_that_is_too_long_is_refused_by_its_length() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = builder(dir.path()).stall_timeout(DEADLINE).open().unwrap();
    let events = manager.events();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1073741825\r\n\r\n";
    origin.serve("a.json", Reply::Hold(head.into()));
    let started = Instant::now();
    let _follower = manager
        .follow_assignment(&origin.url("a.json"), NEVER)
        .unwrap();
    assert_eq!(next(&events), Err(ErrorKind::Protocol));
    assert!(started.elapsed() < DEADLINE / 2);
}

#[test]
fn whoever_stops_following_keeps_what_was_assigned() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    let events = manager.events();
    origin.file("a.json", document(&origin, 1..=2));
    let follower = manager
        .follow_assignment(&origin.url("a.json"), SOON)
        .unwrap();
    assert_eq!(next(&events), Ok(2));
    origin.serve("a.json", Reply::Silence);
    let asked = origin.hits("a.json");
    origin.wait_for_hits("a.json", asked + 1);
    drop(follower);
    // The question that was under way is broken off.
    origin.wait_until_inactive();
    has(&manager, &[1, 2]);
    drop(manager);
    has(&open(dir.path()), &[1, 2]);
}

#[test]
fn a_document_that_never_comes_does_not_hold_a_shutdown_up() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = builder(dir.path()).stall_timeout(DEADLINE).open().unwrap();
    origin.serve("a.json", Reply::Silence);
    let follower = manager
        .follow_assignment(&origin.url("a.json"), NEVER)
        .unwrap();
    origin.wait_for_hits("a.json", 1);
    let started = Instant::now();
    manager.shutdown(DEADLINE / 2).unwrap();
    assert!(started.elapsed() < DEADLINE / 4);
    drop(follower);
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let dir = temp_dir();
    let manager = open(dir.path());
    let digest = format!("http://h/a.json#sha256={}", "00".repeat(32));
    for url in [
        "",
        "a.json",
        "nobody://h/a",
        "http://",
        "file:///etc/a.json",
        &digest,
    ] {
        let error = manager.follow_assignment(url, SOON).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{url}");
    }
    let never = manager.follow_assignment("http://h/a", Duration::ZERO);
    assert!(never.unwrap_err().to_string().contains("every"));
    manager.shutdown(DEADLINE).unwrap();
    let late = manager.follow_assignment("http://h/a", SOON);
    assert_eq!(late.unwrap_err().kind(), ErrorKind::ShutDown);
}

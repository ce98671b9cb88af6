//! Mirrors: what a user sees when one of several origins is down, slow, empty, or has something
//! else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_manager::data_manager::{DataManagerBuilder, DataManagerImpl, Event};
use data_manager::{Error, ErrorKind};
use support::origin::{Drip, Origin, Reply, Request, etag};
use support::{DEADLINE, builder, bytes, chunk, id, temp_dir};

/// A manager for which the origin that is named second has what the first one has.
fn mirrored(dir: &Path, one: &Origin, other: &Origin) -> DataManagerBuilder {
    builder(dir).mirrors(one.url("data/"), [other.url("copy")])
}

fn fetch(manager: &DataManagerImpl, n: u8, url: String) -> Result<Vec<u8>, Error> {
    let task = manager.download_chunk(chunk(n, 0..5, [("f", url)]));
    task.wait_timeout(DEADLINE).unwrap()?;
    let guard = manager.get_chunk(&id(n)).unwrap();
    Ok(std::fs::read(guard.path().join("f")).unwrap())
}

fn ranges(origin: &Origin) -> Vec<Option<String>> {
    let range = |request: &Request| request.headers.get("range").cloned();
    origin.requests().iter().map(range).collect()
}

/// A URL prefix that nobody listens behind.
fn refused_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/data/", listener.local_addr().unwrap())
}

#[test]
fn a_primary_that_is_down() {
    let (dir, other, content) = (temp_dir(), Origin::start(), bytes(1, 100_000));
    other.file("copy/f", content.clone());
    let primary = refused_port();
    let manager = builder(dir.path())
        .mirrors(&primary, [other.url("copy")])
        .open()
        .unwrap();
    let events = manager.events();
    assert!(fetch(&manager, 1, format!("{primary}f")).unwrap() == content);
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::Retried { .. }), "{event:?}");
    }
}

#[test]
fn a_primary_without_the_file() {
    let (dir, one, other) = (temp_dir(), Origin::start(), Origin::start());
    let content = bytes(1, 100_000);
    other.file("copy/f", content.clone());
    let manager = mirrored(dir.path(), &one, &other).open().unwrap();
    assert!(fetch(&manager, 1, one.url("data/f")).unwrap() == content);
    assert_eq!((one.hits("data/f"), other.hits("copy/f")), (1, 1));
    let error = fetch(&manager, 2, one.url("data/g")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = error.to_string();
    assert!(text.contains("2 places"), "{text}");
    assert!(text.contains(&one.url("data/g")), "{text}");
    assert!(text.contains(&other.url("copy/g")), "{text}");
}

/// A primary that sends 60,000 bytes and stalls.
fn stalled(dir: &Path, content: &[u8]) -> (Origin, Origin, DataManagerImpl) {
    let (one, other) = (Origin::start(), Origin::start());
    one.serve("data/f", Reply::Stall(content.to_vec().into(), 60_000));
    let manager = mirrored(dir, &one, &other)
        .stall_timeout(Duration::from_millis(1500))
        .open()
        .unwrap();
    (one, other, manager)
}

#[test]
fn a_primary_that_stalls_and_another_that_goes_on() {
    let (dir, content) = (temp_dir(), bytes(1, 100_000));
    let (one, other, manager) = stalled(dir.path(), &content);
    other.file("copy/f", content.clone());
    assert!(fetch(&manager, 1, one.url("data/f")).unwrap() == content);
    assert_eq!(ranges(&other), [Some("bytes=60000-".to_owned())]);
    let if_range = &other.requests()[0].headers["if-range"];
    assert_eq!(*if_range, etag(&content));
    assert_eq!(one.hits("data/f"), 1);
    assert_eq!(manager.stats().totals.downloaded_bytes, 100_000);
}

#[test]
fn a_primary_that_stalls_and_another_that_has_something_else() {
    let (dir, content) = (temp_dir(), bytes(1, 100_000));
    let (one, other, manager) = stalled(dir.path(), &content);
    let something_else = bytes(2, 100_000);
    other.file("copy/f", something_else.clone());
    assert!(fetch(&manager, 1, one.url("data/f")).unwrap() == something_else);
    assert_eq!(other.hits("copy/f"), 1);
}

/// It answers with the rest of what it has, whatever it is asked to go on with.
#[test]
fn a_primary_that_stalls_and_another_that_ignores_what_it_is_to_go_on_with() {
    let (dir, content) = (temp_dir(), bytes(1, 100_000));
    let (one, other, manager) = stalled(dir.path(), &content);
    let something_else = bytes(2, 100_000);
    let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 60000-99999/100000\r\n\
                Content-Length: 40000\r\n\r\n";
    let rest = [head.as_bytes(), &something_else[60_000..]].concat();
    let whole = Reply::File(something_else.clone().into());
    other.script("copy/f", vec![Reply::Raw(rest), whole]);
    assert!(fetch(&manager, 1, one.url("data/f")).unwrap() == something_else);
    assert_eq!(ranges(&other), [Some("bytes=60000-".to_owned()), None]);
}

#[test]
fn a_primary_that_is_slow() {
    let (dir, one, other) = (temp_dir(), Origin::start(), Origin::start());
    let content = bytes(1, 100_000);
    let (len, tag) = (content.len(), etag(&content));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nETag: {tag}\r\n\r\n");
    let drip = Drip {
        bytes: [head.as_bytes(), &content].concat(),
        first: head.len() + 1000,
        step: 1,
        pause: Duration::from_millis(20),
    };
    one.serve("data/f", Reply::Drip(drip));
    other.file("copy/f", content.clone());
    let manager = mirrored(dir.path(), &one, &other)
        .min_rate(10_000)
        .rate_window(Duration::from_millis(300))
        .open()
        .unwrap();
    assert!(fetch(&manager, 1, one.url("data/f")).unwrap() == content);
    assert_eq!((one.hits("data/f"), other.hits("copy/f")), (1, 1));
    assert!(
        ranges(&other)[0].is_some(),
        "what arrived is not fetched again"
    );
}

#[test]
fn a_primary_whose_bytes_have_another_digest() {
    let (dir, one, other) = (temp_dir(), Origin::start(), Origin::start());
    one.file("data/f", *b"abd");
    other.file("copy/f", *b"abc");
    let manager = mirrored(dir.path(), &one, &other).open().unwrap();
    // FIPS 180-2, appendix B.1.
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let url = one.url("data/f") + "#sha256=" + digest;
    assert_eq!(fetch(&manager, 1, url).unwrap(), b"abc");
}

#[test]
fn all_are_down_and_one_comes_back() {
    let (dir, one, other) = (temp_dir(), Origin::start(), Origin::start());
    let content = bytes(1, 100_000);
    one.serve("data/f", Reply::Hangup);
    let down = vec![Reply::Hangup; 4];
    other.script(
        "copy/f",
        [down, vec![Reply::File(content.clone().into())]].concat(),
    );
    let manager = mirrored(dir.path(), &one, &other).open().unwrap();
    let events = manager.events();
    assert!(fetch(&manager, 1, one.url("data/f")).unwrap() == content);
    let errors: Vec<Error> = std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(|event| match event {
            Event::Retried { error, .. } => Some(error),
            Event::Failed { error, .. } => panic!("it may pass: {error}"),
            _ => None,
        })
        .collect();
    assert_eq!(errors.len(), 4);
    assert_eq!(errors[0].kind(), ErrorKind::Network);
}

#[test]
fn a_dead_primary_is_not_asked_for_every_file() {
    let (dir, one, other) = (temp_dir(), Origin::start(), Origin::start());
    let content = Arc::new(bytes(1, 1000));
    let rest = Duration::from_secs(3600);
    let manager = mirrored(dir.path(), &one, &other)
        .slots(4)
        .first_backoff(rest)
        .longest_backoff(rest)
        .open()
        .unwrap();
    let task = |n: u8| {
        one.serve(&format!("data/{n}"), Reply::Hangup);
        other.serve(&format!("copy/{n}"), Reply::File(content.clone()));
        let url = one.url(&format!("data/{n}"));
        manager.download_chunk(chunk(n, 0..5, [("f", url)]))
    };
    for task in (0..50).map(task).collect::<Vec<_>>() {
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    // Those that were on their way when the first one failed.
    let asked = one.requests().len();
    assert!((1..=4).contains(&asked), "{asked}");
}

#[test]
fn a_primary_that_is_back_is_used_again() {
    let (dir, one, other) = (temp_dir(), Origin::start(), Origin::start());
    let content = Arc::new(bytes(1, 1000));
    let manager = mirrored(dir.path(), &one, &other).open().unwrap();
    one.serve("data/0", Reply::Hangup);
    for n in 0..=255 {
        other.serve(&format!("copy/{n}"), Reply::File(content.clone()));
    }
    assert!(fetch(&manager, 0, one.url("data/0")).unwrap() == *content);
    for n in 1..=255 {
        one.serve(&format!("data/{n}"), Reply::File(content.clone()));
    }
    let deadline = Instant::now() + DEADLINE;
    let mut ids = (1..=255).cycle();
    while one.requests().len() < 2 {
        assert!(Instant::now() < deadline, "it is not used again");
        let n = ids.next().unwrap();
        assert!(fetch(&manager, n, one.url(&format!("data/{n}"))).unwrap() == *content);
        manager.delete_chunk(id(n)).wait().unwrap();
    }
    // Its trial went well, so it goes first again.
    let others = other.requests().len();
    one.serve("data/new", Reply::File(content.clone()));
    manager.delete_chunk(id(0)).wait().unwrap();
    assert!(fetch(&manager, 0, one.url("data/new")).unwrap() == *content);
    assert_eq!(other.requests().len(), others);
}

#[test]
fn what_came_from_a_mirror_is_gone_on_with_after_a_restart() {
    let (dir, one, other) = (temp_dir(), Origin::start(), Origin::start());
    let content = Arc::new(bytes(1, 100_000));
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\
                Date: Sun, 06 Nov 1994 08:50:37 GMT\r\n\
                Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    let part = [head.as_bytes(), &content[..60_000]].concat();
    other.serve("copy/f", Reply::Hold(part));
    let manager = mirrored(dir.path(), &one, &other).open().unwrap();
    let wanted = chunk(1, 0..5, [("f", one.url("data/f"))]);
    let _task = manager.download_chunk(wanted.clone());
    let deadline = Instant::now() + DEADLINE;
    let arrived = || manager.chunk_status(&id(1)).map(|status| status.done_bytes);
    while arrived() != Some(60_000) {
        assert!(Instant::now() < deadline, "{:?}", arrived());
        std::thread::yield_now();
    }
    manager.shutdown(DEADLINE).unwrap();
    drop(manager);
    let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 60000-99999/100000\r\n\
                Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 40000\r\n\r\n";
    let rest = [head.as_bytes(), &content[60_000..]].concat();
    other.serve("copy/f", Reply::Raw(rest));
    // It has the file by now, of the same date, and is not asked for it.
    one.serve("data/f", Reply::File(bytes(2, 100_000).into()));
    let before = one.requests().len();
    let manager = mirrored(dir.path(), &one, &other).open().unwrap();
    let task = manager.download_chunk(wanted);
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert!(std::fs::read(guard.path().join("f")).unwrap() == *content);
    assert_eq!(one.requests().len(), before);
    let last = other.requests().pop().unwrap();
    assert_eq!(last.headers["range"], "bytes=60000-");
    assert_eq!(last.headers["if-range"], "Sun, 06 Nov 1994 08:49:37 GMT");
}

#[test]
fn a_directory_is_an_alternate_if_it_may_be_served() {
    let (dir, files, one) = (temp_dir(), temp_dir(), Origin::start());
    std::fs::write(files.path().join("f"), "from a file").unwrap();
    let alternate = format!("file://{}", files.path().display());
    let set = || builder(dir.path()).mirrors(one.url("data"), [alternate.clone()]);
    let error = set().open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().starts_with("mirrors: file://"), "{error}");
    let manager = set().serve_files_from(files.path()).open().unwrap();
    assert_eq!(
        fetch(&manager, 1, one.url("data/f")).unwrap(),
        b"from a file"
    );
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_touched() {
    let dir = temp_dir();
    let data_dir = dir.path().join("data");
    for (prefix, alternates) in [
        ("https://a.example/", vec!["nonsense"]),
        ("nonsense", vec!["https://b.example/"]),
        ("https://a.example/", vec!["gopher://b.example/"]),
        ("https://a.example/", vec!["https:///"]),
        ("https://a.example/", vec![]),
    ] {
        let builder = builder(&data_dir).mirrors(prefix, alternates);
        let error = builder.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().starts_with("mirrors: "), "{error}");
    }
    assert!(!data_dir.exists());
}

#[test]
fn credentials_of_places_are_shown_nowhere() {
    const CANARY: &str = "canary7f3a";
    let (dir, one, other) = (temp_dir(), Origin::start(), Origin::start());
    one.serve("data/f", Reply::Status(403));
    other.serve("copy/f", Reply::Status(403));
    let with =
        |user: &str, url: String| url.replace("http://", &format!("http://{user}:{CANARY}@"));
    let set = builder(dir.path())
        .mirrors(one.url("data"), [with("copy", other.url("copy"))])
        // Each chunk is tried once.
        .longest_backoff(Duration::from_secs(3600));
    assert!(!format!("{set:?}").contains(CANARY));
    let manager = set.open().unwrap();
    let error = fetch(&manager, 1, one.url("data/f")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let shown = format!("{error} {error:?} {:?} {manager:?}", error.source_text());
    assert!(!shown.contains(CANARY), "{shown}");
    let error = fetch(&manager, 2, with("own", one.url("data/f"))).unwrap_err();
    assert!(!format!("{error:?}").contains(CANARY));
    let sent = |origin: &Origin| -> Vec<Option<String>> {
        let sent = |request: &Request| request.headers.get("authorization").cloned();
        origin.requests().iter().map(sent).collect()
    };
    let basic = |user: &str| {
        let encoded = data_encoding::BASE64.encode(format!("{user}:{CANARY}").as_bytes());
        Some(format!("Basic {encoded}"))
    };
    // What a URL brings for its own host goes there and nowhere else.
    assert_eq!(sent(&one), [None, basic("own")]);
    assert_eq!(sent(&other), [basic("copy"), basic("copy")]);
}

trait SourceText {
    fn source_text(&self) -> String;
}

impl SourceText for Error {
    /// All of what is behind the error.
    fn source_text(&self) -> String {
        let mut text = String::new();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text += &format!("{cause} {cause:?} ");
            source = cause.source();
        }
        text
    }
}

/// A document without a validator is asked for where it came from, not elsewhere each time: another
/// place may be behind, and what is assigned would go back and forth.
#[test]
fn a_document_is_followed_at_one_place() {
    let (dir, one, other) = (temp_dir(), Origin::start(), Origin::start());
    let json = |chunks: &str| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            chunks.len()
        );
        Reply::Keep((head + chunks).into_bytes())
    };
    one.serve("data/a.json", json(r#"{"chunks": []}"#));
    other.serve("copy/a.json", json(r#"{"chunks": [], "behind": 1}"#));
    let manager = mirrored(dir.path(), &one, &other).open().unwrap();
    let every = Duration::from_millis(5);
    let follower = manager.follow_assignment(&one.url("data/a.json"), every);
    one.wait_for_hits("data/a.json", 4);
    assert_eq!(other.hits("copy/a.json"), 0);
    assert_eq!(follower.unwrap().status().taken, 1);
}

/// A page of somebody in between, say: nothing tells where it ends, and no digest what is in it.
#[test]
fn a_primary_whose_answer_has_no_end_of_its_own() {
    let (dir, one, other) = (temp_dir(), Origin::start(), Origin::start());
    let content = bytes(1, 100_000);
    one.serve(
        "data/f",
        Reply::Raw(b"HTTP/1.1 200 OK\r\n\r\nlog in first".to_vec()),
    );
    other.file("copy/f", content.clone());
    let manager = mirrored(dir.path(), &one, &other).open().unwrap();
    assert!(fetch(&manager, 1, one.url("data/f")).unwrap() == content);
    // Where nobody has anything better, it is judged by its digest.
    other.serve("copy/g", Reply::Status(404));
    let reply = [b"HTTP/1.1 200 OK\r\n\r\n", &content[..]].concat();
    one.serve("data/g", Reply::Raw(reply));
    let error = fetch(&manager, 2, one.url("data/g")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&content);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let url = format!("{}#sha256={digest}", one.url("data/g"));
    assert!(fetch(&manager, 3, url).unwrap() == content);
}

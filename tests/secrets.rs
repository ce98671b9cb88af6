//! Credentials and query strings of URLs show up nowhere: not in an error, an event, a status, a
//! log line, the `Debug` of anything public, or a file on disk, its name included.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;
#[path = "support/tls.rs"]
mod tls;

use std::collections::HashSet;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use data_manager::Error;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{ChunkTask, DataManagerImpl, Event, Events};
use data_manager::data_source::{
    CancelToken, DataSource, FileSource, HttpOptions, HttpSource, ListRequest, OpenRequest,
};
use support::origin::{Origin, Reply};
use support::{DATASET, DEADLINE, bytes, chunk, id, read_dir, temp_dir};

const CANARY: &str = "canary7f3a";

/// With the canary as user, as password and in the query.
fn with_secrets(url: &str) -> String {
    url.replace("://", &format!("://u{CANARY}:p{CANARY}@")) + &query()
}

fn query() -> String {
    format!("?X-Signature={CANARY}")
}

/// What the canary may look like: as it is, and as credentials are sent.
fn disguises() -> [String; 2] {
    let user_info = format!("u{CANARY}:p{CANARY}");
    let encoded = data_encoding::BASE64.encode(user_info.as_bytes());
    [CANARY.to_owned(), encoded]
}

fn shows_secret(text: &[u8]) -> bool {
    let found = |needle: &String| {
        let mut windows = text.windows(needle.len());
        windows.any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
    };
    disguises().iter().any(found)
}

/// Whatever a person or a program may get to see.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn debug(&mut self, shown: &dyn Debug) {
        self.0.push(format!("{shown:?} {shown:#?}"));
    }

    fn json(&mut self, shown: &(impl Debug + serde::Serialize)) {
        self.debug(shown);
        self.0.push(serde_json::to_string(shown).unwrap());
    }

    /// The error in each of its forms, and what is behind it.
    fn error(&mut self, error: &Error) {
        self.json(error);
        self.0.push(format!("{error} {error:#} {:?}", error.url()));
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            self.0.push(format!("{cause} {cause:#}"));
            self.debug(&cause);
            source = cause.source();
        }
    }

    fn outcome(&mut self, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            self.error(&error);
        }
    }

    fn event(&mut self, event: &Event) {
        self.json(event);
        self.0.push(event.to_string());
        match event {
            Event::Retried { error, .. }
            | Event::Failed { error, .. }
            | Event::Damaged { error, .. }
            | Event::SpaceShort { error, .. } => self.error(error),
            _ => {}
        }
    }

    /// All that a manager tells of itself and of what it was asked for.
    fn manager(&mut self, manager: &DataManagerImpl, count: u8) {
        self.debug(manager);
        self.json(&manager.stats());
        self.debug(&manager.list_chunks());
        self.debug(&manager.find_range(DATASET, 0..100));
        for n in 1..=count {
            if let Some(status) = manager.chunk_status(&id(n)) {
                self.json(&status);
                self.0.push(status.to_string());
                status.last_error.iter().for_each(|error| self.error(error));
            }
            if let Some(guard) = manager.get_chunk(&id(n)) {
                self.debug(&guard);
                self.debug(&guard.files());
            }
        }
    }

    #[track_caller]
    fn holds_no_secret(&self) {
        for text in &self.0 {
            assert!(!shows_secret(text.as_bytes()), "{text}");
        }
    }
}

/// The files below a directory whose names or contents show it.
fn grep(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in read_dir(dir) {
        let name = path.display().to_string();
        let content = std::fs::read(&path).unwrap_or_default();
        if shows_secret(name.as_bytes()) || shows_secret(&content) {
            found.push(name);
        }
        if path.is_dir() {
            found.extend(grep(&path));
        }
    }
    found
}

/// Keeps what is logged, up to `Debug`: beyond that, the HTTP library logs what it sends.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.target(), record.args());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// Waits until each of the first `count` chunks came or failed once; returns all events until then.
fn until_each_is_told(events: &Events, count: u8) -> Vec<Event> {
    let (mut told, mut seen) = (HashSet::new(), Vec::new());
    while told.len() < usize::from(count) {
        let event = events.recv_timeout(DEADLINE).unwrap();
        if let Event::Retried { chunk_id, .. }
        | Event::Failed { chunk_id, .. }
        | Event::Available { chunk_id, .. } = &event
        {
            told.insert(*chunk_id);
        }
        seen.push(event);
    }
    seen
}

fn found(location: &str) -> Reply {
    let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    Reply::Raw(head.into_bytes())
}

/// Origins, and URLs there that go well, go wrong, or never end.
struct Field {
    origin: Origin,
    _other: Origin,
    urls: Vec<String>,
}

fn field() -> Field {
    let (origin, other) = (Origin::start(), Origin::start());
    let elsewhere = with_secrets(&other.url("moved"));
    other.file(&format!("moved{}", query()), bytes(1, 10));
    let content = bytes(1, 10_000);
    let echo = |head: &str| Reply::Raw(head.replace("URL", &elsewhere).into_bytes());
    let replies = [
        ("ok", Reply::File(content.clone().into())),
        ("stalls", Reply::Stall(content.clone().into(), 5000)),
        ("cut", Reply::Cut(content.into(), 5000)),
        ("missing", Reply::Status(404)),
        ("denied", Reply::Status(403)),
        ("busy", Reply::Status(503)),
        ("silent", Reply::Hangup),
        ("odd", Reply::Status(204)),
        ("garbage", Reply::Raw(b"nonsense\r\n\r\n".to_vec())),
        ("endless", Reply::Raw(b"HTTP/1.1 200 OK\r\n\r\nx".to_vec())),
        ("moved", found(&elsewhere)),
        ("lost", found(&with_secrets(&other.url("nowhere")))),
        ("no URL", found(&format!("http://h:{CANARY}/"))),
        (
            "no URL either",
            found(&format!("http://[{CANARY}/?{CANARY}")),
        ),
        ("no host", found(&format!("http:///{}", query()))),
        (
            "no scheme of ours",
            found(&format!("ftp://{CANARY}@h/{}", query())),
        ),
        ("no file", found(&format!("file:///{CANARY}"))),
        ("to TLS", found(&elsewhere.replace("http:", "https:"))),
        (
            "a reason",
            echo("HTTP/1.1 404 URL\r\nContent-Length: 0\r\n\r\n"),
        ),
        ("a bad reason", echo("HTTP/1.1 4040 URL\r\n\r\n")),
        ("a bad header", echo("HTTP/1.1 200 OK\r\nURL\u{0}\r\n\r\n")),
        (
            "a bad length",
            echo("HTTP/1.1 200 OK\r\nContent-Length: URL\r\n\r\n"),
        ),
        (
            "a bad rest",
            echo("HTTP/1.1 503 No\r\nRetry-After: URL\r\nContent-Length: 0\r\n\r\n"),
        ),
        (
            "a bad size",
            echo("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nURL\r\n"),
        ),
    ];
    let mut urls = Vec::new();
    for (name, reply) in replies {
        let path = name.replace(' ', "-");
        // In circles, else.
        origin.serve(&format!("{path}{}", query()), reply);
        urls.push(with_secrets(&origin.url(&path)));
    }
    origin.serve(
        &format!("loop{}", query()),
        found(&format!("/loop{}", query())),
    );
    urls.push(with_secrets(&origin.url("loop")));
    let zeros = "0".repeat(64);
    urls.push(with_secrets(&origin.url("ok")) + "#sha256=" + &zeros);
    let (untrusted, _) = tls::serve("localhost", bytes(1, 10), usize::MAX);
    urls.push(with_secrets(&format!("https://{untrusted}/f")));
    urls.push(with_secrets(&origin.url("ok").replace("http:", "https:")));
    urls.push(with_secrets("http://no-such-host.invalid/f"));
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = format!("http://{}/f", refused.local_addr().unwrap());
    // Often enough for the host to be given a rest.
    urls.extend((0..6).map(|_| with_secrets(&refused)));
    Field {
        origin,
        _other: other,
        urls,
    }
}

/// What is refused before anything is touched.
fn refused_at_the_door() -> Vec<DataChunk> {
    let good = with_secrets("http://h/f");
    let urls = [
        format!(" {good}"),
        format!("{good}#nonsense"),
        format!("{good}#sha256={CANARY}"),
        format!("{good}\u{7}"),
        format!("{good}%zz"),
        format!("ftp://{CANARY}@h/?{CANARY}"),
        CANARY.to_owned(),
        format!("http://{CANARY}:{CANARY}@/?{CANARY}"),
        format!("http://{CANARY}:{CANARY}@h:port/?{CANARY}"),
        format!("http:///{}", query()),
        format!("file:///etc/passwd?{CANARY}"),
    ];
    let mut refused: Vec<_> = urls
        .into_iter()
        .map(|url| chunk(200, 0..5, [("f", url)]))
        .collect();
    refused.push(chunk(200, 5..5, [("f", good.clone())]));
    refused.push(chunk(200, 0..5, [("../f", good)]));
    refused
}

/// What the parts show that a user may hold in their hands.
fn parts(shown: &mut Shown) {
    let (source, cancel) = (HttpSource::new(HttpOptions::default()), CancelToken::new());
    let (url, file) = (
        with_secrets("http://127.0.0.1:1/f"),
        FileSource::new(["/".into()]),
    );
    let request = OpenRequest::new(&url, &cancel);
    let listing = ListRequest::new(&url, &cancel);
    shown.debug(&request);
    shown.debug(&request.resume(1, "\"a\""));
    shown.debug(&listing);
    let error = source.open(&request).unwrap_err();
    shown.0.push(format!("{error} {error:#} {error:?}"));
    let error = source.list(&listing, &mut |_| {}).unwrap_err();
    shown.0.push(format!("{error} {error:#} {error:?}"));
    shown.debug(&source);
    let url = format!("file:///nowhere{}", query());
    let error = file.open(&OpenRequest::new(&url, &cancel)).unwrap_err();
    shown.0.push(format!("{error} {error:#} {error:?}"));
}

fn open(dir: &Path) -> DataManagerImpl {
    let builder = support::builder(dir)
        .slots(64)
        .event_queue(100_000)
        .connect_timeout(Duration::from_secs(2));
    builder.open().unwrap()
}

/// A chunk is damaged from outside, found, fetched again, and what was there is put aside.
fn quarantine(manager: &DataManagerImpl, shown: &mut Shown) {
    let guard = manager.get_chunk(&id(1)).unwrap();
    std::fs::write(guard.path().join("f"), "damaged").unwrap();
    drop(guard);
    let verified = manager.verify(&id(1)).wait_timeout(DEADLINE).unwrap();
    assert!(verified.is_err());
    shown.outcome(verified);
    let started = Instant::now();
    while manager.stats().totals.quarantined == 0 {
        assert!(started.elapsed() < DEADLINE, "not put aside");
        std::thread::yield_now();
    }
}

fn description(n: u8, url: &str) -> DataChunk {
    let block = u64::from(n);
    chunk(n, block..block + 1, [("f", url.to_owned())])
}

#[test]
fn urls_are_redacted_everywhere() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let (dir, field, mut shown) = (temp_dir(), field(), Shown::default());
    shown.debug(&support::builder(dir.path()));
    parts(&mut shown);
    let manager = open(dir.path());
    let events = manager.events();
    let mut tasks: Vec<ChunkTask> = Vec::new();
    for (n, url) in (1..).zip(&field.urls) {
        let description = description(n, url);
        shown.debug(&description);
        tasks.push(manager.download_chunk(description));
    }
    let count = u8::try_from(tasks.len()).unwrap();
    tasks.remove(0).wait_timeout(DEADLINE).unwrap().unwrap();
    for description in refused_at_the_door() {
        shown.debug(&description);
        let refused = manager.download_chunk(description).wait();
        shown.error(&refused.unwrap_err());
    }
    // All but the one that stalls.
    field.origin.wait_for_hits(&format!("stalls{}", query()), 1);
    for event in until_each_is_told(&events, count - 1) {
        shown.event(&event);
    }
    shown.manager(&manager, count);
    assert_eq!(grep(dir.path()), [""; 0], "while it goes on");
    shown.0.push(format!("{tasks:?}"));
    // A tombstone, since a reference keeps the chunk.
    let moved = id(11);
    let held = manager.get_chunk(&moved).expect("followed");
    drop(manager.delete_chunk(moved));
    quarantine(&manager, &mut shown);
    shown.manager(&manager, count);
    manager.shutdown(DEADLINE).unwrap();
    drop(held);
    for task in tasks {
        shown.outcome(task.wait_timeout(DEADLINE).unwrap());
    }
    while let Ok(event) = events.try_recv() {
        shown.event(&event);
    }
    drop(manager);
    assert_eq!(grep(dir.path()), [""; 0], "after it");
    the_next_run_resumes(dir.path(), &field, &mut shown);
    shown.holds_no_secret();
    let lines = std::mem::take(&mut *LINES.0.lock().unwrap());
    assert!(!lines.is_empty(), "nothing was listened to");
    for line in lines {
        assert!(!shows_secret(line.as_bytes()), "{line}");
    }
    credentials_were_sent(&field.origin);
}

/// It takes up what the last run left.
fn the_next_run_resumes(dir: &Path, field: &Field, shown: &mut Shown) {
    let path = format!("stalls{}", query());
    field.origin.file(&path, bytes(1, 10_000));
    let manager = open(dir);
    let events = manager.events();
    let task = manager.download_chunk(description(2, &field.urls[1]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let requests = field.origin.requests();
    let resumed = requests
        .iter()
        .rfind(|request| request.path.contains("stalls"));
    assert!(resumed.unwrap().headers.contains_key("range"));
    shown.manager(&manager, 40);
    while let Ok(event) = events.try_recv() {
        shown.event(&event);
    }
    drop(manager);
    assert_eq!(grep(dir), [""; 0], "after the next run");
}

/// There was something to hide.
fn credentials_were_sent(origin: &Origin) {
    let encoded = &disguises()[1];
    let requests = origin.requests();
    let sent = |request: &&support::origin::Request| request.path.starts_with("/ok?");
    let request = requests.iter().find(sent).unwrap();
    assert_eq!(request.headers["authorization"], format!("Basic {encoded}"));
    assert!(request.path.contains(CANARY));
}

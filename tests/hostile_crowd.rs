//! A hundred thousand chunks that name the same bad host, and crowds at hosts that are bad in other
//! ways: a chunk from elsewhere comes at once, calls stay cheap, memory is bounded, and a shutdown does not wait.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerImpl, Durability, Event};
use support::origin::{Origin, Reply};
use support::{DATASET, DEADLINE, bytes, chunk, id, temp_dir};

/// What is waited for here takes a moment; this is for a machine that has other things to do.
const PROMPT: Duration = Duration::from_secs(10);

/// Deals with each connection so, as long as the process lives; host and port.
fn host(deal: impl Fn(TcpStream) + Send + Copy + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || deal(stream));
        }
    });
    host
}

/// Gives every request the same answer.
fn answering(answer: &'static str) -> String {
    host(move |mut stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while let Some(Ok(line)) = lines.next() {
            if line.is_empty() && stream.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
    })
}

fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn of_crowd(host: &str, n: u32) -> DataChunk {
    let mut chunk = chunk(
        0,
        n.into()..u64::from(n) + 1,
        [("f", format!("http://{host}/{n}"))],
    );
    chunk.id[..4].copy_from_slice(&n.to_be_bytes());
    chunk
}

/// What this process has in memory now, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

/// How long half of the calls took at the most: what they cost, whoever else has the processor.
fn half_of(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed<T>(times: &mut Vec<Duration>, call: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let outcome = call();
    times.push(started.elapsed());
    outcome
}

/// An honest chunk comes while the crowd waits, fails and is tried again.
fn one_comes(manager: &DataManagerImpl, origin: &Origin, n: u8) {
    let (path, content) = (n.to_string(), bytes(n.into(), 50_000));
    origin.file(&path, content.clone());
    let mut honest = chunk(n, 0..1, [("f", origin.url(&path))]);
    honest.dataset_id = [n; 32];
    let started = Instant::now();
    let task = manager.download_chunk(honest);
    task.wait_timeout(DEADLINE).expect("starved").unwrap();
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    let guard = manager.get_chunk(&id(n)).unwrap();
    assert!(std::fs::read(guard.path().join("f")).unwrap() == content);
}

/// What connections may take, with their buffers, however many chunks there are.
const CONNECTIONS_BYTES: u64 = 32 << 20;

fn crowd_at(host: &str, crowd: u32) {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = DataManagerImpl::builder()
        .data_dir(dir.path())
        .durability(Durability::None)
        .stall_timeout(Duration::from_secs(1))
        .open()
        .unwrap();
    let before = memory();
    let (mut calls, mut lookups) = (Vec::new(), Vec::new());
    for n in 0..crowd {
        let chunk = of_crowd(host, n);
        timed(&mut calls, || drop(manager.download_chunk(chunk)));
        if n == crowd / 2 {
            one_comes(&manager, &origin, 0xa0);
        }
    }
    one_comes(&manager, &origin, 0xa1);
    for n in 0..1000 {
        let id = of_crowd(host, n * (crowd / 1000)).id;
        timed(&mut lookups, || {
            manager.find_chunk(DATASET, n.into()).is_some()
        });
        timed(&mut lookups, || manager.chunk_status(&id).unwrap());
        timed(&mut lookups, || drop(manager.stats()));
    }
    one_comes(&manager, &origin, 0xa2);
    assert_eq!(manager.list_chunks().len(), 3);
    let grown = memory().saturating_sub(before);
    let (call, lookup) = (half_of(calls), half_of(lookups));
    let limit = CONNECTIONS_BYTES + 2048 * u64::from(crowd);
    assert!(grown < limit, "{grown} bytes for {crowd} chunks");
    assert!(call < Duration::from_millis(1), "{call:?}");
    assert!(lookup < Duration::from_millis(1), "{lookup:?}");
    let started = Instant::now();
    manager.shutdown(DEADLINE).unwrap();
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
}

/// Headers, hints and framing without end, eight at a time: each is given up, and the memory is
/// that of the buffers.
fn floods_cost_nothing() {
    const MIB: u64 = 1 << 20;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let floods = [
        ("HTTP/1.1 200 OK\r\nX: ".to_owned(), "x".repeat(65536)),
        ("HTTP/1.1 200 OK\r\n".to_owned(), "X: y\r\n".repeat(10_000)),
        (
            String::new(),
            "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000),
        ),
        (chunked.to_owned(), "0".repeat(65536)),
        (format!("{chunked}1;"), "x".repeat(65536)),
        (
            format!("{chunked}1\r\nx\r\n0\r\n"),
            "X: y\r\n".repeat(10_000),
        ),
    ];
    let (dir, origin) = (temp_dir(), Origin::start());
    let builder = support::builder(dir.path()).stall_timeout(Duration::from_millis(500));
    let manager = builder.slots(8).open().unwrap();
    one_comes(&manager, &origin, 0xa0);
    let before = memory();
    for (n, (first, again)) in (0..24).zip(floods.iter().cycle()) {
        let path = format!("flood{n}");
        origin.serve(
            &path,
            Reply::Endless(first.clone().into(), again.clone().into()),
        );
        drop(manager.download_chunk(chunk(n, 0..1, [("f", origin.url(&path))])));
    }
    let events = manager.events();
    let mut failed = HashSet::new();
    let mut most = 0;
    while failed.len() < 24 {
        if let Event::Retried { chunk_id, .. } = events.recv_timeout(DEADLINE).unwrap() {
            failed.insert(chunk_id);
        }
        most = memory().max(most);
    }
    let grown = most.saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown} bytes");
    one_comes(&manager, &origin, 0xa1);
}

/// One after the other, since they measure.
#[test]
fn bad_hosts_cost_little() {
    floods_cost_nothing();
    crowd_at(&refusing(), 100_000);
    let silent = host(|stream| {
        let mut nothing = [0; 4096];
        while (&stream).read(&mut nothing).is_ok_and(|count| count > 0) {}
    });
    let busy = "HTTP/1.1 503 No\r\nRetry-After: 31536000\r\nContent-Length: 0\r\n\r\n";
    let missing = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
    let nonsense = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx";
    let hosts = [
        silent,
        host(drop),
        answering(busy),
        answering(missing),
        answering(nonsense),
    ];
    for host in hosts {
        crowd_at(&host, 5_000);
    }
}

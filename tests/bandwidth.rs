//! The limit on bandwidth, as a source and a caller see it.
//!
//! Tolerances: 5 % either way, and [`BUSY`] on the slow side, since a busy machine is slow for
//! reasons of its own. A window of 100 ms never has more than twice its share.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerBuilder, Durability, Event};
use data_manager::data_source::{DataSource, OpenRequest, Opened, SourceError};
use support::origin::{Origin, Reply};
use support::{DEADLINE, builder, bytes, chunk, id, temp_dir};

const WINDOW: Duration = Duration::from_millis(100);
const BUSY: Duration = Duration::from_millis(300);
const ENDLESS: usize = 1 << 40;

/// One read that a source served.
#[derive(Clone, Copy, Debug)]
struct Taken {
    at: Instant,
    file: usize,
    bytes: usize,
}

/// A source that is always ready, and notes what is taken from it and when.
#[derive(Clone, Debug, Default)]
struct Meter(Arc<(Mutex<Vec<Taken>>, Condvar)>);

impl Meter {
    fn so_far(&self) -> Vec<Taken> {
        self.0.0.lock().unwrap().clone()
    }

    /// Waits until this holds of what was taken.
    fn wait_until(&self, condition: impl Fn(&[Taken]) -> bool) {
        let taken = self.0.0.lock().unwrap();
        let waited = self
            .0
            .1
            .wait_timeout_while(taken, DEADLINE, |taken| !condition(taken));
        assert!(!waited.unwrap().1.timed_out(), "not in time");
    }

    /// Waits until `count` more bytes were taken, from what was there at the call on.
    fn wait_for_more(&self, count: usize) {
        let before = total(&self.so_far());
        self.wait_until(|taken| total(taken) >= before + count);
    }
}

fn total(taken: &[Taken]) -> usize {
    taken.iter().map(|read| read.bytes).sum()
}

/// How much each file got.
fn shares(taken: &[Taken], files: usize) -> Vec<usize> {
    let mut shares = vec![0; files];
    for read in taken {
        shares[read.file] += read.bytes;
    }
    shares
}

/// `meter:FILE/LEN`: so many bytes, all 0.
impl DataSource for Meter {
    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let name = request.url().strip_prefix("meter:").unwrap_or_default();
        let (file, len) = name.split_once('/').unwrap();
        let (meter, file, len) = (self.clone(), file.parse().unwrap(), len.parse().unwrap());
        let reader = MeteredReader {
            meter,
            file,
            left: len,
        };
        let opened = Opened::new(reader);
        // No disk would have room for it.
        let endless = usize::try_from(len).is_ok_and(|len| len >= ENDLESS);
        Ok(if endless {
            opened
        } else {
            opened.with_total(len)
        })
    }
}

struct MeteredReader {
    meter: Meter,
    file: usize,
    left: u64,
}

impl Read for MeteredReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // Often less than was asked for, as sockets do.
        let count = std::io::repeat(0).take(self.left.min(1448)).read(buffer)?;
        self.left -= u64::try_from(count).unwrap();
        let (file, bytes) = (self.file, count);
        let mut taken = self.meter.0.0.lock().unwrap();
        // Under the lock, so that the list is in the order of time.
        let at = Instant::now();
        taken.push(Taken { at, file, bytes });
        drop(taken);
        self.meter.0.1.notify_all();
        Ok(count)
    }
}

fn metered(dir: &Path, meter: &Meter, slots: usize) -> DataManagerBuilder {
    builder(dir)
        .source("meter", meter.clone())
        .durability(Durability::None)
        .slots(slots)
}

/// A chunk of eight metered files; chunk `n` has the files from `8 * n` on.
fn eight_files(n: u8, len: usize) -> DataChunk {
    let first = usize::from(n) * 8;
    let names: Vec<String> = (first..first + 8).map(|file| file.to_string()).collect();
    let files = names
        .iter()
        .map(|name| (name.as_str(), format!("meter:{name}/{len}")));
    chunk(n, 0..5, files)
}

/// The most bytes in any window that ends between these two times.
fn fullest_window(taken: &[Taken], from: Instant, to: Instant) -> usize {
    let (mut fullest, mut first, mut inside) = (0, 0, 0);
    for read in taken {
        inside += read.bytes;
        while taken[first].at + WINDOW <= read.at {
            inside -= taken[first].bytes;
            first += 1;
        }
        if (from..=to).contains(&read.at) {
            fullest = fullest.max(inside);
        }
    }
    fullest
}

#[track_caller]
fn assert_took(elapsed: Duration, due: Duration) {
    let in_time = due.mul_f64(0.95)..=due.mul_f64(1.05) + BUSY;
    assert!(
        in_time.contains(&elapsed),
        "{elapsed:?} in place of {due:?}"
    );
}

#[test]
fn eight_transfers_keep_to_the_limit_exactly_and_smoothly() {
    let (dir, meter) = (temp_dir(), Meter::default());
    let limit = 2_000_000;
    let manager = metered(dir.path(), &meter, 8).bandwidth_limit(2_000_000);
    let manager = manager.open().unwrap();
    let task = manager.download_chunk(eight_files(0, 3 * limit / 8));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let taken = meter.so_far();
    assert_eq!(total(&taken), 3 * limit);
    let (first, last) = (taken[0].at, taken[taken.len() - 1].at);
    assert_took(last - first, Duration::from_secs(3));
    let fullest = fullest_window(&taken, first, last);
    assert!(fullest <= 2 * limit / 10, "{fullest} bytes in 100 ms");
}

#[test]
fn sixty_four_transfers_share_a_limit_evenly_and_smoothly() {
    let (dir, meter) = (temp_dir(), Meter::default());
    let limit = 1_000_000;
    let manager = metered(dir.path(), &meter, 64).bandwidth_limit(1_000_000);
    let manager = manager.open().unwrap();
    for n in 0..8 {
        drop(manager.download_chunk(eight_files(n, ENDLESS)));
    }
    meter.wait_until(|taken| shares(taken, 64).iter().all(|share| *share > 0));
    let before = meter.so_far().len();
    meter.wait_for_more(3 * limit / 2);
    let taken = meter.so_far();
    let shares = shares(&taken[before..], 64);
    // Nobody is left behind. Who happens to run while others sleep may get a burst more.
    let (least, all) = (shares.iter().min().unwrap(), shares.iter().sum::<usize>());
    assert!(least * 64 * 4 >= all * 3, "{shares:?}");
    let (first, last) = (taken[0].at, taken[taken.len() - 1].at);
    let fullest = fullest_window(&taken, first, last);
    assert!(fullest <= 2 * limit / 10, "{fullest} bytes in 100 ms");
    manager.shutdown(DEADLINE).unwrap();
}

#[test]
fn idle_time_is_not_saved_up() {
    let (dir, meter) = (temp_dir(), Meter::default());
    let limit = 1_000_000;
    let manager = metered(dir.path(), &meter, 8).bandwidth_limit(1_000_000);
    let manager = manager.open().unwrap();
    // The manager is idle before the first one, and again before the second one.
    for n in [0, 1] {
        std::thread::sleep(Duration::from_millis(500));
        let started = Instant::now();
        let task = manager.download_chunk(eight_files(n, limit / 16));
        task.wait_timeout(DEADLINE).unwrap().unwrap();
        let fullest = fullest_window(&meter.so_far(), started, Instant::now());
        assert!(fullest <= 2 * limit / 10, "{fullest} bytes in 100 ms");
    }
}

#[test]
fn the_limit_is_raised_lowered_and_lifted_while_transfers_wait() {
    let (dir, meter) = (temp_dir(), Meter::default());
    let manager = metered(dir.path(), &meter, 8).bandwidth_limit(1);
    let manager = manager.open().unwrap();
    drop(manager.download_chunk(eight_files(0, ENDLESS)));
    // All eight of them wait, the last for eight seconds.
    meter.wait_until(|taken| total(taken) > 0);
    for limit in [400_000, 4_000_000, 200_000] {
        manager.set_bandwidth_limit(Some(limit)).unwrap();
        let started = Instant::now();
        assert_eq!(manager.stats().bandwidth_limit, Some(limit));
        let limit = usize::try_from(limit).unwrap();
        meter.wait_for_more(limit);
        assert_took(started.elapsed(), Duration::from_secs(1));
        // Reads that the limit before had allowed may still end a moment after the change.
        let from = started + WINDOW + Duration::from_millis(50);
        let fullest = fullest_window(&meter.so_far(), from, Instant::now());
        assert!(
            fullest <= 2 * limit / 10,
            "{fullest} bytes in 100 ms at {limit}"
        );
    }
    manager.set_bandwidth_limit(None).unwrap();
    assert_eq!(manager.stats().bandwidth_limit, None);
    let started = Instant::now();
    meter.wait_for_more(10_000_000);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    manager.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_throttled_transfer_is_cancelled_at_once() {
    let (dir, meter) = (temp_dir(), Meter::default());
    let manager = metered(dir.path(), &meter, 8).bandwidth_limit(1);
    let manager = manager.open().unwrap();
    let task = manager.download_chunk(eight_files(0, ENDLESS));
    meter.wait_until(|taken| total(taken) > 0);
    let started = Instant::now();
    let gone = manager.delete_chunk(id(0));
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(
        started.elapsed() < Duration::from_millis(700),
        "{:?}",
        started.elapsed()
    );
    let error = task.wait_timeout(DEADLINE).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Superseded);
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(manager.stats().files_in_flight, 0);
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_shutdown_does_not_wait_for_throttled_transfers() {
    let (dir, meter) = (temp_dir(), Meter::default());
    let manager = metered(dir.path(), &meter, 8).bandwidth_limit(1);
    let manager = manager.open().unwrap();
    let task = manager.download_chunk(eight_files(0, ENDLESS));
    meter.wait_until(|taken| total(taken) > 0);
    let started = Instant::now();
    manager.shutdown(DEADLINE).unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    let error = task.wait_timeout(DEADLINE).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ShutDown);
}

/// A whole answer. Made beforehand, since the tests are about time.
fn answer(content: &[u8]) -> Reply {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    Reply::Raw([head.as_bytes(), content].concat())
}

#[test]
fn over_http_the_limit_holds_and_every_byte_arrives() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = builder(dir.path())
        .bandwidth_limit(1_500_000)
        .open()
        .unwrap();
    let content = bytes(1, 1_500_000);
    for name in ["a", "b"] {
        origin.serve(name, answer(&content));
    }
    let started = Instant::now();
    let files = ["a", "b"].map(|name| (name, origin.url(name)));
    let task = manager.download_chunk(chunk(1, 0..5, files));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    // Connections, syncs and the commit come on top of the two seconds.
    let elapsed = started.elapsed();
    let in_time = Duration::from_millis(1900)..Duration::from_secs(4);
    assert!(in_time.contains(&elapsed), "{elapsed:?}");
    assert_eq!(manager.stats().totals.downloaded_bytes, 3_000_000);
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert_eq!(std::fs::read(guard.path().join("b")).unwrap(), content);
}

#[test]
fn waiting_for_a_turn_is_no_stall() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let stall_timeout = Duration::from_millis(1500);
    let manager = builder(dir.path())
        .bandwidth_limit(1)
        .stall_timeout(stall_timeout);
    let manager = manager.open().unwrap();
    // More than the client's buffer, so that the socket is read again after the wait.
    origin.serve("f", answer(&bytes(1, 1 << 20)));
    let events = manager.events();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]));
    loop {
        match events.recv_timeout(DEADLINE).unwrap() {
            Event::Progress { done_bytes, .. } if done_bytes >= 2 => break,
            _ => {}
        }
    }
    manager.set_bandwidth_limit(None).unwrap();
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(manager.stats().totals.failed_attempts, 0);
    assert_eq!(origin.hits("f"), 1);
}

#[test]
fn a_limit_of_nothing_is_refused_and_the_one_before_stays() {
    let dir = temp_dir();
    let manager = builder(dir.path()).bandwidth_limit(7).open().unwrap();
    assert_eq!(manager.stats().bandwidth_limit, Some(7));
    let error = manager.set_bandwidth_limit(Some(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().starts_with("bandwidth_limit: "),
        "{error}"
    );
    assert_eq!(manager.stats().bandwidth_limit, Some(7));
    manager.set_bandwidth_limit(None).unwrap();
    assert_eq!(manager.stats().bandwidth_limit, None);
}

//! Three workers, one bucket: chunks move, a worker is killed, a document is garbled, the store goes
//! away. Whoever reads blocks meanwhile misses none. What `docs/fleet.md` says, in processes.
#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../examples/worker/main.rs"]
#[allow(dead_code, reason = "its `main` is not used")]
mod example;
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use data_manager::data_chunk::{AssignmentDocument, DataChunk};
use serde_json::Value;
use support::s3::{KEY, SECRET, Server};
use support::{DATASET, DEADLINE, bytes, chunk, temp_dir};

const BUCKET: &str = "fleet";
const CHUNKS: u8 = 12;
const BLOCKS: u64 = 10;
const WORKER_DIR: &str = "DATA_MANAGER_TEST_WORKER_DIR";
const WORKER_ASSIGNMENT: &str = "DATA_MANAGER_TEST_WORKER_ASSIGNMENT";

/// Not a test of its own: a worker process.
#[test]
fn worker_process() {
    let (Ok(dir), Ok(assignment)) = (std::env::var(WORKER_DIR), std::env::var(WORKER_ASSIGNMENT))
    else {
        return;
    };
    let args = [
        "--data-dir",
        &dir,
        "--assignment",
        &assignment,
        "--every",
        "0.02",
        "--log",
        "error",
    ];
    example::start(args.map(str::to_owned).into_iter()).unwrap();
}

/// A worker, as the scheduler sees it.
struct Worker {
    name: &'static str,
    dir: tempfile::TempDir,
    child: Mutex<Option<Child>>,
    address: Mutex<Option<SocketAddr>>,
}

impl Worker {
    fn new(name: &'static str) -> Worker {
        Worker {
            name,
            dir: temp_dir(),
            child: Mutex::default(),
            address: Mutex::default(),
        }
    }

    fn start(&self, store: &Server) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker_process", "--nocapture"])
            .env(WORKER_DIR, self.dir.path())
            .env(
                WORKER_ASSIGNMENT,
                format!("s3://{BUCKET}/{}", self.document()),
            )
            .env("AWS_ENDPOINT_URL", store.endpoint())
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            Some(line.strip_prefix("listening on http://")?.parse().unwrap())
        });
        *self.address.lock().unwrap() = Some(address.unwrap());
        *self.child.lock().unwrap() = Some(child);
    }

    /// kill -9.
    fn kill(&self) {
        *self.address.lock().unwrap() = None;
        let mut child = self.child.lock().unwrap().take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn document(&self) -> String {
        format!("assignments/{}.json", self.name)
    }

    /// The body of a 200, or why there is none.
    fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let address = self.address.lock().unwrap().ok_or("it is not running")?;
        let get = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(DEADLINE))?;
            write!(stream, "GET {path} HTTP/1.1\r\n\r\n")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        let answer = get().map_err(|error| error.to_string())?;
        let at = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = answer.split_at(at.ok_or("there is no whole answer")? + 4);
        match head.starts_with(b"HTTP/1.1 200 ") {
            true => Ok(body.to_vec()),
            false => Err(String::from_utf8_lossy(head).into_owned()),
        }
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path).unwrap()).unwrap()
    }

    fn chunks(&self) -> BTreeSet<u8> {
        let ids = self.json("/chunks");
        let number = |id: &Value| u8::from_str_radix(&id.as_str().unwrap()[..2], 16).unwrap();
        ids.as_array().unwrap().iter().map(number).collect()
    }

    fn failures(&self) -> u64 {
        self.json("/status")["assignment"]["failures"]
            .as_u64()
            .unwrap()
    }

    fn wait_for(&self, what: &str, is_so: impl Fn(&Worker) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so(self) {
            assert!(
                Instant::now() < deadline,
                "{}: {what}: {}",
                self.name,
                self.json("/status")
            );
            std::thread::yield_now();
        }
    }

    fn wait_until_it_has(&self, chunks: &BTreeSet<u8>) {
        self.wait_for("the chunks", |worker| worker.chunks() == *chunks);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn content(n: u8) -> Vec<u8> {
    bytes(n.into(), 100_000 + usize::from(n))
}

fn described(n: u8) -> DataChunk {
    let start = u64::from(n) * BLOCKS;
    let url = format!("s3://{BUCKET}/chunks/{n}/blocks");
    chunk(n, start..start + BLOCKS, [("blocks", url)])
}

/// Writes documents, and remembers what is in them.
struct Scheduler<'a> {
    store: Server,
    workers: &'a [Worker; 3],
    assigned: [BTreeSet<u8>; 3],
}

impl Scheduler<'_> {
    fn write(&self, at: usize) {
        let chunks = self.assigned[at].iter().map(|n| described(*n));
        let document = AssignmentDocument::new(chunks).to_json();
        self.store
            .put(BUCKET, &self.workers[at].document(), document.as_bytes());
    }

    fn give(&mut self, at: usize, chunks: impl IntoIterator<Item = u8>) {
        self.assigned[at].extend(chunks);
        self.write(at);
        self.workers[at].wait_until_it_has(&self.assigned[at]);
    }

    fn take(&mut self, at: usize, chunks: &[u8]) {
        self.assigned[at].retain(|n| !chunks.contains(n));
        self.write(at);
    }

    /// From one worker to another, in the order that `docs/fleet.md` gives.
    fn move_chunks(&mut self, chunks: &[u8], from: usize, to: usize) {
        self.give(to, chunks.iter().copied());
        self.take(from, chunks);
        self.workers[from].wait_until_it_has(&self.assigned[from]);
    }
}

/// Reads a block of every chunk from whoever has it, again and again.
#[derive(Default)]
struct Reader {
    stop: AtomicBool,
    rounds: AtomicU64,
    missed: Mutex<Vec<String>>,
}

impl Reader {
    fn read(&self, workers: &[Worker; 3]) {
        while !self.stop.load(Ordering::SeqCst) {
            let round = self.rounds.fetch_add(1, Ordering::SeqCst);
            for n in 0..CHUNKS {
                self.read_block(workers, n, round);
            }
        }
    }

    fn read_block(&self, workers: &[Worker; 3], n: u8, round: u64) {
        let block = u64::from(n) * BLOCKS + round % BLOCKS;
        let dataset: String = DATASET.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("/read/{dataset}/{block}/blocks");
        let mut answers = Vec::new();
        for at in 0..3 {
            let worker = &workers[(usize::from(n) + at) % 3];
            match worker.get(&path) {
                Ok(body) if body == content(n) => return,
                Ok(body) => answers.push(format!("{}: {} wrong bytes", worker.name, body.len())),
                Err(error) => answers.push(format!("{}: {error}", worker.name)),
            }
        }
        self.missed
            .lock()
            .unwrap()
            .push(format!("chunk {n}: {answers:?}"));
    }

    /// Waits until all was read once more, from now on.
    fn once_more(&self) {
        let (deadline, rounds) = (
            Instant::now() + DEADLINE,
            self.rounds.load(Ordering::SeqCst),
        );
        while self.rounds.load(Ordering::SeqCst) < rounds + 2 {
            assert!(Instant::now() < deadline && self.missed.lock().unwrap().is_empty());
            std::thread::yield_now();
        }
    }
}

/// Stops the reader, also where the test fails.
struct StopReading<'a>(&'a Reader);

impl Drop for StopReading<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

#[test]
fn no_block_is_lost_from_view_that_two_hold() {
    let Some(store) = Server::start() else { return };
    store.bucket(BUCKET);
    for n in 0..CHUNKS {
        store.put(BUCKET, &format!("chunks/{n}/blocks"), &content(n));
    }
    let workers = ["a", "b", "c"].map(Worker::new);
    let mut scheduler = Scheduler {
        store,
        workers: &workers,
        assigned: Default::default(),
    };
    for (at, worker) in workers.iter().enumerate() {
        scheduler.write(at);
        worker.start(&scheduler.store);
    }
    // Each chunk has two holders: all but one of the three.
    for (at, without) in [(0, 0), (1, 1), (2, 2)] {
        scheduler.give(at, (0..CHUNKS).filter(|n| n % 3 != without));
    }
    let reader = Reader::default();
    std::thread::scope(|scope| {
        scope.spawn(|| reader.read(&workers));
        let _stop = StopReading(&reader);
        reader.once_more();
        move_all(&mut scheduler);
        reader.once_more();
        kill_one(&mut scheduler);
        reader.once_more();
        garble(&mut scheduler, &reader);
        drop(scheduler.store);
        for worker in &workers {
            worker.wait_for("the store is away", |worker| worker.failures() > 0);
        }
        reader.once_more();
    });
    assert_eq!(*reader.missed.lock().unwrap(), [""; 0]);
}

/// The chunks whose number leaves this rest.
fn class(rest: u8) -> Vec<u8> {
    (0..CHUNKS).filter(|n| n % 3 == rest).collect()
}

/// One of the two holders of each chunk hands it to the third worker.
fn move_all(scheduler: &mut Scheduler<'_>) {
    for (rest, from, to) in [(0, 1, 0), (1, 2, 1), (2, 0, 2)] {
        scheduler.move_chunks(&class(rest), from, to);
    }
}

/// Kills a worker, and gives what it held to the others; it comes back to another assignment.
fn kill_one(scheduler: &mut Scheduler<'_>) {
    let killed = &scheduler.workers[1];
    killed.kill();
    // Of these, one holder is left: the order of the steps alone keeps them in view. Whoever reads
    // asks the one first that hands them over.
    scheduler.move_chunks(&class(2), 2, 0);
    scheduler.give(2, class(1).into_iter().chain(class(2)));
    // It still has these two of the three, and one of them is for others now.
    assert_eq!(
        scheduler.assigned[1],
        class(1).into_iter().chain(class(2)).collect()
    );
    scheduler.assigned[1].extend(class(0));
    scheduler.take(1, &class(2));
    killed.start(&scheduler.store);
    killed.wait_until_it_has(&scheduler.assigned[1]);
}

/// A document that is cut changes nothing, until there is a whole one.
fn garble(scheduler: &mut Scheduler<'_>, reader: &Reader) {
    let worker = &scheduler.workers[0];
    (scheduler.store).put(BUCKET, &worker.document(), br#"{"chunks": [{"id": "#);
    worker.wait_for("the garbled document", |worker| worker.failures() > 0);
    reader.once_more();
    assert_eq!(worker.chunks(), scheduler.assigned[0]);
    scheduler.give(0, []);
    worker.wait_for("the whole document", |worker| worker.failures() == 0);
}

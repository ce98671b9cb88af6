//! A worker process, its origin, and a client of it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use data_manager::data_chunk::{AssignmentDocument, DataChunk};
use parquet::basic::Compression;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::support::{DATASET, DEADLINE, chunk, temp_dir};
use crate::tables::Table;

/// The name that every chunk's file has.
pub(crate) const FILE: &str = "transactions.parquet";
/// What the process is to be started with, one argument a line.
pub(crate) const ARGS: &str = "DATA_MANAGER_TEST_WORKER_ARGS";

/// A directory with chunks' files and an assignment, and one for the worker.
pub(crate) struct Place {
    pub(crate) origin: tempfile::TempDir,
    pub(crate) data: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place {
            origin: temp_dir(),
            data: temp_dir(),
        }
    }

    /// Writes a chunk's file, and describes it.
    pub(crate) fn chunk(&self, n: u8, table: &Table) -> DataChunk {
        let compression = match n % 2 {
            0 => Compression::SNAPPY,
            _ => Compression::ZSTD(parquet::basic::ZstdLevel::default()),
        };
        let path = self.origin.path().join(format!("{n}.parquet"));
        std::fs::write(&path, table.to_parquet(compression)).unwrap();
        let url = format!("file://{}", path.display());
        chunk(n, table.blocks.clone(), [(FILE, url)])
    }

    pub(crate) fn assign(&self, chunks: impl IntoIterator<Item = DataChunk>) {
        self.assign_text(&AssignmentDocument::new(chunks).to_json());
    }

    pub(crate) fn assign_text(&self, text: &str) {
        let (new, document) = (self.origin.path().join("new"), self.document());
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, document).unwrap();
    }

    fn document(&self) -> PathBuf {
        self.origin.path().join("assignment.json")
    }

    pub(crate) fn start(&self, more: &[&str]) -> Worker {
        let (data, origin) = (self.data.path().display(), self.origin.path().display());
        let assignment = format!("file://{}", self.document().display());
        let args = format!(
            "--data-dir\n{data}\n--assignment\n{assignment}\n--serve-files\n{origin}\n--every\n0.02\n--log\nerror"
        );
        let args: Vec<&str> = args.lines().chain(more.iter().copied()).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker_process", "--nocapture"])
            .env(ARGS, args.join("\n"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            Some(line.split_once("listening on http://")?.1.parse().unwrap())
        });
        // Read to the end, so that the process never waits for room.
        std::thread::spawn(move || lines.for_each(drop));
        Worker {
            child,
            address: address.unwrap(),
        }
    }
}

pub(crate) struct Worker {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Worker {
    /// Connects with room for few bytes: what the client does not read, the worker cannot send for long.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(4096)?;
        socket.connect(&self.address.into())?;
        socket.set_read_timeout(Some(DEADLINE))?;
        Ok(socket.into())
    }

    /// Sends these bytes, and reads the head of what comes back.
    pub(crate) fn send(&self, bytes: &[u8]) -> Response {
        let mut stream = self.connect().unwrap();
        stream.write_all(bytes).unwrap();
        Response::read(stream)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: worker\r\n\r\n").as_bytes())
    }

    pub(crate) fn json(&self, path: &str) -> (u16, Value) {
        let response = self.get(path);
        (
            response.status,
            serde_json::from_str(&response.text()).unwrap(),
        )
    }

    /// `query`, with the dataset filled in.
    pub(crate) fn query(&self, rest: &str) -> Response {
        self.get(&format!("/query/{}/{rest}", dataset()))
    }

    pub(crate) fn wait_for(&self, path: &str, is_so: impl Fn(u16, &Value) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let (status, answer) = self.json(path);
            if is_so(status, &answer) {
                return;
            }
            assert!(Instant::now() < deadline, "{path}: {status} {answer}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn wait_for_chunks(&self, count: usize) {
        // Until connections that end are gone, there may be too many.
        self.wait_for("/chunks", |_, ids| {
            ids.as_array().is_some_and(|ids| ids.len() == count)
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn exit_status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn dataset() -> String {
    DATASET.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer whose head was read.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    body: BufReader<Body>,
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl Response {
    pub(crate) fn read(stream: TcpStream) -> Response {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = stream.read_line(&mut head).unwrap();
            assert!(read > 0, "the head is cut: {head:?}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let left = match length {
            Some(length) => Left::Bytes(length.parse().unwrap()),
            None if head.contains("\r\nTransfer-Encoding: chunked\r\n") => Left::Chunks(0),
            None => Left::UntilTheEnd,
        };
        let body = BufReader::new(Body { stream, left });
        Response { status, head, body }
    }

    /// The whole body.
    pub(crate) fn text(mut self) -> String {
        let mut text = String::new();
        self.body.read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn next_line(&mut self) -> Value {
        let mut line = String::new();
        self.body.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// The rows that are left, and the last line.
    pub(crate) fn rows(self) -> (Vec<Value>, Value) {
        let text = self.text();
        let mut lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let last = lines.pop().unwrap();
        let rows = lines
            .into_iter()
            .filter_map(|line| line.get("row").cloned());
        (rows.collect(), last)
    }
}

struct Body {
    stream: BufReader<TcpStream>,
    left: Left,
}

enum Left {
    Bytes(u64),
    /// Of this chunk.
    Chunks(u64),
    UntilTheEnd,
}

/// An end that comes too early is an error.
impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Left::Chunks(left @ 0) = &mut self.left {
            let mut size = String::new();
            self.stream.read_line(&mut size)?;
            if size == "\r\n" {
                size.clear();
                self.stream.read_line(&mut size)?;
            }
            *left = u64::from_str_radix(size.trim_end(), 16).map_err(io::Error::other)?;
            if *left == 0 {
                self.left = Left::Bytes(0);
            }
        }
        let (Left::Bytes(left) | Left::Chunks(left)) = &mut self.left else {
            return self.stream.read(buffer);
        };
        let read = (&mut self.stream).take(*left).read(buffer)?;
        *left -= read as u64;
        match (read, *left) {
            (0, 1..) => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(read),
        }
    }
}

/// Waits for what has to come.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

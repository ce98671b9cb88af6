//! An HTTP/1.1 origin on loopback: what a bucket or a web server is to a real worker.
//!
//! A thread for each connection, kept alive; `GET` with `Content-Length`, a strong `ETag`, and
//! `Range` from an offset to the end, guarded by `If-Range`: what resuming a download takes.
//! It can be told to be slow, so that there is something to watch.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;

/// Files by path, the path without its leading slash.
pub(crate) type Files = HashMap<String, Vec<u8>>;

/// How much is written at a time where the rate is limited.
const PIECE_BYTES: usize = 64 * 1024;

/// The server. Dropping it closes all connections and joins all threads.
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What the threads share.
struct Shared {
    files: Arc<Files>,
    stop: AtomicBool,
    pace: Pace,
}

/// Limits what all connections together send.
struct Pace {
    bytes_per_second: Option<f64>,
    /// When the next piece may leave.
    next: Mutex<Instant>,
}

/// What matters of a request.
struct Request {
    method: String,
    path: String,
    /// The first byte asked for, where it is not the first of all.
    offset: Option<usize>,
    /// The offset counts only if this is still the file's tag.
    if_range: Option<String>,
}

impl Origin {
    /// Serves `files` on a free port, at no more than `rate` bytes a second in all.
    pub(crate) fn start(files: Arc<Files>, rate: Option<f64>) -> anyhow::Result<Origin> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen on loopback")?;
        let address = listener.local_addr()?;
        let pace = Pace {
            bytes_per_second: rate,
            next: Mutex::new(Instant::now()),
        };
        let shared = Arc::new(Shared {
            files,
            stop: AtomicBool::new(false),
            pace,
        });
        let for_acceptor = shared.clone();
        let acceptor = thread::Builder::new()
            .name("origin".to_owned())
            .spawn(move || accept(&listener, &for_acceptor))?;
        Ok(Origin {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// The URL of the file at `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // The acceptor waits for a connection: this one tells it to look around.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = Vec::new();
    for stream in listener.incoming().flatten() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        let (Ok(handle), shared) = (stream.try_clone(), shared.clone()) else {
            continue;
        };
        // A client that goes away is no news: it comes back, and asks for the rest.
        let serve = move || drop(serve(&stream, &shared));
        if let Ok(thread) = thread::Builder::new()
            .name("origin-client".to_owned())
            .spawn(serve)
        {
            connections.push((handle, thread));
        }
    }
    for (stream, thread) in connections {
        let _ = stream.shutdown(Shutdown::Both);
        let _ = thread.join();
    }
}

/// Answers one request after the other until the client closes the connection.
fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    // Headers and body are written one after the other: nothing is to wait in between.
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        match shared.files.get(&request.path) {
            _ if request.method != "GET" => send_empty(stream, "405 Method Not Allowed")?,
            None => send_empty(stream, "404 Not Found")?,
            Some(bytes) => send(stream, &request, bytes, &shared.pace)?,
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let path = words
        .next()
        .unwrap_or_default()
        .trim_start_matches('/')
        .to_owned();
    let mut request = Request {
        method,
        path,
        offset: None,
        if_range: None,
    };
    loop {
        let mut line = String::new();
        let ended = reader.read_line(&mut line)? == 0;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok((!ended).then_some(request));
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.offset = parse_range(value.trim()),
            "if-range" => request.if_range = Some(value.trim().to_owned()),
            _ => {}
        }
    }
}

/// The offset of `bytes=<offset>-`; other ranges are ignored, as a server may.
fn parse_range(value: &str) -> Option<usize> {
    value
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

fn send(mut stream: &TcpStream, request: &Request, bytes: &[u8], pace: &Pace) -> io::Result<()> {
    let len = bytes.len();
    let tag = format!("\"{:016x}\"", xxhash_rust::xxh3::xxh3_64(bytes));
    let unchanged = request.if_range.as_ref().is_none_or(|known| *known == tag);
    let (status, body) = match request.offset.filter(|_| unchanged) {
        None => ("200 OK".to_owned(), bytes),
        Some(offset) if offset < len => {
            let range = format!("Content-Range: bytes {offset}-{}/{len}", len - 1);
            (format!("206 Partial Content\r\n{range}"), &bytes[offset..])
        }
        Some(_) => return send_empty(stream, "416 Range Not Satisfiable"),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: {tag}\r\n\r\n"
    )?;
    for piece in body.chunks(pace.piece_bytes()) {
        pace.wait_for_turn(piece.len());
        stream.write_all(piece)?;
    }
    Ok(())
}

fn send_empty(mut stream: &TcpStream, status: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
}

impl Pace {
    fn piece_bytes(&self) -> usize {
        self.bytes_per_second.map_or(usize::MAX, |_| PIECE_BYTES)
    }

    /// Takes the next free stretch of time for `len_bytes`, and sleeps until it begins.
    fn wait_for_turn(&self, len_bytes: usize) {
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        let stretch = Duration::from_secs_f64(len_bytes as f64 / rate);
        let now = Instant::now();
        let begin = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let begin = (*next).max(now);
            *next = begin + stretch;
            begin
        };
        thread::sleep(begin - now);
    }
}

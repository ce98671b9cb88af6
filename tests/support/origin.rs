//! An HTTP/1.1 origin on loopback that a test scripts: what is served under which path, and what
//! goes wrong with it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::DEADLINE;

/// What the origin does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The file, with Content-Length, an ETag, and ranges.
    File(Arc<Vec<u8>>),
    /// This status and an empty body.
    Status(u16),
    /// The file's headers and its first bytes, then the connection is closed.
    Cut(Arc<Vec<u8>>, usize),
    /// The file's headers and its first bytes, then nothing until the client goes away.
    Stall(Arc<Vec<u8>>, usize),
    /// The file, or the range of it that is asked for, as [`File`](Self::File); but after so many bytes
    /// nothing until the client goes away.
    StallRange(Arc<Vec<u8>>, usize),
    /// Nothing at all until the client goes away.
    Silence,
    /// The connection is closed before a status.
    Hangup,
    /// Exactly these bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// Exactly these bytes, then nothing until the client goes away.
    Hold(Vec<u8>),
    /// Exactly these bytes; then the connection serves on.
    Keep(Vec<u8>),
    /// Exactly these bytes; more once the gate is open; then the connection serves on.
    Surplus(Vec<u8>, Gate, Vec<u8>),
    /// Exactly these bytes, then the connection is reset.
    Reset(Vec<u8>),
    /// The first bytes, then the others again and again until the client goes away.
    Endless(Vec<u8>, Vec<u8>),
    /// The first bytes at once, the others a few at a time, then the connection is closed.
    Drip(Drip),
    /// The file, but not before the gate is opened.
    Gated(Gate, Arc<Vec<u8>>),
}

/// A reply that takes its time.
#[derive(Clone, Debug)]
pub struct Drip {
    pub bytes: Vec<u8>,
    /// How many are sent at once.
    pub first: usize,
    /// How many are sent after each pause.
    pub step: usize,
    pub pause: Duration,
}

/// Holds replies back until it is opened.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Blocks until it is open.
    pub fn wait_open(&self) {
        let deadline = Instant::now() + DEADLINE;
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it is never opened");
            open = self.0.1.wait_timeout(open, left).unwrap().0;
        }
    }

    fn wait(&self, stop: &AtomicBool) {
        let mut open = self.0.0.lock().unwrap();
        while !*open && !stop.load(Ordering::SeqCst) {
            open = self
                .0
                .1
                .wait_timeout(open, Duration::from_millis(50))
                .unwrap()
                .0;
        }
    }
}

/// What a client asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    /// By path: the replies in turn; the last one stays.
    replies: HashMap<String, Vec<Reply>>,
    requests: Vec<Request>,
    connections: Vec<Weak<TcpStream>>,
    /// Requests being answered now, and the most there ever were.
    active: usize,
    most_active: usize,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn close_connections(&self) {
        let connections = std::mem::take(&mut self.state.lock().unwrap().connections);
        for connection in connections.iter().filter_map(Weak::upgrade) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// The server. Dropping it closes every connection and joins its threads.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Origin {
    pub fn start() -> Origin {
        Origin::start_at("127.0.0.1")
    }

    /// On another address of this machine: another host.
    pub fn start_at(ip: &str) -> Origin {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let acceptor = {
            let shared = shared.clone();
            std::thread::spawn(move || accept(&listener, &shared))
        };
        Origin {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Serves `reply` under `path` from now on.
    pub fn serve(&self, path: &str, reply: Reply) {
        self.script(path, vec![reply]);
    }

    /// Serves `bytes` under `path`.
    pub fn file(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.serve(path, Reply::File(Arc::new(bytes.into())));
    }

    /// Gives these replies in turn; the last one stays.
    pub fn script(&self, path: &str, replies: Vec<Reply>) {
        self.shared
            .state
            .lock()
            .unwrap()
            .replies
            .insert(format!("/{path}"), replies);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// How often `path` was asked for.
    pub fn hits(&self, path: &str) -> usize {
        let path = format!("/{path}");
        self.requests()
            .iter()
            .filter(|request| request.path == path)
            .count()
    }

    /// The most requests that were answered at the same time.
    pub fn most_active(&self) -> usize {
        self.shared.state.lock().unwrap().most_active
    }

    /// Waits until `path` was asked for `count` times.
    pub fn wait_for_hits(&self, path: &str, count: usize) {
        self.wait_for(|state| {
            let path = format!("/{path}");
            state
                .requests
                .iter()
                .filter(|request| request.path == path)
                .count()
                >= count
        });
    }

    /// Waits until no client is being answered: whoever was stalled has gone away.
    pub fn wait_until_inactive(&self) -> Duration {
        let started = Instant::now();
        self.wait_for(|state| state.active == 0);
        started.elapsed()
    }

    fn wait_for(&self, condition: impl Fn(&State) -> bool) {
        let state = self.shared.state.lock().unwrap();
        let (_state, timeout) = self
            .shared
            .changed
            .wait_timeout_while(state, DEADLINE, |state| !condition(state))
            .unwrap();
        assert!(
            !timeout.timed_out(),
            "the origin did not see in time what it waited for"
        );
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // One connection of our own frees the acceptor.
        let _ = TcpStream::connect(self.address);
        self.shared.close_connections();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for stream in listener.incoming().flatten() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        let stream = Arc::new(stream);
        let weak = Arc::downgrade(&stream);
        shared.state.lock().unwrap().connections.push(weak);
        let shared = shared.clone();
        // The thread's is the only handle: what drops it closes the connection.
        threads.push(std::thread::spawn(move || {
            let _ = serve_connection(&stream, &shared);
        }));
    }
    shared.close_connections();
    for thread in threads {
        let _ = thread.join();
    }
}

fn serve_connection(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let reply = {
            let mut state = shared.state.lock().unwrap();
            state.requests.push(request.clone());
            state.active += 1;
            state.most_active = state.most_active.max(state.active);
            next_reply(&mut state, &request.path)
        };
        shared.changed.notify_all();
        let keep = answer(stream, &request, &reply, shared);
        shared.state.lock().unwrap().active -= 1;
        shared.changed.notify_all();
        if matches!(reply, Reply::Reset(_)) {
            // Closing resets it, if nothing was said of an end before.
            break;
        }
        if !matches!(keep, Ok(true)) {
            let _ = stream.shutdown(Shutdown::Both);
            break;
        }
    }
    Ok(())
}

fn next_reply(state: &mut State, path: &str) -> Reply {
    match state.replies.get_mut(path) {
        None => Reply::Status(404),
        Some(replies) if replies.len() > 1 => replies.remove(0),
        Some(replies) => replies[0].clone(),
    }
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            None => return Ok(Some(Request { path, headers })),
        }
    }
}

/// Answers; true if the connection may serve another request.
fn answer(
    mut stream: &TcpStream,
    request: &Request,
    reply: &Reply,
    shared: &Shared,
) -> std::io::Result<bool> {
    match reply {
        Reply::File(bytes) => send_file(stream, request, bytes),
        Reply::Gated(gate, bytes) => {
            gate.wait(&shared.stop);
            send_file(stream, request, bytes)
        }
        Reply::Status(status) => {
            write!(
                stream,
                "HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\n\r\n"
            )?;
            Ok(true)
        }
        Reply::Cut(bytes, count) => {
            send_start(stream, bytes, *count)?;
            Ok(false)
        }
        Reply::Stall(bytes, count) => {
            send_start(stream, bytes, *count)?;
            wait_for_close(stream);
            Ok(false)
        }
        Reply::StallRange(bytes, count) => {
            send_range(stream, request, bytes, *count)?;
            wait_for_close(stream);
            Ok(false)
        }
        Reply::Silence => {
            wait_for_close(stream);
            Ok(false)
        }
        Reply::Hangup => Ok(false),
        Reply::Raw(bytes) => {
            stream.write_all(bytes)?;
            Ok(false)
        }
        Reply::Hold(bytes) => {
            stream.write_all(bytes)?;
            wait_for_close(stream);
            Ok(false)
        }
        Reply::Drip(drip) => {
            send_drip(stream, drip)?;
            Ok(false)
        }
        Reply::Keep(bytes) => {
            stream.write_all(bytes)?;
            Ok(true)
        }
        Reply::Surplus(bytes, gate, more) => {
            stream.write_all(bytes)?;
            gate.wait(&shared.stop);
            stream.write_all(more)?;
            Ok(true)
        }
        Reply::Reset(bytes) => {
            stream.write_all(bytes)?;
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            Ok(false)
        }
        Reply::Endless(first, again) => {
            stream.write_all(first)?;
            loop {
                stream.write_all(again)?;
            }
        }
    }
}

/// A strong ETag: it changes whenever the bytes do.
pub fn etag(bytes: &[u8]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:x}\"", hasher.finish())
}

fn send_file(stream: &TcpStream, request: &Request, bytes: &[u8]) -> std::io::Result<bool> {
    send_range(stream, request, bytes, usize::MAX)?;
    Ok(true)
}

/// The headers of what is asked for, and at most `count` bytes of it.
fn send_range(
    mut stream: &TcpStream,
    request: &Request,
    bytes: &[u8],
    count: usize,
) -> std::io::Result<()> {
    let (tag, len) = (etag(bytes), bytes.len());
    let offset = request
        .headers
        .get("range")
        .filter(|_| {
            request
                .headers
                .get("if-range")
                .is_none_or(|known| *known == tag)
        })
        .and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        });
    match offset {
        Some(offset) if offset < len => {
            let (last, rest) = (len - 1, len - offset);
            write!(
                stream,
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {offset}-{last}/{len}\r\n\
                 Content-Length: {rest}\r\nETag: {tag}\r\n\r\n"
            )?;
            let end = len.min(offset.saturating_add(count));
            stream.write_all(&bytes[offset..end])?;
        }
        Some(_) => {
            write!(
                stream,
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n"
            )?;
        }
        None => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nETag: {tag}\r\n\r\n"
            )?;
            stream.write_all(&bytes[..len.min(count)])?;
        }
    }
    Ok(())
}

fn send_start(mut stream: &TcpStream, bytes: &[u8], count: usize) -> std::io::Result<()> {
    let (tag, len) = (etag(bytes), bytes.len());
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nETag: {tag}\r\n\r\n"
    )?;
    stream.write_all(&bytes[..count])?;
    stream.flush()
}

fn send_drip(mut stream: &TcpStream, drip: &Drip) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // The pause is a read that ends early if the client goes away.
    stream.set_read_timeout(Some(drip.pause))?;
    let (first, rest) = drip.bytes.split_at(drip.first);
    stream.write_all(first)?;
    for bytes in rest.chunks(drip.step) {
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return Ok(()),
        }
        stream.write_all(bytes)?;
    }
    Ok(())
}

fn wait_for_close(mut stream: &TcpStream) {
    let mut buffer = [0; 64];
    while matches!(stream.read(&mut buffer), Ok(count) if count > 0) {}
}

//! An HTTP/1.1 origin on loopback that has every file of the pool, and answers some requests wrongly.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;

use crate::faults::{Fault, Tally};
use crate::pool::Content;

/// The server. Dropping it closes every connection and joins its threads.
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    seed: u64,
    /// The part of the requests that goes wrong, while `faulty`.
    rate: f64,
    faulty: AtomicBool,
    /// It hangs up on everybody.
    down: AtomicBool,
    stop: AtomicBool,
    /// How often each file was asked for.
    turns: Mutex<HashMap<(Content, u32), u32>>,
    connections: Mutex<Vec<Weak<TcpStream>>>,
    tally: Tally,
    requests: AtomicU64,
}

/// What matters of a request.
#[derive(Default)]
struct Request {
    path: String,
    /// The first byte asked for, where it is not the first of all.
    offset: Option<usize>,
    /// The offset counts only if this is still the file's tag.
    if_range: Option<String>,
}

impl Origin {
    pub(crate) fn start(seed: u64, rate: f64) -> anyhow::Result<Origin> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen on loopback")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            seed,
            rate,
            faulty: AtomicBool::new(true),
            down: AtomicBool::default(),
            stop: AtomicBool::default(),
            turns: Mutex::default(),
            connections: Mutex::default(),
            tally: Tally::default(),
            requests: AtomicU64::default(),
        });
        let for_acceptor = shared.clone();
        let acceptor = std::thread::spawn(move || accept(&listener, &for_acceptor));
        Ok(Origin {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// What all URLs begin with.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether some answers are wrong.
    pub(crate) fn set_faulty(&self, faulty: bool) {
        self.shared.faulty.store(faulty, Ordering::SeqCst);
    }

    /// Whether it hangs up on whoever comes, and on whoever is there.
    pub(crate) fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
        if down {
            self.shared.hang_up();
        }
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // One connection of our own frees the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn hang_up(&self) {
        for connection in self.connections.lock().iter().filter_map(Weak::upgrade) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn keep(&self, stream: &Arc<TcpStream>) {
        let mut connections = self.connections.lock();
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Arc::downgrade(stream));
    }

    fn draw(&self, content: Content, file: u32) -> Option<Fault> {
        if !self.faulty.load(Ordering::SeqCst) {
            return None;
        }
        let turn = {
            let mut turns = self.turns.lock();
            let turn = turns.entry((content, file)).or_default();
            *turn += 1;
            *turn
        };
        let Content { n, revision } = content;
        let path = u64::from(n) << 16 | u64::from(revision) << 2 | u64::from(file);
        let fault = Fault::draw(self.seed, self.rate, path, turn, content.has_digest());
        fault.inspect(|fault| self.tally.count(*fault))
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming().flatten() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        if shared.down.load(Ordering::SeqCst) {
            continue;
        }
        // The thread's is the only lasting handle: what drops it closes the connection.
        let stream = Arc::new(stream);
        shared.keep(&stream);
        let shared = shared.clone();
        threads.retain(|thread| !thread.is_finished());
        threads.push(std::thread::spawn(move || {
            // A client that goes away is no news.
            let _ = serve(&stream, &shared);
        }));
    }
    shared.hang_up();
    for thread in threads {
        let _ = thread.join();
    }
}

/// Answers one request after the other until the client goes, or an answer ends the connection.
fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        if shared.down.load(Ordering::SeqCst) {
            break;
        }
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let go_on = match parse_path(&request.path) {
            Some((content, file)) => {
                let fault = shared.draw(content, file);
                Answer::new(&request, content, file).send(stream, fault)?
            }
            None => send_empty(stream, "404 Not Found", "")?,
        };
        if !go_on {
            break;
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default();
    let mut request = Request {
        path: path.to_owned(),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        let ended = reader.read_line(&mut line)? == 0;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok((!ended).then_some(request));
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let offset = value.strip_prefix("bytes=");
                let offset = offset.and_then(|rest| rest.strip_suffix('-'));
                request.offset = offset.and_then(|offset| offset.parse().ok());
            }
            "if-range" => request.if_range = Some(value.to_owned()),
            _ => {}
        }
    }
}

/// `/<number>/<revision>/<file>`.
fn parse_path(path: &str) -> Option<(Content, u32)> {
    let mut words = path.strip_prefix('/')?.split('/');
    let mut word = || words.next()?.parse::<u32>().ok();
    let (n, revision, file) = (word()?, word()?, word()?);
    let content = Content { n, revision };
    (file < content.files()).then_some((content, file))
}

/// An answer that is right.
struct Answer {
    /// Status line and headers, without the length.
    head: String,
    /// Where the answer has a body.
    body: Option<Vec<u8>>,
}

impl Answer {
    fn new(request: &Request, content: Content, file: u32) -> Answer {
        let tag = format!("\"{}-{}-{file}\"", content.n, content.revision);
        let mut bytes = content.bytes(file);
        let len = bytes.len();
        let unchanged = request.if_range.as_ref().is_none_or(|known| *known == tag);
        match request.offset.filter(|_| unchanged) {
            None => Answer {
                head: format!("200 OK\r\nETag: {tag}"),
                body: Some(bytes),
            },
            Some(offset) if offset < len => {
                bytes.drain(..offset);
                let last = len - 1;
                let range = format!("Content-Range: bytes {offset}-{last}/{len}");
                Answer {
                    head: format!("206 Partial Content\r\nETag: {tag}\r\n{range}"),
                    body: Some(bytes),
                }
            }
            Some(_) => Answer {
                head: format!("416 Range Not Satisfiable\r\nContent-Range: bytes */{len}"),
                body: None,
            },
        }
    }

    /// Whether the connection may serve another request.
    fn send(self, stream: &TcpStream, fault: Option<Fault>) -> io::Result<bool> {
        let Some(mut body) = self.body else {
            return send_empty(stream, &self.head, "");
        };
        let len = body.len();
        let part = |bytes: &[u8]| send(stream, &self.head, len, bytes);
        match fault {
            None => return part(&body),
            Some(Fault::Changed) => {
                body[len / 2] ^= 1;
                return part(&body);
            }
            Some(Fault::Error) => return send_empty(stream, "500 Internal Server Error", ""),
            Some(Fault::Busy) => {
                return send_empty(stream, "503 Service Unavailable", "Retry-After: 1\r\n");
            }
            Some(Fault::WrongLength) => _ = send(stream, &self.head, len + 1, &body)?,
            Some(Fault::Cut) => _ = part(&body[..len / 3])?,
            Some(Fault::Stall) => {
                part(&body[..len / 2])?;
                wait_for_close(stream);
            }
            Some(Fault::Reset) => {
                // Half of them in the middle of the body.
                if len.is_multiple_of(2) {
                    part(&body[..len / 2])?;
                }
                // Closing resets it, if nothing was said of an end before.
                socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            }
        }
        Ok(false)
    }
}

fn send(mut stream: &TcpStream, head: &str, len: usize, body: &[u8]) -> io::Result<bool> {
    let mut bytes = format!("HTTP/1.1 {head}\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes)?;
    Ok(true)
}

fn send_empty(mut stream: &TcpStream, head: &str, more: &str) -> io::Result<bool> {
    write!(stream, "HTTP/1.1 {head}\r\n{more}Content-Length: 0\r\n\r\n")?;
    Ok(true)
}

fn wait_for_close(mut stream: &TcpStream) {
    let mut buffer = [0; 64];
    while matches!(stream.read(&mut buffer), Ok(count) if count > 0) {}
}

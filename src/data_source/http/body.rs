//! Long bodies, straight from the socket into the copy buffer.
//!
//! `ureq` reads a body into a buffer of its own, and its protocol crate looks at each piece again. That is
//! fine for small files; for large ones it is a second copy and more. So where the headers frame the
//! body by its length, and there is no TLS, `ureq` is read from only until its buffer is empty
//! (from then on its socket gives it no more), and the rest of the length is read from the
//! socket. No byte behind the body is taken: the connection is as good for the next request as `ureq`
//! would have left it, and goes to the agent's [`Tap`] for that.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;
use ureq::http::{Response, Version, header};
use ureq::{Body, Timeout};

use super::connect::{is_quiet, is_timeout};
use super::line::Line;
use super::splice::Pipe;
use crate::data_source::Copied;

/// Shorter bodies stay with `ureq`, most of them being in its buffer already.
const STRAIGHT_MIN_BYTES: u64 = 512 * 1024;

/// The plain connections of one agent, as far as its bodies are read without `ureq`.
#[derive(Default)]
pub(super) struct Tap {
    /// Whether `ureq` gets nothing more from the connection that it asked on.
    shut: AtomicBool,
    /// Held for a moment; no socket is read or closed under it.
    sockets: Mutex<Sockets>,
}

#[derive(Default)]
struct Sockets {
    /// What the last request went out on, if there is neither TLS nor a proxy. Whether it is
    /// closed afterwards is `ureq`'s to say.
    asked: Weak<TcpStream>,
    /// What a body was read from to its end, and when.
    spare: Option<(Arc<TcpStream>, Instant)>,
}

impl Tap {
    /// A request goes out on a connection; `None` if it is one that may not be read from here.
    pub(super) fn asked_on(&self, stream: Option<&Arc<TcpStream>>) {
        self.shut.store(false, Ordering::Relaxed);
        self.sockets.lock().asked = stream.map(Arc::downgrade).unwrap_or_default();
    }

    /// What `ureq` is told that reads from its connection, if the rest of that is not for it.
    pub(super) fn refusal(&self) -> Option<io::Error> {
        let shut = self.shut.load(Ordering::Relaxed);
        shut.then(|| io::Error::new(io::ErrorKind::WouldBlock, Shut))
    }

    /// A connection to one of these addresses that is idle since at most `max_age`, and still good.
    pub(super) fn take_spare(
        &self,
        max_age: Duration,
        leads_there: impl Fn(&TcpStream) -> bool,
    ) -> Option<Arc<TcpStream>> {
        let (stream, since) = self.sockets.lock().spare.take()?;
        let good = since.elapsed() <= max_age && leads_there(&stream) && is_quiet(&stream);
        good.then_some(stream)
    }

    fn keep(&self, stream: Arc<TcpStream>) {
        let spare = Some((stream, Instant::now()));
        let before = std::mem::replace(&mut self.sockets.lock().spare, spare);
        drop(before);
    }

    fn asked(&self) -> Option<Arc<TcpStream>> {
        self.sockets.lock().asked.upgrade()
    }
}

/// Ends what `ureq` reads, and is seen by nobody else.
#[derive(Debug)]
struct Shut;

impl fmt::Display for Shut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rest of the body is read elsewhere")
    }
}

impl Error for Shut {}

fn is_shut(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(<dyn Error + Send + Sync>::is::<Shut>)
}

/// What the headers say about where the body ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framing {
    /// Its length, if it comes as it is.
    len_bytes: Option<u64>,
    /// Whether the connection is good for another request afterwards.
    keeps: bool,
}

impl Framing {
    pub(super) fn of(response: &Response<Body>) -> Framing {
        let headers = response.headers();
        let coded = headers.contains_key(header::TRANSFER_ENCODING);
        let goes_on =
            |value: &ureq::http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
        let mut said = headers.get_all(header::CONNECTION).iter();
        Framing {
            len_bytes: response.body().content_length().filter(|_| !coded),
            keeps: response.version() == Version::HTTP_11 && said.all(goes_on),
        }
    }
}

/// A body that is read without `ureq` once the buffer of that is empty.
pub(super) struct Straight {
    socket: Arc<TcpStream>,
    /// Of the body.
    left_bytes: u64,
    keeps: bool,
    /// Whether `ureq` has no more of it.
    drained: bool,
    /// The longest that one read may wait.
    stall_timeout: Duration,
    /// What the socket is set to.
    read_timeout: Option<Duration>,
    splicing: Splicing,
    /// What was in the pipe when the file took no more.
    leftover: VecDeque<u8>,
    /// What the next read ends in.
    failure: Option<io::Error>,
}

/// Whether the kernel may take the body out of the socket by itself.
enum Splicing {
    /// It was not tried yet.
    Perhaps,
    By(Pipe),
    Never,
}

impl Straight {
    /// `None` if the body is to be read through `ureq`.
    pub(super) fn new(line: &Line, framing: Framing, stall_timeout: Duration) -> Option<Straight> {
        let socket = line.tap.asked()?;
        let left_bytes = framing.len_bytes?;
        if left_bytes < STRAIGHT_MIN_BYTES {
            return None;
        }
        line.tap.shut.store(true, Ordering::Relaxed);
        Some(Straight {
            socket,
            left_bytes,
            keeps: framing.keeps,
            drained: false,
            stall_timeout,
            read_timeout: None,
            splicing: Splicing::Perhaps,
            leftover: VecDeque::new(),
            failure: None,
        })
    }

    /// Reads what comes next, `body` being `ureq`'s reader.
    pub(super) fn read(
        &mut self,
        body: &mut Box<dyn Read + Send>,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        if !self.drained {
            match body.read(buffer) {
                Err(error) if is_shut(&error) => {
                    // `ureq` lets go of its connection, which ours keeps open.
                    *body = Box::new(io::empty());
                    self.drained = true;
                }
                read => {
                    let count = read?;
                    self.left_bytes = self.left_bytes.saturating_sub(count as u64);
                    return Ok(count);
                }
            }
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if !self.leftover.is_empty() {
            return self.leftover.read(buffer);
        }
        let most = usize::try_from(self.left_bytes).unwrap_or(usize::MAX);
        let room = buffer.len().min(most);
        if room == 0 {
            return Ok(0);
        }
        let count = self.receive(&mut buffer[..room])?;
        if count == 0 {
            let reason = "the connection ended before the body";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        self.left_bytes -= count as u64;
        Ok(count)
    }

    /// Whether it is worth asking for a copy of what comes next.
    pub(super) fn copies(&self) -> bool {
        let nothing_else = self.failure.is_none() && self.leftover.is_empty();
        self.drained && nothing_else && !matches!(self.splicing, Splicing::Never)
    }

    /// Has the kernel put what comes next to byte `at` of `target`; none if it is to be read.
    pub(super) fn copy_into(&mut self, target: &File, at: u64, len: usize) -> Copied {
        let len = usize::try_from(self.left_bytes).map_or(len, |left| left.min(len));
        if !self.copies() || len == 0 {
            return Copied::default();
        }
        let asked = Instant::now();
        if matches!(self.splicing, Splicing::Perhaps) {
            self.splicing = Pipe::new().map_or(Splicing::Never, Splicing::By);
        }
        let Splicing::By(pipe) = &mut self.splicing else {
            return Copied::default();
        };
        if self.read_timeout != Some(self.stall_timeout) {
            if self
                .socket
                .set_read_timeout(Some(self.stall_timeout))
                .is_err()
            {
                return Copied::default();
            }
            self.read_timeout = Some(self.stall_timeout);
        }
        let came = match pipe.fill(&self.socket, len) {
            Ok(came) => came,
            Err(error) => {
                // A read would wait once more. Of all else, a read tells what it is.
                self.failure = (error == Errno::AGAIN).then(stalled);
                return Copied::default();
            }
        };
        let waited = asked.elapsed();
        self.left_bytes -= came as u64;
        let count = pipe.empty_into(target, at, came);
        if count < came {
            // Writing what is left tells what the file has against it.
            match pipe.take(came - count) {
                Ok(bytes) => self.leftover = bytes.into(),
                Err(error) => self.failure = Some(error),
            }
            self.splicing = Splicing::Never;
        }
        Copied { count, waited }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (started, mut wait) = (Instant::now(), self.stall_timeout);
        loop {
            if wait.is_zero() {
                return Err(stalled());
            }
            if self.read_timeout != Some(wait) {
                self.socket.set_read_timeout(Some(wait))?;
                self.read_timeout = Some(wait);
            }
            match (&*self.socket).read(buffer) {
                // A signal: Linux does not go on with a read that has a time-out.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    wait = self.stall_timeout.saturating_sub(started.elapsed());
                }
                Err(error) if is_timeout(&error) => return Err(stalled()),
                read => return read,
            }
        }
    }

    /// The body was read to its end: its connection is for the agent's next request.
    pub(super) fn finish(self, line: &Line) {
        let all_read = self.left_bytes == 0 && self.leftover.is_empty();
        if self.drained && all_read && self.keeps {
            line.tap.keep(self.socket);
        }
    }
}

/// What `ureq` says where no byte comes in time.
fn stalled() -> io::Error {
    ureq::Error::Timeout(Timeout::PerRead).into_io()
}

#[cfg(test)]
mod tests;

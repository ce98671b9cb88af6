//! A connection on which nothing takes longer than it may, however little it brings each time.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How long nothing at all may move.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long and how much is read after the answer, until the client hangs up.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// A client, and until when it has time.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    deadline: Instant,
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Client {
        Client {
            stream,
            deadline: Instant::now(),
        }
    }

    pub(crate) fn until(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Says that all was sent, and waits for a moment until the client has it. A socket that is closed
    /// with something unread in it, such as a second request, resets the connection, and the answer may
    /// be lost with it.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        self.until(Instant::now() + LINGER);
        // Whatever comes of it, all was sent.
        let _ = io::copy(&mut self.take(LINGER_BYTES), &mut io::sink());
        Ok(())
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(Some(left.min(PATIENCE))),
        }
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A socket whose time is over says that it would block.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

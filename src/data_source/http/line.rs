//! The line that one transfer is on: what it waits in, and how it is broken off there.
//!
//! `ureq` passes nothing of ours to a connector or a resolver, so each agent has a line that its
//! resolver, its connector and its sockets share. Breaking the line frees whoever waits in one of
//! them, at whatever stage the transfer is. A broken line is not mended: its agent goes with it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::Weak;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::body::Tap;

/// Something that a transfer waits in.
pub(super) trait Breakable: Send + Sync {
    /// Makes whoever waits here return soon, now and from now on. Must not block.
    fn break_off(&self);
}

impl Breakable for TcpStream {
    fn break_off(&self) {
        // An error means that the socket is closed already, or (which wakes a connect that is
        // about to begin all the same) that it is not connected yet.
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Line {
    /// Held for a moment; nothing is broken off and nothing is waited for under it.
    state: Mutex<State>,
    /// Its plain connections, for bodies that are read straight from them.
    pub(super) tap: Tap,
}

#[derive(Default)]
struct State {
    broken: bool,
    /// What is in use, and idle connections. At most a few: the dead are thrown out by `hold`.
    parts: Vec<Weak<dyn Breakable>>,
    /// When waiting is over, however much of it each single wait has left.
    deadline: Option<Instant>,
    /// Whom the last connection that was made leads to. An agent has one at a time.
    peer: Option<IpAddr>,
}

impl Line {
    /// From now on, waits on sockets are over after `limit` in all.
    pub(super) fn limit(&self, limit: Duration) {
        let deadline = Instant::now().checked_add(limit);
        self.state.lock().deadline = deadline;
    }

    /// What is left of the limit; `None` without one.
    pub(super) fn left(&self) -> Option<Duration> {
        let deadline = self.state.lock().deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// A connection was made.
    pub(super) fn connected_to(&self, peer: IpAddr) {
        self.state.lock().peer = Some(peer);
    }

    /// Whom the connection leads to.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.state.lock().peer
    }

    /// Has `part` broken off when the line is.
    ///
    /// # Errors
    /// If the line is broken already.
    pub(super) fn hold(&self, part: Weak<dyn Breakable>) -> Result<(), ureq::Error> {
        let mut state = self.state.lock();
        if state.broken {
            return Err(cancelled().into());
        }
        state.parts.retain(|part| part.strong_count() > 0);
        state.parts.push(part);
        Ok(())
    }

    /// Frees whoever waits on this line, and lets nobody wait on it any more.
    pub(super) fn break_off(&self) {
        let parts = {
            let mut state = self.state.lock();
            state.broken = true;
            std::mem::take(&mut state.parts)
        };
        for part in parts.iter().filter_map(Weak::upgrade) {
            part.break_off();
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state.lock().broken
    }

    /// How many parts there are to break off.
    #[cfg(test)]
    pub(super) fn parts(&self) -> usize {
        self.state.lock().parts.len()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("broken", &self.is_broken())
            .finish_non_exhaustive()
    }
}

/// What a wait that was broken off ends in. Nobody reads it: the transfer was cancelled.
pub(super) fn cancelled() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the transfer is cancelled",
    )
}

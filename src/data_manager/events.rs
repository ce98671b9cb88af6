//! What happens, told to whoever subscribed.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::Serialize;

use crate::data_chunk::{ChunkId, hex_chunk_id, hex_optional_chunk_id};
use crate::data_source::{SpaceArea, SpaceShortage};
use crate::error::Error;

/// Something that happened. In JSON: an object with the name in `event` and the fields beside it.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A chunk is asked for that is not there.
    #[non_exhaustive]
    Wanted {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
    },
    /// An attempt to fetch a chunk began.
    #[non_exhaustive]
    Started {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// 1 for the first attempt, one more after each failure in a row.
        attempt: u32,
    },
    /// Bytes arrived. At most one every 200 ms for each chunk.
    #[non_exhaustive]
    Progress {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// Bytes staged so far, over all files.
        done_bytes: u64,
        /// Bytes in all, once every file's length is known; a file that still waits for a slot
        /// has not said how long it is.
        total_bytes: Option<u64>,
    },
    /// An attempt failed in a way that may pass; there will be another one.
    #[non_exhaustive]
    Retried {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// How many attempts failed in a row.
        attempt: u32,
        /// When the next one is due, in ms from now.
        delay_ms: u64,
        /// Why it failed.
        error: Error,
    },
    /// An attempt failed in a way that no retry can mend. It is tried again all the same, at the
    /// longest backoff, until the chunk is deleted.
    #[non_exhaustive]
    Failed {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// Why it failed.
        error: Error,
    },
    /// A host failed for everybody several times in a row, and is given a rest: no file is asked of
    /// it until then.
    #[non_exhaustive]
    HostResting {
        /// Host and port as the URLs write them, or a scheme where they name no host.
        host: String,
        /// When it is tried again, in ms from now.
        delay_ms: u64,
    },
    /// A host that was given a rest answers again.
    #[non_exhaustive]
    HostBack {
        /// As in [`HostResting`](Event::HostResting).
        host: String,
    },
    /// A chunk is visible.
    #[non_exhaustive]
    Available {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// The bytes of its files.
        len_bytes: u64,
    },
    /// A download that had not ended was reversed or replaced by a later call.
    #[non_exhaustive]
    Superseded {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
    },
    /// A chunk is no longer wanted, and no longer visible if it was.
    #[non_exhaustive]
    Unwanted {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
    },
    /// A chunk's directory is gone.
    #[non_exhaustive]
    Removed {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
    },
    /// A chunk was found damaged: it is not visible any more, or not to be, and is fetched again if
    /// its URLs are known.
    #[non_exhaustive]
    Damaged {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// What is wrong with it.
        error: Error,
    },
    /// Every byte of a chunk was read again, for `verify` or by the scrub, and is what was committed.
    #[non_exhaustive]
    Verified {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
    },
    /// The scrub has come past all chunks that were visible when its round began.
    #[non_exhaustive]
    ScrubRound {
        /// How many were what was committed.
        chunks: u64,
        /// How many were not.
        damaged: u64,
    },
    /// A chunk's directory was moved to `_quarantine`, or holds something foreign and was.
    #[non_exhaustive]
    Quarantined {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// Where it is now.
        path: std::path::PathBuf,
    },
    /// Something that is not the library's lies in the data directory. It is left alone.
    #[non_exhaustive]
    Foreign {
        /// Where it is.
        path: std::path::PathBuf,
    },
    /// A directory of the library's cannot be read: the disk denies it, or a later version of the
    /// library wrote it. It is left alone, and tried again at the next start; if it is a chunk's, that
    /// is no longer visible.
    #[non_exhaustive]
    Unreadable {
        /// Where it is.
        path: std::path::PathBuf,
        /// What the disk said.
        error: Error,
    },
    /// There is too little room on the disk, or of what the limits leave of it: nothing is fetched
    /// until something was removed or a time has passed. Told again if the reason changes.
    #[non_exhaustive]
    SpaceShort {
        /// What there is too little of.
        reason: SpaceShortage,
        /// How much was needed, and how much there was.
        error: Error,
    },
    /// A chunk found room after there was too little, or nothing is left that needs it.
    SpaceBack,
    /// What the library counted in a part of its directory is not what is there. It goes by what is
    /// there from now on.
    #[non_exhaustive]
    LedgerOff {
        /// Which part.
        area: SpaceArea,
        /// What was counted.
        counted_bytes: u64,
        /// What is there.
        found_bytes: u64,
    },
    /// The local disk failed; what was to be done is tried again.
    #[non_exhaustive]
    DiskTrouble {
        /// The chunk concerned, if it was about one.
        #[serde(with = "hex_optional_chunk_id")]
        chunk_id: Option<ChunkId>,
        /// What the disk said.
        error: Error,
    },
    /// A document that is followed said something new, which is the wanted set now.
    #[non_exhaustive]
    AssignmentTaken {
        /// How many chunks are in it.
        chunks: usize,
        /// How many of them cannot be right, or have a URL that no source serves: all but these are
        /// wanted. [`FollowStatus`](super::FollowStatus) has the reason for the first of them.
        refused: usize,
    },
    /// A document that is followed could not be had or understood: the last good one holds.
    #[non_exhaustive]
    AssignmentFailed {
        /// Why.
        error: Error,
    },
    /// This subscriber was too slow: the oldest events were dropped.
    #[non_exhaustive]
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Event {
    /// Whether it says what is wrong with the data directory: the first subscriber is told also of
    /// those that came before it.
    fn is_finding(&self) -> bool {
        matches!(
            self,
            Event::Damaged { .. }
                | Event::Quarantined { .. }
                | Event::Foreign { .. }
                | Event::Unreadable { .. }
                | Event::LedgerOff { .. }
                | Event::DiskTrouble { .. }
        )
    }
}

/// A subscription to what happens: [`recv`](Self::recv) and friends, or an iterator that ends with
/// the manager. Dropping it unsubscribes.
///
/// The queue is bounded. A subscriber that is too slow loses the oldest events and is told how
/// many by an [`Event::Lagged`]; it never slows the manager down.
#[derive(Debug)]
pub struct Events {
    queue: Arc<EventQueue>,
}

#[derive(Debug)]
struct EventQueue {
    capacity: usize,
    /// Protects the queue only; nobody is called under it.
    state: Mutex<QueueState>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    events: VecDeque<Event>,
    missed: u64,
    closed: bool,
}

/// No event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// There is none now, or none came in the given time.
    Empty,
    /// The manager is shut down and every event was received.
    Closed,
}

impl std::fmt::Display for RecvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RecvError::Empty => "no event came in time",
            RecvError::Closed => "the manager is shut down",
        })
    }
}

impl std::error::Error for RecvError {}

impl Events {
    /// The next event; blocks until there is one.
    ///
    /// # Errors
    /// [`RecvError::Closed`] once the manager is shut down and the queue is empty.
    pub fn recv(&self) -> Result<Event, RecvError> {
        self.recv_until(None)
    }

    /// The next event; blocks for at most `timeout`.
    ///
    /// # Errors
    /// [`RecvError::Empty`] if none came in that time; otherwise as [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Event, RecvError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// The next event, if there is one.
    ///
    /// # Errors
    /// [`RecvError::Empty`] if there is none; otherwise as [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Event, RecvError> {
        self.recv_until(Some(Instant::now()))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<Event, RecvError> {
        let mut state = self.queue.state.lock();
        loop {
            if let Some(event) = state.next() {
                return Ok(event);
            }
            if state.closed {
                return Err(RecvError::Closed);
            }
            match deadline {
                None => self.queue.arrived.wait(&mut state),
                Some(deadline) => {
                    let timed_out = self
                        .queue
                        .arrived
                        .wait_until(&mut state, deadline)
                        .timed_out();
                    if timed_out && state.events.is_empty() && !state.closed {
                        return Err(RecvError::Empty);
                    }
                }
            }
        }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv().ok()
    }
}

impl QueueState {
    fn next(&mut self) -> Option<Event> {
        match std::mem::take(&mut self.missed) {
            0 => self.events.pop_front(),
            missed => Some(Event::Lagged { missed }),
        }
    }
}

/// The subscribers of one manager.
#[derive(Debug)]
pub(super) struct EventHub {
    capacity: usize,
    /// Protects the list of subscribers, and what is kept for the first.
    subscribers: Mutex<Subscribers>,
}

#[derive(Debug, Default)]
struct Subscribers {
    queues: Vec<Weak<EventQueue>>,
    /// What was found on disk, until somebody subscribes for the first time: nobody can before the
    /// manager is open, and the check behind the start does not wait for them.
    kept: VecDeque<Event>,
    missed: u64,
    /// Whether somebody subscribed yet.
    had_one: bool,
    closed: bool,
}

impl EventHub {
    /// `capacity`: how many events wait for each subscriber, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        EventHub {
            capacity: capacity.max(1),
            subscribers: Mutex::default(),
        }
    }

    pub(super) fn subscribe(&self) -> Events {
        let mut subscribers = self.subscribers.lock();
        subscribers.had_one = true;
        let state = QueueState {
            events: std::mem::take(&mut subscribers.kept),
            missed: std::mem::take(&mut subscribers.missed),
            closed: subscribers.closed,
        };
        let queue = Arc::new(EventQueue {
            capacity: self.capacity,
            state: Mutex::new(state),
            arrived: Condvar::new(),
        });
        subscribers.queues.push(Arc::downgrade(&queue));
        Events { queue }
    }

    /// Puts an event into every queue, and wakes nobody: that is for [`notify`](Self::notify),
    /// after the caller let go of its locks.
    pub(super) fn push(&self, event: &Event) {
        let mut subscribers = self.subscribers.lock();
        if !subscribers.had_one && event.is_finding() {
            if subscribers.kept.len() < self.capacity {
                subscribers.kept.push_back(event.clone());
            } else {
                subscribers.missed += 1;
            }
            return;
        }
        subscribers.queues.retain(|queue| match queue.upgrade() {
            None => false,
            Some(queue) => {
                queue.push(event.clone());
                true
            }
        });
    }

    /// Wakes whoever waits for an event.
    pub(super) fn notify(&self) {
        for queue in self.queues() {
            queue.arrived.notify_all();
        }
    }

    /// Whether anybody listens.
    pub(super) fn has_subscribers(&self) -> bool {
        !self.subscribers.lock().queues.is_empty()
    }

    /// No event will follow.
    pub(super) fn close(&self) {
        self.subscribers.lock().closed = true;
        for queue in self.queues() {
            queue.state.lock().closed = true;
            queue.arrived.notify_all();
        }
    }

    fn queues(&self) -> Vec<Arc<EventQueue>> {
        let subscribers = self.subscribers.lock();
        subscribers
            .queues
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

impl EventQueue {
    fn push(&self, event: Event) {
        let mut state = self.state.lock();
        if state.events.len() == self.capacity {
            state.events.pop_front();
            state.missed += 1;
        }
        state.events.push_back(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(n: u8) -> Event {
        Event::Removed { chunk_id: [n; 32] }
    }

    #[test]
    fn a_slow_subscriber_loses_the_oldest_and_is_told() {
        let hub = EventHub::new(2);
        let events = hub.subscribe();
        (0..5).for_each(|n| hub.push(&removed(n)));
        let mut seen = Vec::new();
        while let Ok(event) = events.try_recv() {
            seen.push(match event {
                Event::Lagged { missed } => format!("lagged {missed}"),
                Event::Removed { chunk_id } => format!("removed {}", chunk_id[0]),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(seen, ["lagged 3", "removed 3", "removed 4"]);
        assert_eq!(events.try_recv().unwrap_err(), RecvError::Empty);
    }

    #[test]
    fn trouble_before_the_first_subscriber_is_told_to_it() {
        let hub = EventHub::new(8);
        let error = Error::io(
            "open a directory",
            std::io::ErrorKind::ReadOnlyFilesystem.into(),
        );
        let chunk_id = None;
        hub.push(&Event::DiskTrouble { chunk_id, error });
        hub.push(&removed(1));
        let first = hub.subscribe();
        assert!(matches!(first.try_recv(), Ok(Event::DiskTrouble { .. })));
        assert_eq!(first.try_recv().unwrap_err(), RecvError::Empty);
        assert_eq!(hub.subscribe().try_recv().unwrap_err(), RecvError::Empty);
    }

    #[test]
    fn dropping_unsubscribes_and_closing_ends() {
        let hub = EventHub::new(8);
        let (kept, dropped) = (hub.subscribe(), hub.subscribe());
        drop(dropped);
        hub.push(&removed(1));
        assert_eq!(hub.subscribers.lock().queues.len(), 1);
        let waiter = std::thread::spawn(move || kept.count());
        hub.close();
        assert_eq!(waiter.join().unwrap(), 1);
    }

    #[test]
    fn events_are_json_with_hex_ids() {
        let json = serde_json::to_value(removed(0xab)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"event": "removed", "chunk_id": "ab".repeat(32)})
        );
    }
}

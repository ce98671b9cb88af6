//! One subscriber: its queue, and how it takes what is in it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::event::Event;

/// A subscription to what happens: [`recv`](Self::recv) and friends, or an iterator that ends with
/// the manager. Dropping it unsubscribes.
///
/// The queue is bounded. A subscriber that is too slow loses the oldest events and is told how
/// many by an [`Event::Lagged`]; it never slows the manager down.
///
/// ```
/// # use std::collections::HashMap;
/// # use data_manager::data_chunk::DataChunk;
/// # use data_manager::data_manager::{DataManagerImpl, Event};
/// # use std::time::Duration;
/// # let dir = tempfile::tempdir()?;
/// # let served = dir.path().join("blocks");
/// # std::fs::write(&served, "PAR1")?;
/// # let chunk = DataChunk {
/// #     id: [1; 32],
/// #     dataset_id: [7; 32],
/// #     block_range: 0..100,
/// #     files: HashMap::from([("blocks.parquet".to_owned(), format!("file://{}", served.display()))]),
/// # };
/// # let builder = DataManagerImpl::builder().serve_files_from(dir.path());
/// # let manager = builder.data_dir(dir.path().join("chunks")).open()?;
/// let events = manager.events();                      // what happens from now on
/// manager.download_chunk(chunk);
/// loop {
///     match events.recv_timeout(Duration::from_secs(30))? {
///         Event::Available { len_bytes, .. } => break assert_eq!(len_bytes, 4),
///         Event::Lagged { missed, .. } => println!("too slow: {missed} events are lost"),
///         other => println!("{}", serde_json::to_string(&other)?),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Events {
    queue: Arc<EventQueue>,
}

/// What waits for a subscriber.
#[derive(Debug)]
pub(super) struct EventQueue {
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

impl EventQueue {
    /// With what waits for it already.
    pub(super) fn new(capacity: usize, events: VecDeque<Event>, missed: u64, closed: bool) -> Self {
        let state = QueueState {
            events,
            missed,
            closed,
        };
        EventQueue {
            capacity,
            state: Mutex::new(state),
            arrived: Condvar::new(),
        }
    }

    /// Puts an event in, in the place of the oldest where it is full. Wakes nobody.
    pub(super) fn push(&self, event: Event) {
        let mut state = self.state.lock();
        if state.events.len() == self.capacity {
            state.events.pop_front();
            state.missed += 1;
        }
        state.events.push_back(event);
    }

    /// Wakes whoever waits for an event.
    pub(super) fn wake(&self) {
        self.arrived.notify_all();
    }

    /// No event will follow.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.wake();
    }
}

impl Events {
    pub(super) fn of(queue: Arc<EventQueue>) -> Self {
        Events { queue }
    }
}

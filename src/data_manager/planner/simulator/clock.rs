//! Virtual time: what happens when, in the order of time, and of what was noted first.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::duty::Duty;
use crate::data_manager::planner::Moment;

/// Names an event that has not come.
pub(super) type Key = (Moment, u64);

/// Something that comes at its time.
pub(super) enum Event {
    /// A thread, or a task, goes on with what it has left to do.
    Thread(VecDeque<Duty>),
    /// The caller's next call.
    Call,
    /// The next slice of an assignment, by its epoch.
    Slice(u64),
    /// A host changes its mood.
    HostTurns(usize),
    /// The disk gets better or worse.
    DiskTurns,
}

/// The time, and what is to come.
#[derive(Default)]
pub(super) struct Clock {
    pub(super) now: Moment,
    queue: BTreeMap<Key, Event>,
    noted: u64,
}

impl Clock {
    pub(super) fn after(&mut self, delay: Duration, event: Event) -> Key {
        self.noted += 1;
        let key = (self.now + delay, self.noted);
        self.queue.insert(key, event);
        key
    }

    /// The next event; it is its time now.
    pub(super) fn next(&mut self) -> Option<Event> {
        let ((at, _), event) = self.queue.pop_first()?;
        self.now = self.now.max(at);
        Some(event)
    }

    /// Takes an event back.
    pub(super) fn take(&mut self, key: Key) -> Option<Event> {
        self.queue.remove(&key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes back all that `keep` does not name.
    pub(super) fn retain(&mut self, keep: impl Fn(&Event) -> bool) {
        self.queue.retain(|_, event| keep(event));
    }
}

//! Events as records of the `log` facade.
//!
//! A logger is foreign code: it may block, panic, or call the manager. So what happened is queued here,
//! under whatever lock it was decided, and a job of the blocking pool hands it over: one record after
//! the other, in the order of the events, under no lock, and never on the thread of a caller.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log::Level;
use parking_lot::Mutex;

use super::event::Event;

/// What records are from, for a logger that chooses.
const TARGET: &str = "data_manager";

/// How many records wait for a logger that is slower than what happens; the oldest go beyond that.
const WAITING_MAX: usize = 16 * 1024;

/// What is to be logged.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Whether anything may wait, so that nobody takes the lock for nothing.
    any: AtomicBool,
    /// Protects the queue; nothing is logged under it.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Event>,
    missed: u64,
    /// There is a [`Writer`].
    writing: bool,
}

/// Logs what waits, alone. Where it is dropped instead, the next one does.
#[derive(Debug)]
pub(in crate::data_manager) struct Writer {
    journal: Arc<Journal>,
    done: bool,
}

/// Whether records of this level go anywhere. Asks no logger, which may not be called here.
pub(super) fn is_logged(level: Level) -> bool {
    level <= log::STATIC_MAX_LEVEL && level <= log::max_level()
}

impl Journal {
    pub(super) fn note(&self, event: &Event) {
        if !is_logged(event.level()) {
            return;
        }
        let mut state = self.state.lock();
        if state.waiting.len() == WAITING_MAX {
            state.waiting.pop_front();
            state.missed += 1;
        }
        state.waiting.push_back(event.clone());
        self.any.store(true, Ordering::Relaxed);
    }

    /// Somebody has to write, if this is something.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Writer> {
        // Whoever noted something looks here after it, on the same thread.
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.state.lock();
        if state.waiting.is_empty() || std::mem::replace(&mut state.writing, true) {
            return None;
        }
        Some(Writer {
            journal: self.clone(),
            done: false,
        })
    }
}

impl Writer {
    pub(in crate::data_manager) fn write(mut self) {
        while let Some(event) = self.next() {
            let record = || log::log!(target: TARGET, event.level(), "{event}");
            // A logger that panics has told so by its panic, and gets what comes next.
            let _ = catch_unwind(AssertUnwindSafe(record));
        }
    }

    fn next(&mut self) -> Option<Event> {
        let mut state = self.journal.state.lock();
        if state.missed > 0 {
            let missed = std::mem::take(&mut state.missed);
            return Some(Event::Lagged { missed });
        }
        let next = state.waiting.pop_front();
        if next.is_none() {
            // Under the lock, so that whoever notes something after it begins another one.
            state.writing = false;
            self.journal.any.store(false, Ordering::Relaxed);
            self.done = true;
        }
        next
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.done {
            self.journal.state.lock().writing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(journal: &Journal) -> usize {
        journal.state.lock().waiting.len()
    }

    /// As [`Journal::note`] where somebody logs.
    fn put(journal: &Journal, n: usize) {
        let mut state = journal.state.lock();
        let event = Event::Lagged { missed: n as u64 };
        state.waiting.push_back(event);
        journal.any.store(true, Ordering::Relaxed);
    }

    #[test]
    fn nothing_is_kept_where_nobody_logs() {
        let journal = Arc::new(Journal::default());
        journal.note(&Event::Resumed);
        assert_eq!(waiting(&journal), 0);
        assert!(journal.begin().is_none());
    }

    #[test]
    fn one_writes_at_a_time_and_what_it_leaves_is_for_the_next() {
        let journal = Arc::new(Journal::default());
        put(&journal, 1);
        let mut first = journal.begin().unwrap();
        put(&journal, 2);
        assert!(journal.begin().is_none());
        assert!(first.next().is_some());
        // As a pool does that has no thread for it.
        drop(first);
        let mut second = journal.begin().unwrap();
        assert!(second.next().is_some() && second.next().is_none());
        put(&journal, 3);
        let third = journal.begin().unwrap();
        drop(second);
        assert!(journal.begin().is_none(), "it is not its turn that ends");
        third.write();
        assert_eq!(waiting(&journal), 0);
    }
}

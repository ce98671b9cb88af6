//! The subscribers of one manager, and how an event gets to them.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use log::Level;
use parking_lot::Mutex;

use super::event::Event;
use super::journal::{Journal, Writer, is_logged};
use super::subscription::{EventQueue, Events};

/// The subscribers of one manager.
#[derive(Debug)]
pub(in crate::data_manager) struct EventHub {
    capacity: usize,
    /// Protects the list of subscribers, and what is kept for the first.
    subscribers: Mutex<Subscribers>,
    journal: Arc<Journal>,
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
    pub(in crate::data_manager) fn new(capacity: usize) -> Self {
        EventHub {
            capacity: capacity.max(1),
            subscribers: Mutex::default(),
            journal: Arc::default(),
        }
    }

    pub(in crate::data_manager) fn subscribe(&self) -> Events {
        let mut subscribers = self.subscribers.lock();
        subscribers.had_one = true;
        let kept = std::mem::take(&mut subscribers.kept);
        let missed = std::mem::take(&mut subscribers.missed);
        let queue = EventQueue::new(self.capacity, kept, missed, subscribers.closed);
        let queue = Arc::new(queue);
        subscribers.queues.push(Arc::downgrade(&queue));
        Events::of(queue)
    }

    /// Puts an event into every queue, and wakes nobody: that is for [`notify`](Self::notify),
    /// after the caller let go of its locks.
    pub(in crate::data_manager) fn push(&self, event: &Event) {
        self.journal.note(event);
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
    pub(in crate::data_manager) fn notify(&self) {
        for queue in self.queues() {
            queue.wake();
        }
    }

    /// Whether anybody listens to how far things are.
    pub(in crate::data_manager) fn wants_progress(&self) -> bool {
        is_logged(Level::Trace) || !self.subscribers.lock().queues.is_empty()
    }

    /// What is to be logged, if anything is and nobody is at it.
    pub(in crate::data_manager) fn begin_log(&self) -> Option<Writer> {
        self.journal.begin()
    }

    /// No event will follow.
    pub(in crate::data_manager) fn close(&self) {
        self.subscribers.lock().closed = true;
        for queue in self.queues() {
            queue.close();
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

#[cfg(test)]
mod tests {
    use super::super::RecvError;
    use super::*;
    use crate::error::Error;

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

    /// Whoever names things in the directory has no say in whether a subscriber can write it down.
    #[test]
    fn a_path_that_is_no_text_is_json_all_the_same() {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(b"/data/odd\xff"));
        let path = path.to_owned();
        let json = serde_json::to_value(Event::Foreign { path }).unwrap();
        let shown = "/data/odd\u{fffd}";
        assert_eq!(json, serde_json::json!({"event": "foreign", "path": shown}));
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

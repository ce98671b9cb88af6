//! The limit on bandwidth: one for all transfers of a manager.
//!
//! A thread that fetches a file asks its [`Lane`] before each read how many bytes it may take, and
//! waits there until they are due. It waits outside of the read, so no time limit on reads runs
//! meanwhile. What may be taken when is decided in [`mod@line`]; here are the lock, the clock and
//! the waiting.
//!
//! What is limited is what the library takes from a source. What a socket holds ready when a
//! transfer begins was sent without asking.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use self::line::{Answer, Line};
use super::CancelToken;
use super::cancel::CancelHook;

mod line;

/// A limit in bytes per second, which may change at any time.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// The limit, 0 for none: what a read looks at while there is none.
    limit: AtomicU64,
    /// Held for a moment. Never under it: IO, a wait other than on `changed`, a wake.
    line: Mutex<Line>,
    /// The limit has changed, bytes came back, or somebody who waits is cancelled.
    changed: Condvar,
    started: Instant,
}

impl Throttle {
    /// Without a limit.
    pub(crate) fn new() -> Self {
        Throttle {
            limit: AtomicU64::new(0),
            line: Mutex::default(),
            changed: Condvar::new(),
            started: Instant::now(),
        }
    }

    /// The limit in bytes per second, if there is one.
    pub(crate) fn limit(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.limit.load(Ordering::Relaxed))
    }

    /// Sets the limit, also for those who wait. Only reads that have begun keep what they have.
    pub(crate) fn set_limit(&self, limit: Option<NonZeroU64>) {
        let mut line = self.line.lock();
        line.set_limit(self.started.elapsed(), limit);
        // Under the lock, so that of two calls the same one is the last for both.
        let bytes_per_second = limit.map_or(0, NonZeroU64::get);
        self.limit.store(bytes_per_second, Ordering::Relaxed);
        drop(line);
        self.changed.notify_all();
    }

    /// The way of one transfer through the throttle.
    pub(crate) fn lane<'a>(self: &'a Arc<Self>, cancel: &'a CancelToken) -> Lane<'a> {
        Lane {
            throttle: self,
            cancel,
            entered: None,
        }
    }

    /// Makes all who wait look again. Whoever has looked before what changed is in the wait once
    /// the lock is free, and so is not missed.
    fn look_again(&self) {
        drop(self.line.lock());
        self.changed.notify_all();
    }
}

/// One transfer's way through a [`Throttle`].
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    throttle: &'a Arc<Throttle>,
    cancel: &'a CancelToken,
    /// Set when a limit is met for the first time.
    entered: Option<Entered>,
}

#[derive(Debug)]
struct Entered {
    key: u64,
    /// Given and not taken yet: a read may bring less than it was allowed.
    in_hand_bytes: u64,
    /// The limit they were given under.
    given_under: Option<NonZeroU64>,
    /// Ends the wait when the transfer is cancelled.
    _hook: CancelHook,
}

impl Lane<'_> {
    /// Blocks until this transfer may take bytes, and returns how many a read may ask for: 1 to
    /// `room` (which is not 0). `left_bytes` is how many are still to come, as far as is known.
    ///
    /// Returns early if the transfer is cancelled, so the token is to be looked at before reading.
    pub(crate) fn wait(&mut self, room: usize, left_bytes: u64) -> usize {
        if self.throttle.limit().is_none() {
            return room;
        }
        if left_bytes == 0 {
            // Only the end is to be seen, so nothing has to be waited for.
            return 1;
        }
        let wanted = left_bytes.min(u64::try_from(room).unwrap_or(u64::MAX));
        let bytes = self.wait_for_turn(wanted).min(wanted);
        usize::try_from(bytes).map_or(room, |bytes| bytes.clamp(1, room))
    }

    /// A read brought so many bytes.
    pub(crate) fn took(&mut self, count: usize) {
        if let Some(entered) = &mut self.entered {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            entered.in_hand_bytes = entered.in_hand_bytes.saturating_sub(count);
        }
    }

    fn wait_for_turn(&mut self, wanted: u64) -> u64 {
        let (throttle, cancel) = (self.throttle, self.cancel);
        let entered = self.entered.get_or_insert_with(|| {
            let woken = throttle.clone();
            Entered {
                _hook: cancel.on_cancel(move || woken.look_again()),
                key: throttle.line.lock().enter(),
                in_hand_bytes: 0,
                given_under: None,
            }
        });
        let mut line = throttle.line.lock();
        entered.go_by_todays_limit(&line);
        while entered.in_hand_bytes == 0 && !cancel.is_cancelled() {
            match line.ask(throttle.started.elapsed(), entered.key, wanted) {
                Answer::Take(bytes) => {
                    (entered.in_hand_bytes, entered.given_under) = (bytes, line.limit());
                }
                Answer::Wait(duration) => {
                    throttle.changed.wait_for(&mut line, duration);
                }
            }
        }
        entered.in_hand_bytes
    }
}

impl Entered {
    /// What was given under a higher limit is too much under a lower one.
    fn go_by_todays_limit(&mut self, line: &Line) {
        self.in_hand_bytes = line.still_given(self.in_hand_bytes, self.given_under);
        self.given_under = line.limit();
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        if let Some(entered) = &mut self.entered {
            let mut line = self.throttle.line.lock();
            entered.go_by_todays_limit(&line);
            let others_gain = line.leave(entered.key, entered.in_hand_bytes);
            drop(line);
            if others_gain {
                self.throttle.changed.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn throttle(limit: u64) -> Arc<Throttle> {
        let throttle = Arc::new(Throttle::new());
        throttle.set_limit(NonZeroU64::new(limit));
        throttle
    }

    #[test]
    fn what_one_leaves_goes_to_the_next_at_once() {
        let (throttle, cancel) = (throttle(1), CancelToken::new());
        let (others, waiting) = mpsc::channel();
        std::thread::scope(|scope| {
            let mut first = throttle.lane(&cancel);
            assert_eq!(first.wait(100, 100), 1);
            scope.spawn(|| {
                assert_eq!(throttle.lane(&cancel).wait(100, 100), 1);
                others.send(Instant::now()).unwrap();
            });
            while throttle.line.lock().in_line() == 0 {
                std::thread::yield_now();
            }
            let started = Instant::now();
            drop(first);
            let served = waiting.recv().unwrap();
            assert!(served - started < Duration::from_millis(500));
        });
    }

    #[test]
    fn what_was_given_and_not_taken_may_still_be_taken() {
        let (throttle, cancel) = (throttle(1000), CancelToken::new());
        let mut lane = throttle.lane(&cancel);
        assert_eq!(lane.wait(100, 100), 10, "a turn of 10 ms");
        lane.took(2);
        // Turns are shorter now; what was given stays.
        for _ in 0..7 {
            throttle.line.lock().enter();
        }
        assert_eq!(lane.wait(100, 100), 8);
        throttle.set_limit(NonZeroU64::new(100));
        assert_eq!(lane.wait(100, 100), 1, "a turn of the new limit");
        throttle.set_limit(None);
        assert_eq!(lane.wait(100, 100), 100);
    }
}

//! Where a result and the one who waits for it meet.
//!
//! Both halves of the crate that wait for something use this cell: a [`JoinHandle`](super::JoinHandle) for its
//! task, an [`IoOperation`](crate::io_operation::IoOperation) for its job. It is where a wake-up would be
//! lost, if one could be. There are two orders, and both end well, because the lock makes
//! each of the two sides one step:
//!
//! - *Completion first.* The result is in the slot when the waiter comes to register. It finds it, takes it, and
//!   never waits. No wake is needed, and none is sent.
//! - *Registration first.* The waker is in the slot when the result comes. The completer takes it out, and wakes
//!   after the lock is released; the poll that this causes finds the result.
//!
//! "Ready" thus means "the result is in the slot", never "polled once before": a poll for another
//! reason, with another waker, is an ordinary poll.

use super::TasksManager;
use super::contain::drop_contained;
use super::join_error::JoinError;
use super::sync::Mutex;
use std::fmt;
use std::task::{Poll, Waker};

/// A result that is given once, and taken once or refused.
pub(crate) struct Outcome<T> {
    /// Under this lock values move in and out, and nothing else happens: a waker is cloned before it is taken, and
    /// what has to be woken or dropped is carried out of it first.
    slot: Mutex<Slot<T>>,
}

/// What the slot holds.
///
/// | from | event | to |
/// | --- | --- | --- |
/// | `Empty` | the waiter registers | `Empty` with its waker, the one before is dropped |
/// | `Empty` | completed | `Full`, the waker is woken |
/// | `Empty` | the waiter goes | `Closed`, the waker is dropped |
/// | `Full` | the waiter polls | `Closed`, the result is the waiter's |
/// | `Full` | the waiter goes | `Closed`, the result is dropped |
/// | `Closed` | completed | `Closed`, the result is dropped |
enum Slot<T> {
    /// No result yet; the waker of the last poll, if there was one.
    Empty(Option<Waker>),
    /// The result, which nobody has asked for yet.
    Full(Result<T, JoinError>),
    /// The result was taken, or nobody will ask for it.
    Closed,
}

impl<T> Outcome<T> {
    pub(crate) fn new() -> Self {
        Self {
            slot: Mutex::new(Slot::Empty(None)),
        }
    }

    /// Stores the result, then wakes whoever waits for it, on the calling thread. Where nobody will ask, the
    /// result is dropped here. Neither a panic of the waker nor one of that drop gets out.
    pub(crate) fn complete(&self, result: Result<T, JoinError>) {
        drop_contained(self.offer(result));
    }

    /// Like [`complete`](Self::complete), but hands the result back where nobody will ask for it.
    pub(crate) fn offer(&self, result: Result<T, JoinError>) -> Option<Result<T, JoinError>> {
        let waker = {
            let mut slot = self.slot.lock();
            match std::mem::replace(&mut *slot, Slot::Closed) {
                Slot::Empty(waker) => {
                    *slot = Slot::Full(result);
                    waker
                }
                taken => {
                    *slot = taken;
                    return Some(result);
                }
            }
        };
        if let Some(waker) = waker {
            // The result is in the slot already. A wake before the store could be answered with a poll
            // that finds nothing, and nobody would wake again.
            TasksManager::wake(&waker);
            drop_contained(waker);
        }
        None
    }

    /// Takes the result, or leaves the waker for the one who brings it.
    ///
    /// Panics where the result was taken before.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Result<T, JoinError>> {
        {
            let mut slot = self.slot.lock();
            if let Some(result) = slot.take() {
                return Poll::Ready(result);
            }
            if slot.has_registered(waker) {
                return Poll::Pending;
            }
        }
        // A clone runs code of whoever made the waker, so the lock is released for it. The result may come in this
        // gap, without a waker to wake: hence the second look below.
        let mut fresh = Some(waker.clone());
        let answer = {
            let mut slot = self.slot.lock();
            match slot.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    slot.register(&mut fresh);
                    Poll::Pending
                }
            }
        };
        drop_contained(fresh);
        answer
    }

    /// True once the result has come, whether or not it has been taken.
    pub(crate) fn is_complete(&self) -> bool {
        !matches!(*self.slot.lock(), Slot::Empty(_))
    }

    /// Nobody will ask any more: drops the result, or the waker that waits for it.
    pub(crate) fn close(&self) {
        let left = std::mem::replace(&mut *self.slot.lock(), Slot::Closed);
        drop_contained(left);
    }
}

impl<T> Slot<T> {
    fn take(&mut self) -> Option<Result<T, JoinError>> {
        match std::mem::replace(self, Self::Closed) {
            Self::Full(result) => Some(result),
            empty @ Self::Empty(_) => {
                *self = empty;
                None
            }
            Self::Closed => panic!("polled again after it had given its result"),
        }
    }

    /// True where a wake of the registered waker already is a wake of this one.
    fn has_registered(&self, waker: &Waker) -> bool {
        matches!(self, Self::Empty(Some(registered)) if registered.will_wake(waker))
    }

    /// Puts the fresh waker in, and leaves the stale one in its place for the caller to drop.
    fn register(&mut self, waker: &mut Option<Waker>) {
        if let Self::Empty(registered) = self {
            std::mem::swap(registered, waker);
        }
    }
}

impl<T> fmt::Debug for Outcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.slot.lock() {
            Slot::Empty(None) => "empty",
            Slot::Empty(Some(_)) => "awaited",
            Slot::Full(_) => "full",
            Slot::Closed => "closed",
        };
        f.debug_tuple("Outcome").field(&state).finish()
    }
}

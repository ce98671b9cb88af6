//! Sleeping and being called.

use super::{Bound, explore};
use crate::tasks_manager::parker::Parker;
use crate::tasks_manager::sync::{AtomicBool, Ordering, thread};
use std::sync::Arc;

/// A parker of this thread, and a caller that writes before it calls.
struct Call {
    parker: Arc<Parker>,
    written: Arc<AtomicBool>,
    caller: thread::JoinHandle<()>,
}

impl Call {
    fn begin() -> Self {
        Self::with(&Arc::new(Parker::new()))
    }

    fn with(parker: &Arc<Parker>) -> Self {
        let written = Arc::new(AtomicBool::new(false));
        let caller = {
            let (parker, written) = (Arc::clone(parker), Arc::clone(&written));
            thread::spawn(move || {
                written.store(true, Ordering::Relaxed);
                parker.unpark();
            })
        };
        Self {
            parker: Arc::clone(parker),
            written,
            caller,
        }
    }

    fn has_written(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }
}

/// Before the sleep, during it, or in between: it ends, and sees what was written.
#[test]
fn a_call_ends_the_sleep() {
    explore(Bound::None, || {
        let call = Call::begin();
        call.parker.park();
        assert!(call.has_written());
        call.caller.join().unwrap();
    });
}

#[test]
fn a_call_before_the_sleep_is_kept() {
    explore(Bound::None, || {
        let Call { parker, caller, .. } = Call::begin();
        caller.join().unwrap();
        // Two calls before the sleep are one.
        parker.unpark();
        parker.park();
        let again = Call::with(&parker);
        parker.park();
        assert!(again.has_written());
        again.caller.join().unwrap();
    });
}

/// As many sleeps as it takes to see both; none of them lasts for ever.
#[test]
fn two_callers_are_both_heard() {
    explore(Bound::Preemptions(5), || {
        let first = Call::begin();
        let second = Call::with(&first.parker);
        while !(first.has_written() && second.has_written()) {
            first.parker.park();
        }
        first.caller.join().unwrap();
        second.caller.join().unwrap();
    });
}

/// The token of the thread is everybody's: one that a user leaves behind ends no sleep.
#[test]
fn a_stray_token_is_not_a_call() {
    explore(Bound::Preemptions(7), || {
        let call = Call::begin();
        let owner = thread::current();
        let stranger = thread::spawn(move || owner.unpark());
        call.parker.park();
        assert!(call.has_written());
        call.caller.join().unwrap();
        stranger.join().unwrap();
    });
}

/// An executor inside an executor: the inner sleep eats the token of the outer call, never the call.
#[test]
fn a_nested_sleep_takes_no_call_away() {
    explore(Bound::Preemptions(6), || {
        let (outer, inner) = (Call::begin(), Call::begin());
        inner.parker.park();
        assert!(inner.has_written());
        outer.parker.park();
        assert!(outer.has_written());
        inner.caller.join().unwrap();
        outer.caller.join().unwrap();
    });
}

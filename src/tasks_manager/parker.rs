//! A thread that sleeps until it is called.
//!
//! Used by the workers, by [`block_on`](fn@super::block_on) and by every blocking `wait`. Never used by a poll.

use super::sync::thread::{Thread, current, park, park_timeout};
use super::sync::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::Wake;
use std::time::Duration;

/// Lets the thread that made it sleep, and any other thread end that sleep.
///
/// A call that comes before the sleep is kept, so the sleep does not begin; ten calls are kept as one.
#[derive(Debug)]
pub(crate) struct Parker {
    /// A call has come that no sleep has used up.
    called: AtomicBool,
    /// The only thread that may call [`Parker::park`].
    owner: Thread,
}

impl Parker {
    /// A parker for the current thread, with no call pending.
    pub(crate) fn new() -> Self {
        Self {
            called: AtomicBool::new(false),
            owner: current(),
        }
    }

    /// Sleeps until the next call, and uses it up. Returns at once where one is pending.
    ///
    /// Everything written before the call is seen after this returns.
    pub(crate) fn park(&self) {
        // The flag is asked before the thread sleeps, and again after: the token inside `std::thread::park`
        // is shared with everything else on this thread, so a nested `block_on` or a user's own `park` may
        // eat the token of this call (then the flag is up already), or leave one behind (then it is not).
        while !self.called.swap(false, Ordering::Acquire) {
            park();
        }
    }

    /// Like [`park`](Self::park), and returns after this time at the latest. May return before, for no reason.
    pub(crate) fn park_for(&self, time: Duration) {
        if !self.called.swap(false, Ordering::Acquire) {
            park_timeout(time);
            self.called.swap(false, Ordering::Acquire);
        }
    }

    /// Ends the sleep of the owner, or keeps its next one from beginning.
    pub(crate) fn unpark(&self) {
        // Flag first, token second. The other way round, the owner could wake for the token, find no
        // flag, and sleep again for good.
        if !self.called.swap(true, Ordering::Release) {
            self.owner.unpark();
        }
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}

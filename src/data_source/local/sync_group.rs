//! One sync for all who wait for the same: the directory syncs of commits that finish together.
//!
//! A sync lasts long, and carries whatever was changed before it began. So whoever comes while one runs
//! does not begin another beside it, but waits for the next, together with all others who come until then. One
//! of them leads: it begins the next as soon as the one that runs is over, and they all have its outcome.
//!
//! | I come while | I wait for | who runs it |
//! | --- | --- | --- |
//! | nothing runs | the sync that I begin | I do |
//! | one runs | the one after it: the one that runs may have begun before my change | the first to wake up |
//!
//! **Errors** go to everybody whose change may have been in what failed: the kernel drops what it could not
//! write, says so once, and a later sync reports success. So a change is not lasting if any sync failed
//! between the moment before it and the end of its own sync. That moment is noted by [`SyncGroup::look`].

use std::mem;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, ErrorKind};

/// The syncs of one directory.
#[derive(Debug, Default)]
pub(super) struct SyncGroup {
    /// Held for a moment, never during a sync.
    state: Mutex<State>,
    /// A sync is over.
    over: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Syncs that were begun; one at a time.
    begun: u64,
    /// Syncs that are over.
    ended: u64,
    /// Syncs that failed.
    failures: u64,
    /// What the last of them failed with.
    last_failure: Option<Error>,
    /// How many wait for one that somebody else runs.
    waiting: usize,
}

/// The moment before a change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    failures: u64,
}

impl SyncGroup {
    /// To be called before the change that is to last.
    pub(super) fn look(&self) -> Before {
        Before {
            failures: self.state.lock().failures,
        }
    }

    /// Returns when a sync that began after this call is over. `sync` is called if this thread is the one
    /// to run it.
    ///
    /// # Errors
    /// Of a sync that failed since `before`: the change is not known to last, and no later sync can tell.
    pub(super) fn sync(
        &self,
        before: Before,
        sync: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut state = self.state.lock();
        // The one that runs may have passed by what was changed a moment ago.
        let mine = state.begun + 1;
        loop {
            match &state.last_failure {
                Some(error) if state.failures != before.failures => return Err(error.clone()),
                _ if state.ended >= mine => return Ok(()),
                _ if state.ended == state.begun => break,
                _ => {}
            }
            state.waiting += 1;
            self.over.wait(&mut state);
            state.waiting -= 1;
        }
        state.begun += 1;
        drop(state);
        let mut lead = Lead {
            group: self,
            outcome: Err(Error::new(ErrorKind::Internal, "a sync was broken off")),
        };
        lead.outcome = sync();
        lead.outcome.clone()
    }
}

/// Says that the sync is over, also if it panicked: the others must not wait for ever.
struct Lead<'a> {
    group: &'a SyncGroup,
    outcome: Result<(), Error>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut state = self.group.state.lock();
        state.ended = state.begun;
        if let Err(error) = mem::replace(&mut self.outcome, Ok(())) {
            state.failures += 1;
            state.last_failure = Some(error);
        }
        drop(state);
        self.group.over.notify_all();
    }
}

#[cfg(test)]
mod tests;

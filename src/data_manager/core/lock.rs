//! The lock of the manager's state, which notes for how long it was held.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use crate::data_manager::planner::Planner;
use crate::data_manager::stats::LockHolds;

/// What the lock protects.
pub(super) struct State {
    pub(super) planner: Planner,
    pub(super) holds: LockHolds,
}

/// The planner, for as long as the lock is held. Notes how long that was.
pub(super) struct Locked<'a> {
    pub(super) state: MutexGuard<'a, State>,
    pub(super) since: Instant,
}

impl<'a> Locked<'a> {
    /// Waits for the lock.
    pub(super) fn wait_for(state: &'a Mutex<State>) -> Locked<'a> {
        let state = state.lock();
        Locked {
            state,
            since: Instant::now(),
        }
    }

    /// Lets somebody who waits go first, if there is anybody. Whoever comes back at once would
    /// otherwise have the lock again before the other thread is awake.
    pub(super) fn let_others_go_first(&mut self) {
        let held = self.since.elapsed();
        self.state.holds.note(held);
        MutexGuard::bump(&mut self.state);
        self.since = Instant::now();
    }
}

impl Deref for Locked<'_> {
    type Target = Planner;

    fn deref(&self) -> &Planner {
        &self.state.planner
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Planner {
        &mut self.state.planner
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let held = self.since.elapsed();
        self.state.holds.note(held);
    }
}

//! Numbers that can be waited for. Nothing here has a time limit: that is the watchdog's business.

use parking_lot::{Condvar, Mutex};

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Level {
    value: Mutex<u64>,
    risen: Condvar,
}

impl Level {
    /// Raises it to this number, unless it is there already.
    pub(crate) fn raise(&self, to: u64) {
        let mut value = self.value.lock();
        if to > *value {
            *value = to;
            self.risen.notify_all();
        }
    }

    pub(crate) fn get(&self) -> u64 {
        *self.value.lock()
    }

    /// Blocks until it is this or more.
    pub(crate) fn wait_for(&self, at_least: u64) {
        let mut value = self.value.lock();
        self.risen.wait_while(&mut value, |now| *now < at_least);
    }
}

/// How many there are of something that comes and goes.
#[derive(Debug, Default)]
pub(crate) struct Count {
    now: Mutex<usize>,
    none: Condvar,
}

impl Count {
    pub(crate) fn add(&self) {
        *self.now.lock() += 1;
    }

    pub(crate) fn subtract(&self) {
        let mut now = self.now.lock();
        *now -= 1;
        if *now == 0 {
            self.none.notify_all();
        }
    }

    pub(crate) fn get(&self) -> usize {
        *self.now.lock()
    }

    /// Blocks until there is none.
    pub(crate) fn wait_for_none(&self) {
        let mut now = self.now.lock();
        self.none.wait_while(&mut now, |now| *now > 0);
    }
}

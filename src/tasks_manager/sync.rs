//! The one door through which synchronisation comes in.
//!
//! The task's state machine, parking, the run queue, the hand-over of results and the pools' threads use what is
//! named here and nothing else. A model checker has to replace every primitive of the code it explores; with
//! one door, it replaces this file: `modelled` has the same names with loom behind them, for the crate in `tests/models`.
//! [`std::sync::Arc`] does not pass through here: [`std::task::Wake`] asks for that very type.
//!
//! No lock of these modules is ever held across code of a user: not across a poll, not across a wake, not
//! across the drop of a future, of an output or of a waker. The one exception is the lock around a task's future, which
//! its owner holds while it polls or drops it: it is only ever tried, and by owners, so nobody can wait for it.

// `test` as well: who depends on this library and sets `--cfg loom` for models of his own gets the real ones.
#[cfg(all(test, loom))]
mod modelled;

#[cfg(all(test, loom))]
pub(crate) use modelled::{
    AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, thread,
    thread_local,
};

#[cfg(not(all(test, loom)))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
#[cfg(not(all(test, loom)))]
pub(crate) use std::{thread, thread_local};

/// A number of the executor; the smaller one where the model checker has to get to it, in few steps.
pub(crate) const fn tuned(real: u32, modelled: u32) -> u32 {
    if cfg!(all(test, loom)) {
        modelled
    } else {
        real
    }
}

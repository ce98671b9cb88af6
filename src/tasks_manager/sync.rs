//! The one door through which synchronisation comes in.
//!
//! The task's state machine, parking, the run queue, the hand-over of results and the pools' threads use what is
//! named here and nothing else. A model checker has to replace every primitive of the code it explores; with
//! one door, it replaces this file: `modelled` has the same names with loom behind them, for the crate in `tests/models`.
//! [`std::sync::Arc`] does not pass through here: [`std::task::Wake`] asks for that very type.
//!
//! No lock of these modules is ever held across code of a user: not across a poll, not across a wake, not
//! across the drop of a future, of an output or of a waker.

// `test` as well: who depends on this library and sets `--cfg loom` for models of his own gets the real ones.
#[cfg(all(test, loom))]
mod modelled;

#[cfg(all(test, loom))]
pub(crate) use modelled::{AtomicBool, AtomicU8, Condvar, Mutex, Ordering, thread};

#[cfg(not(all(test, loom)))]
pub(crate) use parking_lot::{Condvar, Mutex};
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
#[cfg(not(all(test, loom)))]
pub(crate) use std::thread;

//! The one door through which synchronisation comes in.
//!
//! The task's state machine, parking, the run queue and the hand-over of results use what is named here and
//! nothing else. A model checker has to replace every primitive of the code it explores; with one door, it
//! replaces this file. [`std::sync::Arc`] does not pass through here: [`std::task::Wake`] asks for that very
//! type.
//!
//! No lock of these modules is ever held across code of a user: not across a poll, not across a wake, not
//! across the drop of a future, of an output or of a waker.

pub(crate) use parking_lot::{Condvar, Mutex};
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
pub(crate) use std::thread::{Thread, current, park};

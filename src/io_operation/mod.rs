//! Blocking work, seen by tasks as futures.
//!
//! A poll must not block: while it does, its worker polls nobody else. So blocking work, such as reading from
//! a socket or removing a directory, is done by threads of another pool, and the task waits for it as it waits for
//! anything: it leaves a waker, and the thread that ends the job uses it.
//!
//! - [`IoOperation`] is the future, [`Completer`] the other end: whoever holds it gives the result, from any thread.
//! - [`BlockingPool`] runs closures on a bounded number of threads, and gives an [`IoOperation`] for each.
//!
//! This module knows [`tasks_manager`](crate::tasks_manager), which knows nothing of it. It never names what the
//! jobs are about.

mod blocking_pool;
#[cfg(all(test, loom))]
mod models;
mod operation;

pub use blocking_pool::BlockingPool;
pub use operation::{Completer, IoOperation};

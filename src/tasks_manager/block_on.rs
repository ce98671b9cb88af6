//! The smallest executor: one future, one thread, no queue.

use super::parker::Parker;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Runs a future on the current thread, which sleeps whenever the future waits.
///
/// Nests: a future may itself call `block_on`. It needs no [`TasksManager`](super::TasksManager), and works on
/// any thread, also in the destructor of a thread-local.
///
/// On a worker of a manager it holds up the tasks behind it, and where the future needs that very
/// worker, both wait for good. Inside a task, `.await` instead.
///
/// # Panics
///
/// Where the future's poll does; the panic is the caller's.
///
/// # Examples
///
/// ```
/// let sum = data_manager::tasks_manager::block_on(async { 2 + 3 });
/// assert_eq!(sum, 5);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    // Made anew for each call, not kept in a thread-local: a nested call must not use up the wake-ups of
    // the outer one, and a thread-local is gone while others are being destroyed.
    let parker = Arc::new(Parker::new());
    let waker = Waker::from(Arc::clone(&parker));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        // A wake between the poll and here is kept by the parker, so this returns at once.
        parker.park();
    }
}

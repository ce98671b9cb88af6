//! The end of a task, seen from outside.

use super::block_on::block_on;
use super::join_error::JoinError;
use super::task::Task;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Waits for a spawned task, or cancels it. Dropping it does neither: the task goes on, detached.
///
/// As a future it gives the task's output, or the reason why there is none. By then the task's future has
/// been dropped, with everything in it. None of its methods, polls included, waits for a poll of the task.
/// A handle that is kept after the end keeps the room where the future was.
///
/// # Panics
///
/// Polled again after it has given the result, it panics.
///
/// ```
/// use data_manager::tasks_manager::TasksManager;
///
/// let manager = TasksManager::new(1);
/// let inner = manager.spawn(async { 6 });
/// let outer = manager.spawn(async move { inner.await.map(|six| six * 7) });
/// assert_eq!(outer.wait().unwrap().unwrap(), 42);
///
/// let panicked = manager.spawn(async { panic!("no such luck") }).wait().unwrap_err();
/// assert_eq!(*panicked.into_panic().downcast::<&str>().unwrap(), "no such luck");
///
/// let endless = manager.spawn(std::future::pending::<()>());
/// endless.cancel();
/// assert!(endless.wait().unwrap_err().is_cancelled());
/// ```
pub struct JoinHandle<T> {
    task: Arc<Task<T>>,
}

impl<T: Send + 'static> JoinHandle<T> {
    pub(crate) fn new(task: Arc<Task<T>>) -> Self {
        Self { task }
    }

    /// Sleeps until the task ends.
    ///
    /// For threads outside the pool. A worker that waits here polls nothing meanwhile; when all of
    /// them wait, nobody is left to end the tasks they wait for. Inside a task, `.await` the handle.
    ///
    /// # Errors
    ///
    /// The task panicked or was cancelled.
    pub fn wait(self) -> Result<T, JoinError> {
        block_on(self)
    }

    /// Asks for the task to end without another poll; a worker then drops its future. Does not wait for that.
    ///
    /// A poll that is under way is not interrupted. If it happens to be the last one, the output counts. Cancelling
    /// twice, or after the end, does nothing.
    pub fn cancel(&self) {
        self.task.cancel();
    }

    /// True once the result is there: a poll or [`wait`](Self::wait) would return at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.outcome().is_complete()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.task.outcome().poll(cx.waker())
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        // Takes the output along, if it is there, and has it dropped by the worker, if it is still to come: no
        // waker that survives keeps it alive.
        self.task.outcome().close();
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.task).finish()
    }
}

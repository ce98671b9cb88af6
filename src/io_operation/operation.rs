//! One pending result: the future, and the hand that completes it.

use crate::tasks_manager::contain::drop_contained;
use crate::tasks_manager::outcome::Outcome;
use crate::tasks_manager::{JoinError, block_on};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A future that is ready when its [`Completer`] says so.
///
/// Dropping it does not stop the job behind it: the job runs to its end, and its result is dropped there.
///
/// # Panics
///
/// Polled again after it has given the result, it panics.
///
/// # Examples
///
/// ```
/// use data_manager::io_operation::IoOperation;
/// use data_manager::tasks_manager::TasksManager;
///
/// let (operation, completer) = IoOperation::new();
/// std::thread::spawn(move || completer.complete("read"));
/// let manager = TasksManager::new(1);
/// let task = manager.spawn(async move { operation.await.unwrap() });
/// assert_eq!(task.wait().unwrap(), "read");
/// ```
pub struct IoOperation<T> {
    outcome: Arc<Outcome<T>>,
}

/// Completes one [`IoOperation`], once, from any thread.
///
/// Dropped without having done so, it ends the operation in an error that
/// [`is_cancelled`](JoinError::is_cancelled): a job that is lost does not leave its task waiting.
pub struct Completer<T> {
    /// `None` once completed.
    outcome: Option<Arc<Outcome<T>>>,
}

impl<T: Send + 'static> IoOperation<T> {
    /// An operation that is under way, and the completer that ends it.
    #[must_use]
    pub fn new() -> (Self, Completer<T>) {
        let outcome = Arc::new(Outcome::new());
        let completer = Completer {
            outcome: Some(Arc::clone(&outcome)),
        };
        (Self { outcome }, completer)
    }

    /// Sleeps until the operation ends.
    ///
    /// For threads that poll nobody; see [`JoinHandle::wait`](crate::tasks_manager::JoinHandle::wait).
    ///
    /// # Errors
    ///
    /// The job panicked, or the completer was dropped.
    pub fn wait(self) -> Result<T, JoinError> {
        block_on(self)
    }
}

impl<T> Completer<T> {
    /// Ends the operation with this value. "I am done with the job, hey, wake up": arrow 5 of the design.
    ///
    /// First the value is stored, then the task that waits is woken, through the static
    /// [`TasksManager::wake`](crate::tasks_manager::TasksManager::wake): the poll that follows finds the value. If
    /// the task has not polled yet, there is nobody to wake, and its first poll finds the value. If the
    /// operation was dropped, the value is dropped here.
    pub fn complete(self, value: T) {
        drop_contained(self.offer(Ok(value)));
    }

    /// Ends the operation with this result, or hands it back where the operation was dropped.
    pub(super) fn offer(mut self, result: Result<T, JoinError>) -> Option<Result<T, JoinError>> {
        self.outcome.take()?.offer(result)
    }
}

impl<T> Drop for Completer<T> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            outcome.complete(Err(JoinError::cancelled()));
        }
    }
}

impl<T> Future for IoOperation<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.poll(cx.waker())
    }
}

impl<T> Drop for IoOperation<T> {
    fn drop(&mut self) {
        self.outcome.close();
    }
}

impl<T> fmt::Debug for IoOperation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IoOperation").field(&self.outcome).finish()
    }
}

impl<T> fmt::Debug for Completer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Completer").field(&self.outcome).finish()
    }
}

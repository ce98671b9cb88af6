//! The outcome of a call, as something to await, to wait for, or to ignore.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::Error;
use crate::tasks_manager::TasksManager;
use crate::tasks_manager::contain::drop_contained;

/// The outcome of a call, shared by all the tasks that joined it. Completed once.
#[derive(Clone)]
pub(super) struct Completion(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Protects the outcome and the list of wakers. Nothing is woken or dropped under it.
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    outcome: Option<Result<(), Error>>,
    next_key: u64,
    wakers: Vec<(u64, Waker)>,
}

impl Completion {
    pub(super) fn new() -> Self {
        Completion(Arc::default())
    }

    pub(super) fn ended(outcome: Result<(), Error>) -> Self {
        let completion = Self::new();
        completion.0.state.lock().outcome = Some(outcome);
        completion
    }

    /// Ends every task that shares this; the first outcome stays.
    pub(super) fn complete(&self, outcome: Result<(), Error>) {
        let wakers = {
            let mut state = self.0.state.lock();
            if state.outcome.is_some() {
                return;
            }
            state.outcome = Some(outcome);
            std::mem::take(&mut state.wakers)
        };
        self.0.ended.notify_all();
        for (_, waker) in wakers {
            TasksManager::wake(&waker);
            // A foreign waker's `Drop` may panic, and whoever completes has more to do.
            drop_contained(waker);
        }
    }

    pub(super) fn task(&self) -> ChunkTask {
        ChunkTask {
            completion: self.clone(),
            waker_key: None,
        }
    }
}

/// What became of a call: a future, and something to wait for from a plain thread.
///
/// For a download it ends when the chunk is visible, for a delete when the chunk's directory is
/// gone (so after the last reference), for an assignment when all of it is reached. It ends in an
/// error of kind [`Superseded`](crate::ErrorKind::Superseded) when a later call reverses or
/// replaces it, of kind [`ShutDown`](crate::ErrorKind::ShutDown) when the manager stops first, and
/// in the reason when no retry can mend a failure.
///
/// Ignoring or dropping it detaches: the work goes on. It is a plain [`Future`] and can be awaited
/// on any executor. Awaiting it again after it ended gives the same outcome.
///
/// ```
/// # use std::collections::HashMap;
/// # use data_manager::data_chunk::DataChunk;
/// # let dir = tempfile::tempdir()?;
/// # let served = dir.path().join("blocks");
/// # std::fs::write(&served, "PAR1")?;
/// # let chunk = DataChunk {
/// #     id: [1; 32],
/// #     dataset_id: [7; 32],
/// #     block_range: 0..100,
/// #     files: HashMap::from([("blocks.parquet".to_owned(), format!("file://{}", served.display()))]),
/// # };
/// # let builder = data_manager::data_manager::DataManagerImpl::builder().serve_files_from(dir.path());
/// # let manager = builder.data_dir(dir.path().join("chunks")).open()?;
/// use std::time::Duration;
/// use data_manager::ErrorKind;
/// use data_manager::tasks_manager::block_on;
///
/// # let missing = DataChunk { id: [2; 32], files: HashMap::from([("f".to_owned(), format!("file://{}/none", dir.path().display()))]), ..chunk.clone() };
/// block_on(async {
///     manager.download_chunk(chunk).await?;           // awaited, here or in any async program
///     manager.delete_chunk([1; 32]).await
/// })?;
///
/// let task = manager.download_chunk(missing);
/// match task.wait_timeout(Duration::from_secs(30)) {  // or waited for
///     Some(Err(error)) if error.kind() == ErrorKind::NotFound => println!("{error}"),
///     other => panic!("{other:?}"),
/// }
///
/// manager.delete_chunk([2; 32]);                      // or ignored: the work is done all the same
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ChunkTask {
    completion: Completion,
    /// This task's place in the list of wakers, once it was polled.
    waker_key: Option<u64>,
}

impl ChunkTask {
    /// Blocks the calling thread until the task ends.
    ///
    /// For threads of your own: on an executor's thread, await the task instead.
    ///
    /// # Errors
    /// As the task ended.
    pub fn wait(self) -> Result<(), Error> {
        let shared = &self.completion.0;
        let mut state = shared.state.lock();
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.clone();
            }
            shared.ended.wait(&mut state);
        }
    }

    /// Blocks the calling thread until the task ends, for at most `timeout`; `None` if it did not
    /// end in that time.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<(), Error>> {
        let deadline = Instant::now().checked_add(timeout);
        let shared = &self.completion.0;
        let mut state = shared.state.lock();
        while state.outcome.is_none() {
            match deadline {
                None => shared.ended.wait(&mut state),
                Some(deadline) => {
                    if shared.ended.wait_until(&mut state, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        state.outcome.clone()
    }
}

impl Future for ChunkTask {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let waker = context.waker().clone();
        // What is replaced is a foreign waker: it is dropped after the lock.
        let _replaced;
        let mut state = this.completion.0.state.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        let key = *this.waker_key.get_or_insert_with(|| {
            state.next_key += 1;
            state.next_key
        });
        _replaced = match state.wakers.iter().position(|(other, _)| *other == key) {
            Some(at) => Some(std::mem::replace(&mut state.wakers[at].1, waker)),
            None => {
                state.wakers.push((key, waker));
                None
            }
        };
        Poll::Pending
    }
}

impl Drop for ChunkTask {
    fn drop(&mut self) {
        let Some(key) = self.waker_key else { return };
        let _waker = {
            let mut state = self.completion.0.state.lock();
            let at = state.wakers.iter().position(|(other, _)| *other == key);
            at.map(|at| state.wakers.swap_remove(at))
        };
    }
}

impl fmt::Debug for ChunkTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = self.completion.0.state.lock().outcome.clone();
        f.debug_struct("ChunkTask")
            .field("outcome", &outcome)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::tasks_manager::block_on;

    #[test]
    fn every_task_of_a_completion_ends_alike_and_again() {
        let completion = Completion::new();
        let (awaited, waited) = (completion.task(), completion.task());
        assert!(awaited.wait_timeout(Duration::ZERO).is_none());
        let waiter = std::thread::spawn(move || waited.wait());
        completion.complete(Err(Error::new(ErrorKind::Digest, "no")));
        completion.complete(Ok(()));
        let mut awaited = awaited;
        for _ in 0..2 {
            assert_eq!(
                block_on(&mut awaited).unwrap_err().kind(),
                ErrorKind::Digest
            );
        }
        assert_eq!(
            waiter.join().unwrap().unwrap_err().kind(),
            ErrorKind::Digest
        );
    }

    #[test]
    fn a_dropped_task_leaves_no_waker_behind() {
        let completion = Completion::new();
        let mut task = completion.task();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(Pin::new(&mut task).poll(&mut context).is_pending());
            assert_eq!(completion.0.state.lock().wakers.len(), 1);
        }
        drop(task);
        assert!(completion.0.state.lock().wakers.is_empty());
    }
}

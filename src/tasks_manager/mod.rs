//! A small executor: futures in, a fixed number of threads, each future polled whenever it was woken.
//!
//! It never does IO, never knows what its tasks are about, and never runs a blocking job: that is what
//! [`io_operation`](crate::io_operation) is for. Nothing in here needs a line of `unsafe`.
//!
//! # A course
//!
//! An `async` block does nothing by itself. It is a value with a method, `poll`, which runs it until it cannot go
//! on, and then returns [`Poll::Pending`](std::task::Poll::Pending). Before it returns that, it has left a
//! [`Waker`] with whoever can tell when it may go on. An executor is the piece that calls `poll`, and calls it
//! again after each wake. Everything hard about it is in that one word, *after*: the wake may come during
//! the poll, before the first poll, twice, from any thread, or when all is over. The files, in the order in
//! which they are best read:
//!
//! 1. `parker`: a thread that sleeps until it is called, and does not miss a call that comes too early.
//! 2. `block_on`: an executor for one future, made of a parker and a loop. If you read one file, read this one.
//! 3. `task`: what changes when there are many futures. A state of four bits decides who may
//!    touch a future, and whether it is in the queue; its table is the heart of the executor.
//! 4. `queue`: the order in which tasks are taken, without any thread.
//! 5. `run_queue`: how tasks find workers: a queue for each, and how they are shared out.
//! 6. `sleepers`: how sleeping workers find out, with no wake-up lost and few wasted.
//! 7. `worker`: the loop that takes a task and polls it. It is short, because the rest is in its place.
//! 8. `outcome` and `join_handle`: how the output gets to the one who waits, in whichever order the two arrive.
//! 9. `registry`: how the dropped manager finds tasks that wait for a wake-up that may never come.
//! 10. `contain` and `join_error`: what becomes of a panic.
//! 11. `sleep`: a future whose waker is kept by a timer, one thread for the whole process.
//! 12. `padded`: why what different threads write lies apart.
//! 13. `sync`: the door through which all of the above gets its locks and threads, and `models` behind it: each race, run
//!     in every order by a model checker.
//!
//! # What holds
//!
//! - One poll at a time per task. A wake causes a poll that begins after it and sees what was written before it;
//!   any number of wakes before that poll begins cause one poll.
//! - A future is dropped once, by a worker or by whoever drops the manager: at its completion or at its
//!   cancellation, before its handle says so. A waker or a handle that survives keeps the room where the future was, and
//!   neither the future nor an output that nobody waits for.
//! - Tasks take turns. A task that wakes itself goes to the back of the queue; one that was woken or spawned by the
//!   task before it may go ahead, but only some times in a row.
//! - No task waits for a worker that is inside a long poll, or blocked, while another worker has nothing to do: one
//!   that does not come to its queue is relieved of it, by a sleeper within two milliseconds, by a busy worker at its
//!   second look around.
//! - A panic ends its task, never a thread.
//! - No lock that anybody could wait for is held while code of a user runs, so all of it may be called from
//!   everywhere: from a poll, from a `Drop`, from a waker, from the destructor of a thread-local.
//! - Who has nothing to do sleeps, until there is something to do.
//!
//! # Examples
//!
//! ```
//! use data_manager::tasks_manager::TasksManager;
//!
//! let manager = TasksManager::new(2);
//! let answer = manager.spawn(async { 6 * 7 });
//! assert_eq!(answer.wait().unwrap(), 42);
//! ```

mod block_on;
pub(crate) mod contain;
mod join_error;
mod join_handle;
#[cfg(all(test, loom))]
pub(crate) mod models;
pub(crate) mod outcome;
mod padded;
mod parker;
mod queue;
mod registry;
mod run_queue;
mod sleep;
mod sleepers;
pub(crate) mod sync;
mod task;
mod worker;

pub use block_on::block_on;
pub use join_error::JoinError;
pub use join_handle::JoinHandle;
pub use sleep::{Sleep, sleep};

use registry::Registry;
use run_queue::RunQueue;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use sync::thread;
use task::{Runnable, Task};

/// A pool of threads that polls futures.
///
/// The threads are named `tasks-manager-0`, `tasks-manager-1`, and so on.
///
/// # Dropping it
///
/// ends every task. Those that are queued or wait for a wake-up are dropped on the dropping thread, before
/// anything else; a poll under way runs to its end, and if it is not the task's last one, its future is dropped
/// right after. Then the threads are joined, so when the drop returns, no future is left. All handles resolve, and
/// wakers that survive do nothing.
///
/// On one of the manager's own threads the drop waits for nobody: it would wait for itself, or for a
/// task that waits for this one. The threads then end by themselves, each after the poll it is in.
///
/// A task that holds an `Arc<TasksManager>` keeps the manager alive that keeps the task: neither ever ends. Hold a
/// [`Weak`](std::sync::Weak) in tasks.
///
/// A task whose last waker is gone can never go on. It stays, with what it holds, until it is cancelled or the manager is
/// dropped: that it waits for nothing is its own fault, and to be found by its owner.
///
/// ```
/// use data_manager::tasks_manager::{TasksManager, sleep};
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let manager = TasksManager::new(2);
/// let (send, receive) = mpsc::channel();
/// for n in 0..1000_u64 {
///     let send = send.clone();
///     // A thousand tasks wait at the same time, on two threads.
///     let task = manager.spawn(async move {
///         sleep(Duration::from_millis(10)).await;
///         send.send(n).ok();
///     });
///     drop(task);                                     // detached: it goes on
/// }
/// drop(send);
/// assert_eq!(receive.iter().sum::<u64>(), 499_500);
/// ```
pub struct TasksManager {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// What the manager, its workers and its tasks have in common.
pub(crate) struct Shared {
    /// Tasks that want a poll.
    queue: RunQueue<Arc<dyn Runnable>>,
    /// Tasks that have not ended.
    registry: Registry<Arc<dyn Runnable>>,
}

impl Shared {
    fn new(workers: usize) -> Self {
        Self {
            queue: RunQueue::new(workers),
            registry: Registry::new(),
        }
    }

    /// Enters a task in both lists.
    fn spawn<F>(self: &Arc<Self>, future: F) -> Arc<Task<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = Arc::new(Task::new(future, Arc::clone(self)));
        task.register();
        Arc::clone(&task).push();
        task
    }
}

impl TasksManager {
    /// A manager with this many threads; 0 is taken as 1, because a pool without threads would never poll.
    ///
    /// # Panics
    ///
    /// With the reason, where the system refuses a thread; [`try_new`](Self::try_new) returns it instead.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        match Self::try_new(threads) {
            Ok(manager) => manager,
            Err(error) => panic!("a thread of the tasks manager could not be started: {error}"),
        }
    }

    /// Like [`new`](Self::new), for callers that can go on without.
    ///
    /// # Errors
    ///
    /// The system refused a thread. Those that had started have ended again.
    pub fn try_new(threads: usize) -> io::Result<Self> {
        // Whole from the start: where a thread cannot be had, the drop of this value ends the others.
        let threads = threads.max(1);
        let mut manager = Self {
            shared: Arc::new(Shared::new(threads)),
            threads: Vec::new(),
        };
        for number in 0..threads {
            let thread = worker::start(number, Arc::clone(&manager.shared))?;
            manager.threads.push(thread);
        }
        Ok(manager)
    }

    /// Starts a task. It is polled by the threads of the pool, whether or not its handle is kept.
    ///
    /// Costs the same however many tasks there are, never waits, and runs none of the future's code.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle::new(self.shared.spawn(future))
    }

    /// Tells a future that it may go on: the task that polled it with this waker is polled again.
    ///
    /// From any thread, any number of times, at any moment, also when the task or its manager is gone. It is
    /// static because a waker knows its task, and its task knows its queue. A panic of a foreign waker
    /// is contained.
    pub fn wake(waker: &Waker) {
        contain::wake_contained(waker);
    }
}

impl Default for TasksManager {
    /// One thread for each CPU.
    ///
    /// # Panics
    ///
    /// Like [`new`](Self::new).
    fn default() -> Self {
        Self::new(num_cpus::get())
    }
}

impl Drop for TasksManager {
    fn drop(&mut self) {
        // No task comes out of the queue from here on, so each is either in a worker's hands or nobody's.
        self.shared.queue.close();
        // Before the join: a worker may be inside a poll that waits for one of these tasks.
        for task in self.shared.registry.drain() {
            task.end();
        }
        let own = thread::current().id();
        if self.threads.iter().any(|t| t.thread().id() == own) {
            return;
        }
        for thread in self.threads.drain(..) {
            // An error would be a worker's panic, which `worker::work` rules out.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for TasksManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TasksManager")
            .field("threads", &self.threads.len())
            .field("tasks", &self.shared.registry.len())
            .field("queue", &self.shared.queue)
            .finish_non_exhaustive()
    }
}

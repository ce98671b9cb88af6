//! Threads for work that blocks.

use super::operation::{Completer, IoOperation};
use crate::tasks_manager::JoinError;
use crate::tasks_manager::contain::{catch, drop_contained};
use crate::tasks_manager::sync::thread::{self, Builder, ThreadId};
use crate::tasks_manager::sync::{Condvar, Mutex};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::mem::needs_drop;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a thread waits for a job before it goes, unless it is told another time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs blocking jobs on a bounded number of threads, and hands out an [`IoOperation`] for each.
///
/// It starts with no thread. A job that finds all threads busy gets a new one, up to the bound; above it, it
/// waits for its turn. A thread without work waits 10 s, in one piece, and then ends, so an idle pool has
/// no threads. They are named `blocking-pool-0`, `blocking-pool-1`, and so on.
///
/// The queue in front of the threads is not bounded: to refuse a job or to wait for room would be worse for the
/// caller, who holds one operation for each job and so knows how many there are.
///
/// A job that was accepted runs, also when its operation has been dropped, and when the pool is. The one
/// exception: the system refuses a new thread while the pool has none. Then whatever is queued is dropped
/// unrun, and each of these operations ends in an error that [`is_cancelled`](JoinError::is_cancelled). While other
/// threads run, a refused one is no error: those do the work.
///
/// # Dropping it
///
/// runs what was accepted, waits for it, and joins the threads. On one of its own threads, which cannot wait for
/// itself, the drop returns at once: the jobs run all the same, and the threads end by themselves.
///
/// # Examples
///
/// ```
/// use data_manager::io_operation::BlockingPool;
///
/// let pool = BlockingPool::new(4);
/// let entries = pool.run(|| std::fs::read_dir("/").map(Iterator::count));
/// assert!(entries.wait().unwrap().unwrap() > 0);
/// ```
pub struct BlockingPool {
    shared: Arc<Shared>,
}

/// A closure and its completer, to whom their types do not matter.
trait Job: Send {
    /// Runs the closure and keeps what comes of it. Nothing gets out.
    fn run(&mut self);

    /// Tells the operation. True where it was dropped, so that the result is still here, and has a `Drop`.
    fn tell(&mut self) -> bool;
}

/// Each part is `None` once it has been used.
struct Work<J, T> {
    job: Option<J>,
    result: Option<Result<T, JoinError>>,
    completer: Option<Completer<T>>,
}

struct Shared {
    /// Under this lock jobs move in and out and threads are counted. No job runs and none is dropped under it.
    state: Mutex<State>,
    /// There is a job, or a reason to go.
    news: Condvar,
    /// The last thread is out of its last job.
    empty: Condvar,
    /// Held while a thread is started, so that a thread that ends at once finds its own handle here. No job, no
    /// count and no caller that does not grow the pool ever waits for it.
    threads: Mutex<Threads>,
}

struct State {
    /// Run before all of the others.
    urgent: VecDeque<Box<dyn Job>>,
    normal: VecDeque<Box<dyn Job>>,
    /// Threads that run or are being started.
    alive: usize,
    /// Threads inside a job.
    running: usize,
    /// Threads asleep for want of a job, also those that have been called and are not up yet.
    asleep: usize,
    /// A sleeper was called, and none has looked since.
    one_on_its_way: bool,
    max_threads: usize,
    idle_timeout: Duration,
    /// The pool was dropped: who finds the queue empty goes.
    closed: bool,
}

#[derive(Default)]
struct Threads {
    handles: HashMap<ThreadId, thread::JoinHandle<()>>,
    /// The last thread that went: the next one to go joins it, and the drop of the pool joins the last.
    last_to_go: Option<thread::JoinHandle<()>>,
    /// How many were ever started, for their names.
    started: usize,
}

#[derive(Clone, Copy)]
enum Priority {
    Urgent,
    Normal,
}

impl BlockingPool {
    /// A pool that never has more than this many threads; 0 is taken as 1.
    #[must_use]
    pub fn new(max_threads: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    urgent: VecDeque::new(),
                    normal: VecDeque::new(),
                    alive: 0,
                    running: 0,
                    asleep: 0,
                    one_on_its_way: false,
                    max_threads: max_threads.max(1),
                    idle_timeout: IDLE_TIMEOUT,
                    closed: false,
                }),
                news: Condvar::new(),
                empty: Condvar::new(),
                threads: Mutex::new(Threads::default()),
            }),
        }
    }

    /// Runs a job, after those that were given before. Its panic ends the operation in an error that
    /// [`is_panic`](JoinError::is_panic).
    ///
    /// Never waits for a job; starts a thread where one is needed.
    pub fn run<T, J>(&self, job: J) -> IoOperation<T>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        self.submit(job, Priority::Normal)
    }

    /// Like [`run`](Self::run), ahead of all jobs that wait and are not urgent. For short ones: a stream
    /// of urgent jobs that keeps all threads busy would leave the others waiting.
    pub fn run_urgent<T, J>(&self, job: J) -> IoOperation<T>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        self.submit(job, Priority::Urgent)
    }

    /// Sets the bound; 0 is taken as 1. With a higher one, jobs that wait get threads at once. With a lower one,
    /// threads above it go as soon as they are out of their jobs.
    pub fn set_max_threads(&self, max_threads: usize) {
        self.shared.state.lock().max_threads = max_threads.max(1);
        self.shared.news.notify_all();
        self.shared.grow();
    }

    /// Sets how long a thread waits for a job before it goes: 10 s unless set. Threads that wait already keep
    /// to what was set before.
    pub fn set_idle_timeout(&self, idle_timeout: Duration) {
        self.shared.state.lock().idle_timeout = idle_timeout;
    }

    /// Jobs that wait for a thread, at this moment.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.state.lock().queued()
    }

    /// Jobs that run, at this moment. A job whose operation has ended does not count any more.
    #[must_use]
    pub fn running(&self) -> usize {
        self.shared.state.lock().running
    }

    /// Threads of the pool, busy and idle, at this moment.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.shared.state.lock().alive
    }

    /// Ends the pool: runs what was accepted, and joins the threads, but waits no longer than `timeout`. True
    /// where all have ended.
    ///
    /// Otherwise the threads that are still in a job are left to themselves: nobody will join them, they run what
    /// was accepted and then end. For jobs that may never end, and an owner who cannot wait for them.
    ///
    /// Not for one of the pool's own threads, which would wait for itself.
    pub fn shut_down(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let ended = {
            let mut state = self.shared.state.lock();
            state.closed = true;
            self.shared.news.notify_all();
            while state.alive > 0 {
                let timed_out = match deadline {
                    None => {
                        self.shared.empty.wait(&mut state);
                        false
                    }
                    Some(deadline) => self
                        .shared
                        .empty
                        .wait_until(&mut state, deadline)
                        .timed_out(),
                };
                if timed_out {
                    break;
                }
            }
            state.alive == 0
        };
        let threads = std::mem::take(&mut *self.shared.threads.lock());
        if ended {
            threads.join();
        }
        ended
    }

    fn submit<T, J>(&self, job: J, priority: Priority) -> IoOperation<T>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        let (operation, completer) = IoOperation::new();
        let job = Box::new(Work {
            job: Some(job),
            result: None,
            completer: Some(completer),
        });
        let (calls, grows) = {
            let mut state = self.shared.state.lock();
            match priority {
                Priority::Urgent => state.urgent.push_back(job),
                Priority::Normal => state.normal.push_back(job),
            }
            (state.call_sleeper(), state.reserve_thread())
        };
        if calls {
            self.shared.news.notify_one();
        }
        if grows && self.shared.start_reserved() {
            self.shared.grow();
        }
        operation
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.news.notify_all();
        let threads = std::mem::take(&mut *self.shared.threads.lock());
        if !threads.handles.contains_key(&thread::current().id()) {
            threads.join();
        }
    }
}

impl Threads {
    fn join(self) {
        for thread in self.handles.into_values().chain(self.last_to_go) {
            // An error would be a panic outside of any job; there is no code of a user there.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Starts as many threads as there are jobs that no thread is free for, up to the bound.
    fn grow(self: &Arc<Self>) {
        while self.state.lock().reserve_thread() && self.start_reserved() {}
    }

    /// Starts the thread that has been counted in already. False where the system refuses it.
    fn start_reserved(self: &Arc<Self>) -> bool {
        let started = self.start_thread().is_ok();
        if !started {
            self.thread_refused();
        }
        started
    }

    fn start_thread(self: &Arc<Self>) -> io::Result<()> {
        let mut threads = self.threads.lock();
        let shared = Arc::clone(self);
        let thread = Builder::new()
            .name(format!("blocking-pool-{}", threads.started))
            .spawn(move || shared.work())?;
        threads.started += 1;
        threads.handles.insert(thread.thread().id(), thread);
        Ok(())
    }

    /// Takes the reservation back. Where it was the last hope of the queue, gives the queue up.
    fn thread_refused(&self) {
        let lost = {
            let mut state = self.state.lock();
            state.alive -= 1;
            if state.alive > 0 {
                return;
            }
            let urgent = std::mem::take(&mut state.urgent);
            urgent.into_iter().chain(std::mem::take(&mut state.normal))
        };
        self.empty.notify_all();
        // With the job goes its completer, and that tells the operation.
        for job in lost {
            drop_contained(job);
        }
    }

    /// A thread of the pool.
    fn work(self: &Arc<Self>) {
        let mut state = self.state.lock();
        while !state.has_surplus() {
            if let Some(job) = state.next_job() {
                state.running += 1;
                let calls = state.call_sleeper();
                drop(state);
                if calls {
                    self.news.notify_one();
                }
                self.work_on(job);
                state = self.state.lock();
            } else if state.closed {
                break;
            } else {
                let timeout = state.idle_timeout;
                state.asleep += 1;
                let timed_out = self.news.wait_for(&mut state, timeout).timed_out();
                state.asleep -= 1;
                state.one_on_its_way = false;
                // A job may have come between the time-out and the lock.
                if timed_out && state.queued() == 0 {
                    break;
                }
            }
        }
        // Counted out under the lock that showed no work: a job from now on sees that it needs a new thread. One
        // that goes because of a lower bound may leave a job that it was called for; the call that came with the
        // lower bound went to all, and so to one that stays.
        state.alive -= 1;
        let is_last = state.alive == 0;
        drop(state);
        if is_last {
            self.empty.notify_all();
        }
        self.go();
    }

    /// Runs one job, which has been counted as running.
    fn work_on(self: &Arc<Self>, mut job: Box<dyn Job>) {
        job.run();
        // Free again before the operation is told: whoever runs one job after the other finds this thread free
        // each time, instead of having a second one started while the first one is on its way back.
        self.state.lock().running -= 1;
        if job.tell() {
            // The drop of a result is code of a user and takes as long as it likes: busy after all. A job
            // that came in meanwhile and counts on this thread gets another.
            self.state.lock().running += 1;
            self.grow();
            drop_contained(job);
            self.state.lock().running -= 1;
        }
    }

    /// The last act of a thread: joins the one that went before, and leaves itself to be joined by the next. So
    /// all are joined, one at most lies about, and no caller ever waits for that.
    fn go(&self) {
        let before = {
            let mut threads = self.threads.lock();
            match threads.handles.remove(&thread::current().id()) {
                Some(own) => threads.last_to_go.replace(own),
                // The pool is being dropped, and has it.
                None => return,
            }
        };
        if let Some(before) = before {
            let _ = before.join();
        }
    }
}

impl<J, T> Job for Work<J, T>
where
    T: Send,
    J: FnOnce() -> T + Send,
{
    fn run(&mut self) {
        if let Some(job) = self.job.take() {
            self.result = Some(catch(job).map_err(JoinError::panic));
        }
    }

    fn tell(&mut self) -> bool {
        if let (Some(completer), Some(result)) = (self.completer.take(), self.result.take()) {
            self.result = completer.offer(result);
        }
        // A panic that nobody will see is a payload that may have a `Drop`.
        matches!(self.result, Some(Err(_))) || (needs_drop::<T>() && self.result.is_some())
    }
}

impl State {
    fn queued(&self) -> usize {
        self.urgent.len() + self.normal.len()
    }

    fn next_job(&mut self) -> Option<Box<dyn Job>> {
        self.urgent.pop_front().or_else(|| self.normal.pop_front())
    }

    /// True where the caller has to call a sleeper: there is work for one, and none is on its way.
    ///
    /// One on its way is enough: it calls the next if there is more when it has its job. One call for each job would wake
    /// threads faster than they can get to the queue, only to find it empty.
    fn call_sleeper(&mut self) -> bool {
        let calls = self.queued() > 0 && self.asleep > 0 && !self.one_on_its_way;
        self.one_on_its_way |= calls;
        calls
    }

    /// More threads than the bound allows; one of them has to go.
    fn has_surplus(&self) -> bool {
        self.alive > self.max_threads
    }

    /// Counts one more thread in, if there is a job that none of the threads outside a job is there for.
    ///
    /// A thread that was called and has not looked yet counts as free, and so does one that is being started; the
    /// job it will take is still in the queue. So the two sides are compared as they are.
    fn reserve_thread(&mut self) -> bool {
        let free = self.alive - self.running;
        let grows = self.queued() > free && self.alive < self.max_threads;
        if grows {
            self.alive += 1;
        }
        grows
    }
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("BlockingPool")
            .field("threads", &state.alive)
            .field("max_threads", &state.max_threads)
            .field("running", &state.running)
            .field("queued", &state.queued())
            .finish()
    }
}

//! The run queue: tasks that want a poll, and workers that want a task.
//!
//! Both lists are under one lock, so "there is no task" and "I am asleep" are one step, and so are
//! "here is a task" and "who sleeps". Between a worker's last look and its sleep, nothing can slip in.

use super::parker::Parker;
use super::sync::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// First in, first out; shared by all workers of a manager.
///
/// Not bounded: a task is in it once at the most, so it holds no more than there are tasks, and who spawns
/// those decides how many.
pub(crate) struct RunQueue<T> {
    /// Under this lock tasks and parkers move in and out. No thread is woken and no task is dropped under it.
    lists: Mutex<Lists<T>>,
}

struct Lists<T> {
    /// Waiting for a worker, the longest wait in front.
    tasks: VecDeque<T>,
    /// Workers asleep, or about to be; the last to lie down is called first, its caches are the warmest.
    asleep: Vec<Arc<Parker>>,
    /// A worker was called and has not looked yet.
    one_on_its_way: bool,
    /// The manager is gone: nothing comes in, nothing comes out.
    closed: bool,
}

impl<T> RunQueue<T> {
    pub(crate) fn new() -> Self {
        Self {
            lists: Mutex::new(Lists {
                tasks: VecDeque::new(),
                asleep: Vec::new(),
                one_on_its_way: false,
                closed: false,
            }),
        }
    }

    /// Puts a task at the back, and calls a worker if one sleeps. After [`close`](Self::close), drops it.
    pub(crate) fn push(&self, task: T) {
        let mut lists = self.lists.lock();
        if lists.closed {
            // A task is dropped outside the lock, and so is this one.
            drop(lists);
            return drop(task);
        }
        lists.tasks.push_back(task);
        let worker = lists.call_worker();
        drop(lists);
        unpark(worker);
    }

    /// Puts a task at the back and calls nobody. For a worker that comes to [`next`](Self::next) right after,
    /// without running any foreign code in between: it is itself the one who will look.
    pub(crate) fn requeue(&self, task: T) {
        let mut lists = self.lists.lock();
        if lists.closed {
            drop(lists);
            return drop(task);
        }
        lists.tasks.push_back(task);
    }

    /// The task in front; sleeps until there is one. `None` once the queue is closed.
    ///
    /// `parker` belongs to the worker that asks.
    pub(crate) fn next(&self, parker: &Arc<Parker>) -> Option<T> {
        let mut lists = self.lists.lock();
        loop {
            if lists.closed {
                return None;
            }
            if let Some(task) = lists.tasks.pop_front() {
                // Each worker that leaves with a task calls the next one for what is left behind, so a burst of a
                // thousand tasks wakes the workers one after the other, while they already work.
                let worker = lists.call_worker();
                drop(lists);
                unpark(worker);
                return Some(task);
            }
            // Named as a sleeper under the same lock that showed no task. A push from now on finds the name;
            // its call is kept by the parker if it comes before the sleep.
            lists.asleep.push(Arc::clone(parker));
            drop(lists);
            parker.park();
            lists = self.lists.lock();
            lists.one_on_its_way = false;
        }
    }

    /// Ends it: sends all workers home and drops what is queued. No task comes out from now on.
    pub(crate) fn close(&self) {
        let (tasks, asleep) = {
            let mut lists = self.lists.lock();
            lists.closed = true;
            (
                std::mem::take(&mut lists.tasks),
                std::mem::take(&mut lists.asleep),
            )
        };
        for worker in asleep {
            worker.unpark();
        }
        drop(tasks);
    }
}

impl<T> Lists<T> {
    /// Takes a sleeper out to be called, if there is work for it, and nobody is on the way to that work.
    ///
    /// One on its way is enough: it will look at the queue as it is then, and call the next if there is more.
    /// Calling one for each task would wake workers that find nothing left to do.
    fn call_worker(&mut self) -> Option<Arc<Parker>> {
        if self.tasks.is_empty() || self.one_on_its_way {
            return None;
        }
        let worker = self.asleep.pop()?;
        self.one_on_its_way = true;
        Some(worker)
    }
}

fn unpark(worker: Option<Arc<Parker>>) {
    if let Some(worker) = worker {
        worker.unpark();
    }
}

impl<T> fmt::Debug for RunQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = self.lists.lock();
        f.debug_struct("RunQueue")
            .field("tasks", &lists.tasks.len())
            .field("asleep", &lists.asleep.len())
            .field("closed", &lists.closed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Parker, RunQueue};
    use std::sync::Arc;

    /// Pushes into its queue when it is dropped, as the last waker of another task may.
    struct Chatty(Arc<RunQueue<Option<Chatty>>>);

    impl Drop for Chatty {
        fn drop(&mut self) {
            self.0.push(None);
        }
    }

    #[test]
    fn first_in_first_out() {
        let (queue, parker) = (RunQueue::new(), Arc::new(Parker::new()));
        queue.push(1);
        queue.requeue(2);
        queue.push(3);
        let taken: Vec<_> = (0..3).map(|_| queue.next(&parker)).collect();
        assert_eq!(taken, [Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn a_closed_queue_keeps_nothing_and_drops_outside_its_lock() {
        let queue = Arc::new(RunQueue::new());
        queue.push(Some(Chatty(Arc::clone(&queue))));
        queue.close();
        queue.push(Some(Chatty(Arc::clone(&queue))));
        queue.requeue(Some(Chatty(Arc::clone(&queue))));
        assert!(queue.next(&Arc::new(Parker::new())).is_none());
        // Were one of them still inside, it would keep the queue that keeps it.
        assert_eq!(Arc::strong_count(&queue), 1);
    }
}

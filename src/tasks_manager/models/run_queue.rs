//! The run queue between pushers and workers. One function a model, and only `new`, `push`, `requeue`, `next` and
//! `close` are used.

use super::{Bound, Dropped, explore};
use crate::tasks_manager::parker::Parker;
use crate::tasks_manager::run_queue::RunQueue;
use crate::tasks_manager::sync::{AtomicBool, Condvar, Mutex, Ordering, thread};
use std::sync::Arc;

/// Where two meet, and a third waits for that.
struct Meeting {
    arrived: Mutex<u8>,
    news: Condvar,
}

impl Meeting {
    fn new() -> Self {
        Self {
            arrived: Mutex::new(0),
            news: Condvar::new(),
        }
    }

    fn meet(&self) {
        *self.arrived.lock() += 1;
        self.news.notify_all();
        self.wait();
    }

    /// Until both have arrived.
    fn wait(&self) {
        let mut arrived = self.arrived.lock();
        while *arrived < 2 {
            self.news.wait(&mut arrived);
        }
    }
}

/// Each task comes out once, in its order, and a worker does not sleep while one is there.
#[test]
fn one_worker_gets_all_that_is_pushed() {
    explore(Bound::None, || {
        let queue = Arc::new(RunQueue::new());
        let pusher = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.push(1);
                queue.push(2);
            })
        };
        let parker = Arc::new(Parker::new());
        assert_eq!(queue.next(&parker), Some(1));
        assert_eq!(queue.next(&parker), Some(2));
        pusher.join().unwrap();
    });
}

#[test]
fn one_worker_hears_two_pushers() {
    explore(Bound::Preemptions(5), || {
        let queue = Arc::new(RunQueue::new());
        let written = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let pushers = [0, 1].map(|number| {
            let (queue, written) = (Arc::clone(&queue), Arc::clone(&written));
            thread::spawn(move || {
                written[number].store(true, Ordering::Relaxed);
                queue.push(number);
            })
        });
        let parker = Arc::new(Parker::new());
        for _ in 0..2 {
            let number = queue.next(&parker).unwrap();
            assert!(written[number].load(Ordering::Relaxed));
        }
        for pusher in pushers {
            pusher.join().unwrap();
        }
    });
}

/// A task that was requeued calls nobody, and is not forgotten, whatever is pushed meanwhile.
#[test]
fn a_requeued_task_comes_back() {
    explore(Bound::Preemptions(5), || {
        let queue = Arc::new(RunQueue::new());
        queue.push(0);
        let pusher = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push(1))
        };
        let parker = Arc::new(Parker::new());
        let first = queue.next(&parker).unwrap();
        queue.requeue(first);
        let mut rest = [queue.next(&parker), queue.next(&parker)];
        rest.sort();
        assert_eq!(rest, [Some(0), Some(1)]);
        pusher.join().unwrap();
    });
}

/// Two tasks, of which each ends only once the other has begun: were one left in the queue while a worker
/// sleeps, all would sleep.
#[test]
fn no_task_is_left_while_a_worker_sleeps() {
    explore(Bound::Preemptions(3), || {
        let queue = Arc::new(RunQueue::new());
        let meeting = Arc::new(Meeting::new());
        let workers = [0, 1].map(|_| {
            let (queue, meeting) = (Arc::clone(&queue), Arc::clone(&meeting));
            thread::spawn(move || {
                let parker = Arc::new(Parker::new());
                while queue.next(&parker).is_some() {
                    meeting.meet();
                }
            })
        });
        queue.push(());
        queue.push(());
        meeting.wait();
        queue.close();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// A push, a worker and the end: the task comes out or is dropped, once, and the worker goes home.
#[test]
fn the_end_sends_the_worker_home() {
    explore(Bound::Preemptions(5), || {
        let queue = Arc::new(RunQueue::new());
        let (task, drops) = Dropped::new();
        let pusher = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push(task))
        };
        let worker = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let parker = Arc::new(Parker::new());
                while queue.next(&parker).is_some() {}
            })
        };
        queue.close();
        pusher.join().unwrap();
        worker.join().unwrap();
        assert_eq!(drops.count(), 1);
    });
}

/// Both sleep, or are about to: both go.
#[test]
fn the_end_sends_two_workers_home() {
    explore(Bound::Preemptions(5), || {
        let queue = Arc::new(RunQueue::<()>::new());
        let workers = [0, 1].map(|_| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || assert_eq!(queue.next(&Arc::new(Parker::new())), None))
        });
        queue.close();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

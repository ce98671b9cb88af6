//! The run queue between pushers and workers.

use super::{Bound, Dropped, Meeting, explore};
use crate::tasks_manager::run_queue::{RunQueue, Seat};
use crate::tasks_manager::sync::{AtomicBool, Ordering, thread};
use std::sync::Arc;

/// Each task comes out once, in its order, and a worker does not sleep while one is there.
#[test]
fn one_worker_gets_all_that_is_pushed() {
    explore(Bound::Preemptions(6), || {
        let queue = Arc::new(RunQueue::new(1));
        let pusher = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.push(None, 1);
                queue.push(None, 2);
            })
        };
        let mut seat = Seat::new(0);
        assert_eq!(queue.next(&mut seat, None), Some(1));
        assert_eq!(queue.next(&mut seat, None), Some(2));
        pusher.join().unwrap();
    });
}

#[test]
fn one_worker_hears_two_pushers() {
    explore(Bound::Preemptions(4), || {
        let queue = Arc::new(RunQueue::new(1));
        let written = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let pushers = [0, 1].map(|number| {
            let (queue, written) = (Arc::clone(&queue), Arc::clone(&written));
            thread::spawn(move || {
                written[number].store(true, Ordering::Relaxed);
                queue.push(None, number);
            })
        });
        let mut seat = Seat::new(0);
        for _ in 0..2 {
            let number = queue.next(&mut seat, None).unwrap();
            assert!(written[number].load(Ordering::Relaxed));
        }
        for pusher in pushers {
            pusher.join().unwrap();
        }
    });
}

/// A task that goes to the back is not forgotten, whatever is pushed meanwhile.
#[test]
fn a_task_that_yields_comes_back() {
    explore(Bound::None, || {
        let queue = Arc::new(RunQueue::new(1));
        queue.push(None, 0);
        let pusher = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push(None, 1))
        };
        let mut seat = Seat::new(0);
        let again = queue.next(&mut seat, None);
        let mut rest = [queue.next(&mut seat, again), queue.next(&mut seat, None)];
        rest.sort();
        assert_eq!(rest, [Some(0), Some(1)]);
        pusher.join().unwrap();
    });
}

/// Two tasks from outside, of which each ends only once the other has begun: were one left in a queue while a worker
/// sleeps, all would sleep.
#[test]
fn no_task_from_outside_is_left_while_a_worker_sleeps() {
    explore(Bound::Preemptions(2), || {
        let queue = Arc::new(RunQueue::new(2));
        let meeting = Arc::new(Meeting::new());
        let workers = [0, 1].map(|number| {
            let (queue, meeting) = (Arc::clone(&queue), Arc::clone(&meeting));
            thread::spawn(move || {
                let mut seat = Seat::new(number);
                while queue.next(&mut seat, None).is_some() {
                    meeting.meet();
                }
            })
        });
        queue.push(None, ());
        queue.push(None, ());
        meeting.wait();
        queue.close();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// The same with two who push at the same time: the one calls a worker while the other counts on it.
#[test]
fn two_pushers_call_two_workers() {
    explore(Bound::Preemptions(2), || {
        let queue = Arc::new(RunQueue::new(2));
        let meeting = Arc::new(Meeting::new());
        let workers = [0, 1].map(|number| {
            let (queue, meeting) = (Arc::clone(&queue), Arc::clone(&meeting));
            thread::spawn(move || {
                assert_eq!(queue.next(&mut Seat::new(number), None), Some(()));
                meeting.meet();
            })
        });
        let pushers = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push(None, ()))
        });
        for thread in workers.into_iter().chain(pushers) {
            thread.join().unwrap();
        }
    });
}

/// A push, a worker and the end: the task comes out or is dropped, once, and the worker goes home.
#[test]
fn the_end_sends_the_worker_home() {
    explore(Bound::Preemptions(5), || {
        let queue = Arc::new(RunQueue::new(1));
        let (task, drops) = Dropped::new();
        let pusher = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push(None, task))
        };
        let worker = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let mut seat = Seat::new(0);
                while queue.next(&mut seat, None).is_some() {}
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
    explore(Bound::Preemptions(3), || {
        let queue = Arc::new(RunQueue::<()>::new(2));
        let workers = [0, 1].map(|number| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || assert_eq!(queue.next(&mut Seat::new(number), None), None))
        });
        queue.close();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// A worker whose tasks yield for ever, and never finds its queue empty: it goes all the same, and drops them.
#[test]
fn the_end_stops_a_busy_worker() {
    explore(Bound::None, || {
        let queue = Arc::new(RunQueue::new(1));
        let (tasks, drops): (Vec<_>, Vec<_>) = [(); 2].map(|()| Dropped::new()).into_iter().unzip();
        let worker = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let mut seat = Seat::new(0);
                for task in tasks {
                    queue.push(Some(0), task);
                }
                let mut task = queue.next(&mut seat, None);
                while task.is_some() {
                    thread::yield_now();
                    task = queue.next(&mut seat, task);
                }
            })
        };
        queue.close();
        worker.join().unwrap();
        assert!(drops.iter().all(|task| task.count() == 1));
    });
}

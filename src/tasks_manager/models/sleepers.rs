//! Workers that block, and the others, which have to come for what these cannot get at.
//!
//! The thread of the model is the first worker, in the middle of a poll that ends only once its tasks have begun.

use super::{Bound, Meeting, explore};
use crate::tasks_manager::run_queue::{RunQueue, Seat};
use crate::tasks_manager::sync::thread::{self, JoinHandle};
use crate::tasks_manager::sync::{AtomicBool, Ordering};
use std::sync::Arc;

type Tasks = Arc<RunQueue<&'static str>>;

/// A worker that takes a task, and is inside it until another one has begun as well.
fn worker_that_meets(number: usize, queue: &Tasks, meeting: &Arc<Meeting>) -> JoinHandle<()> {
    let (queue, meeting) = (Arc::clone(queue), Arc::clone(meeting));
    thread::spawn(move || {
        assert!(queue.next(&mut Seat::new(number), None).is_some());
        meeting.meet();
    })
}

/// The other worker comes for the child, wherever it was when that was pushed, and sees what was written before.
#[test]
fn a_child_is_not_left_alone() {
    explore(Bound::Preemptions(7), || {
        let queue = Tasks::new(RunQueue::new(2));
        let meeting = Arc::new(Meeting::new());
        let written = Arc::new(AtomicBool::new(false));
        let other = {
            let (queue, meeting) = (Arc::clone(&queue), Arc::clone(&meeting));
            let written = Arc::clone(&written);
            thread::spawn(move || {
                assert_eq!(queue.next(&mut Seat::new(1), None), Some("child"));
                assert!(written.load(Ordering::Relaxed));
                meeting.meet();
            })
        };
        written.store(true, Ordering::Relaxed);
        queue.push(Some(0), "child");
        meeting.meet();
        other.join().unwrap();
    });
}

/// The other worker always has a task of its own, which yields: it comes for the child all the same.
#[test]
fn a_child_is_not_left_by_a_busy_worker() {
    explore(Bound::None, || {
        let queue = Tasks::new(RunQueue::new(2));
        let meeting = Arc::new(Meeting::new());
        let other = {
            let (queue, meeting) = (Arc::clone(&queue), Arc::clone(&meeting));
            thread::spawn(move || {
                let mut seat = Seat::new(1);
                let mut task = Some("busy");
                while task == Some("busy") {
                    thread::yield_now();
                    task = queue.next(&mut seat, task);
                }
                assert_eq!(task, Some("child"));
                meeting.meet();
            })
        };
        queue.push(Some(0), "child");
        meeting.meet();
        other.join().unwrap();
    });
}

/// The worker comes back for its first child, and blocks after the second: a watch that was set up for the one, or
/// has just ended, is not taken for a watch over the other.
#[test]
fn the_second_child_is_watched_as_well() {
    explore(Bound::Preemptions(4), || {
        let queue = Tasks::new(RunQueue::new(2));
        let meeting = Arc::new(Meeting::new());
        let other = {
            let (queue, meeting) = (Arc::clone(&queue), Arc::clone(&meeting));
            thread::spawn(move || {
                let mut seat = Seat::new(1);
                while queue.next(&mut seat, None) != Some("second") {}
                meeting.meet();
            })
        };
        queue.push(Some(0), "first");
        // The first child, or where that has been taken, the parent itself, which yields.
        let next = queue.next(&mut Seat::new(0), Some("parent"));
        assert!(next.is_some());
        queue.push(Some(0), "second");
        meeting.meet();
        other.join().unwrap();
    });
}

/// Two tasks, each of which needs a worker: the one who takes the first has the second one called, or whoever sleeps is
/// called for it at once.
#[test]
fn two_children_find_two_workers() {
    explore(Bound::Preemptions(3), || {
        let queue = Tasks::new(RunQueue::new(3));
        let meeting = Arc::new(Meeting::new());
        let others = [1, 2].map(|number| worker_that_meets(number, &queue, &meeting));
        queue.push(Some(0), "first");
        queue.push(Some(0), "second");
        for other in others {
            other.join().unwrap();
        }
    });
}

/// Who watches over the child is called for something else, and blocks there: another one comes for the child.
#[test]
fn a_watcher_that_is_called_away_is_replaced() {
    explore(Bound::Preemptions(3), || {
        let queue = Tasks::new(RunQueue::new(3));
        let meeting = Arc::new(Meeting::new());
        let others = [1, 2].map(|number| worker_that_meets(number, &queue, &meeting));
        queue.push(Some(0), "child");
        queue.push(None, "task from outside");
        for other in others {
            other.join().unwrap();
        }
    });
}

/// What a worker fetches from the injector lies in its own queue, while it goes on with another task: who was called for
/// it, and found nothing, has gone to sleep meanwhile.
fn what_a_worker_brings(outside: &'static [&'static str]) {
    let queue = Tasks::new(RunQueue::new(2));
    let meeting = Arc::new(Meeting::new());
    let mut seat = Seat::new(0);
    // The next turn is one at which it looks into the injector.
    let mut task = Some("blocks");
    for _ in 0..2 {
        task = queue.next(&mut seat, task);
    }
    let other = {
        let (queue, meeting) = (Arc::clone(&queue), Arc::clone(&meeting));
        thread::spawn(move || {
            let mut seat = Seat::new(1);
            while queue.next(&mut seat, None) == Some("short") {}
            meeting.meet();
        })
    };
    for task in outside {
        queue.push(None, *task);
    }
    assert_eq!(queue.next(&mut seat, task), Some("blocks"));
    meeting.meet();
    other.join().unwrap();
}

#[test]
fn a_task_that_a_worker_brings_is_not_left_with_it() {
    explore(Bound::Preemptions(5), || what_a_worker_brings(&["brought"]));
}

/// Its share are two of them.
#[test]
fn tasks_that_a_worker_brings_are_not_left_with_it() {
    explore(Bound::Preemptions(4), || {
        what_a_worker_brings(&["brought", "too", "short"])
    });
}

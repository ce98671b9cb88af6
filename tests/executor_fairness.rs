//! Hazard: a task that keeps others from being polled.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::tasks_manager::TasksManager;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Poll, Waker};
use support::{Count, Gate, in_time, rounds};

/// A task that wakes itself until told to stop.
fn spin(manager: &TasksManager, stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    manager.spawn(poll_fn(move |cx| {
        if stop.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
}

/// A pair that wakes each other until told to stop.
fn ping_pong(manager: &TasksManager, stop: &Arc<AtomicBool>) {
    let wakers = Arc::new(Mutex::new([None::<Waker>, None]));
    for side in [0, 1] {
        let (wakers, stop) = (Arc::clone(&wakers), Arc::clone(stop));
        manager.spawn(poll_fn(move |cx| {
            let peer = {
                let mut wakers = wakers.lock().unwrap();
                wakers[side] = Some(cx.waker().clone());
                wakers[1 - side].clone()
            };
            if let Some(peer) = peer {
                peer.wake();
            }
            if stop.load(Ordering::SeqCst) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
    }
}

#[test]
fn tasks_on_one_worker_take_turns() {
    let manager = TasksManager::new(1);
    let gate = Gate::new();
    let inside = gate.clone();
    manager.spawn(async move { inside.pass() });
    gate.wait_for_arrival();
    let turns = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..3)
        .map(|name| {
            let turns = Arc::clone(&turns);
            let mut left = 4;
            manager.spawn(poll_fn(move |cx| {
                turns.lock().unwrap().push(name);
                cx.waker().wake_by_ref();
                left -= 1;
                if left == 0 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }))
        })
        .collect();
    gate.open();
    for task in tasks {
        task.wait().unwrap();
    }
    assert_eq!(*turns.lock().unwrap(), [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn busy_tasks_starve_nobody() {
    for workers in [1, 2] {
        let manager = TasksManager::new(workers);
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..3 {
            spin(&manager, &stop);
            ping_pong(&manager, &stop);
        }
        for _ in rounds(200) {
            let task = manager.spawn(async {});
            in_time(|| task.wait()).unwrap();
        }
        stop.store(true, Ordering::SeqCst);
    }
}

/// The blocked worker must not sit on the child: the other one gets it.
#[test]
fn a_task_that_blocks_on_its_child_gets_its_child_run() {
    for busy in [false, true] {
        let manager = Arc::new(TasksManager::new(2));
        let stop = Arc::new(AtomicBool::new(false));
        if busy {
            spin(&manager, &stop);
            ping_pong(&manager, &stop);
        }
        for _ in rounds(300) {
            let weak = Arc::downgrade(&manager);
            let parent = manager.spawn(async move {
                let child = weak.upgrade().unwrap().spawn(async { 3 });
                child.wait().unwrap()
            });
            assert_eq!(in_time(|| parent.wait()).unwrap(), 3);
        }
        stop.store(true, Ordering::SeqCst);
    }
}

/// The same with a child that was woken, not spawned, and with a worker that blocks for good.
#[test]
fn a_task_that_blocks_after_a_wake_does_not_keep_the_woken() {
    for _ in rounds(200) {
        let manager = TasksManager::new(2);
        let (woken, waiting) = support::probe();
        let child = manager.spawn(waiting);
        let waker = woken.waker();
        let gate = Gate::new();
        let inside = gate.clone();
        manager.spawn(async move {
            TasksManager::wake(&waker);
            inside.pass();
        });
        gate.wait_for_arrival();
        woken.polls.wait_for(2);
        gate.open();
        drop(child);
    }
}

/// A burst wakes every worker there is work for, though each push calls one at the most.
#[test]
fn a_burst_reaches_all_workers() {
    const WORKERS: usize = 4;
    let manager = TasksManager::new(WORKERS);
    for _ in rounds(200) {
        let barrier = Arc::new(Barrier::new(WORKERS));
        let tasks: Vec<_> = (0..WORKERS)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                manager.spawn(async move { barrier.wait() })
            })
            .collect();
        in_time(|| {
            for task in tasks {
                task.wait().unwrap();
            }
        });
    }
}

/// A task that goes to the back of the queue calls nobody; a worker that is about to block must not strand it.
#[test]
fn a_requeued_task_is_not_stranded_behind_one_that_blocks() {
    for _ in rounds(200) {
        let manager = TasksManager::new(2);
        let (gate, polls) = (Gate::new(), Count::new());
        let first = Gate::new();
        let spinner = {
            let (gate, polls, first) = (gate.clone(), polls.clone(), first.clone());
            manager.spawn(poll_fn(move |cx| {
                if polls.add() == 1 {
                    first.pass();
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                gate.open();
                Poll::Ready(())
            }))
        };
        first.wait_for_arrival();
        let blocked = gate.clone();
        let blocker = manager.spawn(async move { blocked.pass() });
        first.open();
        in_time(|| spinner.wait()).unwrap();
        in_time(|| blocker.wait()).unwrap();
    }
}

#[test]
fn all_of_many_tasks_are_run() {
    let manager = Arc::new(TasksManager::new(2));
    let ran = Arc::new(AtomicUsize::new(0));
    let outer: Vec<_> = (0..50)
        .map(|_| {
            let (weak, ran) = (Arc::downgrade(&manager), Arc::clone(&ran));
            manager.spawn(async move {
                let children: Vec<_> = (0..50)
                    .map(|_| {
                        let ran = Arc::clone(&ran);
                        let manager = weak.upgrade().unwrap();
                        manager.spawn(async move {
                            ran.fetch_add(1, Ordering::SeqCst);
                        })
                    })
                    .collect();
                for child in children {
                    child.await.unwrap();
                }
            })
        })
        .collect();
    in_time(|| outer.into_iter().for_each(|task| task.wait().unwrap()));
    assert_eq!(ran.load(Ordering::SeqCst), 2500);
}

//! Hazard: a wake-up that is lost, doubled, late or early.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::tasks_manager::TasksManager;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use support::{Count, Gate, OnDrop, eventually, in_time, probe, rounds};

/// On one worker: everything that was queued before this has been polled when it returns.
fn drain(manager: &TasksManager) {
    manager.spawn(async {}).wait().unwrap();
}

/// Occupies the only worker until the gate opens.
fn block_worker(manager: &TasksManager) -> Gate {
    let gate = Gate::new();
    let inside = gate.clone();
    manager.spawn(async move { inside.pass() });
    gate.wait_for_arrival();
    gate
}

#[test]
fn a_spawned_task_is_polled_once_and_not_again_without_a_wake() {
    let manager = TasksManager::new(1);
    let (task, future) = probe();
    let _handle = manager.spawn(future);
    for _ in 0..10 {
        drain(&manager);
    }
    assert_eq!(task.polls.get(), 1);
}

#[test]
fn each_wake_of_an_idle_task_is_one_poll() {
    let manager = TasksManager::new(1);
    let (task, future) = probe();
    let _handle = manager.spawn(future);
    let waker = task.waker();
    // The waker is out before the poll is over, and a wake until then is another case.
    drain(&manager);
    for polls in 2..50 {
        let waker = waker.clone();
        if polls % 3 == 0 {
            waker.wake();
        } else if polls % 3 == 1 {
            waker.wake_by_ref();
        } else {
            TasksManager::wake(&waker);
        }
        drain(&manager);
        assert_eq!(task.polls.get(), polls);
    }
}

#[test]
fn a_hundred_wakes_while_queued_are_one_poll() {
    let manager = TasksManager::new(1);
    let (task, future) = probe();
    let _handle = manager.spawn(future);
    let waker = task.waker();
    drain(&manager);
    let gate = block_worker(&manager);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| TasksManager::wake(&waker)));
        }
    });
    gate.open();
    drain(&manager);
    drain(&manager);
    assert_eq!((task.polls.get(), task.drops.get()), (2, 0));
}

#[test]
fn wakes_during_a_poll_are_one_more_poll() {
    for from_inside in [false, true] {
        let manager = TasksManager::new(1);
        let (polls, gate) = (Count::new(), Gate::new());
        let published = Arc::new(Mutex::new(None::<Waker>));
        let task = {
            let (polls, gate, published) = (polls.clone(), gate.clone(), Arc::clone(&published));
            poll_fn(move |cx| {
                if polls.add() == 1 {
                    *published.lock().unwrap() = Some(cx.waker().clone());
                    if from_inside {
                        (0..10).for_each(|_| cx.waker().wake_by_ref());
                    }
                    gate.pass();
                }
                Poll::<()>::Pending
            })
        };
        let _handle = manager.spawn(task);
        gate.wait_for_arrival();
        let waker = published.lock().unwrap().clone().unwrap();
        if !from_inside {
            (0..10).for_each(|_| TasksManager::wake(&waker));
        }
        gate.open();
        drain(&manager);
        drain(&manager);
        assert_eq!(polls.get(), 2, "from inside: {from_inside}");
    }
}

#[test]
fn wakes_after_the_end_do_nothing() {
    let manager = TasksManager::new(1);
    let (task, future) = probe();
    let handle = manager.spawn(future);
    let waker = task.waker();
    task.finish();
    handle.wait().unwrap();
    let polls = task.polls.get();
    (0..100).for_each(|_| TasksManager::wake(&waker));
    drain(&manager);
    assert_eq!((polls, task.polls.get()), (2, 2));

    let (task, future) = probe();
    let handle = manager.spawn(future);
    let waker = task.waker();
    handle.cancel();
    assert!(handle.wait().unwrap_err().is_cancelled());
    (0..100).for_each(|_| TasksManager::wake(&waker));
    drain(&manager);
    assert_eq!(task.polls.get(), 1);
}

#[test]
fn wakes_after_the_manager_do_nothing() {
    let manager = TasksManager::new(2);
    let (task, future) = probe();
    let handle = manager.spawn(future);
    let waker = task.waker();
    drop(manager);
    (0..100).for_each(|_| TasksManager::wake(&waker));
    assert_eq!((task.polls.get(), task.drops.get()), (1, 1));
    assert!(handle.wait().unwrap_err().is_cancelled());
    waker.wake();
}

#[test]
fn a_future_may_wake_itself_from_its_own_drop() {
    in_time(|| {
        let manager = TasksManager::new(1);
        let polls = Count::new();
        let published = Arc::new(Mutex::new(None::<Waker>));
        let handle = {
            let (polls, published) = (polls.clone(), Arc::clone(&published));
            let in_drop = Arc::clone(&published);
            let guard = OnDrop(move || in_drop.lock().unwrap().as_ref().unwrap().wake_by_ref());
            manager.spawn(poll_fn(move |cx| {
                let _ = &guard;
                *published.lock().unwrap() = Some(cx.waker().clone());
                polls.add();
                Poll::Ready(())
            }))
        };
        handle.wait().unwrap();
        drain(&manager);
        assert_eq!(polls.get(), 1);
    });
}

#[test]
fn one_poll_at_a_time() {
    const WAKES: usize = 20_000;
    let manager = TasksManager::new(4);
    let inside = Arc::new(AtomicBool::new(false));
    let overlaps = Arc::new(AtomicUsize::new(0));
    let (polls, stop) = (Count::new(), Arc::new(AtomicBool::new(false)));
    let published = Arc::new(Mutex::new(None::<Waker>));
    let handle = {
        let (inside, overlaps, polls) = (Arc::clone(&inside), Arc::clone(&overlaps), polls.clone());
        let (stop, published) = (Arc::clone(&stop), Arc::clone(&published));
        manager.spawn(poll_fn(move |cx| {
            if inside.swap(true, Ordering::SeqCst) {
                overlaps.fetch_add(1, Ordering::SeqCst);
            }
            published
                .lock()
                .unwrap()
                .get_or_insert_with(|| cx.waker().clone());
            polls.add();
            thread::yield_now();
            inside.store(false, Ordering::SeqCst);
            if stop.load(Ordering::SeqCst) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
    };
    polls.wait_for(1);
    let waker = published.lock().unwrap().clone().unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| rounds(WAKES).for_each(|_| TasksManager::wake(&waker)));
        }
    });
    stop.store(true, Ordering::SeqCst);
    TasksManager::wake(&waker);
    in_time(|| handle.wait()).unwrap();
    assert_eq!(overlaps.load(Ordering::SeqCst), 0);
    assert!(polls.get() <= 3 * WAKES + 2, "more polls than wakes");
}

/// The message goes through a relaxed atomic: only the wake orders it before the poll.
#[test]
fn what_was_written_before_a_wake_is_seen_by_its_poll() {
    for wakers in [1, 3] {
        let manager = TasksManager::new(2);
        let messages: Arc<Vec<AtomicUsize>> =
            Arc::new((0..wakers).map(|_| AtomicUsize::new(0)).collect());
        let (seen, first) = (Arc::new(AtomicUsize::new(0)), Count::new());
        let published = Arc::new(Mutex::new(None::<Waker>));
        let _handle = {
            let (messages, seen, first) = (Arc::clone(&messages), Arc::clone(&seen), first.clone());
            let published = Arc::clone(&published);
            manager.spawn(poll_fn(move |cx| {
                published
                    .lock()
                    .unwrap()
                    .get_or_insert_with(|| cx.waker().clone());
                let sum = messages.iter().map(|m| m.load(Ordering::Relaxed)).sum();
                seen.store(sum, Ordering::Release);
                first.add();
                Poll::<()>::Pending
            }))
        };
        first.wait_for(1);
        let waker = published.lock().unwrap().clone().unwrap();
        thread::scope(|scope| {
            for message in messages.iter() {
                let (waker, seen) = (&waker, &seen);
                scope.spawn(move || {
                    for round in rounds(10_000) {
                        message.store(round + 1, Ordering::Relaxed);
                        TasksManager::wake(waker);
                        // Alone, each wake is answered before the next: one that is lost stops here.
                        if wakers == 1 {
                            eventually("the answer to a wake", || {
                                seen.load(Ordering::Acquire) > round
                            });
                        }
                    }
                });
            }
        });
        let sum: usize = messages.iter().map(|m| m.load(Ordering::Relaxed)).sum();
        eventually("the poll that sees all", || {
            seen.load(Ordering::Acquire) == sum
        });
    }
}

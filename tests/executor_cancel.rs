//! Hazard: a cancellation that interrupts, blocks, is lost, or drops twice.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::tasks_manager::{JoinHandle, TasksManager};
use std::future::{pending, poll_fn};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use support::{Count, Gate, OnDrop, in_time, probe, rounds};

#[test]
fn before_the_first_poll() {
    let manager = TasksManager::new(1);
    let gate = Gate::new();
    let inside = gate.clone();
    manager.spawn(async move { inside.pass() });
    gate.wait_for_arrival();
    let (task, future) = probe();
    let handle = manager.spawn(future);
    handle.cancel();
    handle.cancel();
    // Only a worker drops it, and the only worker is busy.
    assert!(!handle.is_finished());
    assert_eq!(task.drops.get(), 0);
    gate.open();
    assert!(handle.wait().unwrap_err().is_cancelled());
    assert_eq!((task.polls.get(), task.drops.get()), (0, 1));
}

#[test]
fn while_idle_and_twice() {
    let manager = TasksManager::new(1);
    let (task, future) = probe();
    let handle = manager.spawn(future);
    let waker = task.waker();
    manager.spawn(async {}).wait().unwrap();
    handle.cancel();
    handle.cancel();
    TasksManager::wake(&waker);
    assert!(handle.wait().unwrap_err().is_cancelled());
    assert_eq!((task.polls.get(), task.drops.get()), (1, 1));
}

#[test]
fn during_a_poll_it_neither_waits_nor_interrupts() {
    let manager = TasksManager::new(1);
    let (gate, polls, drops) = (Gate::new(), Count::new(), Count::new());
    let handle = {
        let (gate, polls, guard) = (gate.clone(), polls.clone(), drops.on_drop());
        manager.spawn(poll_fn(move |cx| {
            let _ = &guard;
            polls.add();
            cx.waker().wake_by_ref();
            gate.pass();
            Poll::<()>::Pending
        }))
    };
    gate.wait_for_arrival();
    let handle = in_time(move || {
        handle.cancel();
        handle
    });
    assert!(!handle.is_finished());
    assert_eq!(drops.get(), 0);
    gate.open();
    assert!(handle.wait().unwrap_err().is_cancelled());
    assert_eq!((polls.get(), drops.get()), (1, 1));
}

#[test]
fn during_the_last_poll_the_output_counts() {
    let manager = TasksManager::new(1);
    let gate = Gate::new();
    let inside = gate.clone();
    let handle = manager.spawn(async move {
        inside.pass();
        5
    });
    gate.wait_for_arrival();
    handle.cancel();
    gate.open();
    assert_eq!(handle.wait().unwrap(), 5);
}

#[test]
fn after_the_end_it_changes_nothing() {
    let manager = TasksManager::new(1);
    let handle = manager.spawn(async { 7 });
    support::eventually("the end", || handle.is_finished());
    handle.cancel();
    manager.spawn(async {}).wait().unwrap();
    assert_eq!(handle.wait().unwrap(), 7);
}

#[test]
fn after_the_manager_it_changes_nothing() {
    let manager = TasksManager::new(1);
    let idle = manager.spawn(pending::<()>());
    let ended = manager.spawn(async { 7 });
    support::eventually("the end", || ended.is_finished());
    drop(manager);
    idle.cancel();
    ended.cancel();
    assert!(idle.wait().unwrap_err().is_cancelled());
    assert_eq!(ended.wait().unwrap(), 7);
}

#[test]
fn by_the_task_itself() {
    let manager = TasksManager::new(1);
    let (sender, receiver) = channel::<JoinHandle<()>>();
    let (own, outside) = channel();
    let (polls, drops) = (Count::new(), Count::new());
    let handle = {
        let (polls, guard) = (polls.clone(), drops.on_drop());
        manager.spawn(poll_fn(move |_| {
            let _ = &guard;
            polls.add();
            let handle = receiver.recv().unwrap();
            handle.cancel();
            own.send(handle).unwrap();
            Poll::<()>::Pending
        }))
    };
    sender.send(handle).unwrap();
    let handle = outside.recv().unwrap();
    assert!(handle.wait().unwrap_err().is_cancelled());
    assert_eq!((polls.get(), drops.get()), (1, 1));
}

/// The caller of `cancel` may hold locks that the future's `Drop` wants.
#[test]
fn the_future_is_dropped_by_a_worker() {
    let manager = TasksManager::new(1);
    let name = Arc::new(Mutex::new(None));
    let (task, future) = probe();
    let handle = {
        let name = Arc::clone(&name);
        let guard = OnDrop(move || {
            *name.lock().unwrap() = thread::current().name().map(str::to_owned);
        });
        manager.spawn(async move {
            future.await;
            drop(guard);
        })
    };
    task.polls.wait_for(1);
    handle.cancel();
    assert!(handle.wait().unwrap_err().is_cancelled());
    assert_eq!(name.lock().unwrap().as_deref(), Some("tasks-manager-0"));
}

#[test]
fn the_drop_of_a_cancelled_future_may_spawn_and_cancel() {
    in_time(|| {
        let manager = Arc::new(TasksManager::new(1));
        let (other, other_future) = probe();
        let other_handle = manager.spawn(other_future);
        let (sender, spawned) = channel();
        let (task, future) = probe();
        let handle = {
            let weak = Arc::downgrade(&manager);
            let guard = OnDrop(move || {
                other_handle.cancel();
                let manager = weak.upgrade().unwrap();
                sender.send(manager.spawn(async { 9 })).unwrap();
            });
            manager.spawn(async move {
                future.await;
                drop(guard);
            })
        };
        task.polls.wait_for(1);
        handle.cancel();
        assert!(handle.wait().unwrap_err().is_cancelled());
        assert_eq!(spawned.recv().unwrap().wait().unwrap(), 9);
        other.drops.wait_for(1);
    });
}

/// Cancel, wake and poll from three sides at once: whoever comes first, the future is dropped once, and the
/// handle resolves.
#[test]
fn races_with_wakes_and_polls() {
    in_time(|| {
        let manager = TasksManager::new(2);
        for round in rounds(3_000) {
            let (task, future) = probe();
            let handle = manager.spawn(future);
            if round % 2 == 0 {
                task.polls.wait_for(1);
            }
            thread::scope(|scope| {
                if round % 2 == 0 {
                    let waker = task.waker();
                    scope.spawn(move || (0..3).for_each(|_| TasksManager::wake(&waker)));
                }
                handle.cancel();
            });
            assert!(handle.wait().unwrap_err().is_cancelled());
            assert_eq!(task.drops.get(), 1);
            let polls = task.polls.get();
            assert!(polls <= 4);
        }
    });
}

//! Hazard: a future or an output that is dropped late, twice, or never.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::tasks_manager::{JoinHandle, TasksManager};
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use support::{Count, Gate, OnDrop, counting_waker, in_time, poll_with, probe, rounds};

#[test]
fn a_completed_future_is_gone_when_its_handle_says_so() {
    let manager = TasksManager::new(2);
    for _ in rounds(500) {
        let (task, future) = probe();
        let handle = manager.spawn(future);
        let waker = task.waker();
        task.finish();
        handle.wait().unwrap();
        // The waker is alive, and keeps nothing.
        assert_eq!(task.drops.get(), 1);
        TasksManager::wake(&waker);
    }
}

#[test]
fn a_cancelled_future_is_gone_when_its_handle_says_so() {
    let manager = TasksManager::new(2);
    for _ in rounds(500) {
        let (task, future) = probe();
        let handle = manager.spawn(future);
        let waker = task.waker();
        handle.cancel();
        assert!(handle.wait().unwrap_err().is_cancelled());
        assert_eq!((task.polls.get(), task.drops.get()), (1, 1));
        drop(waker);
    }
}

#[test]
fn the_future_is_dropped_before_the_joiner_is_woken() {
    let manager = TasksManager::new(2);
    let (in_drop, drops) = (Gate::new(), Count::new());
    let (task, future) = probe();
    let mut handle = {
        let (in_drop, drops) = (in_drop.clone(), drops.clone());
        let guard = support::OnDrop(move || {
            in_drop.pass();
            drops.add();
        });
        manager.spawn(async move {
            future.await;
            drop(guard);
        })
    };
    let (waker, wakes, _) = counting_waker();
    assert!(poll_with(&mut handle, &waker).is_pending());
    handle.cancel();
    in_drop.wait_for_arrival();
    assert!(!handle.is_finished());
    assert!(poll_with(&mut handle, &waker).is_pending());
    assert_eq!(wakes.get(), 0);
    in_drop.open();
    wakes.wait_for(1);
    assert_eq!((drops.get(), task.drops.get()), (1, 1));
    assert!(handle.is_finished());
}

#[test]
fn an_output_that_nobody_asked_for_is_dropped_at_once() {
    let manager = TasksManager::new(1);
    for detach_first in [true, false] {
        let (drops, gate) = (Count::new(), Gate::new());
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let handle = {
            let (drops, gate, waker) = (drops.clone(), gate.clone(), Arc::clone(&waker));
            manager.spawn(poll_fn(move |cx| {
                *waker.lock().unwrap() = Some(cx.waker().clone());
                gate.pass();
                Poll::Ready(drops.on_drop())
            }))
        };
        gate.wait_for_arrival();
        if detach_first {
            drop(handle);
            assert_eq!(drops.get(), 0);
            gate.open();
        } else {
            gate.open();
            support::eventually("the end", || handle.is_finished());
            assert_eq!(drops.get(), 0);
            drop(handle);
        }
        manager.spawn(async {}).wait().unwrap();
        // A waker survives, and does not keep it.
        assert!(waker.lock().unwrap().is_some());
        assert_eq!(drops.get(), 1, "detached first: {detach_first}");
    }
}

#[test]
fn an_output_that_was_taken_is_the_takers() {
    let manager = TasksManager::new(1);
    let drops = Count::new();
    let output = {
        let drops = drops.clone();
        manager
            .spawn(async move { drops.on_drop() })
            .wait()
            .unwrap()
    };
    manager.spawn(async {}).wait().unwrap();
    assert_eq!(drops.get(), 0);
    drop(output);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_dropped_handle_detaches_and_lets_go_of_its_waker() {
    let manager = TasksManager::new(1);
    let (task, future) = probe();
    let mut handle = manager.spawn(future);
    let (waker, wakes, drops) = counting_waker();
    assert!(poll_with(&mut handle, &waker).is_pending());
    drop(waker);
    assert_eq!(drops.get(), 0);
    drop(handle);
    assert_eq!(drops.get(), 1);
    // The task goes on.
    task.finish();
    task.drops.wait_for(1);
    assert_eq!((task.polls.get(), wakes.get()), (2, 0));
}

/// The two ends race: the handle goes while the output comes.
#[test]
fn an_output_is_dropped_once_however_the_ends_meet() {
    in_time(|| {
        let manager = TasksManager::new(2);
        let drops = Count::new();
        let mut outputs = 0;
        for round in rounds(5_000) {
            outputs += 1;
            let output = drops.on_drop();
            let handle = manager.spawn(async move { output });
            for _ in 0..round % 7 {
                std::thread::yield_now();
            }
            drop(handle);
        }
        drops.wait_for(outputs);
        drop(manager);
        assert_eq!(drops.get(), outputs);
    });
}

/// A task that has ended leaves nothing behind but the room where it was: what it captured is free while manager, handle and waker live.
#[test]
fn nothing_of_an_ended_task_is_kept() {
    let manager = TasksManager::new(2);
    let kept = Arc::new(());
    let (task, future) = probe();
    let handle = {
        let kept = Arc::clone(&kept);
        manager.spawn(async move {
            future.await;
            drop(kept);
        })
    };
    task.finish();
    support::eventually("the end", || handle.is_finished());
    assert_eq!(Arc::strong_count(&kept), 1);
}

/// What a future's own drop may get hold of.
#[derive(Default)]
struct Belongings {
    manager: Option<Arc<TasksManager>>,
    handle: Option<JoinHandle<()>>,
    waker: Option<Waker>,
}

/// After the last poll, after a panic in it, and after a cancellation.
#[test]
fn the_drop_of_a_future_may_do_anything_to_its_own_task() {
    for end in ["ready", "panic", "cancel"] {
        let own = Arc::new(Mutex::new(Belongings::default()));
        let (drops, gate) = (Count::new(), Gate::new());
        let last_act = {
            let (own, drops) = (Arc::clone(&own), drops.clone());
            OnDrop(move || {
                let Belongings {
                    manager,
                    handle,
                    waker,
                } = std::mem::take(&mut *own.lock().unwrap());
                let (handle, waker) = (handle.unwrap(), waker.unwrap());
                waker.wake_by_ref();
                handle.cancel();
                assert!(!handle.is_finished());
                drop((handle, waker));
                // The last reference.
                drop(manager);
                drops.add();
            })
        };
        let manager = Arc::new(TasksManager::new(2));
        let handle = manager.spawn({
            let (own, gate) = (Arc::clone(&own), gate.clone());
            poll_fn(move |cx| {
                let _ = &last_act;
                own.lock().unwrap().waker = Some(cx.waker().clone());
                gate.pass();
                match end {
                    "ready" => Poll::Ready(()),
                    "panic" => panic!("on purpose"),
                    _ => Poll::Pending,
                }
            })
        });
        gate.wait_for_arrival();
        if end == "cancel" {
            handle.cancel();
        }
        {
            let mut own = own.lock().unwrap();
            own.handle = Some(handle);
            own.manager = Some(manager);
        }
        gate.open();
        drops.wait_for(1);
    }
}

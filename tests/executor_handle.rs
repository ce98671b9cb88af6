//! Hazard: a handle that blocks, forgets who waits, or calls foreign code under a lock.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::io_operation::{BlockingPool, Completer, IoOperation};
use data_manager::tasks_manager::{JoinError, JoinHandle, Sleep, TasksManager, block_on};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use support::{Count, Gate, code_waker, counting_waker, in_time, poll_with, probe, rounds};

#[test]
fn the_types_go_everywhere() {
    fn is_future<F: Future + Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    fn is_shared<T: Send + Sync + std::fmt::Debug + 'static>() {}
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    // Send and not Sync: the weakest output there is.
    type Output = std::cell::Cell<u8>;
    is_future::<JoinHandle<Output>>();
    is_future::<IoOperation<Output>>();
    is_future::<Sleep>();
    is_shared::<Completer<Output>>();
    is_shared::<TasksManager>();
    is_shared::<BlockingPool>();
    is_error::<JoinError>();
}

#[test]
fn awaited_by_a_task_of_the_same_and_of_another_manager() {
    let one = TasksManager::new(1);
    let two = TasksManager::new(1);
    let (task, future) = probe();
    let first = one.spawn(async move {
        future.await;
        1
    });
    let second = one.spawn(async move { first.await.unwrap() + 1 });
    let third = two.spawn(async move { second.await.unwrap() + 1 });
    task.finish();
    assert_eq!(block_on(third).unwrap(), 3);
}

#[test]
fn zero_threads_are_one() {
    let manager = TasksManager::new(0);
    let task = manager.spawn(async { std::thread::current().name().map(str::to_owned) });
    assert_eq!(task.wait().unwrap().as_deref(), Some("tasks-manager-0"));
    assert_eq!(
        TasksManager::try_new(0)
            .unwrap()
            .spawn(async { 1 })
            .wait()
            .unwrap(),
        1
    );
}

#[test]
fn the_default_manager_works() {
    assert_eq!(
        TasksManager::default().spawn(async { 1 }).wait().unwrap(),
        1
    );
}

#[test]
fn only_the_last_waker_is_woken() {
    let manager = TasksManager::new(1);
    let (task, future) = probe();
    let mut handle = manager.spawn(future);
    let (first, first_wakes, first_drops) = counting_waker();
    let (second, second_wakes, _) = counting_waker();
    assert!(poll_with(&mut handle, &first).is_pending());
    assert!(poll_with(&mut handle, &first).is_pending());
    assert!(poll_with(&mut handle, &second).is_pending());
    drop(first);
    assert_eq!(first_drops.get(), 1, "the stale waker is kept");
    task.finish();
    second_wakes.wait_for(1);
    assert!(poll_with(&mut handle, &second).is_ready());
    assert_eq!((first_wakes.get(), second_wakes.get()), (0, 1));
}

#[test]
fn a_handle_that_is_polled_during_a_poll_of_its_task_does_not_wait() {
    let manager = TasksManager::new(1);
    let gate = Gate::new();
    let inside = gate.clone();
    let mut handle = manager.spawn(async move { inside.pass() });
    gate.wait_for_arrival();
    let (waker, wakes, _) = counting_waker();
    let mut handle = in_time(move || {
        assert!(poll_with(&mut handle, &waker).is_pending());
        assert!(!handle.is_finished());
        drop(format!("{handle:?}"));
        handle
    });
    gate.open();
    wakes.wait_for(1);
    let (waker, ..) = counting_waker();
    assert!(matches!(
        poll_with(&mut handle, &waker),
        Poll::Ready(Ok(()))
    ));
}

#[test]
fn after_the_end_the_first_poll_has_the_output_and_the_second_panics() {
    let manager = TasksManager::new(1);
    let mut handle = manager.spawn(async { 5 });
    support::eventually("the end", || handle.is_finished());
    let (waker, wakes, _) = counting_waker();
    assert!(matches!(poll_with(&mut handle, &waker), Poll::Ready(Ok(5))));
    assert_eq!(wakes.get(), 0);
    assert!(handle.is_finished());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(poll_with(&mut handle, &waker)))).is_err());
    // The lock inside survived that.
    assert!(handle.is_finished());
}

#[test]
fn finished_means_that_a_poll_is_ready() {
    let manager = TasksManager::new(2);
    let (waker, ..) = counting_waker();
    for _ in rounds(2_000) {
        let mut handle = manager.spawn(async {});
        support::eventually("the end", || handle.is_finished());
        assert!(poll_with(&mut handle, &waker).is_ready());
    }
}

/// A waker asks the handle that wakes it. Under a lock, it would wait for itself.
#[test]
fn a_waker_may_use_the_handle_that_wakes_it() {
    in_time(|| {
        let manager = TasksManager::new(1);
        let (task, future) = probe();
        let handle = Arc::new(Mutex::new(manager.spawn(future)));
        let (finished, dropped) = (Count::new(), Count::new());
        let waker = {
            let (on_wake, on_drop) = (Arc::clone(&handle), Arc::clone(&handle));
            let (finished, dropped) = (finished.clone(), dropped.clone());
            code_waker(
                move || {
                    let handle = on_wake.lock().unwrap();
                    assert!(handle.is_finished());
                    handle.cancel();
                    finished.add();
                },
                move || {
                    assert!(on_drop.lock().unwrap().is_finished());
                    dropped.add();
                },
            )
        };
        assert!(poll_with(&mut *handle.lock().unwrap(), &waker).is_pending());
        drop(waker);
        task.finish();
        finished.wait_for(1);
        dropped.wait_for(1);
    });
}

/// An output that uses the executor in its `Drop`, on the worker and in the handle.
#[test]
fn the_drop_of_an_output_may_use_the_executor() {
    in_time(|| {
        let manager = Arc::new(TasksManager::new(1));
        let done = Count::new();
        for _ in 0..50 {
            let weak = Arc::downgrade(&manager);
            let done = done.clone();
            drop(manager.spawn(async move {
                support::OnDrop(move || {
                    let done = done.clone();
                    let manager = weak.upgrade().unwrap();
                    manager.spawn(async move { done.add() });
                })
            }));
        }
        done.wait_for(50);
    });
}

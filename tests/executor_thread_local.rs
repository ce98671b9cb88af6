//! Hazard: calls from the destructor of a thread-local, when half of the thread is gone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::io_operation::{BlockingPool, IoOperation};
use data_manager::tasks_manager::{TasksManager, block_on, sleep};
use std::future::pending;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use support::{Count, at_thread_exit, counting_waker, in_time, probe};

/// Runs code in the destructor of a thread-local of a foreign thread, to its end.
fn at_exit_of_a_thread(code: impl FnOnce() + Send + 'static) {
    let done = Count::new();
    let ran = done.clone();
    in_time(move || {
        let thread = thread::spawn(move || {
            at_thread_exit(move || {
                code();
                ran.add();
            });
        });
        thread.join().unwrap();
    });
    assert_eq!(done.get(), 1);
}

#[test]
fn spawn_wait_and_block() {
    let manager = Arc::new(TasksManager::new(1));
    let user = Arc::clone(&manager);
    at_exit_of_a_thread(move || {
        assert_eq!(user.spawn(async { 4 }).wait().unwrap(), 4);
        block_on(sleep(Duration::from_millis(1)));
        assert_eq!(BlockingPool::new(1).run(|| 5).wait().unwrap(), 5);
    });
}

#[test]
fn wake_cancel_and_detach() {
    let manager = TasksManager::new(1);
    let (woken, future) = probe();
    let detached = manager.spawn(future);
    let waker = woken.waker();
    let cancelled = manager.spawn(pending::<()>());
    at_exit_of_a_thread(move || {
        TasksManager::wake(&waker);
        cancelled.cancel();
        assert!(cancelled.wait().unwrap_err().is_cancelled());
        drop(detached);
    });
    woken.polls.wait_for(2);
}

#[test]
fn complete_and_give_up() {
    let (one, completer) = IoOperation::new();
    let (two, given_up) = IoOperation::<()>::new();
    at_exit_of_a_thread(move || {
        completer.complete(6);
        drop(given_up);
    });
    assert_eq!(one.wait().unwrap(), 6);
    assert!(two.wait().unwrap_err().is_cancelled());
}

#[test]
fn drop_of_the_manager_and_of_the_pool() {
    let manager = TasksManager::new(2);
    let (task, future) = probe();
    let handle = manager.spawn(future);
    task.polls.wait_for(1);
    let pool = BlockingPool::new(2);
    let jobs = Count::new();
    for _ in 0..10 {
        let jobs = jobs.clone();
        pool.run(move || jobs.add());
    }
    at_exit_of_a_thread(move || {
        drop(manager);
        drop(pool);
    });
    assert_eq!((task.drops.get(), jobs.get()), (1, 10));
    assert!(handle.wait().unwrap_err().is_cancelled());
}

/// The thread that ends is a worker, because its manager is being dropped.
#[test]
fn of_a_worker_whose_manager_is_dropped() {
    let manager = TasksManager::new(1);
    let (task, future) = probe();
    let handle = manager.spawn(future);
    let waker = task.waker();
    let exits = Count::new();
    let (inner, outer) = (TasksManager::new(1), exits.clone());
    let (inner_task, inner_future) = probe();
    let inner_handle = inner.spawn(inner_future);
    inner_task.polls.wait_for(1);
    manager
        .spawn(async move {
            at_thread_exit(move || {
                TasksManager::wake(&waker);
                handle.cancel();
                assert!(handle.wait().unwrap_err().is_cancelled());
                drop(inner);
                assert!(inner_handle.wait().unwrap_err().is_cancelled());
                outer.add();
            });
        })
        .wait()
        .unwrap();
    in_time(move || drop(manager));
    assert_eq!(exits.get(), 1);
    assert_eq!((task.polls.get(), task.drops.get()), (1, 1));
}

#[test]
fn a_sleep_that_is_dropped_there_is_removed() {
    let (waker, _, drops) = counting_waker();
    at_exit_of_a_thread(move || {
        let mut hour = sleep(Duration::from_secs(3600));
        assert!(support::poll_with(&mut hour, &waker).is_pending());
        drop(waker);
        drop(hour);
    });
    assert_eq!(drops.get(), 1);
}

//! Hazard: a panic of foreign code that takes a thread of the executor along, or is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::tasks_manager::{JoinError, TasksManager, block_on, sleep};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::{Arc, Barrier};
use std::task::Poll;
use std::time::Duration;
use support::{Count, Gate, OnDrop, code_waker, in_time, poll_with, probe};

const WORKERS: usize = 2;

/// Panics when dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// All workers are alive: they meet.
fn assert_alive(manager: &TasksManager) {
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

fn text(error: JoinError) -> String {
    assert!(error.is_panic() && !error.is_cancelled());
    match error.into_panic().downcast::<&'static str>() {
        Ok(text) => (*text).to_owned(),
        Err(other) => *other.downcast::<String>().unwrap(),
    }
}

#[test]
fn in_a_poll() {
    let manager = TasksManager::new(WORKERS);
    for round in 0..20 {
        let drops = Count::new();
        let guard = drops.on_drop();
        let handle = manager.spawn(poll_fn(move |_| -> Poll<()> {
            let _ = &guard;
            panic!("round {round}")
        }));
        let error = handle.wait().unwrap_err();
        assert_eq!(error.to_string(), format!("panicked: round {round}"));
        assert_eq!(text(error), format!("round {round}"));
        assert_eq!(drops.get(), 1);
    }
    assert_alive(&manager);
}

#[test]
fn with_a_value_that_is_no_text() {
    let manager = TasksManager::new(1);
    let error = manager
        .spawn(async { panic_any(17_u8) })
        .wait()
        .unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        r#"JoinError::Panic("a value that is not a text")"#
    );
    assert_eq!(error.into_panic().downcast_ref::<u8>(), Some(&17));
}

#[test]
fn in_the_drop_of_a_future_that_has_completed() {
    let manager = TasksManager::new(WORKERS);
    for _ in 0..20 {
        let drops = Count::new();
        let (bomb, output) = (Bomb("late"), drops.clone());
        let handle = manager.spawn(poll_fn(move |_| {
            let _ = &bomb;
            Poll::Ready(output.on_drop())
        }));
        assert_eq!(text(handle.wait().map(drop).unwrap_err()), "late");
        assert_eq!(drops.get(), 1);
    }
    assert_alive(&manager);
}

/// Also not when the last handle and the manager have gone, and with them the room where it was.
#[test]
fn in_the_drop_of_a_future_which_is_dropped_once() {
    let (manager, drops) = (TasksManager::new(1), Count::new());
    let counted = drops.clone();
    let bomb = OnDrop(move || {
        counted.add();
        panic!("on purpose");
    });
    let handle = manager.spawn(std::future::poll_fn(move |_| {
        let _ = &bomb;
        std::task::Poll::Ready(())
    }));
    assert!(in_time(|| handle.wait()).unwrap_err().is_panic());
    drop(manager);
    assert_eq!(drops.get(), 1);
}

#[test]
fn in_the_drop_of_a_future_that_is_cancelled() {
    let manager = TasksManager::new(WORKERS);
    for _ in 0..20 {
        let bomb = Bomb("cancelled");
        let handle = manager.spawn(async move {
            let _bomb = bomb;
            pending::<()>().await;
        });
        handle.cancel();
        assert_eq!(text(handle.wait().unwrap_err()), "cancelled");
    }
    assert_alive(&manager);
}

#[test]
fn in_the_poll_and_then_in_the_drop_the_first_counts() {
    let manager = TasksManager::new(WORKERS);
    for _ in 0..20 {
        let bomb = Bomb("second");
        let handle = manager.spawn(poll_fn(move |_| -> Poll<()> {
            let _ = &bomb;
            panic!("first")
        }));
        assert_eq!(text(handle.wait().unwrap_err()), "first");
    }
    assert_alive(&manager);
}

#[test]
fn in_the_drop_of_an_output_that_nobody_wants() {
    let manager = TasksManager::new(WORKERS);
    for _ in 0..20 {
        let gate = Gate::new();
        let inside = gate.clone();
        let handle = manager.spawn(async move {
            inside.pass();
            Bomb("output")
        });
        gate.wait_for_arrival();
        // Dropped by the worker.
        drop(handle);
        gate.open();
        // Dropped by the handle.
        let handle = manager.spawn(async { Bomb("output") });
        support::eventually("the end", || handle.is_finished());
        drop(handle);
    }
    assert_alive(&manager);
}

#[test]
fn in_the_drop_of_what_the_panic_carries() {
    let manager = TasksManager::new(WORKERS);
    for _ in 0..20 {
        let gate = Gate::new();
        let inside = gate.clone();
        drop(manager.spawn(async move {
            inside.pass();
            panic_any(Bomb("payload"));
        }));
        gate.open();
    }
    assert_alive(&manager);
}

/// The same where nobody was to get the panic in the first place.
#[test]
fn in_the_drop_of_what_a_contained_panic_carries() {
    let manager = TasksManager::new(WORKERS);
    for _ in 0..20 {
        let second = OnDrop(|| panic_any(Bomb("payload")));
        let handle = manager.spawn(poll_fn(move |_| -> Poll<()> {
            let _ = &second;
            panic!("first")
        }));
        assert_eq!(text(handle.wait().unwrap_err()), "first");
    }
    assert_alive(&manager);
    let waker = code_waker(|| panic_any(Bomb("payload")), || {});
    assert!(catch_unwind(AssertUnwindSafe(|| TasksManager::wake(&waker))).is_ok());
}

#[test]
fn in_a_waker() {
    let manager = TasksManager::new(WORKERS);
    for _ in 0..20 {
        let (task, future) = probe();
        let mut handle = manager.spawn(future);
        let waker = code_waker(|| panic!("wake"), || panic!("drop of a waker"));
        assert!(poll_with(&mut handle, &waker).is_pending());
        // The handle has the last one; it is woken and dropped by the worker.
        assert!(catch_unwind(AssertUnwindSafe(|| TasksManager::wake(&waker))).is_ok());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(waker))).is_ok());
        task.finish();
        handle.wait().unwrap();
    }
    assert_alive(&manager);
}

#[test]
fn in_a_waker_of_the_timer() {
    let mut sleeps: Vec<_> = (0..20).map(|_| sleep(Duration::from_millis(10))).collect();
    let wakes = Count::new();
    for sleep in &mut sleeps {
        let wakes = wakes.clone();
        let on_wake = move || {
            wakes.add();
            panic!("wake");
        };
        let waker = code_waker(on_wake, || panic!("drop of a waker"));
        let _ = poll_with(sleep, &waker);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(waker)));
    }
    in_time(move || {
        sleeps.into_iter().for_each(block_on);
        block_on(sleep(Duration::from_millis(10)));
    });
    // A sleep that was asked after its time needed no wake.
    assert!(wakes.get() <= 20);
}

#[test]
fn while_the_manager_is_dropped() {
    let manager = TasksManager::new(WORKERS);
    let drops = Count::new();
    let handles: Vec<_> = (0..10)
        .map(|_| {
            let guard = drops.on_drop();
            let bomb = OnDrop(|| panic!("shutdown"));
            manager.spawn(async move {
                let _bomb = bomb;
                let _guard = guard;
                pending::<()>().await;
            })
        })
        .collect();
    in_time(move || drop(manager));
    assert_eq!(drops.get(), 10);
    for handle in handles {
        assert_eq!(text(handle.wait().unwrap_err()), "shutdown");
    }
}

#[test]
fn a_cancellation_carries_no_panic() {
    let manager = TasksManager::new(1);
    let handle = manager.spawn(pending::<()>());
    handle.cancel();
    let error = handle.wait().unwrap_err();
    assert_eq!(
        (error.to_string(), format!("{error:?}")),
        ("cancelled".into(), "JoinError::Cancelled".into())
    );
    assert!(error.is_cancelled() && !error.is_panic());
    assert!(catch_unwind(AssertUnwindSafe(|| error.into_panic())).is_err());
}

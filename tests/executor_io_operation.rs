//! Hazard: a completion that meets its operation too early, too late, or not at all.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::io_operation::{Completer, IoOperation};
use data_manager::tasks_manager::{TasksManager, block_on};
use std::future::poll_fn;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use support::{Count, code_waker, counting_waker, eventually, in_time, poll_with, rounds};

#[test]
fn completed_before_the_first_poll_it_wakes_nobody() {
    let manager = TasksManager::new(1);
    let (mut operation, completer) = IoOperation::new();
    completer.complete(1);
    let polls = Count::new();
    let counted = polls.clone();
    let task = manager.spawn(poll_fn(move |cx| {
        counted.add();
        Pin::new(&mut operation).poll(cx)
    }));
    assert_eq!(task.wait().unwrap().unwrap(), 1);
    assert_eq!(polls.get(), 1);
}

#[test]
fn awaited_before_it_is_completed_it_wakes_once() {
    let manager = TasksManager::new(1);
    let (mut operation, completer) = IoOperation::new();
    let polls = Count::new();
    let counted = polls.clone();
    let task = manager.spawn(poll_fn(move |cx| {
        let answer = Pin::new(&mut operation).poll(cx);
        counted.add();
        answer
    }));
    polls.wait_for(1);
    completer.complete(2);
    assert_eq!(in_time(|| task.wait()).unwrap().unwrap(), 2);
    assert_eq!(polls.get(), 2);
}

#[test]
fn polled_for_another_reason_it_stays_pending() {
    let (mut operation, completer) = IoOperation::new();
    let (waker, wakes, _) = counting_waker();
    for _ in 0..10 {
        assert!(poll_with(&mut operation, &waker).is_pending());
    }
    completer.complete(());
    assert_eq!(wakes.get(), 1);
    assert!(poll_with(&mut operation, &waker).is_ready());
}

#[test]
fn only_the_last_waker_is_woken() {
    let (mut operation, completer) = IoOperation::new();
    let (first, first_wakes, first_drops) = counting_waker();
    let (second, second_wakes, _) = counting_waker();
    assert!(poll_with(&mut operation, &first).is_pending());
    assert!(poll_with(&mut operation, &second).is_pending());
    drop(first);
    assert_eq!(first_drops.get(), 1);
    completer.complete(());
    assert_eq!((first_wakes.get(), second_wakes.get()), (0, 1));
}

/// The waker polls while it is being woken: the value has to be there by then, and no lock held.
#[test]
fn the_value_is_stored_before_the_wake() {
    in_time(|| {
        let (operation, completer) = IoOperation::new();
        let operation = Arc::new(Mutex::new(operation));
        let answers = Arc::new(Mutex::new(Vec::new()));
        let waker = {
            let (operation, answers) = (Arc::clone(&operation), Arc::clone(&answers));
            code_waker(
                move || {
                    let (waker, ..) = counting_waker();
                    let answer = poll_with(&mut *operation.lock().unwrap(), &waker);
                    answers.lock().unwrap().push(answer.map(Result::unwrap));
                },
                || {},
            )
        };
        assert!(poll_with(&mut *operation.lock().unwrap(), &waker).is_pending());
        completer.complete(11);
        assert_eq!(*answers.lock().unwrap(), [Poll::Ready(11)]);
    });
}

/// The stale waker holds the completer: its drop, in the middle of a poll, completes the operation.
#[test]
fn a_waker_may_complete_the_operation_that_drops_it() {
    in_time(|| {
        let (mut operation, completer) = IoOperation::new();
        let holder = Mutex::new(Some(completer));
        let stale = code_waker(
            || {},
            move || holder.lock().unwrap().take().unwrap().complete(3),
        );
        assert!(poll_with(&mut operation, &stale).is_pending());
        drop(stale);
        let (waker, wakes, _) = counting_waker();
        assert!(poll_with(&mut operation, &waker).is_pending());
        assert_eq!(wakes.get(), 1);
        assert!(matches!(
            poll_with(&mut operation, &waker),
            Poll::Ready(Ok(3))
        ));

        let (mut operation, completer) = IoOperation::new();
        let completed = Count::new();
        let (holder, counted) = (Mutex::new(Some(completer)), completed.clone());
        let stale = code_waker(
            || {},
            move || {
                holder.lock().unwrap().take().unwrap().complete(3);
                counted.add();
            },
        );
        assert!(poll_with(&mut operation, &stale).is_pending());
        drop(stale);
        drop(operation);
        assert_eq!(completed.get(), 1);
    });
}

#[test]
fn a_dropped_completer_ends_it() {
    let manager = TasksManager::new(1);
    let (operation, completer) = IoOperation::<u8>::new();
    let task = manager.spawn(operation);
    thread::spawn(move || drop(completer));
    let error = in_time(|| task.wait()).unwrap().unwrap_err();
    assert!(error.is_cancelled() && !error.is_panic());

    let (operation, completer) = IoOperation::<u8>::new();
    drop(completer);
    assert!(operation.wait().unwrap_err().is_cancelled());

    // By the panic of a thread that was to complete it.
    let (operation, completer) = IoOperation::<u8>::new();
    let thread = thread::spawn(move || {
        let _completer = completer;
        panic!("the job is lost");
    });
    assert!(in_time(|| operation.wait()).unwrap_err().is_cancelled());
    assert!(thread.join().is_err());
}

#[test]
fn a_dropped_operation_drops_its_value() {
    let drops = Count::new();
    let (operation, completer) = IoOperation::new();
    drop(operation);
    completer.complete(drops.on_drop());
    assert_eq!(drops.get(), 1);

    let (operation, completer) = IoOperation::new();
    completer.complete(drops.on_drop());
    assert_eq!(drops.get(), 1);
    drop(operation);
    assert_eq!(drops.get(), 2);

    // Awaited, and then dropped: its waker goes with it, and nobody is woken.
    let (mut operation, completer) = IoOperation::new();
    let (waker, wakes, waker_drops) = counting_waker();
    assert!(poll_with(&mut operation, &waker).is_pending());
    drop((operation, waker));
    assert_eq!(waker_drops.get(), 1);
    completer.complete(drops.on_drop());
    assert_eq!((drops.get(), wakes.get()), (3, 0));
}

#[test]
fn a_panic_in_the_drop_of_an_unwanted_value_is_contained() {
    for late in [false, true] {
        let (operation, completer) = IoOperation::new();
        let bomb = support::OnDrop(|| panic!("value"));
        let ends = AssertUnwindSafe(|| {
            if late {
                drop(operation);
                completer.complete(bomb);
            } else {
                completer.complete(bomb);
                drop(operation);
            }
        });
        assert!(catch_unwind(ends).is_ok());
    }
}

#[test]
fn completion_and_first_poll_race() {
    in_time(|| {
        let manager = TasksManager::new(2);
        for round in rounds(10_000) {
            let (operation, completer) = IoOperation::new();
            let completing = manager.spawn(async move { completer.complete(round) });
            let value = if round % 2 == 0 {
                operation.wait()
            } else {
                manager.spawn(operation).wait().unwrap()
            };
            assert_eq!(value.unwrap(), round);
            completing.wait().unwrap();
        }
    });
}

/// A poll looks, clones its waker, and looks again. Two threads meet as exactly as they can, so that now and then
/// the completion comes between the two looks.
#[test]
fn completion_and_registration_meet() {
    /// Says that it is the other thread's turn, with a completer to be found; or, without one, that all is over.
    const YOURS: bool = true;
    let turn = AtomicBool::new(!YOURS);
    let handed = Mutex::new(None::<Completer<usize>>);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                eventually("my turn", || turn.load(Ordering::Acquire) == YOURS);
                let Some(completer) = handed.lock().unwrap().take() else {
                    return;
                };
                turn.store(!YOURS, Ordering::Release);
                (0..round % 64).for_each(|_| spin_loop());
                completer.complete(round);
            }
        });
        for round in rounds(50_000) {
            let (mut operation, completer) = IoOperation::new();
            *handed.lock().unwrap() = Some(completer);
            turn.store(YOURS, Ordering::Release);
            let (waker, wakes, _) = counting_waker();
            eventually("the other thread", || turn.load(Ordering::Acquire) != YOURS);
            if let Poll::Ready(value) = poll_with(&mut operation, &waker) {
                assert_eq!((value.unwrap(), wakes.get()), (round, 0));
            } else {
                wakes.wait_for(1);
                let value = poll_with(&mut operation, &waker);
                assert!(matches!(value, Poll::Ready(Ok(value)) if value == round));
            }
        }
        turn.store(YOURS, Ordering::Release);
    });
}

#[test]
fn completion_and_drop_race() {
    in_time(|| {
        let manager = TasksManager::new(2);
        let drops = Count::new();
        let mut values = 0;
        for _ in rounds(5_000) {
            values += 1;
            let (operation, completer) = IoOperation::new();
            let value = drops.on_drop();
            let completing = manager.spawn(async move { completer.complete(value) });
            drop(operation);
            completing.wait().unwrap();
        }
        assert_eq!(drops.get(), values);
    });
}

#[test]
fn completed_after_the_manager_is_gone() {
    let manager = TasksManager::new(1);
    let (operation, completer) = IoOperation::new();
    let task = manager.spawn(operation);
    drop(manager);
    completer.complete(1);
    assert!(task.wait().unwrap_err().is_cancelled());
}

#[test]
fn awaited_without_any_manager() {
    let (operation, completer) = IoOperation::new();
    let completing = thread::spawn(move || completer.complete(5));
    assert_eq!(block_on(operation).unwrap(), 5);
    completing.join().unwrap();
}

//! Hazard: a blocked thread that misses its wake-up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::io_operation::IoOperation;
use data_manager::tasks_manager::{TasksManager, block_on};
use std::future::{poll_fn, ready};
use std::panic::catch_unwind;
use std::task::{Poll, Waker};
use std::thread;
use support::{Count, in_time, probe, rounds};

#[test]
fn a_ready_future_is_polled_once() {
    let mut polls = 0;
    assert_eq!(block_on(ready(4)), 4);
    block_on(poll_fn(|_| {
        polls += 1;
        Poll::Ready(())
    }));
    assert_eq!(polls, 1);
}

#[test]
fn a_wake_before_the_sleep_is_kept_and_ten_are_one() {
    in_time(|| {
        let mut polls = 0;
        block_on(poll_fn(|cx| {
            polls += 1;
            (0..10).for_each(|_| cx.waker().wake_by_ref());
            if polls == 100 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        assert_eq!(polls, 100);
    });
}

#[test]
fn woken_by_a_foreign_thread() {
    let (task, future) = probe();
    let waiting = thread::spawn(move || block_on(future));
    task.finish();
    in_time(move || waiting.join()).unwrap();
    assert_eq!((task.polls.get(), task.drops.get()), (2, 1));
}

/// The thread's own token is used by others: set where nobody woke, and eaten where somebody did.
#[test]
fn tokens_of_the_thread_are_not_wakes() {
    in_time(|| {
        let (stray, polls) = (thread::current(), Count::new());
        let (task, future) = probe();
        let finisher = {
            let (task, polls) = (task.clone(), polls.clone());
            thread::spawn(move || {
                polls.wait_for(1);
                (0..100).for_each(|_| stray.unpark());
                task.finish();
            })
        };
        let mut future = Box::pin(future);
        block_on(poll_fn(|cx| {
            let answer = future.as_mut().poll(cx);
            polls.add();
            answer
        }));
        finisher.join().unwrap();
        assert_eq!(polls.get(), 2);

        let mut polls = 0;
        block_on(poll_fn(|cx| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            // The token of that wake is gone; its flag is not.
            thread::park();
            Poll::Pending
        }));
    });
}

#[test]
fn nested_calls_do_not_take_each_others_wakes() {
    in_time(|| {
        for _ in rounds(200) {
            let (outer, outer_completer) = IoOperation::new();
            let (inner, inner_completer) = IoOperation::new();
            let completers = thread::spawn(move || {
                outer_completer.complete(1);
                inner_completer.complete(2);
            });
            let mut outer = Box::pin(outer);
            let mut inner = Some(inner);
            let sum = block_on(poll_fn(|cx| {
                let answer = outer.as_mut().poll(cx);
                let Some(inner) = inner.take() else {
                    return answer.map(|a| (a.unwrap(), 2));
                };
                let second = block_on(inner).unwrap();
                match answer {
                    Poll::Ready(first) => Poll::Ready((first.unwrap(), second)),
                    Poll::Pending => Poll::Pending,
                }
            }));
            assert_eq!(sum, (1, 2));
            completers.join().unwrap();
        }
    });
}

#[test]
fn inside_a_task_and_inside_its_worker() {
    let manager = TasksManager::new(1);
    let (operation, completer) = IoOperation::new();
    let task = manager.spawn(async move { block_on(operation).unwrap() });
    completer.complete(3);
    assert_eq!(in_time(|| task.wait()).unwrap(), 3);
}

#[test]
fn a_panic_is_the_callers() {
    assert!(catch_unwind(|| block_on(async { panic!("mine") })).is_err());
    assert_eq!(block_on(ready(1)), 1);
}

#[test]
fn a_waker_that_survives_is_harmless() {
    let mut kept: Option<Waker> = None;
    block_on(poll_fn(|cx| {
        kept = Some(cx.waker().clone());
        Poll::Ready(())
    }));
    let waker = kept.unwrap();
    (0..10).for_each(|_| TasksManager::wake(&waker));
    // The stray token of the line above is not taken for an answer.
    let (task, future) = probe();
    let finisher = thread::spawn(move || task.finish());
    block_on(future);
    finisher.join().unwrap();
}

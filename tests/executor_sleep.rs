//! Hazard: a sleep that ends early, never, or leaves something behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::tasks_manager::{Sleep, TasksManager, block_on, sleep};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use support::{Count, counting_waker, in_time, poll_with};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn never_early_and_two_polls_each() {
    let manager = TasksManager::new(2);
    let tasks: Vec<_> = (1..=20)
        .map(|i| {
            let duration = Duration::from_millis(i * 3);
            let polls = Count::new();
            let counted = polls.clone();
            let task = manager.spawn(async move {
                let start = Instant::now();
                let mut sleep = sleep(duration);
                poll_fn(|cx| {
                    counted.add();
                    Pin::new(&mut sleep).poll(cx)
                })
                .await;
                assert!(start.elapsed() >= duration);
            });
            (task, polls)
        })
        .collect();
    for (task, polls) in tasks {
        in_time(|| task.wait()).unwrap();
        // One that came to its first poll after its time needed no second.
        assert!(polls.get() <= 2);
    }
}

#[test]
fn the_time_begins_with_the_call() {
    let mut early = sleep(Duration::from_millis(20));
    block_on(sleep(Duration::from_millis(20)));
    let (waker, wakes, _) = counting_waker();
    assert!(poll_with(&mut early, &waker).is_ready());
    assert_eq!(wakes.get(), 0);
    assert!(poll_with(&mut sleep(Duration::ZERO), &waker).is_ready());
}

#[test]
fn an_earlier_deadline_overtakes_a_later_one() {
    let (waker, wakes, _) = counting_waker();
    let mut long = sleep(HOUR);
    assert!(poll_with(&mut long, &waker).is_pending());
    for _ in 0..20 {
        in_time(|| block_on(sleep(Duration::from_millis(2))));
    }
    assert_eq!(wakes.get(), 0);
}

#[test]
fn a_dropped_sleep_is_removed() {
    let (waker, wakes, drops) = counting_waker();
    let mut sleeps: Vec<Sleep> = (0..1000).map(|_| sleep(HOUR)).collect();
    for sleep in &mut sleeps {
        assert!(poll_with(sleep, &waker).is_pending());
    }
    drop(waker);
    assert_eq!(drops.get(), 0);
    drop(sleeps);
    // No clone of the waker is left in the timer.
    assert_eq!((wakes.get(), drops.get()), (0, 1));
}

/// A sleep that was found ready before the timer came to it takes its waker out.
#[test]
fn a_sleep_that_has_ended_is_removed() {
    for _ in 0..50 {
        let (waker, _, drops) = counting_waker();
        let mut short = sleep(Duration::from_micros(200));
        support::eventually("the end", || poll_with(&mut short, &waker).is_ready());
        drop(waker);
        support::eventually("the drop of its waker", || drops.get() == 1);
        drop(short);
    }
}

#[test]
fn only_the_last_waker_is_woken() {
    in_time(|| {
        let (first, first_wakes, first_drops) = counting_waker();
        let (second, second_wakes, _) = counting_waker();
        let mut sleep = sleep(Duration::from_secs(1));
        assert!(poll_with(&mut sleep, &first).is_pending());
        assert!(poll_with(&mut sleep, &first).is_pending());
        if poll_with(&mut sleep, &second).is_ready() {
            // A very slow machine: there is nothing left to see.
            return;
        }
        drop(first);
        assert_eq!(first_drops.get(), 1);
        second_wakes.wait_for(1);
        assert!(poll_with(&mut sleep, &second).is_ready());
        assert_eq!((first_wakes.get(), second_wakes.get()), (0, 1));
    });
}

#[test]
fn beyond_the_clock_it_never_ends() {
    let (waker, wakes, drops) = counting_waker();
    let mut forever = sleep(Duration::MAX);
    assert!(poll_with(&mut forever, &waker).is_pending());
    // The longest the clock can hold, which no timer of the system can.
    let mut long = sleep(Duration::from_secs(u64::from(u32::MAX) * 1000));
    assert!(poll_with(&mut long, &waker).is_pending());
    block_on(sleep(Duration::from_millis(2)));
    drop((forever, long, waker));
    assert_eq!((wakes.get(), drops.get()), (0, 1));
}

/// More than the timer takes out at once.
#[test]
fn thousands_at_the_same_moment() {
    let manager = TasksManager::new(2);
    let deadline = Instant::now() + Duration::from_millis(200);
    let tasks: Vec<_> = (0..3_000)
        .map(|_| {
            let left = deadline.saturating_duration_since(Instant::now());
            manager.spawn(async move { sleep(left).await })
        })
        .collect();
    in_time(|| tasks.into_iter().for_each(|task| task.wait().unwrap()));
}

/// The waker may use the timer: it is called outside of the timer's lock, and so is its drop.
#[test]
fn a_waker_may_use_the_timer() {
    in_time(|| {
        let (woken, dropped) = (Count::new(), Count::new());
        let use_timer = || {
            let (waker, ..) = counting_waker();
            let mut other = sleep(HOUR);
            assert!(poll_with(&mut other, &waker).is_pending());
        };
        let (in_wake, in_drop) = (woken.clone(), dropped.clone());
        let mut short = sleep(Duration::from_millis(30));
        let waker = support::code_waker(
            move || {
                use_timer();
                in_wake.add();
            },
            move || {
                use_timer();
                in_drop.add();
            },
        );
        if poll_with(&mut short, &waker).is_pending() {
            woken.wait_for(1);
        }
        drop(waker);
        dropped.wait_for(1);

        // And in the drop of the sleep itself.
        let in_drop = dropped.clone();
        let mut long = sleep(HOUR);
        let waker = support::code_waker(
            || {},
            move || {
                use_timer();
                in_drop.add();
            },
        );
        assert!(poll_with(&mut long, &waker).is_pending());
        drop(waker);
        drop(long);
        assert_eq!(dropped.get(), 2);
    });
}

#[test]
fn moves_from_one_task_to_another() {
    let manager = TasksManager::new(2);
    let sleep = manager
        .spawn(async {
            let mut sleep = sleep(Duration::from_millis(30));
            poll_fn(|cx| {
                let _ = Pin::new(&mut sleep).poll(cx);
                Poll::Ready(())
            })
            .await;
            Some(sleep)
        })
        .wait()
        .unwrap();
    let task = manager.spawn(sleep.unwrap());
    in_time(|| task.wait()).unwrap();
}

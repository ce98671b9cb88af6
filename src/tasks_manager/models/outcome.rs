//! A result, the one who brings it, and the one who waits for it.

use super::{Bound, Dropped, Drops, explore};
use crate::tasks_manager::JoinError;
use crate::tasks_manager::block_on;
use crate::tasks_manager::outcome::Outcome;
use crate::tasks_manager::parker::Parker;
use crate::tasks_manager::sync::thread::{self, JoinHandle};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

struct World {
    outcome: Arc<Outcome<Dropped>>,
    drops: Drops,
    completer: JoinHandle<()>,
}

/// A thread that completes.
fn completed() -> World {
    let outcome = Arc::new(Outcome::new());
    let (value, drops) = Dropped::new();
    let completer = {
        let outcome = Arc::clone(&outcome);
        thread::Builder::new().spawn(move || outcome.complete(Ok(value)))
    };
    World {
        outcome,
        drops,
        completer: completer.unwrap(),
    }
}

fn assert_given(polled: Poll<Result<Dropped, JoinError>>, drops: &Drops) {
    let Poll::Ready(Ok(value)) = polled else {
        panic!("the call came before the result");
    };
    assert_eq!(drops.count(), 0);
    drop(value);
    assert_eq!(drops.count(), 1);
}

/// Both orders, completion first and registration first, and whatever is in between.
#[test]
fn the_waiter_gets_the_result() {
    explore(Bound::None, || {
        let World {
            outcome,
            drops,
            completer,
        } = completed();
        let result = block_on(poll_fn(|cx| outcome.poll(cx.waker())));
        assert_given(Poll::Ready(result), &drops);
        assert!(outcome.is_complete());
        completer.join().unwrap();
        assert_eq!(drops.count(), 1);
    });
}

/// The second of two wakers is the one to be woken; and a poll with it a second time registers nothing new.
#[test]
fn the_last_waker_is_woken() {
    explore(Bound::None, || {
        let World {
            outcome,
            drops,
            completer,
        } = completed();
        let parkers = [Arc::new(Parker::new()), Arc::new(Parker::new())];
        for number in [0, 1, 1] {
            let polled = outcome.poll(&Waker::from(Arc::clone(&parkers[number])));
            if polled.is_ready() {
                assert_given(polled, &drops);
                return completer.join().unwrap();
            }
        }
        parkers[1].park();
        let polled = outcome.poll(&Waker::from(Arc::clone(&parkers[1])));
        assert_given(polled, &drops);
        completer.join().unwrap();
    });
}

/// The waiter moves on to another thread between two polls, as a task does.
#[test]
fn the_waiter_may_change_its_thread() {
    explore(Bound::None, || {
        let World {
            outcome,
            drops,
            completer,
        } = completed();
        let polled = outcome.poll(&Waker::from(Arc::new(Parker::new())));
        if polled.is_ready() {
            assert_given(polled, &drops);
        } else {
            let second = thread::spawn(move || {
                let result = block_on(poll_fn(|cx| outcome.poll(cx.waker())));
                assert_given(Poll::Ready(result), &drops);
            });
            second.join().unwrap();
        }
        completer.join().unwrap();
    });
}

#[test]
fn a_result_that_nobody_asks_for_is_dropped_once() {
    explore(Bound::None, || {
        let World {
            outcome,
            drops,
            completer,
        } = completed();
        outcome.close();
        completer.join().unwrap();
        assert_eq!(drops.count(), 1);
    });
}

/// The waiter leaves its waker, and goes: neither the waker nor the result stays behind.
#[test]
fn a_waiter_that_goes_leaves_nothing() {
    explore(Bound::None, || {
        let World {
            outcome,
            drops,
            completer,
        } = completed();
        let parker = Arc::new(Parker::new());
        let polled = outcome.poll(&Waker::from(Arc::clone(&parker)));
        outcome.close();
        drop(polled);
        completer.join().unwrap();
        assert_eq!(drops.count(), 1);
        assert_eq!(Arc::strong_count(&parker), 1);
    });
}

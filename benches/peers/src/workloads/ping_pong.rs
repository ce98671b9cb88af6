//! Two tasks that wake each other in turn; and many such pairs.

use super::ns_per_op;
use crate::executor::Executor;
use crate::latch;
use crate::measure::{Row, Workload};
use futures::task::AtomicWaker;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Instant;

/// So many pairs at the same time.
pub(super) struct PingPong {
    name: &'static str,
    pairs: usize,
    /// How often each of the two has its turn.
    turns: usize,
}

impl PingPong {
    pub(super) const ONE: Self = Self {
        name: "ping-pong-1",
        pairs: 1,
        turns: 20_000,
    };
    pub(super) const HUNDRED: Self = Self {
        name: "ping-pong-100",
        pairs: 100,
        turns: 1000,
    };
    pub(super) const THOUSAND: Self = Self {
        name: "ping-pong-1000",
        pairs: 1000,
        turns: 100,
    };
}

impl Workload for PingPong {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time(self.name)]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let turns = (self.turns / divisor).max(1);
        latch::arm(2 * self.pairs);
        let started = Instant::now();
        for _ in 0..self.pairs {
            let ball = Arc::new(Ball::default());
            for side in 0..2 {
                executor.spawn_detached(play(Arc::clone(&ball), side, turns));
            }
        }
        latch::wait();
        ns_per_op(started, 2 * self.pairs * turns)
    }
}

/// What two tasks pass to each other.
#[derive(Default)]
struct Ball {
    /// How often it was passed; even numbers are the turns of side 0.
    passed: AtomicUsize,
    /// The side that waits, by its number.
    waiting: [AtomicWaker; 2],
}

async fn play(ball: Arc<Ball>, side: usize, turns: usize) {
    for turn in 0..turns {
        ball.wait_until_passed(side, 2 * turn + side).await;
        ball.passed.fetch_add(1, Ordering::AcqRel);
        ball.waiting[1 - side].wake();
    }
    latch::count_down();
}

impl Ball {
    async fn wait_until_passed(&self, side: usize, times: usize) {
        poll_fn(|context| {
            if self.passed.load(Ordering::Acquire) == times {
                return Poll::Ready(());
            }
            self.waiting[side].register(context.waker());
            // The pass may have come between the look and the registration.
            if self.passed.load(Ordering::Acquire) == times {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }
}

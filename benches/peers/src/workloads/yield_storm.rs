//! Tasks that wake themselves: the cost of a turn, when there is always another task.

use super::ns_per_op;
use crate::executor::Executor;
use crate::latch;
use crate::measure::{Row, Workload};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

const TASKS: usize = 200;
const TURNS: usize = 1000;

/// 200 tasks that yield 1000 times each.
pub(super) struct YieldStorm;

impl Workload for YieldStorm {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("yield-storm")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let turns = TURNS / divisor;
        latch::arm(TASKS);
        let started = Instant::now();
        for _ in 0..TASKS {
            executor.spawn_detached(async move {
                for _ in 0..turns {
                    yield_now().await;
                }
                latch::count_down();
            });
        }
        latch::wait();
        ns_per_op(started, TASKS * turns)
    }
}

/// Goes to the back of the queue once, by the waker alone: no executor's own way of yielding.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

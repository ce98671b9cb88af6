//! A thread that is no worker wakes tasks: what a completed read looks like to an executor.

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

const TASKS: usize = 1000;
const RINGS: usize = 100;

/// The thread wakes 1000 tasks, waits until each has answered, and starts again.
pub(super) struct OutsideWakes;

#[derive(Default)]
struct Bell {
    rung: AtomicUsize,
    listener: AtomicWaker,
}

impl Workload for OutsideWakes {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("outside-wakes")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let rings = RINGS / divisor;
        let bells: Vec<Arc<Bell>> = (0..TASKS).map(|_| Arc::default()).collect();
        // All wait before the clock starts.
        latch::arm(TASKS);
        for bell in &bells {
            executor.spawn_detached(listen(Arc::clone(bell), rings));
        }
        latch::wait();
        let started = Instant::now();
        for _ in 0..rings {
            latch::arm(TASKS);
            for bell in &bells {
                bell.rung.fetch_add(1, Ordering::AcqRel);
                bell.listener.wake();
            }
            latch::wait();
        }
        ns_per_op(started, TASKS * rings)
    }
}

/// Answers each ring, and says once before that it is there.
async fn listen(bell: Arc<Bell>, rings: usize) {
    latch::count_down();
    for ring in 1..=rings {
        poll_fn(|context| {
            bell.listener.register(context.waker());
            if bell.rung.load(Ordering::Acquire) == ring {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        latch::count_down();
    }
}

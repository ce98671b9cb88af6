//! How soon a pool that sleeps polls a new task.

use crate::executor::Executor;
use crate::latch;
use crate::measure::{Row, Workload};
use crate::statistics::percentile;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SPAWNS: usize = 1000;

/// Between two spawns. The pool has nothing else to do, so it is asleep long before this is over.
const PAUSE: Duration = Duration::from_micros(200);

/// From the call of spawn, on a thread outside, to the first line of the task.
pub(super) struct IdleLatency;

impl Workload for IdleLatency {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("idle-latency-p50"), Row::time("idle-latency-p99")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        static LATENCY_NS: AtomicU64 = AtomicU64::new(0);
        let mut latencies_ns: Vec<u64> = (0..SPAWNS / divisor)
            .map(|_| {
                thread::sleep(PAUSE);
                latch::arm(1);
                let started = Instant::now();
                executor.spawn_detached(async move {
                    let elapsed_ns = started.elapsed().as_nanos();
                    LATENCY_NS.store(
                        u64::try_from(elapsed_ns).unwrap_or(u64::MAX),
                        Ordering::Release,
                    );
                    latch::count_down();
                });
                latch::wait();
                LATENCY_NS.load(Ordering::Acquire)
            })
            .collect();
        vec![
            percentile(&mut latencies_ns, 0.5),
            percentile(&mut latencies_ns, 0.99),
        ]
    }
}

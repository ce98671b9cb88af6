//! Blocking jobs, given and awaited by a task.

use super::ns_per_op;
use crate::executor::{Bound, Executor};
use crate::measure::{Row, Workload};
use futures_lite::future::block_on;
use std::hint::black_box;
use std::time::Instant;

const JOBS: usize = 50_000;
const ROUND_TRIPS: usize = 5000;

/// A task gives 50,000 small jobs, then awaits each.
pub(super) struct Burst {
    name: &'static str,
    bound: Bound,
}

/// A task gives a small job and awaits it before it gives the next.
pub(super) struct RoundTrip;

impl Burst {
    pub(super) const WIDE: Self = Self {
        name: "offload",
        bound: Bound::Wide,
    };
    pub(super) const NARROW: Self = Self {
        name: "offload-4-threads",
        bound: Bound::Narrow,
    };
}

impl Workload for Burst {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time(self.name)]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        if !E::OFFLOADS {
            return Vec::new();
        }
        let jobs = JOBS / divisor;
        let bound = self.bound;
        let started = Instant::now();
        block_on(executor.spawn(async move {
            let mut results = Vec::with_capacity(jobs);
            for number in 0..jobs {
                results.push(executor.offload(bound, move || black_box(number)));
            }
            for result in results {
                black_box(result.await);
            }
        }));
        ns_per_op(started, jobs)
    }
}

impl Workload for RoundTrip {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("offload-round-trip")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        if !E::OFFLOADS {
            return Vec::new();
        }
        let jobs = ROUND_TRIPS / divisor;
        let started = Instant::now();
        block_on(executor.spawn(async move {
            for number in 0..jobs {
                let result = executor.offload(Bound::Wide, move || black_box(number));
                black_box(result.await);
            }
        }));
        ns_per_op(started, jobs)
    }
}

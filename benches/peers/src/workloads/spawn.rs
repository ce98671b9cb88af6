//! Starting tasks: from another thread, from a task, one from the other.

use super::ns_per_op;
use crate::executor::Executor;
use crate::latch;
use crate::measure::{Row, Workload};
use futures_lite::future::block_on;
use std::hint::black_box;
use std::time::Instant;

const TASKS: usize = 100_000;

/// A thread starts tasks and keeps their handles, then waits for each.
pub(super) struct Outside;

/// A thread starts tasks and drops the handles; they count themselves off.
pub(super) struct OutsideDetached;

/// A task starts tasks and keeps their handles, then awaits each.
pub(super) struct Inside;

/// A task starts tasks and drops the handles.
pub(super) struct InsideDetached;

/// Each task starts the next one and ends.
pub(super) struct Chain;

impl Workload for Outside {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("spawn-outside")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let tasks = TASKS / divisor;
        let started = Instant::now();
        block_on(spawn_and_await(executor, tasks));
        ns_per_op(started, tasks)
    }
}

impl Workload for OutsideDetached {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("spawn-outside-detached")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let tasks = TASKS / divisor;
        latch::arm(tasks);
        let started = Instant::now();
        spawn_detached(executor, tasks);
        latch::wait();
        ns_per_op(started, tasks)
    }
}

impl Workload for Inside {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("spawn-inside")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let tasks = TASKS / divisor;
        let started = Instant::now();
        block_on(executor.spawn(spawn_and_await(executor, tasks)));
        ns_per_op(started, tasks)
    }
}

impl Workload for InsideDetached {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("spawn-inside-detached")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let tasks = TASKS / divisor;
        latch::arm(tasks);
        let started = Instant::now();
        executor.spawn_detached(async move { spawn_detached(executor, tasks) });
        latch::wait();
        ns_per_op(started, tasks)
    }
}

impl Workload for Chain {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("chain")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let tasks = TASKS / divisor;
        latch::arm(1);
        let started = Instant::now();
        link(executor, tasks);
        latch::wait();
        ns_per_op(started, tasks)
    }
}

async fn spawn_and_await<E: Executor>(executor: &'static E, tasks: usize) {
    let mut handles = Vec::with_capacity(tasks);
    for number in 0..tasks {
        handles.push(executor.spawn(async move { black_box(number) }));
    }
    for handle in handles {
        black_box(handle.await);
    }
}

fn spawn_detached<E: Executor>(executor: &'static E, tasks: usize) {
    for number in 0..tasks {
        executor.spawn_detached(async move {
            black_box(number);
            latch::count_down();
        });
    }
}

/// Starts a task that starts the next, until none is left.
fn link<E: Executor>(executor: &'static E, left: usize) {
    executor.spawn_detached(async move {
        if left > 1 {
            link(executor, left - 1);
        } else {
            latch::count_down();
        }
    });
}

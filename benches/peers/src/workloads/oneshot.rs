//! A task waits for a value that another task brings.

use super::ns_per_op;
use crate::executor::Executor;
use crate::measure::{Row, Workload};
use futures::channel::oneshot;
use futures_lite::future::block_on;
use std::hint::black_box;
use std::time::Instant;

const OPS: usize = 30_000;

/// How many wait at once in [`Many`].
const BATCH: usize = 1000;

/// One after the other, through the same channel for every executor.
pub(super) struct Neutral;

/// One after the other, through each executor's own.
pub(super) struct Native;

/// A thousand at once, through each executor's own.
pub(super) struct Many;

impl Workload for Neutral {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("oneshot")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let ops = OPS / divisor;
        let started = Instant::now();
        block_on(executor.spawn(async move {
            for number in 0..ops {
                let (sender, receiver) = oneshot::channel();
                executor.spawn_detached(async move {
                    sender.send(number).expect("the receiver waits");
                });
                black_box(receiver.await.expect("every sender sends"));
            }
        }));
        ns_per_op(started, ops)
    }
}

impl Workload for Native {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("oneshot-native")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let ops = OPS / divisor;
        let started = Instant::now();
        block_on(executor.spawn(async move {
            for number in 0..ops {
                let (complete, receiver) = E::oneshot();
                executor.spawn_detached(async move { complete(number) });
                black_box(receiver.await);
            }
        }));
        ns_per_op(started, ops)
    }
}

impl Workload for Many {
    fn rows(&self) -> Vec<Row> {
        vec![Row::time("oneshot-native-1000")]
    }

    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64> {
        let batches = (2 * OPS / divisor / BATCH).max(1);
        let started = Instant::now();
        block_on(executor.spawn(async move {
            for _ in 0..batches {
                let mut receivers = Vec::with_capacity(BATCH);
                for number in 0..BATCH {
                    let (complete, receiver) = E::oneshot();
                    executor.spawn_detached(async move { complete(number) });
                    receivers.push(receiver);
                }
                for receiver in receivers {
                    black_box(receiver.await);
                }
            }
        }));
        ns_per_op(started, batches * BATCH)
    }
}

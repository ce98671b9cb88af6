//! What a task that waits costs in memory.

use crate::executor::Executor;
use crate::measure::{self, Row, Workload};
use crate::{heap, latch};
use futures_lite::future::block_on;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

const TASKS: usize = 500_000;

/// Started at a time, and waited for: no queue gets long, and none is part of the figure.
const BATCH: usize = 1000;

/// Heap bytes, as asked for, and heap blocks of a pending task whose handle is kept and whose waker somebody holds.
pub(super) struct IdleTasks;

/// Who holds the wakers. An executor that drops tasks that nobody can wake is not to be caught doing that here.
static WAKERS: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

fn wakers() -> MutexGuard<'static, Vec<Waker>> {
    WAKERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Workload for IdleTasks {
    fn rows(&self) -> Vec<Row> {
        vec![
            Row {
                name: "idle-task-bytes",
                unit: "bytes",
            },
            Row {
                name: "idle-task-blocks",
                unit: "blocks",
            },
        ]
    }

    fn counts(&self) -> bool {
        true
    }

    fn run<E: Executor>(&self, _used: &'static E, divisor: usize) -> Vec<f64> {
        // A fresh pool: one that has had as many tasks before may have kept the room for them.
        let executor = measure::start::<E>();
        let tasks = TASKS / divisor;
        let mut handles = Vec::with_capacity(tasks);
        wakers().reserve(tasks);
        heap::start();
        for _ in 0..tasks / BATCH {
            latch::arm(BATCH);
            handles.extend((0..BATCH).map(|_| executor.spawn(Idle::default())));
            latch::wait();
        }
        let growth = heap::stop();
        let held = std::mem::take(&mut *wakers());
        held.into_iter().for_each(Waker::wake);
        for handle in handles {
            block_on(handle);
        }
        [growth.bytes, growth.blocks]
            .map(|sum| sum as f64 / tasks as f64)
            .to_vec()
    }
}

/// Ready when it was woken.
#[derive(Default)]
struct Idle {
    polled: bool,
}

impl Future for Idle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.polled {
            return Poll::Ready(());
        }
        self.polled = true;
        wakers().push(context.waker().clone());
        latch::count_down();
        Poll::Pending
    }
}

//! Whose turn it is: every workload, on every peer, round by round.

use crate::executor::{Executor, THREADS};
use crate::idle;
use crate::options::Options;
use crate::peers::{AsyncExecutor, Futures, Ours, Peer, Tokio};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

/// Before each turn: long enough for the pool of the turn before to fall asleep.
const SETTLE: Duration = Duration::from_millis(3);

/// How long idle pools are watched.
const WATCH: Duration = Duration::from_millis(300);

/// Something to measure, written once for all executors.
pub(crate) trait Workload {
    /// The rows that it fills, in the order of what [`run`](Self::run) returns.
    fn rows(&self) -> Vec<Row>;

    /// True where one round is enough, because it counts instead of taking the time.
    fn counts(&self) -> bool {
        false
    }

    /// Does the work once, divided by `divisor`, and gives a value for each row; none where the peer cannot.
    fn run<E: Executor>(&self, executor: &'static E, divisor: usize) -> Vec<f64>;
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
}

impl Row {
    /// A row whose values are nanoseconds for each operation.
    pub(crate) fn time(name: &'static str) -> Self {
        Self { name, unit: "ns" }
    }
}

/// A line and what was measured for it: for each peer the samples of its rounds.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) row: Row,
    pub(crate) samples: [Vec<f64>; Peer::ALL.len()],
}

/// The pools, each made at its first turn and never dropped, and what was measured so far.
pub(crate) struct Bench {
    options: Options,
    ours: Pool<Ours>,
    tokio: Pool<Tokio>,
    async_executor: Pool<AsyncExecutor>,
    futures: Pool<Futures>,
    measured: Vec<Measured>,
}

type Pool<E> = LazyLock<&'static E>;

fn pool<E: Executor>() -> Pool<E> {
    LazyLock::new(start)
}

/// A fresh pool, for good.
pub(crate) fn start<E: Executor>() -> &'static E {
    Box::leak(Box::new(E::start(THREADS)))
}

impl Bench {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            ours: pool(),
            tokio: pool(),
            async_executor: pool(),
            futures: pool(),
            measured: Vec::new(),
        }
    }

    /// True where the options ask for one of these rows; `exact` by its whole name.
    pub(crate) fn wants(&self, rows: &[Row], exact: bool) -> bool {
        self.options.only.as_ref().is_none_or(|only| {
            rows.iter()
                .any(|row| row.name == only || (!exact && row.name.contains(only.as_str())))
        })
    }

    /// Warms all peers up, then measures them in turn.
    pub(crate) fn measure<W: Workload>(&mut self, workload: &W) {
        let rows = workload.rows();
        eprintln!("{} ...", rows[0].name);
        let divisor = if self.options.quick { 10 } else { 1 };
        let rounds = if workload.counts() {
            1
        } else {
            for peer in self.options.peers.clone() {
                self.turn(peer, workload, divisor * 4);
            }
            self.options.rounds
        };
        let first = self.measured.len();
        self.measured.extend(rows.into_iter().map(|row| Measured {
            row,
            samples: Default::default(),
        }));
        for _ in 0..rounds {
            for peer in self.options.peers.clone() {
                let values = self.turn(peer, workload, divisor);
                for (measured, value) in self.measured[first..].iter_mut().zip(values) {
                    measured.samples[peer as usize].push(value);
                }
            }
        }
    }

    fn turn<W: Workload>(&self, peer: Peer, workload: &W, divisor: usize) -> Vec<f64> {
        thread::sleep(SETTLE);
        match peer {
            Peer::Ours => workload.run(*self.ours, divisor),
            Peer::Tokio => workload.run(*self.tokio, divisor),
            Peer::AsyncExecutor => workload.run(*self.async_executor, divisor),
            Peer::Futures => workload.run(*self.futures, divisor),
        }
    }

    pub(crate) fn into_rows(self) -> Vec<Measured> {
        self.measured
    }
}

/// Says what all the pools together use while nobody asks anything of them.
pub(crate) fn show_idle() {
    thread::sleep(SETTLE);
    if let Some(usage) = idle::usage_while_asleep(WATCH) {
        println!(
            "all pools idle for {} ms: {} threads used {} us of CPU, in {} slices\n",
            WATCH.as_millis(),
            usage.threads,
            usage.cpu_ns / 1000,
            usage.slices,
        );
    }
}

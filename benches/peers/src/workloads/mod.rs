//! What is measured. Each file holds one kind of work; `README.md` has a line on each row.

mod idle_latency;
mod idle_tasks;
mod offload;
mod oneshot;
mod outside_wakes;
mod ping_pong;
mod spawn;
mod yield_storm;

use crate::measure::{Bench, Workload};
use std::time::Instant;

/// Measures all workloads that the options ask for.
pub(crate) fn run_all(bench: &mut Bench) {
    // A name that is also the beginning of another one means itself.
    if !each(bench, true) {
        each(bench, false);
    }
}

/// True where there was one with the wanted name.
fn each(bench: &mut Bench, exact: bool) -> bool {
    let mut any = false;
    macro_rules! measure {
        ($($workload:expr),* $(,)?) => {
            $(any |= measure_if_wanted(bench, &$workload, exact);)*
        };
    }
    measure![
        spawn::Outside,
        spawn::OutsideDetached,
        spawn::Inside,
        spawn::InsideDetached,
        yield_storm::YieldStorm,
        ping_pong::PingPong::ONE,
        ping_pong::PingPong::HUNDRED,
        ping_pong::PingPong::THOUSAND,
        oneshot::Neutral,
        oneshot::Native,
        oneshot::Many,
        spawn::Chain,
        outside_wakes::OutsideWakes,
        idle_latency::IdleLatency,
        idle_tasks::IdleTasks,
        // Before the bursts, which leave hundreds of threads behind for a while.
        offload::RoundTrip,
        offload::Burst::WIDE,
        offload::Burst::NARROW,
    ];
    any
}

fn measure_if_wanted<W: Workload>(bench: &mut Bench, workload: &W, exact: bool) -> bool {
    let wanted = bench.wants(&workload.rows(), exact);
    if wanted {
        bench.measure(workload);
    }
    wanted
}

/// Nanoseconds for each operation, as the one value of a row.
fn ns_per_op(started: Instant, ops: usize) -> Vec<f64> {
    vec![started.elapsed().as_nanos() as f64 / ops as f64]
}

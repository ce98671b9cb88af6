//! What a calm worker, and one that ended, may have.

use anyhow::{Context, ensure};

use crate::process::Footprint;
use crate::words::{Accounts, Calm, Ended};
use crate::worker::{EXECUTOR_THREADS, QUERY_THREADS, SLOTS, is_timer};

/// Threads of the blocking pool beyond the slots.
const MORE_JOBS: usize = 8;
/// Subscribers, and the thread that takes commands.
const OTHER_THREADS: usize = 3;
/// Idle connections for each slot; and one beside each after a long body.
const CONNECTIONS_PER_SLOT: usize = 3;

/// Memory at the end of one half of a worker's life, held against that at its beginning. The load is
/// the same. The allocator keeps what is freed in as many places as there are threads, and fills them
/// up by and by, so it is not flat to the byte: what a leak of 100 bytes for each chunk that changes
/// adds is found in an hour by this, one of 2 KB in five minutes.
const GROWTH: f64 = 1.10;
const GROWTH_BYTES: u64 = 12 << 20;

/// Threads by name, none of them unknown, none too many. Handles: connections are bounded; of anything
/// else there are as many as there were at the first calm moment of this worker.
pub(crate) fn threads_and_handles(calm: &Footprint, first: &Footprint) -> anyhow::Result<()> {
    let own = format!("{:?}", calm.threads);
    let count = |of: &dyn Fn(&str) -> bool| calm.threads.iter().filter(|name| of(name)).count();
    let timers = count(&is_timer);
    let executor = count(&|name: &str| name.starts_with("tasks-manager-") && !is_timer(name));
    let blocking = count(&|name: &str| name.starts_with("blocking-pool-"));
    let others = calm.threads.len() - timers - executor - blocking;
    ensure!(timers <= 1, "{timers} timers: {own}");
    ensure!(
        executor == EXECUTOR_THREADS,
        "{executor} threads that poll: {own}"
    );
    ensure!(
        blocking <= SLOTS + MORE_JOBS,
        "{blocking} threads that may block: {own}"
    );
    ensure!(
        others == QUERY_THREADS + OTHER_THREADS,
        "{others} other threads: {own}"
    );
    let sockets = calm.sockets();
    ensure!(
        sockets <= CONNECTIONS_PER_SLOT * SLOTS,
        "{sockets} connections: {:?}",
        calm.handles
    );
    ensure!(
        calm.files().len() == first.files().len(),
        "{} handles that are no connections, and there were {}: {:?}, and there were {:?}",
        calm.files().len(),
        first.files().len(),
        calm.files(),
        first.files(),
    );
    Ok(())
}

/// Memory at the end against memory in the middle.
pub(crate) fn memory(later: &Footprint, earlier: &Footprint) -> anyhow::Result<()> {
    let allowed = earlier.rss_bytes as f64 * GROWTH + GROWTH_BYTES as f64;
    ensure!(
        later.rss_bytes as f64 <= allowed,
        "memory is not flat: {:.1} MiB under the same load as {:.1} MiB before, {:.1} MiB are allowed",
        mib(later.rss_bytes),
        mib(earlier.rss_bytes),
        allowed / f64::from(1 << 20),
    );
    Ok(())
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What one subscriber was told or told to have missed, the other one was, too. They do not subscribe
/// in the same instant, so it is what came between two calm moments that counts.
pub(crate) fn events(later: &Accounts, earlier: &Accounts) -> anyhow::Result<()> {
    let quick = (later.received + later.missed) - (earlier.received + earlier.missed);
    let slow =
        (later.slow_received + later.slow_missed) - (earlier.slow_received + earlier.slow_missed);
    ensure!(
        quick == slow,
        "{quick} events for one subscriber, {slow} for another: {earlier:?}, then {later:?}"
    );
    Ok(())
}

/// One calm moment after another one of the same worker.
pub(crate) fn calm_after(calm: &Calm, first: &Calm, last: &Calm) -> anyhow::Result<()> {
    threads_and_handles(&calm.footprint, &first.footprint)?;
    events(&calm.events, &last.events)
}

/// After the shutdown: everything is as before the manager was opened.
pub(crate) fn end(ended: &Ended) -> anyhow::Result<()> {
    let (before, after) = (&ended.before, &ended.after);
    let mut threads = after.threads.clone();
    threads.retain(|name| !is_timer(name));
    ensure!(
        threads == before.threads,
        "threads after the end: {threads:?}, before the beginning: {:?}",
        before.threads
    );
    let same = before.handles == after.handles;
    Some(()).filter(|()| same).with_context(|| {
        format!(
            "handles after the end: {:?}, before the beginning: {:?}",
            after.handles, before.handles
        )
    })
}

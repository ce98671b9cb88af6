//! What a calm worker, and one that ended, may have.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::process::Footprint;
use crate::words::{Accounts, Ended};
use crate::worker::{EXECUTOR_THREADS, QUERY_THREADS, SLOTS, is_timer};

/// Threads of the blocking pool beyond the slots.
const MORE_JOBS: usize = 8;
/// Subscribers, and the thread that takes commands.
const OTHER_THREADS: usize = 3;
/// Idle connections for each slot; and one beside each after a long body.
const CONNECTIONS_PER_SLOT: usize = 3;

/// Memory later in a worker's life, held against that at its first calm moment under the same load. The
/// allocator keeps what is freed, in as many places as there are threads, and fills them up by and by, so it
/// is not flat to the byte. With 20,000 chunks this finds a leak of 4 KB for each chunk that comes in a
/// minute's run, and one of 500 bytes in five minutes.
const GROWTH: f64 = 1.10;
const GROWTH_BYTES: u64 = 12 << 20;

/// What a manager has open while nothing is under way, besides connections: its locks and directories.
const OWN_HANDLES: [&str; 7] = [
    "",
    "",
    "_lock",
    "_quarantine",
    "_staging",
    "_tombstones",
    "_trash",
];

/// Threads by name, none of them unknown, none too many. Handles: connections are bounded; of anything
/// else there is what was there before the manager was opened, and the manager's own.
pub(crate) fn threads_and_handles(
    calm: &Footprint,
    before: &Footprint,
    data_dir: &Path,
) -> anyhow::Result<()> {
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
    let mut allowed = before.files();
    let own = |name: &&str| data_dir.join(name).to_string_lossy().into_owned();
    let own: Vec<String> = OWN_HANDLES.iter().map(own).collect();
    allowed.extend(own.iter().map(|path| path.trim_end_matches('/')));
    allowed.sort_unstable();
    let files = calm.files();
    ensure!(
        files == allowed,
        "handles that are no connections: {files:?}, allowed are {allowed:?}"
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
    let quick = later.quick.total() - earlier.quick.total();
    let slow = later.slow.total() - earlier.slow.total();
    ensure!(
        quick == slow,
        "{quick} events for one subscriber, {slow} for another: {earlier:?}, then {later:?}"
    );
    Ok(())
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

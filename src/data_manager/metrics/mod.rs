//! The figures of [`Stats`] in Prometheus' text format, and how long things took.
//!
//! Written when somebody asks, from one look at the figures: nothing is registered or kept twice. Labels
//! have values of the library only, never an id, a host or a URL, so there are as many series on a
//! worker with a million chunks as on an empty one.
//!
//! | file | what it is |
//! | --- | --- |
//! | `text.rs` | the format |
//! | `histogram.rs` | how many took how long |

mod histogram;
mod text;

use std::time::Duration;

pub(super) use histogram::Histogram;
use text::{Kind, Text};

use super::stats::{HoldUp, ScrubStats, SpaceStats, StateCounts, Stats, WaitCounts};

/// The media type of [`metrics`](super::DataManagerImpl::metrics).
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long things took since the manager was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timings {
    /// From the beginning of an attempt until its chunk was visible.
    pub(super) attempt: Histogram,
    /// Each file that was fetched whole.
    pub(super) file: Histogram,
    pub(super) commit: Histogram,
    /// From the call, or a start that finds it deleted, until the directory was gone.
    pub(super) removal: Histogram,
}

/// All of it.
pub(super) fn render(stats: &Stats, timings: &Timings) -> String {
    let mut text = Text::default();
    let version = [(env!("CARGO_PKG_VERSION"), 1)];
    let build = ("build_info", "version");
    text.each(Kind::Gauge, build, "The version of the library.", version);
    chunks(&mut text, stats);
    waits(&mut text, stats);
    transfers(&mut text, stats);
    space(&mut text, &stats.space, &stats.chunks);
    scrub(&mut text, &stats.scrub);
    lock(&mut text, stats);
    times(&mut text, timings);
    text.into_string()
}

fn chunks(text: &mut Text, stats: &Stats) {
    let StateCounts {
        settling,
        waiting,
        transferring,
        backing_off,
        failed,
        available,
        held,
        removing,
        unreadable,
        available_bytes: _,
    } = stats.chunks;
    let states = [
        ("settling", settling),
        ("waiting", waiting),
        ("transferring", transferring),
        ("backing_off", backing_off),
        ("failed", failed),
        ("available", available),
        ("held", held),
        ("removing", removing),
        ("unreadable", unreadable),
    ];
    let name = ("chunks", "state");
    text.each(
        Kind::Gauge,
        name,
        "Chunks that are known, by state.",
        states,
    );
    let totals = &stats.totals;
    text.counter(
        "downloaded_chunks_total",
        "Chunks that were fetched and became visible.",
        totals.downloaded_chunks,
    );
    text.counter(
        "removed_chunks_total",
        "Chunks whose directory was removed.",
        totals.removed_chunks,
    );
    text.counter(
        "quarantined_chunks_total",
        "Directories that were moved to quarantine.",
        totals.quarantined,
    );
    text.counter(
        "unreadable_total",
        "Directories of the library that could not be read.",
        totals.unreadable,
    );
    text.counter(
        "foreign_total",
        "Things that are not the library's, found in the data directory.",
        totals.foreign,
    );
}

fn waits(text: &mut Text, stats: &Stats) {
    let WaitCounts {
        slot,
        host_slot,
        host_resting,
        backoff,
        disk_space,
        settling,
        verifying,
        paused,
        references,
    } = stats.waits;
    let reasons = [
        ("slot", slot),
        ("host_slot", host_slot),
        ("host_resting", host_resting),
        ("backoff", backoff),
        ("disk_space", disk_space),
        ("settling", settling),
        ("verifying", verifying),
        ("paused", paused),
        ("references", references),
    ];
    let name = ("waiting_chunks", "reason");
    text.each(Kind::Gauge, name, "Chunks that wait, by what for.", reasons);
    let oldest = stats.held.oldest.map(|oldest| seconds(oldest.held_ms));
    text.gauge(
        "held_contents",
        "Deleted or replaced contents that somebody still refers to.",
        Some(stats.held.contents),
    );
    text.gauge(
        "held_oldest_seconds",
        "How long ago the first of them left, where there is one.",
        oldest,
    );
    let estimate = &stats.estimate;
    text.gauge(
        "left_chunks",
        "Chunks that are still to come.",
        Some(estimate.left_chunks),
    );
    text.gauge(
        "left_bytes",
        "Bytes that are still to come, as far as that can be said.",
        estimate.left_bytes,
    );
    text.gauge(
        "arriving_bytes_per_second",
        "How fast bytes arrive, over the last seconds.",
        Some(estimate.bytes_per_second),
    );
    text.gauge(
        "left_seconds",
        "How long it takes until all is here, as far as that can be said.",
        estimate.left_seconds,
    );
    text.each(
        Kind::Gauge,
        ("held_up", "by"),
        "1 for what stands in the way of it being sooner, else 0.",
        HoldUp::NAMES.map(|(name, by)| (name, u8::from(by == estimate.held_up_by))),
    );
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn transfers(text: &mut Text, stats: &Stats) {
    let totals = &stats.totals;
    text.counter(
        "downloaded_bytes_total",
        "Bytes that arrived, repeated ones included.",
        totals.downloaded_bytes,
    );
    text.counter(
        "attempts_total",
        "Attempts to fetch a chunk.",
        totals.attempts,
    );
    text.counter(
        "retries_total",
        "Those of them that came after one that failed.",
        totals.retries,
    );
    let failures = totals.failures.iter();
    let failures = failures.map(|(kind, count)| (kind.as_str(), count));
    let help = "Attempts that failed, by the kind of their errors.";
    text.each(Kind::Counter, ("failures_total", "kind"), help, failures);
    text.counter(
        "failed_attempts_total",
        "Attempts to fetch a chunk that failed.",
        totals.failed_attempts,
    );
    text.gauge(
        "paused",
        "1 while no file is begun, since somebody said so.",
        Some(u8::from(stats.paused)),
    );
    text.gauge(
        "files_in_flight",
        "Files that are being fetched.",
        Some(stats.files_in_flight),
    );
    text.gauge(
        "slots",
        "How many files are fetched at a time at the most.",
        Some(stats.slots),
    );
    text.gauge(
        "slots_per_host",
        "The same for each host.",
        Some(stats.slots_per_host),
    );
    text.gauge(
        "bandwidth_limit_bytes_per_second",
        "What all transfers together may take, where there is a limit.",
        stats.bandwidth_limit,
    );
    text.gauge(
        "hosts_resting",
        "Hosts that failed for everybody and are given a rest.",
        Some(stats.hosts_resting),
    );
    text.gauge(
        "partial_chunks",
        "Chunks of which earlier attempts left something.",
        Some(stats.partials.chunks),
    );
    text.gauge(
        "partial_bytes",
        "What earlier attempts left.",
        Some(stats.partials.bytes),
    );
}

fn space(text: &mut Text, space: &SpaceStats, chunks: &StateCounts) {
    let kinds = [
        ("committed", space.committed_bytes),
        ("staged", space.staged_bytes),
        ("trash", space.trash_bytes),
        ("quarantine", space.quarantine_bytes),
        ("reserved", space.reserved_bytes),
    ];
    let help = "Bytes of contents in the data directory, by where they are; reserved ones are still to come.";
    text.each(Kind::Gauge, ("bytes", "kind"), help, kinds);
    text.gauge(
        "available_bytes",
        "Bytes of the visible chunks.",
        Some(chunks.available_bytes),
    );
    text.gauge(
        "free_bytes",
        "What the file system has left, as it was last seen.",
        space.free_bytes,
    );
    text.gauge(
        "max_bytes",
        "What the data directory may come to, where there is a limit.",
        space.max_bytes,
    );
    text.gauge(
        "min_free_bytes",
        "What is left free on the file system.",
        Some(space.min_free_bytes),
    );
    text.gauge(
        "space_short",
        "1 while nothing is fetched for want of room.",
        Some(u8::from(space.waits_for.is_some())),
    );
    text.counter(
        "ledger_audits_total",
        "How often the counted bytes were held against the disk.",
        space.audits,
    );
    text.counter(
        "ledger_corrected_bytes_total",
        "By how many bytes they were off.",
        space.corrected_bytes,
    );
}

fn scrub(text: &mut Text, scrub: &ScrubStats) {
    text.gauge(
        "scrub_rate_bytes_per_second",
        "How fast the background scrub reads, while it is on.",
        scrub.rate,
    );
    text.counter(
        "scrub_rounds_total",
        "Rounds over all visible chunks.",
        scrub.rounds,
    );
    text.counter(
        "scrub_verified_chunks_total",
        "Chunks that were read again and are what was committed.",
        scrub.chunks,
    );
    text.counter(
        "scrub_damaged_chunks_total",
        "Chunks that were read again and are not.",
        scrub.damaged,
    );
    text.counter(
        "scrub_read_bytes_total",
        "Bytes that were read again.",
        scrub.bytes,
    );
    text.gauge(
        "scrub_round_chunks",
        "Chunks of this round.",
        Some(scrub.round_chunks),
    );
    text.gauge(
        "scrub_round_done_chunks",
        "Those that it has come past.",
        Some(scrub.round_done),
    );
}

fn lock(text: &mut Text, stats: &Stats) {
    let lock = stats.lock;
    text.counter(
        "lock_holds_total",
        "How often the lock was held that all calls share.",
        lock.holds,
    );
    text.counter(
        "lock_holds_over_1ms_total",
        "How often for more than 1 ms.",
        lock.over_1_ms,
    );
    let longest_ns = Duration::from_nanos(lock.longest_ns);
    text.gauge(
        "lock_longest_hold_seconds",
        "The longest hold since the manager was opened.",
        Some(longest_ns.as_secs_f64()),
    );
}

fn times(text: &mut Text, timings: &Timings) {
    text.histogram(
        "attempt_seconds",
        "From the beginning of an attempt that went well until its chunk was visible.",
        &timings.attempt,
    );
    text.histogram(
        "file_transfer_seconds",
        "Each file that was fetched whole.",
        &timings.file,
    );
    text.histogram(
        "commit_seconds",
        "Commits that went well: syncs and the rename.",
        &timings.commit,
    );
    text.histogram(
        "removal_seconds",
        "From a delete until its directory was gone, the wait for references included.",
        &timings.removal,
    );
}

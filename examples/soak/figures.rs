//! What a run says of itself.

use std::fmt;
use std::time::Duration;

use crate::checks::mib;
use crate::histogram::{self, quantile_ns};
use crate::origin::Origin;
use crate::words::{Calm, Ended, Figures, Opened, Progress, Queries};

/// Sums over the workers.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Until the first assignment was reached.
    pub(crate) filled: Duration,
    longest_assignment: Duration,
    steps: u32,
    /// Of the workers before, and what this one said last.
    before: Sum,
    now: Progress,
    peak_rss_bytes: u64,
    most_threads: usize,
    most_handles: usize,
    /// Resident in each calm moment.
    calm_rss_bytes: Vec<u64>,
    calm_ms: Vec<u64>,
    calm_threads: Vec<usize>,
    calm_handles: Vec<usize>,
    kills: u32,
    reopened_ms: u64,
    reopened_chunks: usize,
    shutdown_ms: u64,
    tasks: u64,
    events: (u64, u64, u64),
    faults: String,
    fault_count: u64,
    requests: u64,
}

#[derive(Debug, Default)]
struct Sum {
    downloaded_chunks: u64,
    removed_chunks: u64,
    downloaded_bytes: u64,
    failed_attempts: u64,
    scrubbed_chunks: u64,
    lock_over_1_ms: u64,
    lock_holds: u64,
    queries: Queries,
}

impl Sum {
    fn add(&mut self, progress: &Progress) {
        let Figures {
            downloaded_chunks,
            removed_chunks,
            downloaded_bytes,
            failed_attempts,
            scrubbed_chunks,
            lock_over_1_ms,
            lock_holds,
            ..
        } = progress.figures;
        self.downloaded_chunks += downloaded_chunks;
        self.removed_chunks += removed_chunks;
        self.downloaded_bytes += downloaded_bytes;
        self.failed_attempts += failed_attempts;
        self.scrubbed_chunks += scrubbed_chunks;
        self.lock_over_1_ms += lock_over_1_ms;
        self.lock_holds += lock_holds;
        let (sum, more) = (&mut self.queries, &progress.queries);
        histogram::add(&mut sum.find_chunk, &more.find_chunk);
        histogram::add(&mut sum.find_range, &more.find_range);
        histogram::add(&mut sum.stats, &more.stats);
        sum.checked_chunks += more.checked_chunks;
        sum.checked_late += more.checked_late;
    }
}

impl Report {
    pub(crate) fn note(&mut self, progress: Progress, took: Duration) {
        self.longest_assignment = self.longest_assignment.max(took);
        self.steps += 1;
        self.peak_rss_bytes = self.peak_rss_bytes.max(progress.peak_rss_bytes);
        self.most_threads = self.most_threads.max(progress.threads);
        self.most_handles = self.most_handles.max(progress.handles);
        self.now = progress;
    }

    pub(crate) fn calm(&mut self, step: u32, calm: &Calm) {
        println!(
            "{step:5} s  calm after {:.1} s, {:.0} MiB",
            calm.took_ms as f64 / 1e3,
            mib(calm.footprint.rss_bytes)
        );
        self.calm_rss_bytes.push(calm.footprint.rss_bytes);
        self.calm_ms.push(calm.took_ms);
        self.calm_threads.push(calm.footprint.threads.len());
        self.calm_handles.push(calm.footprint.handles.len());
        self.events = (
            calm.events.quick.received(),
            calm.events.quick.missed,
            calm.events.slow.missed,
        );
        self.now = calm.progress.clone();
    }

    /// What the worker that was killed said last counts.
    pub(crate) fn killed(&mut self, opened: &Opened) {
        self.before.add(&std::mem::take(&mut self.now));
        self.kills += 1;
        self.reopened_ms = opened.open_ms;
        self.reopened_chunks = opened.visible.len();
    }

    pub(crate) fn ended(&mut self, ended: &Ended, origin: &Origin) {
        self.before.add(&std::mem::take(&mut self.now));
        self.shutdown_ms = ended.shutdown_ms;
        self.tasks = ended.tasks;
        self.faults = origin.tally().to_string();
        self.fault_count = origin.tally().total();
        self.requests = origin.requests();
    }

    /// A line of progress.
    pub(crate) fn say(&self, step: u32) {
        let figures = &self.now.figures;
        println!(
            "{step:5} s  {} available, {} under way, {} downloaded, {} failed attempts, {:.0} MiB",
            figures.available,
            figures.unfinished,
            figures.downloaded_chunks,
            figures.failed_attempts,
            mib(self.now.rss_bytes)
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | |\n| --- | ---: |")?;
        let rows = [self.work(), self.queries(), self.trouble(), self.process()];
        for (what, figure) in rows.iter().flatten() {
            writeln!(f, "| {what} | {figure} |")?;
        }
        Ok(())
    }
}

/// What a row is about, and its figure.
type Row = (&'static str, String);

impl Report {
    fn work(&self) -> Vec<Row> {
        let sum = &self.before;
        let waited: u64 = self.calm_ms.iter().skip(1).sum();
        let steps = Duration::from_secs(u64::from(self.steps));
        let seconds = (steps + self.filled + Duration::from_millis(waited)).as_secs_f64();
        let (chunks, bytes) = (sum.downloaded_chunks, mib(sum.downloaded_bytes));
        let calm = list(&self.calm_ms, |ms| format!("{:.1}", *ms as f64 / 1e3));
        let filled = self.filled.as_secs_f64();
        let longest = self.longest_assignment.as_millis();
        vec![
            (
                "chunks downloaded",
                format!("{chunks}, {:.0}/s", chunks as f64 / seconds),
            ),
            (
                "bytes downloaded",
                format!("{bytes:.0} MiB, {:.1} MiB/s", bytes / seconds),
            ),
            ("chunks removed", sum.removed_chunks.to_string()),
            (
                "until the first assignment was reached, s",
                format!("{filled:.1}"),
            ),
            ("from a call to calm, s", calm),
            (
                "longest step: `set_assignment` and 20 other calls, ms",
                longest.to_string(),
            ),
        ]
    }

    fn queries(&self) -> Vec<Row> {
        let (sum, queries) = (&self.before, &self.before.queries);
        let lock = 100.0 * sum.lock_over_1_ms as f64 / sum.lock_holds.max(1) as f64;
        let (read, late) = (queries.checked_chunks, queries.checked_late);
        vec![
            (
                "`find_chunk`: p50, p99, p99.9, µs",
                quantiles(&queries.find_chunk),
            ),
            (
                "`find_range`: p50, p99, p99.9, µs",
                quantiles(&queries.find_range),
            ),
            ("`stats`: p50, p99, p99.9, µs", quantiles(&queries.stats)),
            (
                "chunks read by queries; of which deleted ones",
                format!("{read}; {late}"),
            ),
            ("planner's lock held over 1 ms, %", format!("{lock:.4}")),
            ("chunks read by the scrub", sum.scrubbed_chunks.to_string()),
        ]
    }

    fn trouble(&self) -> Vec<Row> {
        vec![
            ("kills", self.kills.to_string()),
            (
                "start after it, ms; chunks found",
                format!("{}; {}", self.reopened_ms, self.reopened_chunks),
            ),
            (
                "requests; answered wrongly",
                format!("{}; {}", self.requests, self.fault_count),
            ),
            ("of which", self.faults.clone()),
            (
                "attempts that failed",
                self.before.failed_attempts.to_string(),
            ),
        ]
    }

    fn process(&self) -> Vec<Row> {
        let (received, missed, slow_missed) = self.events;
        let memory = list(&self.calm_rss_bytes, |rss| format!("{:.0}", mib(*rss)));
        let threads = list(&self.calm_threads, usize::to_string);
        let handles = list(&self.calm_handles, usize::to_string);
        vec![
            (
                "events of the second worker; missed; missed by the slow subscriber",
                format!("{received}; {missed}; {slow_missed}"),
            ),
            (
                "tasks of the second worker, all ended",
                self.tasks.to_string(),
            ),
            ("memory in calm moments, MiB", memory),
            (
                "memory at the peak, MiB",
                format!("{:.0}", mib(self.peak_rss_bytes)),
            ),
            (
                "threads at the most; in calm moments",
                format!("{}; {threads}", self.most_threads),
            ),
            (
                "handles at the most; in calm moments",
                format!("{}; {handles}", self.most_handles),
            ),
            ("shutdown, ms", self.shutdown_ms.to_string()),
        ]
    }
}

fn list<T>(values: &[T], text: impl Fn(&T) -> String) -> String {
    values.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn quantiles(counts: &[u64]) -> String {
    let quantile = |of_1000| format!("{:.1}", quantile_ns(counts, of_1000) as f64 / 1e3);
    [500, 990, 999].map(quantile).join(", ")
}

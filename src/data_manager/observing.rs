//! What a manager shows of itself.

use super::events::Events;
use super::stats::{ChunkStatus, Stats};
use super::{DataManagerImpl, metrics};
use crate::data_chunk::ChunkId;

// The tables name these.
#[cfg(doc)]
use super::{ChunkState, Estimate, HoldUp, METRICS_CONTENT_TYPE, WaitReason};

/// # Looking at it
impl DataManagerImpl {
    /// Why this chunk is not here, or not gone; `None` if nothing is known of it.
    ///
    /// Costs the same however many chunks there are. To print it gives a sentence for a person.
    pub fn chunk_status(&self, chunk_id: &ChunkId) -> Option<ChunkStatus> {
        self.core.status(chunk_id)
    }

    /// The manager's figures at this moment: of one moment, but for what is counted without the lock
    /// (bytes that arrived, the scrub, the ledger). Costs by the number of slots, and the same however
    /// many chunks there are.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// The figures of [`stats`](Self::stats), and how long things took, in the text format of Prometheus;
    /// [`METRICS_CONTENT_TYPE`] is its media type. Costs what `stats` costs.
    ///
    /// Every name begins with `data_manager_`. There are as many series whatever is fetched from
    /// wherever: no label is an id, a host or a URL. Counters begin at 0 with the manager. What is not known
    /// or has no limit is left out.
    ///
    /// | name | type | of |
    /// | --- | --- | --- |
    /// | `build_info{version}` | gauge | always 1 |
    /// | `chunks{state}` | gauge | chunks in each [`ChunkState`] |
    /// | `waiting_chunks{reason}` | gauge | chunks for each [`WaitReason`] |
    /// | `held_contents`, `held_oldest_seconds` | gauge | what is deleted and still referred to |
    /// | `left_chunks`, `left_bytes`, `left_seconds`, `arriving_bytes_per_second` | gauge | the [`Estimate`] |
    /// | `held_up{by}` | gauge | 1 for what holds it up, a [`HoldUp`], else 0 |
    /// | `downloaded_chunks_total`, `removed_chunks_total`, `quarantined_chunks_total` | counter | chunks |
    /// | `unreadable_total`, `foreign_total` | counter | directories and things that were left alone |
    /// | `downloaded_bytes_total` | counter | bytes that arrived, repeated ones included |
    /// | `attempts_total`, `retries_total`, `failed_attempts_total` | counter | attempts to fetch a chunk |
    /// | `failures_total{kind}` | counter | those that failed, by [`ErrorKind`](crate::ErrorKind) |
    /// | `paused`, `space_short` | gauge | 1 while it is so, else 0 |
    /// | `files_in_flight`, `slots`, `slots_per_host`, `hosts_resting` | gauge | files, hosts |
    /// | `bandwidth_limit_bytes_per_second` | gauge | the limit on all transfers together |
    /// | `partial_chunks`, `partial_bytes` | gauge | what earlier attempts left |
    /// | `bytes{kind}` | gauge | bytes in the data directory: `committed`, `staged`, `trash`, `quarantine`; `reserved` ones are still to come |
    /// | `available_bytes` | gauge | bytes of the visible chunks |
    /// | `free_bytes`, `min_free_bytes`, `max_bytes` | gauge | room on the file system, and the limits |
    /// | `ledger_audits_total`, `ledger_corrected_bytes_total` | counter | how often the bytes were counted again, and by how many they were off |
    /// | `scrub_rate_bytes_per_second`, `scrub_round_chunks`, `scrub_round_done_chunks` | gauge | the background scrub and its round |
    /// | `scrub_rounds_total`, `scrub_verified_chunks_total`, `scrub_damaged_chunks_total`, `scrub_read_bytes_total` | counter | what was read again, by whomever |
    /// | `lock_holds_total`, `lock_holds_over_1ms_total` | counter | holds of the lock that all calls share |
    /// | `lock_longest_hold_seconds` | gauge | the longest of them |
    /// | `attempt_seconds` | histogram | from the beginning of an attempt that went well until its chunk was visible |
    /// | `file_transfer_seconds` | histogram | each file that was fetched whole |
    /// | `commit_seconds` | histogram | commits that went well |
    /// | `removal_seconds` | histogram | from a delete until the directory was gone, the wait for references included |
    pub fn metrics(&self) -> String {
        metrics::render(&self.stats(), &self.core.timings())
    }

    /// Subscribes to what happens from now on. The first subscriber is told first what was found wrong
    /// with the data directory before it came.
    ///
    /// The same is told to the logger of the [`log`](https://docs.rs/log) facade, if there is one, one
    /// record for each event, with the target `data_manager`. Records are written by a thread of the
    /// blocking pool, in the order of the events, so no call waits for a logger but
    /// [`shutdown`](Self::shutdown) and the drop, for as long as they wait for anything; beyond 16,384 that
    /// wait, the oldest are dropped, and one says how many. URLs are redacted, as everywhere.
    ///
    /// | level | events |
    /// | --- | --- |
    /// | `error` | damaged, unreadable, disk trouble, lock trouble |
    /// | `warn` | failed, host resting, quarantined, foreign, space short, ledger off, assignment failed, lagged (of the log itself) |
    /// | `info` | available, removed, retried, host back, space back, lock back, paused, resumed, scrub round, assignment taken |
    /// | `debug` | wanted, started, superseded, unwanted, verified |
    /// | `trace` | progress |
    pub fn events(&self) -> Events {
        self.core.hub.subscribe()
    }
}

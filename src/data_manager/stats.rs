//! What a manager says about itself when asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data_chunk::{ChunkId, hex_chunk_id};
use crate::data_source::Balance;
pub use crate::data_source::{SpaceArea, SpaceShortage};
use crate::error::Error;

/// How soon a chunk is wanted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Priority {
    /// Now: before every other chunk that is not under way.
    High,
    /// As its turn comes.
    #[default]
    Normal,
}

/// Where a chunk is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChunkState {
    /// Wanted; waits until an earlier content of its id is out of the way, or back; or until what was
    /// found on disk is verified.
    Settling,
    /// Wanted; waits for a slot.
    Waiting,
    /// Wanted; is being fetched or committed.
    Transferring,
    /// Wanted; the last attempt failed, and the next one waits for its time.
    BackingOff,
    /// Wanted; failed in a way that no retry can mend, is tried again rarely.
    Failed,
    /// Visible.
    Available,
    /// No longer wanted; somebody still refers to it.
    Held,
    /// No longer wanted; is being removed.
    Removing,
    /// Not visible: it cannot be read, and is left where it is until it is deleted or replaced.
    Unreadable,
}

/// Everything that is known of one chunk; the answer of `chunk_status`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ChunkStatus {
    /// The chunk.
    #[serde(with = "hex_chunk_id")]
    pub chunk_id: ChunkId,
    /// Where it is.
    pub state: ChunkState,
    /// Whether the last call asks for it to be there.
    pub wanted: bool,
    /// How soon it is wanted.
    pub priority: Priority,
    /// How many attempts failed in a row.
    pub failures: u32,
    /// Why the last attempt failed; absent once one succeeded. Where the chunk was not tried yet since
    /// its host is given a rest, how the host failed.
    pub last_error: Option<Error>,
    /// How many ms until the next attempt, while it waits for one, or until its host's rest is over.
    pub next_try_in_ms: Option<u64>,
    /// Bytes on disk, complete or not.
    pub done_bytes: u64,
    /// Bytes in all, as far as they are known.
    pub total_bytes: Option<u64>,
    /// How many deleted or replaced contents of this id are still on disk.
    pub leaving: usize,
}

impl ChunkStatus {
    pub(super) fn new(chunk_id: ChunkId, state: ChunkState) -> Self {
        ChunkStatus {
            chunk_id,
            state,
            wanted: false,
            priority: Priority::Normal,
            failures: 0,
            last_error: None,
            next_try_in_ms: None,
            done_bytes: 0,
            total_bytes: None,
            leaving: 0,
        }
    }
}

/// A manager's figures at one moment; the answer of `stats`.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Chunks by state.
    pub chunks: StateCounts,
    /// Whether no file is begun, since [`pause`](super::DataManagerImpl::pause) was called.
    pub paused: bool,
    /// Files being fetched now.
    pub files_in_flight: usize,
    /// The most files that are fetched at a time.
    pub slots: usize,
    /// The same for each host.
    pub slots_per_host: usize,
    /// Bytes per second, over all transfers; absent where there is no limit.
    pub bandwidth_limit: Option<u64>,
    /// What earlier attempts left in staging, for when the same is asked for again; what is being
    /// fetched now is not in it.
    pub partials: PartialCounts,
    /// What the data directory takes of the disk, and what there is too little of.
    pub space: SpaceStats,
    /// How many hosts failed for everybody and are given a rest, or are being tried again.
    pub hosts_resting: usize,
    /// At most 16 of these, the next to be tried first.
    pub resting_hosts: Vec<RestingHost>,
    /// What was read again and verified.
    pub scrub: ScrubStats,
    /// What happened since the manager was opened.
    pub totals: Counters,
    /// How long calls kept each other waiting since the manager was opened.
    pub lock: LockHolds,
}

/// How long the one lock was held that calls, jobs and tasks have in common.
///
/// Measured by the clock on the wall: where there are more threads than processors, a holder that
/// the system puts aside for others goes on holding it, and is seen here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LockHolds {
    /// How often it was held.
    pub holds: u64,
    /// How often for more than 1 ms.
    pub over_1_ms: u64,
    /// The longest of all times, in ns.
    pub longest_ns: u64,
}

impl LockHolds {
    pub(super) fn note(&mut self, held: Duration) {
        let held_ns = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        self.holds += 1;
        self.over_1_ms += u64::from(held_ns > 1_000_000);
        self.longest_ns = self.longest_ns.max(held_ns);
    }
}

/// The bytes in the data directory, kept with each operation; and what bounds them.
///
/// Bytes of contents: what the library writes for itself (manifests, records, directories) comes on
/// top, and is little where files are large. A byte is in one place at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SpaceStats {
    /// In chunks, visible or on their way out.
    pub committed_bytes: u64,
    /// Arriving, or left of downloads that broke off.
    pub staged_bytes: u64,
    /// Being removed.
    pub trash_bytes: u64,
    /// Kept for a person to look at; nothing here is ever removed by itself.
    pub quarantine_bytes: u64,
    /// Promised to transfers that have begun, and not arrived yet.
    pub reserved_bytes: u64,
    /// What the file system has left, as somebody last saw it; absent until somebody looked.
    pub free_bytes: Option<u64>,
    /// What all of these together may come to.
    pub max_bytes: Option<u64>,
    /// What is left free on the file system.
    pub min_free_bytes: u64,
    /// What there is too little of. Nothing is fetched until something was removed or a time has
    /// passed, and then one file at a time until a chunk is whole.
    pub waits_for: Option<SpaceShortage>,
    /// How often these figures were held against the disk.
    pub audits: u64,
    /// By how many bytes they were off, in all.
    pub corrected_bytes: u64,
}

impl SpaceStats {
    pub(super) fn set(&mut self, balance: &Balance) {
        *self = SpaceStats {
            committed_bytes: balance.committed,
            staged_bytes: balance.staged,
            trash_bytes: balance.trash,
            quarantine_bytes: balance.quarantine,
            reserved_bytes: balance.reserved,
            free_bytes: balance.free,
            max_bytes: balance.limits.max_bytes,
            min_free_bytes: balance.limits.min_free_bytes,
            waits_for: self.waits_for,
            audits: balance.audits,
            corrected_bytes: balance.corrected,
        };
    }
}

/// Partial downloads that nobody works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartialCounts {
    /// Of how many chunks.
    pub chunks: usize,
    /// The bytes that they have on disk.
    pub bytes: u64,
}

impl PartialCounts {
    pub(super) fn new(chunks: usize, bytes: u64) -> Self {
        PartialCounts { chunks, bytes }
    }
}

/// What was read again and held against what was committed, since the manager was opened: by the
/// background scrub, by `verify`, and at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScrubStats {
    /// How many bytes per second the background scrub reads; absent while it is off.
    pub rate: Option<u64>,
    /// How many rounds over all visible chunks it has completed.
    pub rounds: u64,
    /// Chunks that were what was committed.
    pub chunks: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Chunks that were not.
    pub damaged: u64,
    /// Of how many chunks the round is, or was if it is over.
    pub round_chunks: usize,
    /// How many of them it has come past; those that left the view meanwhile count.
    pub round_done: usize,
}

/// A host that failed for everybody: it could not be reached, or hung up before it said anything,
/// several times in a row. No file is asked of it until its rest is over; then one is.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RestingHost {
    /// Host and port as the URLs write them, or a scheme where they name no host.
    pub host: String,
    /// How many ms until it is tried again; absent while it is being tried.
    pub next_try_in_ms: Option<u64>,
    /// How it failed last.
    pub last_error: Option<Error>,
}

impl RestingHost {
    pub(super) fn new(host: String, rest: Option<Duration>, last_error: Option<Error>) -> Self {
        let millis = |rest: Duration| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        RestingHost {
            host,
            next_try_in_ms: rest.map(millis),
            last_error,
        }
    }
}

/// Chunks by [`ChunkState`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StateCounts {
    /// [`ChunkState::Settling`].
    pub settling: usize,
    /// [`ChunkState::Waiting`].
    pub waiting: usize,
    /// [`ChunkState::Transferring`].
    pub transferring: usize,
    /// [`ChunkState::BackingOff`].
    pub backing_off: usize,
    /// [`ChunkState::Failed`].
    pub failed: usize,
    /// [`ChunkState::Available`].
    pub available: usize,
    /// [`ChunkState::Held`].
    pub held: usize,
    /// [`ChunkState::Removing`].
    pub removing: usize,
    /// [`ChunkState::Unreadable`].
    pub unreadable: usize,
    /// The bytes of the visible chunks' files.
    pub available_bytes: u64,
}

impl StateCounts {
    pub(super) fn of(&mut self, state: ChunkState) -> &mut usize {
        match state {
            ChunkState::Settling => &mut self.settling,
            ChunkState::Waiting => &mut self.waiting,
            ChunkState::Transferring => &mut self.transferring,
            ChunkState::BackingOff => &mut self.backing_off,
            ChunkState::Failed => &mut self.failed,
            ChunkState::Available => &mut self.available,
            ChunkState::Held => &mut self.held,
            ChunkState::Removing => &mut self.removing,
            ChunkState::Unreadable => &mut self.unreadable,
        }
    }
}

/// What happened since a manager was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Chunks that were fetched and became visible.
    pub downloaded_chunks: u64,
    /// Chunks whose directory was removed.
    pub removed_chunks: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Bytes that arrived, repeated ones included.
    pub downloaded_bytes: u64,
    /// Directories moved to quarantine.
    pub quarantined: u64,
    /// Directories of the library's that could not be read; they were left alone.
    pub unreadable: u64,
    /// Things that are not the library's, found when the directory was opened.
    pub foreign: u64,
}

//! What waits, and why.

use serde::Serialize;

use crate::data_chunk::{ChunkId, hex_chunk_id};

/// Why a chunk is not here yet, or not gone yet, while nothing is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitReason {
    /// For its turn: all slots are taken, or about to be given.
    Slot,
    /// As many files of its host are in flight as may be.
    HostSlot,
    /// Its host failed for everybody: it rests, or one file finds out whether it is back.
    HostResting,
    /// For the next attempt, after one that failed.
    Backoff,
    /// The disk is full, or what the limits leave of it.
    DiskSpace,
    /// Until an earlier content of its id is out of the way, or back.
    Settling,
    /// Until every byte of it was verified, since it may not have been on disk before a power cut.
    Verifying,
    /// Nothing is begun, since somebody said so.
    Paused,
    /// Until the last reference to it is dropped.
    References,
}

/// Chunks by what they wait for; those that wait for nothing are not in it, nor are those that have begun,
/// whose rest may wait, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WaitCounts {
    /// [`WaitReason::Slot`].
    pub slot: usize,
    /// [`WaitReason::HostSlot`]. A chunk with files at several hosts is counted for one of them.
    pub host_slot: usize,
    /// [`WaitReason::HostResting`]; the same.
    pub host_resting: usize,
    /// [`WaitReason::Backoff`]: those that back off, and those that failed for good and are tried
    /// again rarely.
    pub backoff: usize,
    /// [`WaitReason::DiskSpace`].
    pub disk_space: usize,
    /// [`WaitReason::Settling`].
    pub settling: usize,
    /// [`WaitReason::Verifying`].
    pub verifying: usize,
    /// [`WaitReason::Paused`].
    pub paused: usize,
    /// [`WaitReason::References`]: deleted chunks that somebody still refers to.
    pub references: usize,
}

/// Deleted or replaced contents that stay on disk, since somebody still refers to them.
///
/// References to visible chunks are not counted here: a guard costs one counter of its own chunk
/// and nothing else. [`chunk_status`](crate::data_manager::DataManagerImpl::chunk_status) looks at
/// one chunk's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeldCounts {
    /// How many.
    pub contents: usize,
    /// The one that left first.
    pub oldest: Option<OldestHeld>,
}

/// The content that was deleted or replaced the longest ago, and is still referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OldestHeld {
    /// Its chunk.
    #[serde(with = "hex_chunk_id")]
    pub chunk_id: ChunkId,
    /// How many ms ago it was deleted or replaced.
    pub held_ms: u64,
}

impl OldestHeld {
    pub(in crate::data_manager) fn new(chunk_id: ChunkId, held_ms: u64) -> Self {
        OldestHeld { chunk_id, held_ms }
    }
}

impl HeldCounts {
    pub(in crate::data_manager) fn new(contents: usize, oldest: Option<OldestHeld>) -> Self {
        HeldCounts { contents, oldest }
    }
}

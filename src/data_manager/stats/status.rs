//! Where one chunk is, and why it is not here, or not gone; and how many are where.

use serde::{Deserialize, Serialize};

use super::WaitReason;
use crate::data_chunk::{ChunkId, hex_chunk_id};
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
///
/// Its text (`to_string()`) is a sentence for a person: why the chunk is not here, or not gone, and
/// what has to happen.
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
    /// How many attempts were begun since it was last here, that which runs included.
    pub attempts: u32,
    /// How many attempts failed in a row; of one that is not wanted, to remove it.
    pub failures: u32,
    /// Why the last attempt failed; absent once one succeeded. Where the chunk was not tried yet since
    /// its host is given a rest, how the host failed. Of one that is not wanted, why it could not be
    /// removed.
    pub last_error: Option<Error>,
    /// How many ms ago an attempt at this chunk failed with it; absent where its host's failure is
    /// shown.
    pub last_error_ms: Option<u64>,
    /// How many ms until the next attempt, while it waits for one, or until its host's rest is over.
    pub next_try_in_ms: Option<u64>,
    /// What it waits for, or the rest of it where it has begun; absent where it is here, or something is
    /// done about it now.
    pub wait_reason: Option<WaitReason>,
    /// The host that it waits for: it rests, or serves as many files as it may.
    pub waits_for_host: Option<String>,
    /// Bytes on disk, complete or not.
    pub done_bytes: u64,
    /// Bytes in all, as far as they are known.
    pub total_bytes: Option<u64>,
    /// How many deleted or replaced contents of this id are still on disk.
    pub leaving: usize,
    /// How many references there are: guards, also to deleted or replaced contents of this id, and
    /// whatever of the library reads it at this moment.
    pub references: usize,
    /// How many ms ago the oldest of those contents was deleted or replaced that are still referred
    /// to.
    pub held_ms: Option<u64>,
}

impl ChunkStatus {
    pub(in crate::data_manager) fn new(chunk_id: ChunkId, state: ChunkState) -> Self {
        ChunkStatus {
            chunk_id,
            state,
            wanted: false,
            priority: Priority::Normal,
            attempts: 0,
            failures: 0,
            last_error: None,
            last_error_ms: None,
            next_try_in_ms: None,
            wait_reason: None,
            waits_for_host: None,
            done_bytes: 0,
            total_bytes: None,
            leaving: 0,
            references: 0,
            held_ms: None,
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
    pub(in crate::data_manager) fn of(&mut self, state: ChunkState) -> &mut usize {
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

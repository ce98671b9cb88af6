//! What can happen.

use serde::Serialize;

use crate::data_chunk::{ChunkId, hex_chunk_id, hex_optional_chunk_id};
use crate::data_source::{SpaceArea, SpaceShortage};
use crate::error::Error;

/// Something that happened. In JSON: an object with the name in `event` and the fields beside it.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A chunk is asked for that is not there.
    #[non_exhaustive]
    Wanted {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
    },
    /// An attempt to fetch a chunk began.
    #[non_exhaustive]
    Started {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// 1 for the first attempt, one more after each failure in a row.
        attempt: u32,
    },
    /// Bytes arrived. At most one every 200 ms for each chunk.
    #[non_exhaustive]
    Progress {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// Bytes staged so far, over all files.
        done_bytes: u64,
        /// Bytes in all, once every file's length is known; a file that still waits for a slot
        /// has not said how long it is.
        total_bytes: Option<u64>,
    },
    /// An attempt failed in a way that may pass; there will be another one.
    #[non_exhaustive]
    Retried {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// How many attempts failed in a row.
        attempt: u32,
        /// When the next one is due, in ms from now.
        delay_ms: u64,
        /// Why it failed.
        error: Error,
    },
    /// An attempt failed in a way that no retry can mend. It is tried again all the same, at the
    /// longest backoff, until the chunk is deleted.
    #[non_exhaustive]
    Failed {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// Why it failed.
        error: Error,
    },
    /// A host failed for everybody several times in a row, and is given a rest: no file is asked of
    /// it until then.
    #[non_exhaustive]
    HostResting {
        /// Host and port as the URLs write them, or a scheme where they name no host.
        host: String,
        /// When it is tried again, in ms from now.
        delay_ms: u64,
    },
    /// A host that was given a rest answers again.
    #[non_exhaustive]
    HostBack {
        /// As in [`HostResting`](Event::HostResting).
        host: String,
    },
    /// A chunk is visible.
    #[non_exhaustive]
    Available {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// The bytes of its files.
        len_bytes: u64,
    },
    /// A download that had not ended was reversed or replaced by a later call.
    #[non_exhaustive]
    Superseded {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
    },
    /// A chunk is no longer wanted, and no longer visible if it was.
    #[non_exhaustive]
    Unwanted {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
    },
    /// A chunk's directory is gone.
    #[non_exhaustive]
    Removed {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
    },
    /// A chunk was found damaged: it is not visible any more, or not to be, and is fetched again if
    /// its URLs are known.
    #[non_exhaustive]
    Damaged {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// What is wrong with it.
        error: Error,
    },
    /// Every byte of a chunk was read again, for `verify` or by the scrub, and is what was committed.
    #[non_exhaustive]
    Verified {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
    },
    /// The scrub has come past all chunks that were visible when its round began.
    #[non_exhaustive]
    ScrubRound {
        /// How many were what was committed.
        chunks: u64,
        /// How many were not.
        damaged: u64,
    },
    /// A chunk's directory was moved to `_quarantine`, or holds something foreign and was.
    #[non_exhaustive]
    Quarantined {
        /// The chunk.
        #[serde(with = "hex_chunk_id")]
        chunk_id: ChunkId,
        /// Where it is now.
        #[serde(serialize_with = "crate::data_manager::view::shown_path")]
        path: std::path::PathBuf,
    },
    /// Something that is not the library's lies in the data directory. It is left alone.
    #[non_exhaustive]
    Foreign {
        /// Where it is.
        #[serde(serialize_with = "crate::data_manager::view::shown_path")]
        path: std::path::PathBuf,
    },
    /// A directory of the library's cannot be read: the disk denies it, or a later version of the
    /// library wrote it. It is left alone, and tried again at the next start; if it is a chunk's, that
    /// is no longer visible.
    #[non_exhaustive]
    Unreadable {
        /// Where it is.
        #[serde(serialize_with = "crate::data_manager::view::shown_path")]
        path: std::path::PathBuf,
        /// What the disk said.
        error: Error,
    },
    /// There is too little room on the disk, or of what the limits leave of it: nothing is fetched
    /// until something was removed or a time has passed. Told again if the reason changes.
    #[non_exhaustive]
    SpaceShort {
        /// What there is too little of.
        reason: SpaceShortage,
        /// How much was needed, and how much there was.
        error: Error,
    },
    /// A chunk found room after there was too little, or nothing is left that needs it.
    SpaceBack,
    /// What the library counted in a part of its directory is not what is there. It goes by what is
    /// there from now on.
    #[non_exhaustive]
    LedgerOff {
        /// Which part.
        area: SpaceArea,
        /// What was counted.
        counted_bytes: u64,
        /// What is there.
        found_bytes: u64,
    },
    /// The local disk failed; what was to be done is tried again.
    #[non_exhaustive]
    DiskTrouble {
        /// The chunk concerned, if it was about one.
        #[serde(with = "hex_optional_chunk_id")]
        chunk_id: Option<ChunkId>,
        /// What the disk said.
        error: Error,
    },
    /// The lock on the data directory is not in its place: the file `_lock` was removed or replaced
    /// behind the library's back, or the path of the directory leads somewhere else by now. Noticed when
    /// a chunk is committed or removed, and told once until [`LockBack`](Event::LockBack).
    ///
    /// A lock file that nobody else holds is made and locked again at once, and `LockBack` follows.
    /// Otherwise work goes on. There are two locks: that on the directory itself keeps other managers
    /// out all the same, but on file systems that lock files only; there, two owners may be at the
    /// same directory now, and one of them has to be stopped. The error says which of these it is.
    #[non_exhaustive]
    LockTrouble {
        /// What was found.
        error: Error,
    },
    /// The lock is in its place again after there was trouble with it.
    LockBack,
    /// Nothing is begun any more, until [`Resumed`](Event::Resumed). What is in flight runs on.
    Paused,
    /// What is wanted is fetched again.
    Resumed,
    /// A document that is followed said something new, which is the wanted set now.
    #[non_exhaustive]
    AssignmentTaken {
        /// How many chunks are in it.
        chunks: usize,
        /// How many of them cannot be right, or have a URL that no source serves: all but these are
        /// wanted. [`FollowStatus`](crate::data_manager::FollowStatus) has the reason for the first of them.
        refused: usize,
    },
    /// A document that is followed could not be had or understood: the last good one holds.
    #[non_exhaustive]
    AssignmentFailed {
        /// Why.
        error: Error,
    },
    /// This subscriber was too slow: the oldest events were dropped.
    #[non_exhaustive]
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Event {
    /// Whether it says what is wrong with the data directory: the first subscriber is told also of
    /// those that came before it.
    pub(super) fn is_finding(&self) -> bool {
        matches!(
            self,
            Event::Damaged { .. }
                | Event::Quarantined { .. }
                | Event::Foreign { .. }
                | Event::Unreadable { .. }
                | Event::LedgerOff { .. }
                | Event::DiskTrouble { .. }
                | Event::LockTrouble { .. }
                | Event::LockBack
        )
    }
}

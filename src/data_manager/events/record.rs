//! An event as a person reads it, and how much it matters.

use std::fmt;

use log::Level;

use super::event::Event;
use crate::data_chunk::{ChunkId, hex_encode};

impl Event {
    /// At which level it is logged; the table is in [`events`](crate::data_manager::DataManagerImpl::events).
    pub(super) fn level(&self) -> Level {
        match self {
            Event::Damaged { .. }
            | Event::Unreadable { .. }
            | Event::DiskTrouble { .. }
            | Event::LockTrouble { .. } => Level::Error,
            Event::Failed { .. }
            | Event::HostResting { .. }
            | Event::Quarantined { .. }
            | Event::Foreign { .. }
            | Event::SpaceShort { .. }
            | Event::LedgerOff { .. }
            | Event::AssignmentFailed { .. }
            | Event::Lagged { .. } => Level::Warn,
            Event::Available { .. }
            | Event::Removed { .. }
            | Event::Retried { .. }
            | Event::HostBack { .. }
            | Event::SpaceBack
            | Event::LockBack
            | Event::Paused
            | Event::Resumed
            | Event::ScrubRound { .. }
            | Event::AssignmentTaken { .. } => Level::Info,
            Event::Wanted { .. }
            | Event::Started { .. }
            | Event::Superseded { .. }
            | Event::Unwanted { .. }
            | Event::Verified { .. } => Level::Debug,
            Event::Progress { .. } => Level::Trace,
        }
    }
}

/// One line for a person. Paths are escaped, since anybody may have named what lies in the directory.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Wanted { chunk_id } => write!(f, "{} is wanted", Chunk(chunk_id)),
            Event::Started { chunk_id, attempt } => {
                write!(f, "{}: attempt {attempt} begins", Chunk(chunk_id))
            }
            Event::Progress {
                chunk_id,
                done_bytes,
                total_bytes: Some(total_bytes),
            } => {
                let chunk = Chunk(chunk_id);
                write!(f, "{chunk}: {done_bytes} of {total_bytes} bytes")
            }
            Event::Progress {
                chunk_id,
                done_bytes,
                total_bytes: None,
            } => write!(f, "{}: {done_bytes} bytes", Chunk(chunk_id)),
            Event::Retried {
                chunk_id,
                attempt,
                delay_ms,
                error,
            } => {
                let chunk = Chunk(chunk_id);
                write!(
                    f,
                    "{chunk}: attempt {attempt} failed, the next one is due in {delay_ms} ms: {error}"
                )
            }
            Event::Failed { chunk_id, error } => {
                write!(f, "{} cannot be had: {error}", Chunk(chunk_id))
            }
            Event::Available {
                chunk_id,
                len_bytes,
            } => write!(f, "{} is available, {len_bytes} bytes", Chunk(chunk_id)),
            Event::Superseded { chunk_id } => {
                write!(
                    f,
                    "{}: a later call reversed or replaced its download",
                    Chunk(chunk_id)
                )
            }
            Event::Unwanted { chunk_id } => write!(f, "{} is not wanted any more", Chunk(chunk_id)),
            Event::Removed { chunk_id } => write!(f, "{} is removed", Chunk(chunk_id)),
            Event::Damaged { chunk_id, error } => {
                write!(f, "{} is damaged: {error}", Chunk(chunk_id))
            }
            Event::Verified { chunk_id } => write!(f, "{} is what was committed", Chunk(chunk_id)),
            Event::Quarantined { chunk_id, path } => {
                write!(f, "{} was moved to quarantine: {path:?}", Chunk(chunk_id))
            }
            Event::Lagged { missed } => write!(f, "{missed} events were missed"),
            _ => self.fmt_of_all(f),
        }
    }
}

impl Event {
    /// The same, where it is about no chunk, or not only about one.
    fn fmt_of_all(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::HostResting { host, delay_ms } => {
                write!(f, "host {host} is given a rest of {delay_ms} ms")
            }
            Event::HostBack { host } => write!(f, "host {host} answers again"),
            Event::ScrubRound { chunks, damaged } => {
                write!(
                    f,
                    "a round of the scrub is over: {chunks} chunks are what was committed, {damaged} are not"
                )
            }
            Event::Foreign { path } => {
                write!(f, "left alone, since it is not the library's: {path:?}")
            }
            Event::Unreadable { path, error } => {
                write!(f, "left alone, since it cannot be read: {path:?}: {error}")
            }
            Event::SpaceShort { reason, error } => {
                write!(f, "there is too little room ({reason:?}): {error}")
            }
            Event::SpaceBack => f.write_str("there is room again"),
            Event::LedgerOff {
                area,
                counted_bytes,
                found_bytes,
            } => write!(
                f,
                "{area:?} has {found_bytes} bytes where {counted_bytes} were counted"
            ),
            Event::DiskTrouble { chunk_id, error } => match chunk_id {
                Some(id) => write!(f, "{}: the disk failed: {error}", Chunk(id)),
                None => write!(f, "the disk failed: {error}"),
            },
            Event::LockTrouble { error } => write!(f, "{error}"),
            Event::LockBack => f.write_str("the lock on the data directory is in its place again"),
            Event::Paused => f.write_str("paused: no file is begun"),
            Event::Resumed => f.write_str("resumed"),
            Event::AssignmentTaken { chunks, refused } => {
                write!(
                    f,
                    "an assignment of {chunks} chunks is taken, {refused} of them are refused"
                )
            }
            Event::AssignmentFailed { error } => {
                write!(
                    f,
                    "the assignment cannot be had, the last one holds: {error}"
                )
            }
            // The others are above.
            _ => Ok(()),
        }
    }
}

struct Chunk<'a>(&'a ChunkId);

impl fmt::Display for Chunk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chunk {}", hex_encode(self.0))
    }
}

//! What the data directory takes of the disk.

use serde::Serialize;

use crate::data_source::{Balance, SpaceShortage};

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
    pub(in crate::data_manager) fn set(&mut self, balance: &Balance) {
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
    pub(in crate::data_manager) fn new(chunks: usize, bytes: u64) -> Self {
        PartialCounts { chunks, bytes }
    }
}

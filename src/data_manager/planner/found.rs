//! What opening found, for as long as nothing names it.
//!
//! A million chunks are found in a start that takes a second, and most of them are never spoken of
//! again. So each stays what it was found as, and becomes an [`Entry`](super::entry::Entry) when a
//! fact names it: see `Planner::edit`.
//!
//! Invariants:
//! 1. An id is in here or among the entries, never both.
//! 2. What is in here is wanted, in the catalogue, and referred to by the catalogue; no assignment
//!    and no call named it. So it is never busy, waits for nothing, and has nothing to end or to stop.
//! 3. It is counted in the figures over all entries, as its entry would be.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::entry::{Entry, Phase, Visible, Wanted};
use crate::data_chunk::ChunkId;
use crate::data_manager::chunk_task::Completion;
use crate::data_manager::stats::StateCounts;
use crate::data_source::StoredChunk;

/// Chunks that were found at the start and not named since.
#[derive(Default)]
pub(super) struct Found {
    chunks: BTreeMap<ChunkId, StoredChunk>,
}

impl Found {
    /// `chunks` ascend by their ids. The tree is built as a whole, O(n).
    pub(super) fn new(chunks: &[StoredChunk]) -> Self {
        let by_id = |stored: &StoredChunk| (stored.spec.id, stored.clone());
        Found {
            chunks: chunks.iter().map(by_id).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn contains(&self, id: &ChunkId) -> bool {
        self.chunks.contains_key(id)
    }

    /// What is known of `id`, without taking it out.
    pub(super) fn entry(&self, id: &ChunkId) -> Option<Entry> {
        self.chunks.get(id).cloned().map(Entry::found)
    }

    /// What is known of `id`, which somebody names.
    pub(super) fn take(&mut self, id: &ChunkId) -> Option<Entry> {
        self.chunks.remove(id).map(Entry::found)
    }

    /// The ids after `from`, ascending.
    pub(super) fn ids_after(&self, from: Bound<ChunkId>) -> impl Iterator<Item = ChunkId> {
        let rest = self.chunks.range((from, Bound::Unbounded));
        rest.map(|(id, _)| *id)
    }

    /// How all of them are counted.
    pub(super) fn counts(&self) -> StateCounts {
        StateCounts {
            available: self.chunks.len(),
            available_bytes: self.chunks.values().map(StoredChunk::len_bytes).sum(),
            ..StateCounts::default()
        }
    }
}

impl Entry {
    /// A chunk that opening found: it is wanted, and the catalogue refers to it.
    fn found(stored: StoredChunk) -> Self {
        let mut wanted = Wanted::new(stored.spec.clone(), Completion::ended(Ok(())));
        (wanted.ended, wanted.phase) = (true, Phase::Visible);
        Entry {
            wanted: Some(wanted),
            visible: Some(Visible { stored, holds: 1 }),
            ..Entry::default()
        }
    }
}

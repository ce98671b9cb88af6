//! What opening found, for as long as nothing names it.
//!
//! A million chunks are found in a start that takes a second, and most of them are never spoken of
//! again. So each stays what it was found as, and becomes an [`Entry`] when a
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

    pub(super) fn get(&self, id: &ChunkId) -> Option<&StoredChunk> {
        self.chunks.get(id)
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::data_chunk::ChunkSpec;
    use crate::data_manager::planner::{Action, Moment, PartialLimits, Planner, PlannerOptions};
    use crate::data_manager::stats::ChunkState;
    use crate::data_source::FetchedFile;

    const NOW: Moment = Moment::ZERO;

    fn stored(n: u8) -> StoredChunk {
        let spec = ChunkSpec::found(([n; 32], [1; 32]), 0..10, u64::from(n));
        let root: Arc<Path> = Path::new("/nowhere").into();
        StoredChunk::new(
            root,
            Arc::new(spec),
            &[] as &[FetchedFile],
            u64::from(n),
            None,
        )
    }

    /// One that found the chunks 0 to 9.
    fn planner() -> Planner {
        let mut planner = Planner::new(PlannerOptions {
            slots: 1,
            slots_per_host: 1,
            partials: PartialLimits {
                bytes: 0,
                age: Moment::MAX,
            },
            first_backoff: Moment::from_secs(1),
            longest_backoff: Moment::from_secs(1),
            seed: 1,
        });
        planner.found(&(0..10).map(stored).collect::<Vec<_>>());
        planner
    }

    fn retracted(planner: &mut Planner) -> Vec<u8> {
        let actions = planner.take_actions(NOW).into_iter();
        let retracted = actions.filter_map(|action| match action {
            Action::Retract(id) => Some(id[0]),
            _ => None,
        });
        retracted.collect()
    }

    #[test]
    fn what_was_found_is_known_and_counted_and_only_looking_changes_nothing() {
        let planner = planner();
        assert_eq!(planner.stats(NOW).chunks.available, 10);
        let status = planner.status(&[3; 32], NOW).unwrap();
        assert_eq!((status.state, status.wanted), (ChunkState::Available, true));
        assert!(planner.status(&[10; 32], NOW).is_none());
        assert!(planner.is_idle() && planner.is_quiet() && planner.entries.is_empty());
    }

    #[test]
    fn what_is_named_gets_an_entry_and_is_counted_once() {
        let mut planner = planner();
        drop(planner.unwant(NOW, [3; 32]));
        assert_eq!(retracted(&mut planner), [3]);
        assert_eq!(planner.stats(NOW).chunks.available, 9);
        // The same description is there already.
        drop(planner.want(NOW, stored(4).spec));
        assert_eq!(planner.stats(NOW).chunks.available, 9);
        assert_eq!(planner.entries.len(), 2);
    }

    #[test]
    fn an_assignment_drops_what_it_does_not_name_in_slices_by_id() {
        let mut planner = planner();
        drop(planner.want(NOW, stored(5).spec));
        let epoch = planner.assignment_begin();
        planner.assign(NOW, epoch, Ok(stored(2).spec));
        let mut from = None;
        let mut dropped = Vec::new();
        loop {
            from = planner.assignment_sweep(NOW, epoch, from, 3);
            dropped.push(retracted(&mut planner));
            if from.is_none() {
                break;
            }
        }
        let slices: [&[u8]; 4] = [&[0, 1], &[3, 4, 5], &[6, 7, 8], &[9]];
        assert_eq!(dropped, slices);
        assert_eq!(planner.stats(NOW).chunks.available, 1);
    }

    #[test]
    fn a_shutdown_has_nothing_to_stop_and_forgets_them_in_slices() {
        let mut planner = planner();
        drop(planner.unwant(NOW, [3; 32]));
        planner.shut_down();
        assert_eq!(planner.shut_down_entries(NOW, None, 3), None);
        for _ in 0..3 {
            assert!(planner.forget(3));
        }
        assert!(!planner.forget(3));
        assert_eq!(planner.stats(NOW).chunks, StateCounts::default());
    }
}

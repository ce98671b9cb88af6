//! The chunks that wait for one host in one tier: datasets take turns; within a dataset, first
//! come, first served.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::Place;
use crate::data_chunk::{ChunkId, DatasetId};

/// Datasets taking turns. Every operation is O(log n).
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// No empty set is in it.
    datasets: BTreeMap<DatasetId, BTreeSet<(u64, ChunkId)>>,
    /// Whose turn it was last.
    last: Option<DatasetId>,
}

impl Turns {
    pub(super) fn is_empty(&self) -> bool {
        self.datasets.is_empty()
    }

    pub(super) fn insert(&mut self, place: &Place, id: ChunkId) {
        let waiting = self.datasets.entry(place.dataset_id).or_default();
        waiting.insert((place.ticket, id));
    }

    /// True if it was there.
    pub(super) fn remove(&mut self, place: &Place, id: ChunkId) -> bool {
        let Some(waiting) = self.datasets.get_mut(&place.dataset_id) else {
            return false;
        };
        let removed = waiting.remove(&(place.ticket, id));
        if waiting.is_empty() {
            self.datasets.remove(&place.dataset_id);
        }
        removed
    }

    /// The chunk whose turn it is, and its dataset. The turn passes on to the next dataset with
    /// [`passed`](Self::passed).
    pub(super) fn peek(&self) -> Option<(DatasetId, ChunkId)> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.datasets.range((after, Bound::Unbounded)).next();
        let (dataset_id, waiting) = next.or_else(|| self.datasets.iter().next())?;
        waiting.first().map(|(_, id)| (*dataset_id, *id))
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (DatasetId, u64, ChunkId)> {
        let datasets = self.datasets.iter();
        datasets.flat_map(|(dataset, waiting)| {
            waiting.iter().map(|(ticket, id)| (*dataset, *ticket, *id))
        })
    }

    /// A chunk of this dataset was chosen.
    pub(super) fn passed(&mut self, dataset_id: DatasetId) {
        self.last = Some(dataset_id);
    }
}

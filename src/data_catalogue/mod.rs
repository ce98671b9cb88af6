//! The registry of what is available: which chunks are visible, and which of them holds a block.
//!
//! A chunk is visible from `DataCatalogue::publish` to `DataCatalogue::retract`. Lookups hand
//! out [`ChunkGuard`]s, made under the read lock, so that no retraction can slip between finding a
//! chunk and holding it. The reference count of a chunk is that of one `Arc`: the catalogue holds
//! one reference while the chunk is visible, each guard holds one, and whoever drops the last
//! one sets off the chunk's release.
//!
//! Whoever wants a registry of their own implements [`Held`] for what they keep.
//!
//! The catalogue does no IO, calls nobody while its lock is held, and knows neither disks nor
//! tasks.

mod guard;
mod interval_index;
#[cfg(all(test, loom))]
mod models;
mod summary;
mod sync;

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, Range};
use std::sync::Arc;

pub use guard::{ChunkGuard, Held};
use interval_index::IntervalIndex;
pub use summary::DatasetSummary;
use sync::RwLock;

use crate::data_chunk::{ChunkId, DatasetId};

/// How many entries are read under one read lock, so that no writer waits long.
const SLICE: usize = 1024;

/// What is available, in memory.
#[derive(Debug, Default)]
pub struct DataCatalogue {
    /// Protects the registry and nothing else. Under the write lock: one insertion or removal,
    /// O(log n). Never IO, never a callback, never the drop of a chunk's last reference.
    registry: RwLock<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    by_id: BTreeMap<ChunkId, Arc<dyn Held>>,
    /// No dataset without a chunk is in it. Not a hash map, which moves all of them when it grows.
    datasets: BTreeMap<DatasetId, IntervalIndex<Arc<dyn Held>>>,
}

/// A chunk on its way into an index.
type ByBlock = (Range<u64>, ChunkId, Arc<dyn Held>);

/// What covers a range of blocks; the answer of `find_range`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RangeCover {
    /// Every visible chunk of the dataset that holds a block of the range, in block order: by
    /// first block, then by id.
    pub chunks: Vec<ChunkGuard>,
    /// The parts of the range that no visible chunk holds, half-open, in block order.
    pub missing: Vec<Range<u64>>,
}

impl DataCatalogue {
    /// An empty catalogue.
    pub fn new() -> Self {
        Self::default()
    }

    /// The visible chunk that holds `block_number`; where several do, the one with the greatest
    /// first block, and of those the one with the smallest id. O(log n).
    pub fn find(&self, dataset_id: &DatasetId, block_number: u64) -> Option<ChunkGuard> {
        let found = {
            let registry = self.registry.read();
            registry
                .datasets
                .get(dataset_id)?
                .find(block_number)?
                .clone()
        };
        Some(ChunkGuard::new(found))
    }

    /// The visible chunk with this id. O(log n).
    pub fn get(&self, chunk_id: &ChunkId) -> Option<ChunkGuard> {
        let found = self.registry.read().by_id.get(chunk_id).cloned();
        found.map(ChunkGuard::new)
    }

    /// What guards of this chunk hold, for whoever keeps it without having looked for it. O(log n).
    pub fn hold(&self, chunk_id: &ChunkId) -> Option<Arc<dyn Held>> {
        self.registry.read().by_id.get(chunk_id).cloned()
    }

    /// What holds the blocks of `blocks`, and which of them nothing holds. O(log n + found).
    ///
    /// Read in slices, as [`ids`](Self::ids) is: an answer of up to 1024 chunks is how things were
    /// at one instant; a longer one has every chunk that is visible all the while, and says what is
    /// missing beside the chunks in it.
    pub fn cover(&self, dataset_id: &DatasetId, blocks: Range<u64>) -> RangeCover {
        let mut chunks: Vec<ChunkGuard> = Vec::new();
        loop {
            let slice = self.slice_of_cover(dataset_id, &blocks, chunks.last());
            let is_last = slice.len() < SLICE;
            chunks.extend(slice.into_iter().map(ChunkGuard::new));
            if is_last {
                let missing = gaps(&chunks, blocks);
                return RangeCover { chunks, missing };
            }
        }
    }

    /// What comes behind the last chunk of the slice before.
    fn slice_of_cover(
        &self,
        dataset_id: &DatasetId,
        blocks: &Range<u64>,
        last: Option<&ChunkGuard>,
    ) -> Vec<Arc<dyn Held>> {
        let registry = self.registry.read();
        let Some(index) = registry.datasets.get(dataset_id) else {
            return Vec::new();
        };
        let rest = match last {
            None => index.covering(blocks.clone()),
            Some(last) => {
                index.covering_after(blocks.clone(), (last.block_range().start, last.id()))
            }
        };
        rest.take(SLICE).map(|(_, _, held)| held.clone()).collect()
    }

    /// The parts of `blocks` that no visible chunk holds, in block order. O(log n) for each.
    ///
    /// Read in slices, as [`ids`](Self::ids) is: up to 1024 parts are how things were at one instant; of a
    /// longer answer each 1024 are.
    pub fn missing(&self, dataset_id: &DatasetId, blocks: Range<u64>) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        let mut rest = blocks;
        loop {
            let (slice, more) = match self.registry.read().datasets.get(dataset_id) {
                Some(index) => index.missing(rest.clone(), SLICE),
                None => (gaps(&[], rest.clone()), None),
            };
            missing.extend(slice);
            match more {
                None => return missing,
                Some(from) => rest.start = from,
            }
        }
    }

    /// What is visible of each dataset that has a visible chunk, ascending by their ids. O(log n) for
    /// each.
    ///
    /// Read in slices, as [`ids`](Self::ids) is.
    pub fn datasets(&self) -> Vec<DatasetSummary> {
        let mut datasets: Vec<DatasetSummary> = Vec::new();
        loop {
            let last = datasets.last().map(|last| last.dataset_id);
            let from = last.map_or(Bound::Unbounded, Bound::Excluded);
            let before = datasets.len();
            {
                let registry = self.registry.read();
                let rest = registry
                    .datasets
                    .range::<DatasetId, _>((from, Bound::Unbounded));
                datasets.extend(rest.take(SLICE).filter_map(DatasetSummary::of));
            }
            if datasets.len() < before + SLICE {
                return datasets;
            }
        }
    }

    /// What is visible of one dataset; `None` if nothing is. O(log n).
    pub fn dataset(&self, dataset_id: &DatasetId) -> Option<DatasetSummary> {
        let registry = self.registry.read();
        DatasetSummary::of(registry.datasets.get_key_value(dataset_id)?)
    }

    /// The ids of all visible chunks, ascending.
    ///
    /// Read in slices, so that no writer waits for the whole of it: a chunk that is visible all
    /// the while is in the list, one that is invisible all the while is not.
    pub fn ids(&self) -> Vec<ChunkId> {
        let mut ids = Vec::with_capacity(self.len());
        let mut from = Bound::Unbounded;
        loop {
            let before = ids.len();
            {
                let registry = self.registry.read();
                let rest = registry.by_id.range::<ChunkId, _>((from, Bound::Unbounded));
                ids.extend(rest.take(SLICE).map(|(id, _)| *id));
            }
            if ids.len() < before + SLICE {
                return ids;
            }
            from = ids
                .last()
                .map_or(Bound::Unbounded, |last| Bound::Excluded(*last));
        }
    }

    /// How many chunks are visible.
    pub fn len(&self) -> usize {
        self.registry.read().by_id.len()
    }

    /// Whether no chunk is visible.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes all of these visible, which ascend strictly by their ids. For a start, when nothing else
    /// is visible yet: O(n log n), without a search for each, and the lock is held for an instant.
    ///
    /// # Panics
    /// If something is visible already: it would be let go of under the lock. If the ids do not ascend
    /// strictly, or one has no block.
    pub fn load(&self, chunks: Vec<Arc<dyn Held>>) {
        assert!(chunks.is_sorted_by(|a, b| a.id() < b.id()), "ids ascend");
        let loaded = Registry::of(chunks);
        let mut registry = self.registry.write();
        assert!(registry.by_id.is_empty(), "loaded once, and first");
        *registry = loaded;
    }

    /// Makes a chunk visible. One that is visible under the same id stops being so, and is
    /// returned: dropping it may set off its release, so drop it without holding a lock. O(log n).
    ///
    /// # Panics
    /// If the chunk has no block; nothing has changed then.
    pub fn publish(&self, held: Arc<dyn Held>) -> Option<Arc<dyn Held>> {
        assert!(!held.block_range().is_empty(), "a chunk holds a block");
        let mut registry = self.registry.write();
        let replaced = registry.remove(held.id());
        registry.insert(held);
        replaced
    }

    /// Makes a chunk invisible and returns what the catalogue held of it, to be dropped without holding
    /// a lock. O(log n).
    pub fn retract(&self, chunk_id: &ChunkId) -> Option<Arc<dyn Held>> {
        self.registry.write().remove(chunk_id)
    }

    /// Makes everything invisible, and returns what was held.
    pub fn clear(&self) -> Vec<Arc<dyn Held>> {
        let registry = std::mem::take(&mut *self.registry.write());
        registry.by_id.into_values().collect()
    }
}

impl Registry {
    /// Of chunks that ascend by their ids.
    fn of(chunks: Vec<Arc<dyn Held>>) -> Self {
        let mut datasets: HashMap<DatasetId, Vec<ByBlock>> = HashMap::new();
        // Each is looked into here and never again, in the order in which they lie in memory: what is
        // sorted below carries its keys with it.
        let with_id = |held: Arc<dyn Held>| {
            let (id, range) = (*held.id(), held.block_range().clone());
            let rows = datasets.entry(*held.dataset_id()).or_default();
            rows.push((range, id, held.clone()));
            (id, held)
        };
        let by_id = chunks.into_iter().map(with_id).collect();
        let index = |(id, mut rows): (DatasetId, Vec<ByBlock>)| {
            // Those that begin together stay in the order of their ids.
            rows.sort_by_cached_key(|(range, _, _)| range.start);
            (id, IntervalIndex::from_sorted(rows))
        };
        let datasets = datasets.into_iter().map(index).collect();
        Registry { by_id, datasets }
    }

    fn insert(&mut self, held: Arc<dyn Held>) {
        let index = self.datasets.entry(*held.dataset_id()).or_default();
        index.insert(held.block_range().clone(), *held.id(), held.clone());
        self.by_id.insert(*held.id(), held);
    }

    fn remove(&mut self, chunk_id: &ChunkId) -> Option<Arc<dyn Held>> {
        let held = self.by_id.remove(chunk_id)?;
        if let Some(index) = self.datasets.get_mut(held.dataset_id()) {
            index.remove(held.block_range().start, chunk_id);
            if index.is_empty() {
                self.datasets.remove(held.dataset_id());
            }
        }
        Some(held)
    }
}

/// The parts of `blocks` that none of `chunks` holds, which are in the order of their starts.
fn gaps(chunks: &[ChunkGuard], blocks: Range<u64>) -> Vec<Range<u64>> {
    let mut missing = Vec::new();
    let mut covered_to = blocks.start;
    for range in chunks.iter().map(ChunkGuard::block_range) {
        if range.start > covered_to {
            missing.push(covered_to..range.start);
        }
        covered_to = covered_to.max(range.end);
    }
    if covered_to < blocks.end {
        missing.push(covered_to..blocks.end);
    }
    missing
}

#[cfg(all(test, not(loom)))]
mod tests;

//! A catalogue of so many chunks, the same keys in bare trees, and questions.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use data_manager::data_catalogue::{DataCatalogue, Held};
use data_manager::data_chunk::{ChunkFile, ChunkId, DatasetId};

/// Blocks of each chunk.
pub(crate) const BLOCKS: u64 = 100;

/// What a manager's catalogue holds, without a disk: it looks at a flag of its own when it is found.
struct Chunk {
    dataset_id: DatasetId,
    id: ChunkId,
    blocks: Range<u64>,
    was_found: AtomicBool,
}

impl Held for Chunk {
    fn id(&self) -> &ChunkId {
        &self.id
    }

    fn dataset_id(&self) -> &DatasetId {
        &self.dataset_id
    }

    fn block_range(&self) -> &Range<u64> {
        &self.blocks
    }

    fn path(&self) -> &Path {
        Path::new("/")
    }

    fn files(&self) -> &[ChunkFile] {
        &[]
    }

    fn found(&self) {
        if !self.was_found.load(Ordering::Relaxed) {
            self.was_found.store(true, Ordering::Relaxed);
        }
    }
}

/// Evenly spread, as digests are.
pub(crate) fn id(n: u64) -> [u8; 32] {
    let mut id = [0; 32];
    fastrand::Rng::with_seed(n).fill(&mut id);
    id
}

/// As chunks arrive: in no order.
fn order(chunks: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..chunks).collect();
    fastrand::Rng::with_seed(1).shuffle(&mut order);
    order
}

/// A block of one of the datasets, which are counted from 0.
pub(crate) type Question = (usize, u64);

/// The same chunks twice: in a catalogue, and as bare keys.
pub(crate) struct World {
    pub(crate) catalogue: DataCatalogue,
    pub(crate) datasets: Vec<DatasetId>,
    /// For each dataset, the end of each chunk by its start.
    pub(crate) bare: Vec<BTreeMap<u64, u64>>,
    chunks: usize,
}

impl World {
    /// Of `chunks` chunks, in turn of each dataset, without gap or overlap.
    pub(crate) fn new(chunks: usize, datasets: usize) -> Self {
        let mut world = World::without_bare(chunks, datasets);
        for n in order(chunks) {
            let range = world.blocks(n);
            world.bare[n % datasets].insert(range.start, range.end);
        }
        world
    }

    /// The catalogue alone.
    pub(crate) fn without_bare(chunks: usize, datasets: usize) -> Self {
        let world = World {
            catalogue: DataCatalogue::new(),
            datasets: (0..datasets).map(|n| id(u64::MAX - n as u64)).collect(),
            bare: vec![BTreeMap::new(); datasets],
            chunks,
        };
        for n in order(chunks) {
            drop(world.catalogue.publish(world.chunk(n)));
        }
        world
    }

    fn blocks(&self, n: usize) -> Range<u64> {
        let start = (n / self.datasets.len()) as u64 * BLOCKS;
        start..start + BLOCKS
    }

    /// Chunk number `n`.
    pub(crate) fn chunk(&self, n: usize) -> Arc<dyn Held> {
        Arc::new(Chunk {
            dataset_id: self.datasets[n % self.datasets.len()],
            id: id(n as u64),
            blocks: self.blocks(n),
            was_found: AtomicBool::new(false),
        })
    }

    pub(crate) fn chunks(&self) -> usize {
        self.chunks
    }

    /// Blocks that chunks hold, drawn evenly.
    pub(crate) fn questions(&self, count: usize, seed: u64) -> Vec<Question> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut question = || {
            let n = rng.usize(..self.chunks);
            let datasets = self.datasets.len();
            let block = (n / datasets) as u64 * BLOCKS + rng.u64(..BLOCKS);
            (n % datasets, block)
        };
        (0..count).map(|_| question()).collect()
    }

    /// One question to the catalogue; what it answers is held and let go of.
    pub(crate) fn find(&self, (dataset, block): Question) -> bool {
        self.catalogue
            .find(&self.datasets[dataset], block)
            .is_some()
    }

    /// The same to the bare tree: no lock, no guard, and it is known which tree.
    pub(crate) fn find_bare(&self, (dataset, block): Question) -> bool {
        let before = self.bare[dataset].range(..=block).next_back();
        before.is_some_and(|(_, end)| block < *end)
    }
}

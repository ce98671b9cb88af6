//! A reference that keeps a chunk on disk.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::data_chunk::{ChunkFile, ChunkId, ChunkSpec, DataChunkRef, DatasetId, hex_encode};

/// Told that the last reference to a chunk is gone.
///
/// Called by whoever dropped that reference, on any thread, possibly with locks held that this
/// crate knows nothing of: it hands the news over and returns.
pub(crate) trait OnRelease: Send + Sync {
    fn released(&self, chunk_id: ChunkId, generation: u64);
}

/// A chunk on disk that is visible or referred to. Dropping the last `Arc` of it is its release.
pub(crate) struct Held {
    spec: Arc<ChunkSpec>,
    files: Arc<[ChunkFile]>,
    generation: u64,
    path: Arc<Path>,
    on_release: Arc<dyn OnRelease>,
    /// Keeps the data directory ours for as long as somebody reads from it.
    _directory: Arc<dyn Any + Send + Sync>,
}

impl Held {
    pub(crate) fn new(
        spec: Arc<ChunkSpec>,
        files: Arc<[ChunkFile]>,
        (generation, path): (u64, Arc<Path>),
        on_release: Arc<dyn OnRelease>,
        directory: Arc<dyn Any + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new(Held {
            spec,
            files,
            generation,
            path,
            on_release,
            _directory: directory,
        })
    }

    pub(super) fn id(&self) -> &ChunkId {
        &self.spec.id
    }

    pub(super) fn dataset_id(&self) -> &DatasetId {
        &self.spec.dataset_id
    }

    pub(super) fn block_range(&self) -> &Range<u64> {
        &self.spec.block_range
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.on_release.released(self.spec.id, self.generation);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A reference to a chunk on disk.
///
/// While a guard exists, the chunk's directory stays at [`path`](Self::path), whole and untouched,
/// also if the chunk is deleted or replaced, and also after the manager is gone (the data
/// directory then stays locked until the last guard is dropped).
///
/// Cloning is one atomic increment. Dropping never blocks: the last guard of a deleted chunk hands
/// the removal to the manager's threads and returns.
#[derive(Clone)]
pub struct ChunkGuard {
    held: Arc<Held>,
}

impl ChunkGuard {
    pub(super) fn new(held: Arc<Held>) -> Self {
        ChunkGuard { held }
    }

    /// The chunk's directory, absolute. Its files are in it, under the names that
    /// [`files`](Self::files) gives.
    pub fn path(&self) -> &Path {
        &self.held.path
    }

    /// The chunk's id.
    pub fn id(&self) -> &ChunkId {
        &self.held.spec.id
    }

    /// The dataset that the chunk belongs to.
    pub fn dataset_id(&self) -> &DatasetId {
        &self.held.spec.dataset_id
    }

    /// The blocks that the chunk holds, half-open.
    pub fn block_range(&self) -> Range<u64> {
        self.held.spec.block_range.clone()
    }

    /// The chunk's files with their sizes, in the order of their names.
    pub fn files(&self) -> &[ChunkFile] {
        &self.held.files
    }
}

impl DataChunkRef for ChunkGuard {
    fn path(&self) -> &Path {
        ChunkGuard::path(self)
    }
}

impl fmt::Debug for ChunkGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkGuard")
            .field("id", &hex_encode(self.id()))
            .field("block_range", &self.block_range())
            .field("path", &self.path())
            .finish()
    }
}

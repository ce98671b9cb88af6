//! A reference that keeps a chunk on disk.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::data_chunk::{ChunkFile, ChunkId, DataChunkRef, DatasetId, hex_encode};

/// What the catalogue holds of a chunk, and guards share. Whoever drops the last `Arc` of it lets
/// the chunk go: what has to happen then is in the implementation's `Drop`, which may run on any
/// thread, with locks held that this crate knows nothing of; it returns at once.
///
/// The catalogue asks for the id, the dataset and the blocks with its lock held: say what is there
/// already, and return at once. None of it may change while the catalogue has it.
pub trait Held: Send + Sync {
    /// The chunk's id.
    fn id(&self) -> &ChunkId;
    /// The dataset that it belongs to.
    fn dataset_id(&self) -> &DatasetId;
    /// The blocks that it holds, half-open; at least one.
    fn block_range(&self) -> &Range<u64>;
    /// The chunk's directory.
    fn path(&self) -> &Path;
    /// In the order of their names.
    fn files(&self) -> &[ChunkFile];
    /// Somebody is handed a reference. Called without the catalogue's lock; returns at once.
    fn found(&self) {}
}

impl fmt::Debug for dyn Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("path", &self.path())
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
///
/// ```
/// # use std::collections::HashMap;
/// # use data_manager::data_chunk::DataChunk;
/// # let dir = tempfile::tempdir()?;
/// # let served = dir.path().join("blocks");
/// # std::fs::write(&served, "PAR1")?;
/// # let chunk = DataChunk {
/// #     id: [1; 32],
/// #     dataset_id: [7; 32],
/// #     block_range: 0..100,
/// #     files: HashMap::from([("blocks.parquet".to_owned(), format!("file://{}", served.display()))]),
/// # };
/// # let builder = data_manager::data_manager::DataManagerImpl::builder().serve_files_from(dir.path());
/// # let manager = builder.data_dir(dir.path().join("chunks")).open()?;
/// # manager.download_chunk(chunk).wait()?;
/// let guard = manager.find_chunk([7; 32], 42).expect("block 42 is here");
/// assert_eq!(guard.block_range(), 0..100);
/// for file in guard.files() {
///     let bytes = std::fs::read(guard.path().join(&file.name))?;
///     assert_eq!(bytes.len() as u64, file.len_bytes);
/// }
/// let clone = guard.clone();                          // for another thread, say
/// drop(manager);
/// assert!(clone.path().is_dir(), "it outlives its manager");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ChunkGuard {
    held: Arc<dyn Held>,
}

impl ChunkGuard {
    /// Not under the catalogue's lock.
    pub(super) fn new(held: Arc<dyn Held>) -> Self {
        held.found();
        ChunkGuard { held }
    }

    /// The chunk's directory, absolute. Its files are in it, under the names that
    /// [`files`](Self::files) gives.
    pub fn path(&self) -> &Path {
        self.held.path()
    }

    /// The chunk's id.
    pub fn id(&self) -> &ChunkId {
        self.held.id()
    }

    /// The dataset that the chunk belongs to.
    pub fn dataset_id(&self) -> &DatasetId {
        self.held.dataset_id()
    }

    /// The blocks that the chunk holds, half-open.
    pub fn block_range(&self) -> Range<u64> {
        self.held.block_range().clone()
    }

    /// The chunk's files with their sizes, in the order of their names.
    ///
    /// Of a chunk that was found on disk at the start and that the check behind the start has not come
    /// to yet, the first call reads the manifest: one small file, the one thing of a guard that may
    /// wait for the disk. Where that cannot be read the answer is empty, which it never is otherwise:
    /// the chunk is damaged, and about to leave the view, or the disk has trouble, and the next call
    /// tries again.
    pub fn files(&self) -> &[ChunkFile] {
        self.held.files()
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

//! A data directory, seen from outside: for whoever looks at one that a worker holds, or nobody.
//!
//! [`DirectoryView`] reads what a start would read, and nothing of it is changed: no lock is taken, no
//! file is made, so it works beside a worker, on a read-only disk, and for a user who may only read.
//! [`prune`] is the one call here that changes something; it takes the lock for it.
//!
//! A view is a moment: it says what was there when it was opened. Its owner goes on meanwhile. A chunk
//! that is gone by the time that its files are read is [`NotFound`](crate::ErrorKind::NotFound).

mod chunk;
mod export;
mod pruning;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

pub use self::chunk::{ViewedChunk, ViewedFile, ViewedState};
pub use self::export::Exported;
pub use self::pruning::{KeptLeftOver, LeftOver, PruneOptions, Pruned, prune};
use crate::data_catalogue::{DataCatalogue, Held};
use crate::data_chunk::{ChunkId, DatasetId};
pub use crate::data_source::{DirectoryHolder, LeftOverKind};
use crate::data_source::{Finding, OutsideView, StoredChunk};
use crate::error::Error;

/// What is in a data directory, read without holding it.
///
/// ```
/// use data_manager::data_manager::{DataManagerImpl, view::DirectoryView};
///
/// # let here = tempfile::tempdir()?;
/// let worker = DataManagerImpl::open(here.path())?;
/// let view = DirectoryView::open(here.path())?;        // also while somebody else holds it
/// assert!(view.chunks().is_empty() && view.find(&[1; 32], 0).is_none());
/// println!("held by {}", view.holder());               // held by process 4711 (worker)
/// # drop(worker);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DirectoryView {
    outside: OutsideView,
    catalogue: DataCatalogue,
    /// What is visible, ascending by id.
    chunks: Vec<ViewedChunk>,
    unverified: Vec<ViewedChunk>,
    leaving: Vec<ViewedChunk>,
    findings: Vec<Finding>,
}

/// What covers a range of blocks; the answer of [`DirectoryView::cover`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ViewedCover<'a> {
    /// Every visible chunk of the dataset that holds a block of the range, in block order: by first
    /// block, then by id.
    pub chunks: Vec<&'a ViewedChunk>,
    /// The parts of the range that no visible chunk holds, half-open, in block order.
    pub missing: Vec<Range<u64>>,
}

/// The visible chunks of a dataset, in sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ViewedDataset {
    /// Whose they are.
    #[serde(serialize_with = "crate::data_chunk::hex_chunk_id::serialize")]
    pub dataset_id: DatasetId,
    /// How many there are.
    pub chunks: u64,
    /// The bytes of their files.
    pub len_bytes: u64,
    /// From the first block of any to the last of any, half-open. There may be gaps.
    pub block_range: Range<u64>,
}

/// The bytes of contents in a data directory, by place, and what its file system has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ViewedSpace {
    /// Visible chunks.
    pub chunks_bytes: u64,
    /// Chunks that were not synced before the machine was started anew, and are visible to nobody
    /// before they were read.
    pub unverified_bytes: u64,
    /// Chunks that were deleted or replaced and wait for their last reference.
    pub leaving_bytes: u64,
    /// What arrives, and what is left of downloads that broke off.
    pub staged_bytes: u64,
    /// What is about to be removed.
    pub trash_bytes: u64,
    /// What did not add up.
    pub quarantine_bytes: u64,
    /// What an ordinary user may still write to the file system; `None` if it does not say.
    pub free_bytes: Option<u64>,
    /// What the file system could ever hold; `None` if it does not say.
    pub capacity_bytes: Option<u64>,
}

/// Something in a data directory that is not the library's, or that could not be read.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ViewedStranger {
    /// Where it is.
    #[serde(serialize_with = "shown_path")]
    pub path: PathBuf,
    /// Why it could not be read; `None` if it is somebody else's.
    pub error: Option<Error>,
}

impl DirectoryView {
    /// Reads the names of all chunks in a data directory. Costs by their number, about a second for a
    /// million; no chunk's files are looked at.
    ///
    /// A chunk that is there all the while, under one content, is in the view; one that is deleted, or
    /// not whole, all the while is not. Sees what a manager that opens the directory would show first.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such directory; else what the file system
    /// said. A dataset that cannot be read is no error: see [`strangers`](Self::strangers).
    pub fn open(data_dir: impl AsRef<Path>) -> Result<Self, Error> {
        let outside = OutsideView::open(data_dir.as_ref())?;
        let scan = outside.look()?;
        let viewed = |state: ViewedState, chunks: Vec<StoredChunk>| -> Vec<ViewedChunk> {
            let chunks = chunks.into_iter();
            chunks.map(|stored| ViewedChunk { stored, state }).collect()
        };
        let chunks = viewed(ViewedState::Available, scan.chunks);
        let catalogue = DataCatalogue::new();
        let held = chunks.iter().cloned();
        catalogue.load(held.map(|chunk| Arc::new(chunk) as Arc<dyn Held>).collect());
        Ok(DirectoryView {
            catalogue,
            chunks,
            unverified: viewed(ViewedState::Unverified, scan.unverified),
            leaving: viewed(ViewedState::Leaving, scan.doomed),
            findings: scan.findings,
            outside,
        })
    }

    /// The directory, as an absolute path.
    pub fn path(&self) -> &Path {
        self.outside.path()
    }

    /// The visible chunks, ascending by their ids.
    pub fn chunks(&self) -> &[ViewedChunk] {
        &self.chunks
    }

    /// Chunks that were committed without waiting for the disk before the machine was started anew:
    /// a manager reads them before it shows them.
    pub fn unverified(&self) -> &[ViewedChunk] {
        &self.unverified
    }

    /// Chunks that were deleted, or replaced by another content, and are there still: somebody refers
    /// to them, or they are about to be removed.
    pub fn leaving(&self) -> &[ViewedChunk] {
        &self.leaving
    }

    /// The visible chunk with this id.
    pub fn get(&self, chunk_id: &ChunkId) -> Option<&ViewedChunk> {
        let at = self
            .chunks
            .binary_search_by(|chunk| chunk.id().cmp(chunk_id));
        at.ok().and_then(|at| self.chunks.get(at))
    }

    /// The visible chunk that holds `block_number`. Where several do, it is the one with the greatest
    /// first block, and of those the one with the smallest id.
    pub fn find(&self, dataset_id: &DatasetId, block_number: u64) -> Option<&ViewedChunk> {
        let guard = self.catalogue.find(dataset_id, block_number)?;
        self.get(guard.id())
    }

    /// Every visible chunk that holds a block of `blocks` (half-open), and the parts of it that none
    /// holds.
    pub fn cover(&self, dataset_id: &DatasetId, blocks: Range<u64>) -> ViewedCover<'_> {
        let cover = self.catalogue.cover(dataset_id, blocks);
        let chunks = cover.chunks.iter().filter_map(|guard| self.get(guard.id()));
        ViewedCover {
            chunks: chunks.collect(),
            missing: cover.missing,
        }
    }

    /// The datasets that have visible chunks, ascending by their ids. Costs by the number of chunks.
    pub fn datasets(&self) -> Vec<ViewedDataset> {
        let mut datasets: BTreeMap<DatasetId, ViewedDataset> = BTreeMap::new();
        for chunk in &self.chunks {
            let blocks = chunk.block_range();
            let dataset = datasets
                .entry(*chunk.dataset_id())
                .or_insert_with(|| ViewedDataset {
                    dataset_id: *chunk.dataset_id(),
                    chunks: 0,
                    len_bytes: 0,
                    block_range: blocks.clone(),
                });
            dataset.chunks += 1;
            dataset.len_bytes = dataset.len_bytes.saturating_add(chunk.len_bytes());
            let sum = &mut dataset.block_range;
            *sum = sum.start.min(blocks.start)..sum.end.max(blocks.end);
        }
        datasets.into_values().collect()
    }

    /// The chunk's files, as its manifest lists them, in the order of their names. Reads the manifest.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the chunk is gone by now,
    /// [`Damaged`](crate::ErrorKind::Damaged) if the manifest is not sound or not the chunk's.
    pub fn files(&self, chunk: &ViewedChunk) -> Result<Vec<ViewedFile>, Error> {
        let contents = self.outside.contents(&chunk.stored)?;
        Ok(chunk::files_of(&contents))
    }

    /// Reads every byte of the chunk's files and holds it against the manifest. `progress` is told
    /// now and then how many more bytes were read.
    ///
    /// What is read is dropped from the system's memory, before and after: it is the disk that is
    /// checked, and a terabyte of it would push out what queries use.
    ///
    /// # Errors
    /// [`Damaged`](crate::ErrorKind::Damaged), with the file, if something is not what was committed;
    /// [`NotFound`](crate::ErrorKind::NotFound) if the chunk is gone by now, or goes meanwhile; another
    /// kind if the disk fails or may not be read: that says nothing about the chunk.
    pub fn verify(&self, chunk: &ViewedChunk, mut progress: impl FnMut(u64)) -> Result<(), Error> {
        self.outside.verify(&chunk.stored, &mut progress)
    }

    /// Who holds the directory at this moment, as far as this machine knows.
    pub fn holder(&self) -> DirectoryHolder {
        self.outside.holder()
    }

    /// The bytes in the directory, by place. Walks through what is not a chunk.
    ///
    /// # Errors
    /// What the file system said.
    pub fn space(&self) -> Result<ViewedSpace, Error> {
        // What a stranger's directory has in its name need not be true.
        let sum = |chunks: &[ViewedChunk]| {
            let bytes = chunks.iter().map(ViewedChunk::len_bytes);
            bytes.fold(0, u64::saturating_add)
        };
        let places = self.outside.places()?;
        let free = self.outside.free_of_capacity();
        Ok(ViewedSpace {
            chunks_bytes: sum(&self.chunks),
            unverified_bytes: sum(&self.unverified),
            leaving_bytes: sum(&self.leaving),
            staged_bytes: places.staged_bytes,
            trash_bytes: places.trash_bytes,
            quarantine_bytes: places.quarantine_bytes,
            free_bytes: free.map(|(free, _)| free),
            capacity_bytes: free.map(|(_, capacity)| capacity),
        })
    }

    /// What lies there beside the chunks: of downloads that are under way or broke off, deleted,
    /// about to be removed, in quarantine. By kind, then by path.
    ///
    /// # Errors
    /// What the file system said.
    pub fn left_over(&self) -> Result<Vec<LeftOver>, Error> {
        let leaving: Vec<_> = self
            .leaving
            .iter()
            .map(|chunk| chunk.stored.clone())
            .collect();
        let left = self.outside.left_over(&leaving)?;
        Ok(left.into_iter().map(LeftOver::new).collect())
    }

    /// What is there and is not the library's, or could not be read.
    pub fn strangers(&self) -> Vec<ViewedStranger> {
        let stranger = |finding: &Finding| match finding {
            Finding::Foreign(path) => ViewedStranger {
                path: path.clone(),
                error: None,
            },
            Finding::Unreadable { path, error } => ViewedStranger {
                path: path.clone(),
                error: Some(error.clone()),
            },
        };
        self.findings.iter().map(stranger).collect()
    }
}

/// A path as text, also one that is none: a stranger may call things as they like.
pub(super) fn shown_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

impl fmt::Debug for DirectoryView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryView")
            .field("path", &self.path())
            .field("chunks", &self.chunks.len())
            .finish_non_exhaustive()
    }
}

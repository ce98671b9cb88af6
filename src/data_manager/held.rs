//! What the catalogue holds of a chunk on disk, and what guards share of it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Sender;

use super::releases::Releases;
use crate::data_catalogue::Held;
use crate::data_chunk::{ChunkFile, ChunkId, DatasetId};
use crate::data_source::{DirLock, StoredChunk};

/// A chunk that is visible or referred to. Dropping the last `Arc` of it is its release.
pub(super) struct HeldChunk {
    stored: StoredChunk,
    releases: Arc<Releases>,
    /// Where chunks go that are found before they were checked. Each goes there once, so the queue
    /// needs no other bound.
    found: Sender<StoredChunk>,
    /// Somebody found it. Beside the count of references, which a lookup has just fetched from memory; what
    /// `stored` knows of it is elsewhere, and would have to be fetched too.
    was_found: AtomicBool,
    /// Keeps the data directory ours for as long as somebody reads from it.
    _directory: Arc<DirLock>,
}

impl HeldChunk {
    pub(super) fn new(
        stored: StoredChunk,
        releases: Arc<Releases>,
        found: Sender<StoredChunk>,
        directory: Arc<DirLock>,
    ) -> Self {
        HeldChunk {
            stored,
            releases,
            found,
            was_found: AtomicBool::new(false),
            _directory: directory,
        }
    }
}

impl Held for HeldChunk {
    fn id(&self) -> &ChunkId {
        &self.stored.spec.id
    }

    fn dataset_id(&self) -> &DatasetId {
        &self.stored.spec.dataset_id
    }

    fn block_range(&self) -> &Range<u64> {
        &self.stored.spec.block_range
    }

    fn path(&self) -> &Path {
        self.stored.path()
    }

    fn files(&self) -> &[ChunkFile] {
        // Where the manifest cannot be read, the check that this chunk is at the front of says so.
        let contents = self.stored.read_contents();
        contents.map_or(&[], |contents| &contents.files)
    }

    fn found(&self) {
        if self.was_found.load(Ordering::Relaxed) {
            return;
        }
        // Two at once may come this far: whose look was the first, the chunk knows.
        self.was_found.store(true, Ordering::Relaxed);
        if self.stored.is_first_look() {
            // Nobody listens once all chunks were checked.
            let _ = self.found.send(self.stored.clone());
        }
    }
}

impl Drop for HeldChunk {
    fn drop(&mut self) {
        let spec = &self.stored.spec;
        self.releases.released(spec.id, self.stored.generation);
    }
}

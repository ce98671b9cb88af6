//! A chunk as its directory's name describes it.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::{Serialize, Serializer};

use crate::data_catalogue::Held;
use crate::data_chunk::{ChunkFile, ChunkId, DatasetId, hex_encode};
use crate::data_source::{Contents, StoredChunk};

/// A chunk that was in a data directory when that was looked at. Keeps nothing on disk: its owner may
/// remove it at any moment.
#[derive(Clone)]
pub struct ViewedChunk {
    pub(super) stored: StoredChunk,
    pub(super) state: ViewedState,
}

/// What a chunk on disk is to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ViewedState {
    /// It is visible.
    Available,
    /// It was not synced before the machine was started anew, and has to be read before it is shown.
    Unverified,
    /// It was deleted or replaced, and is about to go or waits for its last reference.
    Leaving,
}

/// A file of a chunk, as the chunk's manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ViewedFile {
    /// The file's name within the chunk's directory.
    pub name: String,
    /// The file's size in bytes.
    pub len_bytes: u64,
    /// XXH3-64 of its bytes, 16 lower-case hexadecimal digits.
    pub xxh3: String,
    /// The digest that was declared for it, 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
}

impl ViewedChunk {
    /// The chunk's id.
    pub fn id(&self) -> &ChunkId {
        &self.stored.spec.id
    }

    /// The dataset that the chunk belongs to.
    pub fn dataset_id(&self) -> &DatasetId {
        &self.stored.spec.dataset_id
    }

    /// The blocks that the chunk holds, half-open.
    pub fn block_range(&self) -> Range<u64> {
        self.stored.spec.block_range.clone()
    }

    /// The bytes of its files together.
    pub fn len_bytes(&self) -> u64 {
        self.stored.len_bytes()
    }

    /// The chunk's directory, absolute.
    pub fn path(&self) -> &Path {
        self.stored.path()
    }

    /// What it is to its owner.
    pub fn state(&self) -> ViewedState {
        self.state
    }
}

/// What the catalogue asks of it. Nothing is held.
impl Held for ViewedChunk {
    fn id(&self) -> &ChunkId {
        self.id()
    }

    fn dataset_id(&self) -> &DatasetId {
        self.dataset_id()
    }

    fn block_range(&self) -> &Range<u64> {
        &self.stored.spec.block_range
    }

    fn path(&self) -> &Path {
        self.path()
    }

    fn files(&self) -> &[ChunkFile] {
        &[]
    }

    fn found(&self) {}
}

/// With `id`, `dataset_id`, `block_range`, `len_bytes`, `state` and `path`.
impl Serialize for ViewedChunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: String,
            dataset_id: String,
            block_range: Range<u64>,
            len_bytes: u64,
            state: ViewedState,
            path: std::borrow::Cow<'a, str>,
        }
        let fields = Fields {
            id: hex_encode(self.id()),
            dataset_id: hex_encode(self.dataset_id()),
            block_range: self.block_range(),
            len_bytes: self.len_bytes(),
            state: self.state,
            path: self.path().to_string_lossy(),
        };
        fields.serialize(serializer)
    }
}

impl fmt::Debug for ViewedChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewedChunk")
            .field("id", &hex_encode(self.id()))
            .field("block_range", &self.block_range())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

pub(super) fn files_of(contents: &Contents) -> Vec<ViewedFile> {
    let files = contents.files.iter().zip(&contents.sums);
    let file = |(file, sums): (&ChunkFile, &crate::data_source::FileSums)| ViewedFile {
        name: file.name.clone(),
        len_bytes: file.len_bytes,
        xxh3: format!("{:016x}", sums.xxh3),
        sha256: sums.sha256.as_ref().map(hex_encode),
    };
    files.map(file).collect()
}

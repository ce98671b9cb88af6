//! What a chunk is: the description that callers give, and the checked form the crate works with.
//!
//! [`DataChunk`] is what comes in, from a caller or from JSON, and may hold anything.
//! `ChunkSpec` is what passed the door: it can only be made by `ChunkSpec::check`, so code
//! behind the door never asks again whether a file name is safe or a range is empty.
//!
//! This module does no IO and knows nothing of disks, sources or threads.

mod assignment;
mod digest;
mod json;
mod spec;
mod url;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Serialize;

pub use assignment::AssignmentDocument;
pub(crate) use digest::{Sha256Digest, hex_decode, hex_encode};
pub(crate) use digest::{hex_id as hex_chunk_id, optional_hex_id as hex_optional_chunk_id};
pub(crate) use spec::{
    ChunkSpec, FileSpec, MANIFEST_NAME, PARTS_NAME, check_file_name, fingerprint, said_by,
};
pub(crate) use url::check_document_url;
pub use url::redact_url;

/// The identity of a chunk: 32 opaque bytes, chosen by whoever describes chunks.
///
/// In JSON and in names on disk: 64 lower-case hexadecimal digits.
pub type ChunkId = [u8; 32];

/// The identity of a dataset (a chain): 32 opaque bytes, written like a [`ChunkId`].
pub type DatasetId = [u8; 32];

/// The description of a chunk: what it is, and where its files come from.
///
/// A chunk is immutable: the same id always stands for the same content. Two descriptions are *the
/// same* when id, dataset, block range, file names and declared digests agree; URLs may differ,
/// since they say where, not what.
///
/// `Debug` shows URLs redacted, as [`redact_url`] does. `Serialize` writes them whole, since an
/// assignment has to carry them: do not log the JSON. `Deserialize` refuses a field or a file name
/// that is there twice and an id that is not in lower case, and lets unknown fields pass.
///
/// ```
/// use data_manager::data_chunk::DataChunk;
///
/// let json = format!(
///     r#"{{"id": "{}", "dataset_id": "{}", "block_range": {{"start": 0, "end": 35}},
///         "files": {{"blocks.parquet": "https://example.com/blocks.parquet"}}}}"#,
///     "01".repeat(32), "02".repeat(32),
/// );
/// let chunk: DataChunk = serde_json::from_str(&json)?;
/// assert_eq!(chunk.id, [1; 32]);
/// assert!(chunk.block_range.contains(&34) && !chunk.block_range.contains(&35));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct DataChunk {
    /// The chunk's identity.
    #[serde(with = "digest::hex_id")]
    pub id: ChunkId,
    /// The dataset it belongs to.
    #[serde(with = "digest::hex_id")]
    pub dataset_id: DatasetId,
    /// The blocks it holds, half-open: `0..35` holds 0 and 34, not 35. Never empty.
    pub block_range: Range<u64>,
    /// File name to URL. A URL may end in `#sha256=<64 hex digits>`: the digest that the file's
    /// bytes must have.
    #[serde(serialize_with = "json::write_files")]
    pub files: HashMap<String, String>,
}

impl fmt::Debug for DataChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: BTreeMap<&str, String> = self
            .files
            .iter()
            .map(|(name, url)| (name.as_str(), redact_url(url)))
            .collect();
        f.debug_struct("DataChunk")
            .field("id", &hex_encode(&self.id))
            .field("dataset_id", &hex_encode(&self.dataset_id))
            .field("block_range", &self.block_range)
            .field("files", &files)
            .finish()
    }
}

/// A reference to a chunk on disk. While one exists, the chunk's directory stays where it is,
/// whole and untouched.
pub trait DataChunkRef: Send + Sync + Clone {
    /// The chunk's directory. Its files are in it, under the names that the description gave.
    fn path(&self) -> &Path;
}

/// A file of a chunk on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct ChunkFile {
    /// The file's name within the chunk's directory.
    pub name: String,
    /// The file's size in bytes.
    pub len_bytes: u64,
}

impl ChunkFile {
    pub(crate) fn new(name: String, len_bytes: u64) -> Self {
        ChunkFile { name, len_bytes }
    }
}

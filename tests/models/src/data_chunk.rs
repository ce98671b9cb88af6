//! What the catalogue needs to know of chunks, and no more: the library's own module has parsers and digests
//! in it, which have nothing to do with threads.

use std::path::Path;

pub type ChunkId = [u8; 32];
pub type DatasetId = [u8; 32];

/// A file of a chunk. The models look at none.
#[derive(Debug)]
pub struct ChunkFile;

/// As the library's.
pub trait DataChunkRef: Send + Sync + Clone {
    fn path(&self) -> &Path;
}

pub(crate) fn hex_encode(id: &ChunkId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) mod hex_chunk_id {
    use serde::Serializer;

    pub(crate) fn serialize<S: Serializer>(
        id: &super::ChunkId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::hex_encode(id))
    }
}

//! What is being fetched now.

use std::sync::Arc;

use serde::Serialize;

use crate::data_chunk::{ChunkId, ChunkSpec, hex_chunk_id};

/// A file that is being fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InFlight {
    /// The chunk that it is of.
    #[serde(with = "hex_chunk_id")]
    pub chunk_id: ChunkId,
    /// Its name.
    pub file: String,
    /// Host and port as its URL writes them, or a scheme where that names no host.
    pub host: String,
    /// Which attempt of the chunk this is: 1, and one more for each that failed in a row.
    pub attempt: u32,
    /// Bytes on disk, those of earlier attempts included.
    pub done_bytes: u64,
    /// Bytes in all, once the source has said.
    pub total_bytes: Option<u64>,
    /// Bytes per second, over the last four seconds or since the first bytes arrived.
    pub bytes_per_second: u64,
}

/// The same as it is read under the lock: without a copy of any text.
pub(in crate::data_manager) struct Flying {
    pub(in crate::data_manager) spec: Arc<ChunkSpec>,
    pub(in crate::data_manager) index: usize,
    pub(in crate::data_manager) attempt: u32,
    pub(in crate::data_manager) done_bytes: u64,
    pub(in crate::data_manager) total_bytes: Option<u64>,
    pub(in crate::data_manager) bytes_per_second: u64,
}

impl From<Flying> for InFlight {
    fn from(flying: Flying) -> Self {
        let file = &flying.spec.files[flying.index];
        InFlight {
            chunk_id: flying.spec.id,
            file: file.name.clone(),
            host: file.host().to_owned(),
            attempt: flying.attempt,
            done_bytes: flying.done_bytes,
            total_bytes: flying.total_bytes,
            bytes_per_second: flying.bytes_per_second,
        }
    }
}

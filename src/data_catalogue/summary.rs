//! What is visible of a dataset, in short.

use std::ops::Range;

use serde::Serialize;

use super::interval_index::IntervalIndex;
use crate::data_chunk::{DatasetId, hex_chunk_id};

/// What is visible of one dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DatasetSummary {
    /// The dataset.
    #[serde(with = "hex_chunk_id")]
    pub dataset_id: DatasetId,
    /// From the first block that a chunk holds to behind the last one, half-open; there may be gaps
    /// between.
    pub blocks: Range<u64>,
    /// How many chunks.
    pub chunks: usize,
}

impl DatasetSummary {
    /// `None` of an index without entries.
    pub(super) fn of<V>((id, index): (&DatasetId, &IntervalIndex<V>)) -> Option<Self> {
        Some(DatasetSummary {
            dataset_id: *id,
            blocks: index.bounds()?,
            chunks: index.len(),
        })
    }
}

//! What holds for every name and every file of ours that the store finds. Panics where it does not.
#![allow(
    unreachable_pub,
    unused_imports,
    reason = "the targets in `fuzz/` reach it, in their build"
)]

pub use super::manifest::properties::{manifest, manifest_with_checksum};
pub use super::staging::properties::part_record;

use super::layout::{self, ChunkName, StagingKey};

/// Every name has one spelling.
pub fn directory_name(name: &str) {
    if let Some(chunk) = ChunkName::parse(name) {
        assert_eq!(chunk.format(), name);
        assert!(!chunk.block_range.is_empty());
    }
    if let Some(dataset_id) = layout::parse_dataset_dir(name) {
        assert_eq!(layout::dataset_dir(&dataset_id), name);
    }
    if let Some(key) = StagingKey::parse(name) {
        assert_eq!(key.dir(), name);
    }
    if let Some((generation, id)) = layout::parse_tombstone(name) {
        assert_eq!(layout::tombstone(generation, &id), name);
    }
}

#[cfg(test)]
mod tests;

//! Names on disk. What a committed chunk's directory is called says what opening has to know.
//!
//! ```text
//! local_data_dir/
//!   dataset_id=<64 hex>/                      a dataset, as Hive-aware readers expect it
//!     chunk=<start>-<end>-<id>-<bytes>-<generation>/
//!       <file name> …                         the chunk's files
//!       _chunk.json                           its manifest
//!   _lock                                     held by the process that owns the directory
//!   _staging/<id>-<fingerprint>/              what is being fetched, invisible to readers
//!   _tombstones/<generation>-<id>             deleted, but somebody still reads it
//!   _trash/chunk=…/                           renamed away, about to be removed
//!   _quarantine/chunk=…/                      did not add up; kept for a person to look at
//! ```
//!
//! Block numbers are 20 digits, so that names sort as numbers do. The *generation* is a number
//! that the directory never uses twice at the same time: it keeps two contents of one id apart.
//!
//! Every name has one spelling: a parser accepts only what the formatter writes.

use std::ops::Range;

use crate::data_chunk::{ChunkId, ChunkSpec, DatasetId, hex_decode, hex_encode};

pub(super) const LOCK: &str = "_lock";
pub(super) const STAGING: &str = "_staging";
pub(super) const TOMBSTONES: &str = "_tombstones";
pub(super) const TRASH: &str = "_trash";
pub(super) const QUARANTINE: &str = "_quarantine";

/// Keeps apart the contents that one id had, in the order in which they were committed.
pub(crate) type Generation = u64;

/// What a chunk directory's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChunkName {
    pub(super) block_range: Range<u64>,
    pub(super) id: ChunkId,
    /// The bytes of the chunk's files together, without the manifest.
    pub(super) len_bytes: u64,
    pub(super) generation: Generation,
}

impl ChunkName {
    pub(super) fn format(&self) -> String {
        let Range { start, end } = self.block_range;
        let (id, len, generation) = (hex_encode(&self.id), self.len_bytes, self.generation);
        format!("chunk={start:020}-{end:020}-{id}-{len}-{generation}")
    }

    pub(super) fn parse(name: &str) -> Option<ChunkName> {
        let mut parts = name.strip_prefix("chunk=")?.split('-');
        let parsed = ChunkName {
            block_range: parts.next()?.parse().ok()?..parts.next()?.parse().ok()?,
            id: hex_decode(parts.next()?)?,
            len_bytes: parts.next()?.parse().ok()?,
            generation: parts.next()?.parse().ok()?,
        };
        let canonical = !parsed.block_range.is_empty() && parsed.format() == name;
        canonical.then_some(parsed)
    }
}

pub(super) fn dataset_dir(dataset_id: &DatasetId) -> String {
    format!("dataset_id={}", hex_encode(dataset_id))
}

pub(super) fn parse_dataset_dir(name: &str) -> Option<DatasetId> {
    hex_decode(name.strip_prefix("dataset_id=")?)
}

/// What a staging directory is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StagingKey {
    pub(crate) id: ChunkId,
    pub(crate) fingerprint: u64,
}

impl StagingKey {
    pub(crate) fn of(spec: &ChunkSpec) -> Self {
        StagingKey {
            id: spec.id,
            fingerprint: spec.fingerprint(),
        }
    }

    pub(super) fn dir(&self) -> String {
        format!("{}-{:016x}", hex_encode(&self.id), self.fingerprint)
    }

    pub(super) fn parse(name: &str) -> Option<StagingKey> {
        let (id, fingerprint) = name.split_once('-')?;
        let key = StagingKey {
            id: hex_decode(id)?,
            fingerprint: u64::from_str_radix(fingerprint, 16).ok()?,
        };
        (key.dir() == name).then_some(key)
    }
}

pub(super) fn tombstone(generation: Generation, id: &ChunkId) -> String {
    format!("{generation}-{}", hex_encode(id))
}

pub(super) fn parse_tombstone(name: &str) -> Option<(Generation, ChunkId)> {
    let (generation, id) = name.split_once('-')?;
    let parsed = (generation.parse().ok()?, hex_decode(id)?);
    (tombstone(parsed.0, &parsed.1) == name).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunk_names_read_back(start in any::<u64>(), len in 1u64.., id: [u8; 32], bytes: u64, generation: u64) {
            let Some(end) = start.checked_add(len) else { return Ok(()) };
            let name = ChunkName { block_range: start..end, id, len_bytes: bytes, generation };
            prop_assert!(name.format().len() <= 255);
            prop_assert_eq!(ChunkName::parse(&name.format()), Some(name));
        }

        #[test]
        fn what_is_accepted_is_written_back_the_same(text in "chunk=[0-9]{19,21}-[0-9]{20}-[0-9a-f]{64}-[0+]?[0-9]{1,3}-[0-9]{1,3}") {
            if let Some(name) = ChunkName::parse(&text) {
                prop_assert_eq!(name.format(), text);
            }
        }

        #[test]
        fn tombstones_read_back(generation: u64, id: [u8; 32]) {
            prop_assert_eq!(parse_tombstone(&tombstone(generation, &id)), Some((generation, id)));
        }
    }

    #[test]
    fn other_spellings_are_foreign() {
        let name = ChunkName {
            block_range: 0..35,
            id: [1; 32],
            len_bytes: 7,
            generation: 1,
        };
        let text = name.format();
        assert!(ChunkName::parse(&text).is_some());
        for other in [
            text.replace("-7-", "-07-"),
            text.replace("-7-", "-+7-"),
            format!("{text}-"),
            text.replace("chunk=", "Chunk="),
            text.replace("0035-", "0000-"),
            text.replace("=0", "="),
        ] {
            assert_eq!(ChunkName::parse(&other), None, "{other}");
        }
        assert_eq!(parse_tombstone("01-00"), None);
        assert_eq!(parse_dataset_dir("dataset_id=00"), None);
        assert_eq!(StagingKey::parse(&format!("{}-1", "00".repeat(32))), None);
    }
}

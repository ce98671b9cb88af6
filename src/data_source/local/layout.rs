//! Names on disk. What a committed chunk's directory is called says what opening has to know.
//!
//! ```text
//! local_data_dir/
//!   dataset_id=<64 hex>/                      a dataset, as Hive-aware readers expect it
//!     chunk=<start>-<end>-<id>-<bytes>-<generation>-<fingerprint>/
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
//! that the directory never uses twice at the same time: it keeps two contents of one id apart. The
//! *fingerprint* stands for the description, so that opening can tell two of them apart without
//! reading a manifest. A chunk that was committed without waiting for the disk has the *boot* in
//! which that happened behind it, 8 hexadecimal digits: after another start of the machine its files
//! have to be read before they are believed.
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

/// Stands for one start of the machine.
pub(super) type BootTag = u32;

/// What a chunk directory's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChunkName {
    pub(super) block_range: Range<u64>,
    pub(super) id: ChunkId,
    /// The bytes of the chunk's files together, without the manifest.
    pub(super) len_bytes: u64,
    pub(super) generation: Generation,
    /// Of the description.
    pub(super) fingerprint: u64,
    /// When it was committed, if it was not synced then.
    pub(super) unsynced: Option<BootTag>,
}

impl ChunkName {
    pub(super) fn format(&self) -> String {
        let Range { start, end } = self.block_range;
        let (id, len, generation) = (hex_encode(&self.id), self.len_bytes, self.generation);
        let fingerprint = self.fingerprint;
        let mut name =
            format!("chunk={start:020}-{end:020}-{id}-{len}-{generation}-{fingerprint:016x}");
        if let Some(boot) = self.unsynced {
            name.push_str(&format!("-{boot:08x}"));
        }
        name
    }

    /// Called for each of a million names at a start: it looks at each byte once.
    pub(super) fn parse(name: &str) -> Option<ChunkName> {
        let mut parts = name.strip_prefix("chunk=")?.split('-');
        let (start, end) = (parts.next()?, parts.next()?);
        let wide = |text: &str| (text.len() == 20).then(|| digits(text)).flatten();
        let parsed = ChunkName {
            block_range: wide(start)?..wide(end)?,
            id: hex_decode(parts.next()?)?,
            len_bytes: number(parts.next()?)?,
            generation: number(parts.next()?)?,
            fingerprint: hex_number(parts.next()?, 16)?,
            unsynced: match parts.next() {
                None => None,
                Some(boot) => Some(hex_number(boot, 8)?.try_into().ok()?),
            },
        };
        (parts.next().is_none() && !parsed.block_range.is_empty()).then_some(parsed)
    }
}

/// A number in decimal digits and nothing else.
fn digits(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// The same without leading zeros.
fn number(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    canonical.then(|| digits(text)).flatten()
}

/// So many hexadecimal digits in lower case.
fn hex_number(text: &str, len: usize) -> Option<u64> {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let plain = text.len() == len && text.bytes().all(lower);
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
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
            fingerprint: spec.fingerprint,
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
        fn chunk_names_read_back(start in any::<u64>(), len in 1u64.., id: [u8; 32], numbers: [u64; 3], unsynced: Option<u32>) {
            let Some(end) = start.checked_add(len) else { return Ok(()) };
            let [len_bytes, generation, fingerprint] = numbers;
            let name = ChunkName { block_range: start..end, id, len_bytes, generation, fingerprint, unsynced };
            prop_assert!(name.format().len() <= 255);
            prop_assert_eq!(ChunkName::parse(&name.format()), Some(name));
        }

        #[test]
        fn what_is_accepted_is_written_back_the_same(text in "chunk=[0-9]{19,21}-[0-9]{20}-[0-9a-f]{64}-[0+]?[0-9]{1,3}-[0-9]{1,3}-[0+]?[0-9a-fA-F]{15,16}(-[0-9a-fA-F]{7,9})?") {
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
            fingerprint: 10,
            unsynced: None,
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
            text.replace("a", "A"),
            text.replace("-0000000000", "-+000000000"),
            format!("{text}-12"),
            format!("{text}-0000000a-"),
        ] {
            assert_eq!(ChunkName::parse(&other), None, "{other}");
        }
        assert_eq!(parse_tombstone("01-00"), None);
        assert_eq!(parse_dataset_dir("dataset_id=00"), None);
        assert_eq!(StagingKey::parse(&format!("{}-1", "00".repeat(32))), None);
    }
}

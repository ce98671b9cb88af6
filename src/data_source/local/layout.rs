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
pub(in crate::data_source) type BootTag = u32;

/// What a chunk directory's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data_source) struct ChunkName {
    pub(in crate::data_source) block_range: Range<u64>,
    pub(in crate::data_source) id: ChunkId,
    /// The bytes of the chunk's files together, without the manifest.
    pub(in crate::data_source) len_bytes: u64,
    pub(in crate::data_source) generation: Generation,
    /// Of the description.
    pub(in crate::data_source) fingerprint: u64,
    /// When it was committed, if it was not synced then.
    pub(in crate::data_source) unsynced: Option<BootTag>,
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
    pub(in crate::data_source) fn parse(name: &str) -> Option<ChunkName> {
        let rest = name.strip_prefix("chunk=")?.as_bytes();
        // What comes first has a fixed width, each with a dash behind it.
        let (start, rest) = rest.split_first_chunk::<21>()?;
        let (end, rest) = rest.split_first_chunk::<21>()?;
        let (id, rest) = rest.split_first_chunk::<65>()?;
        let mut rest = rest.split(|byte| *byte == b'-');
        let parsed = ChunkName {
            block_range: digits(before_dash(start)?)?..digits(before_dash(end)?)?,
            id: hex_decode(before_dash(id)?)?,
            len_bytes: number(rest.next()?)?,
            generation: number(rest.next()?)?,
            fingerprint: hex_number(rest.next()?, 16)?,
            unsynced: match rest.next() {
                None => None,
                Some(boot) => Some(hex_number(boot, 8)?.try_into().ok()?),
            },
        };
        (rest.next().is_none() && !parsed.block_range.is_empty()).then_some(parsed)
    }
}

fn before_dash(field: &[u8]) -> Option<&[u8]> {
    field.strip_suffix(b"-")
}

/// A number in decimal digits and nothing else.
fn digits(text: &[u8]) -> Option<u64> {
    let digit = |sum: u64, byte: &u8| {
        let value = byte.wrapping_sub(b'0');
        let more = sum.checked_mul(10)?.checked_add(u64::from(value))?;
        (value < 10).then_some(more)
    };
    let some = !text.is_empty();
    some.then(|| text.iter().try_fold(0, digit)).flatten()
}

/// The same without leading zeros.
fn number(text: &[u8]) -> Option<u64> {
    let canonical = text == b"0" || !text.starts_with(b"0");
    canonical.then(|| digits(text)).flatten()
}

/// So many hexadecimal digits in lower case; at most 16.
fn hex_number(text: &[u8], len: usize) -> Option<u64> {
    let digit = |sum: u64, byte: &u8| {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u64::from(value))
    };
    let plain = text.len() == len;
    plain.then(|| text.iter().try_fold(0, digit)).flatten()
}

pub(super) fn dataset_dir(dataset_id: &DatasetId) -> String {
    format!("dataset_id={}", hex_encode(dataset_id))
}

pub(in crate::data_source) fn parse_dataset_dir(name: &str) -> Option<DatasetId> {
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

pub(in crate::data_source) fn parse_tombstone(name: &str) -> Option<(Generation, ChunkId)> {
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

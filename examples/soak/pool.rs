//! The chunks: what they are called, where they come from, and what has to be in them.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, ensure};
use data_manager::data_chunk::{ChunkId, DataChunk, DatasetId};
use sha2::{Digest, Sha256};

/// Blocks of each chunk.
pub(crate) const BLOCKS: u64 = 100;
/// Neighbours in number are in different ones.
const DATASETS: u32 = 4;

/// A chunk as it is wanted: its number in the pool, and which content of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Content {
    pub(crate) n: u32,
    /// Grows where a chunk is cut anew: the same id, another content.
    pub(crate) revision: u32,
}

/// The id of a number: spread as digests are, with the number at its end.
pub(crate) fn id(n: u32) -> ChunkId {
    let mut id = [0; 32];
    fastrand::Rng::with_seed(u64::from(n)).fill(&mut id);
    id[28..].copy_from_slice(&n.to_be_bytes());
    id
}

/// The number of an id.
pub(crate) fn number(id: &ChunkId) -> u32 {
    let [.., a, b, c, d] = *id;
    u32::from_be_bytes([a, b, c, d])
}

/// The dataset of a number.
pub(crate) fn dataset(n: u32) -> DatasetId {
    let low = u8::try_from(n % DATASETS).unwrap_or_default();
    [0xd0 | low; 32]
}

/// The blocks of a number, half-open.
pub(crate) fn blocks(n: u32) -> Range<u64> {
    let start = u64::from(n / DATASETS) * BLOCKS;
    start..start + BLOCKS
}

/// Whose block this is.
pub(crate) fn at(dataset_of: u32, block: u64) -> Option<u32> {
    let row = u32::try_from(block / BLOCKS).ok()?;
    Some(row * DATASETS + dataset_of % DATASETS)
}

impl Content {
    /// How many files it has.
    pub(crate) fn files(self) -> u32 {
        1 + self.n % 3
    }

    /// Whether a digest is declared of its files: a content that is changed on the way can then be told.
    pub(crate) fn has_digest(self) -> bool {
        self.n.is_multiple_of(2)
    }

    /// What a file is called; it tells the contents of an id apart.
    pub(crate) fn name(self, file: u32) -> String {
        format!("r{}-{file}.parquet", self.revision)
    }

    /// Which content has a file of this name.
    pub(crate) fn of_file(n: u32, name: &str) -> Option<Content> {
        let (revision, _) = name.strip_prefix('r')?.split_once('-')?;
        let revision = revision.parse().ok()?;
        Some(Content { n, revision })
    }

    fn random(self, file: u32) -> fastrand::Rng {
        let seed = u64::from(self.n) << 32 | u64::from(self.revision) << 8 | u64::from(file);
        fastrand::Rng::with_seed(seed)
    }

    /// How long a file is: small, most of them; a few are long enough to be moved by the kernel.
    pub(crate) fn len(self, file: u32) -> usize {
        let mut random = self.random(file);
        match random.u32(..500) {
            0 => random.usize(1_000_000..1_600_000),
            1..20 => random.usize(32_000..128_000),
            20..120 => random.usize(4_000..32_000),
            _ => random.usize(200..4_000),
        }
    }

    /// What a file holds.
    pub(crate) fn bytes(self, file: u32) -> Vec<u8> {
        let mut bytes = vec![0; self.len(file)];
        let mut random = self.random(file);
        random.u64(..);
        random.fill(&mut bytes);
        bytes
    }

    /// The bytes of all its files.
    pub(crate) fn len_bytes(self) -> u64 {
        (0..self.files()).map(|file| self.len(file) as u64).sum()
    }

    /// What is asked for, of the origin at `base`.
    pub(crate) fn describe(self, base: &str) -> DataChunk {
        let Content { n, revision } = self;
        let url = |file| {
            let url = format!("{base}/{n}/{revision}/{file}");
            if !self.has_digest() {
                return url;
            }
            let digest = Sha256::digest(self.bytes(file));
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{url}#sha256={hex}")
        };
        let files = (0..self.files()).map(|file| (self.name(file), url(file)));
        DataChunk {
            id: id(n),
            dataset_id: dataset(n),
            block_range: blocks(n),
            files: files.collect::<HashMap<_, _>>(),
        }
    }

    /// Whether `dir` holds this content, to the byte, and nothing besides.
    pub(crate) fn check(self, dir: &Path) -> anyhow::Result<()> {
        for file in 0..self.files() {
            let name = self.name(file);
            let read = fs::read(dir.join(&name)).with_context(|| format!("cannot read {name}"))?;
            let expected = self.bytes(file);
            let differs = read.iter().zip(&expected).position(|(a, b)| a != b);
            ensure!(
                read.len() == expected.len() && differs.is_none(),
                "{name} has {} bytes of {}, wrong from {differs:?} on",
                read.len(),
                expected.len(),
            );
        }
        let entries = fs::read_dir(dir).context("cannot list it")?.count();
        ensure!(
            entries == self.files() as usize + 1,
            "it has {entries} entries"
        );
        Ok(())
    }
}

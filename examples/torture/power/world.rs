//! Which chunks there are, and what is in them. Every process of a run makes the same ones up.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use data_manager::data_chunk::{ChunkId, DataChunk, DatasetId};

/// How many ids there are.
pub(crate) const CHUNKS: u8 = 16;
/// How many contents an id may have, one after the other.
pub(crate) const REVISIONS: u8 = 2;
/// Blocks of one content of one chunk.
const BLOCKS: u64 = 100;

/// One content of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) n: u8,
    pub(crate) revision: u8,
}

/// The sources of all contents.
pub(crate) struct World {
    sources: PathBuf,
}

impl World {
    /// Writes every file that can be asked for.
    pub(crate) fn make(sources: &Path) -> anyhow::Result<World> {
        fs::create_dir(sources)?;
        for n in 0..CHUNKS {
            for revision in 0..REVISIONS {
                let content = Content { n, revision };
                for file in 0..content.files() {
                    fs::write(sources.join(content.source(file)), content.bytes(file))?;
                }
            }
        }
        Ok(World::at(sources))
    }

    /// What [`make`](Self::make) has made.
    pub(crate) fn at(sources: &Path) -> World {
        World {
            sources: sources.to_owned(),
        }
    }

    pub(crate) fn sources(&self) -> &Path {
        &self.sources
    }

    pub(crate) fn chunk(&self, content: Content) -> DataChunk {
        let url = |file| format!("file://{}/{}", self.sources.display(), content.source(file));
        let files: HashMap<_, _> = (0..content.files())
            .map(|file| (name(file), url(file)))
            .collect();
        DataChunk {
            id: id(content.n),
            dataset_id: dataset(content.n),
            block_range: content.blocks(),
            files,
        }
    }
}

impl Content {
    /// How many files, of about how many bytes.
    fn shape(self) -> (usize, usize) {
        match self.n % 8 {
            0..=3 => (10, 10_000),
            4 | 5 => (3, 300_000),
            6 => (2, 2_000_000),
            _ => (5, 4_000_000),
        }
    }

    fn files(self) -> usize {
        self.shape().0
    }

    fn source(self, file: usize) -> String {
        format!("{}-{}-{file}", self.n, self.revision)
    }

    /// What is in a file. No two have the same length, so that a mix-up shows in the name already.
    fn bytes(self, file: usize) -> Vec<u8> {
        let len = self.shape().1 + file * 17 + usize::from(self.revision) * 5;
        let seed = u64::from(self.n) << 16 | u64::from(self.revision) << 8 | file as u64;
        let mut bytes = vec![0; len];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        bytes
    }

    pub(crate) fn blocks(self) -> Range<u64> {
        let start = (u64::from(self.n) * 10 + u64::from(self.revision)) * BLOCKS;
        start..start + BLOCKS
    }

    /// Which content begins at this block.
    pub(crate) fn of_block(start: u64) -> Option<Content> {
        let content = Content {
            n: u8::try_from(start / BLOCKS / 10).ok()?,
            revision: u8::try_from(start / BLOCKS % 10).ok()?,
        };
        let known = content.n < CHUNKS && content.revision < REVISIONS;
        (known && content.blocks().start == start).then_some(content)
    }

    /// Whether `dir` holds this content, to the byte.
    pub(crate) fn is_whole(self, dir: &Path) -> anyhow::Result<()> {
        for file in 0..self.files() {
            let name = name(file);
            let read = fs::read(dir.join(&name)).with_context(|| name.clone())?;
            let expected = self.bytes(file);
            let differs = read.iter().zip(&expected).position(|(a, b)| a != b);
            ensure!(
                read.len() == expected.len() && differs.is_none(),
                "{name} has {} bytes of {}, wrong from {differs:?} on",
                read.len(),
                expected.len(),
            );
        }
        let manifest = fs::read(dir.join("_chunk.json")).context("the manifest")?;
        serde_json::from_slice::<serde_json::Value>(&manifest).context("the manifest")?;
        let entries = fs::read_dir(dir)?.count();
        ensure!(entries == self.files() + 1, "{entries} entries");
        Ok(())
    }
}

fn name(file: usize) -> String {
    format!("f{file}.parquet")
}

pub(crate) fn id(n: u8) -> ChunkId {
    [n + 1; 32]
}

fn dataset(n: u8) -> DatasetId {
    [0xd0 + n % 2; 32]
}

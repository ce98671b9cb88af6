//! Which chunks there are: two chains, four chunks each, about 25 MB a chunk.
//!
//! The first two chunks of each chain have the small files that are kept in `tests/data`; every
//! chunk has two large ones, made here. Both chains share the large ones, to make less of them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use data_encoding::HEXLOWER;
use data_manager::data_chunk::{DataChunk, DatasetId};
use sha2::{Digest, Sha256};

use crate::origin::{Files, Origin};
use crate::parquet_files;

/// The chains, by the names of their folders in `tests/data`.
pub(crate) const NAMES: [&str; 2] = ["chain-a", "chain-b"];
/// How many blocks a chunk holds.
pub(crate) const BLOCKS_PER_CHUNK: u64 = 1000;
/// How many chunks a chain has.
pub(crate) const CHUNKS_PER_CHAIN: u64 = 4;
/// Large files of a chunk: name, and the names of the columns after the block number.
const LARGE: [(&str, [&str; 4]); 2] = [
    (
        "traces.parquet",
        ["from_account", "to_account", "amount", "gas_used"],
    ),
    ("balances.parquet", ["account", "before", "after", "nonce"]),
];
/// Rows of a large file: about 12.5 MB with five columns of 8 bytes.
const LARGE_ROWS: u64 = 312_000;
/// Small files of a chunk.
const SMALL: [&str; 3] = ["blocks.parquet", "logs.parquet", "transactions.parquet"];

/// All files, under the paths that they are served at.
pub(crate) struct Chains {
    files: Arc<Files>,
    chunks: Vec<Description>,
}

/// A chunk, before anybody knows the address that it is served at.
struct Description {
    chain: &'static str,
    blocks: Range<u64>,
    /// File name to path, with the file's digest if it is declared.
    files: Vec<(String, String)>,
}

impl Chains {
    /// Makes the large files and reads the small ones.
    pub(crate) fn make() -> anyhow::Result<Chains> {
        let mut chains = Chains {
            files: Arc::default(),
            chunks: Vec::new(),
        };
        let mut files = Files::new();
        for start in (0..CHUNKS_PER_CHAIN).map(|n| n * BLOCKS_PER_CHUNK) {
            let blocks = start..start + BLOCKS_PER_CHUNK;
            let mut large = Vec::new();
            for (name, columns) in LARGE {
                let path = format!("large/{start}/{name}");
                let bytes = parquet_files::make(&blocks, columns, LARGE_ROWS)?;
                files.insert(path.clone(), bytes);
                large.push((name.to_owned(), path));
            }
            for chain in NAMES {
                let mut described = large.clone();
                described.extend(add_small(chain, &blocks, &mut files)?);
                let blocks = blocks.clone();
                chains.chunks.push(Description {
                    chain,
                    blocks,
                    files: described,
                });
            }
        }
        chains.files = Arc::new(files);
        Ok(chains)
    }

    /// What an origin is to serve.
    pub(crate) fn served(&self) -> Arc<Files> {
        self.files.clone()
    }

    /// The chunks as the manager wants them described.
    pub(crate) fn chunks(&self, origin: &Origin) -> Vec<DataChunk> {
        let describe = |chunk: &Description| DataChunk {
            id: chunk_id(chunk.chain, chunk.blocks.start),
            dataset_id: dataset_id(chunk.chain),
            block_range: chunk.blocks.clone(),
            files: chunk
                .files
                .iter()
                .map(|(name, path)| (name.clone(), origin.url(path)))
                .collect(),
        };
        self.chunks.iter().map(describe).collect()
    }

    /// The bytes of a chunk's files.
    pub(crate) fn len_bytes(&self, chunk: &DataChunk) -> u64 {
        let described = self
            .chunks
            .iter()
            .filter(|described| chunk.id == chunk_id(described.chain, described.blocks.start));
        described
            .map(|described| self.described_len_bytes(described))
            .sum()
    }

    /// The bytes of all chunks' files.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.chunks
            .iter()
            .map(|described| self.described_len_bytes(described))
            .sum()
    }

    fn described_len_bytes(&self, chunk: &Description) -> u64 {
        let paths = chunk.files.iter().map(|(_, path)| without_digest(path));
        paths
            .filter_map(|path| self.files.get(path))
            .map(|bytes| bytes.len() as u64)
            .sum()
    }
}

/// Reads the small files of a chunk, if it has any, and describes them.
fn add_small(
    chain: &str,
    blocks: &Range<u64>,
    files: &mut Files,
) -> anyhow::Result<Vec<(String, String)>> {
    let folder = format!("{chain}/{}-{}", blocks.start, blocks.end);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(&folder);
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut described = Vec::new();
    for name in SMALL {
        let file = directory.join(name);
        let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        // What a URL declares behind `#sha256=` the manager checks before a chunk is visible.
        let digest = HEXLOWER.encode(&Sha256::digest(&bytes));
        let path = format!("{folder}/{name}");
        described.push((name.to_owned(), format!("{path}#sha256={digest}")));
        files.insert(path, bytes);
    }
    Ok(described)
}

fn without_digest(path: &str) -> &str {
    path.split_once('#').map_or(path, |(path, _)| path)
}

/// 32 bytes of our choice; here the chain's name and zeros.
pub(crate) fn dataset_id(chain: &str) -> DatasetId {
    let mut id = [0; 32];
    for (to, from) in id.iter_mut().zip(chain.bytes()) {
        *to = from;
    }
    id
}

/// The dataset's bytes with the first block at their end.
fn chunk_id(chain: &str, first_block: u64) -> [u8; 32] {
    let mut id = dataset_id(chain);
    id[24..].copy_from_slice(&first_block.to_be_bytes());
    id
}

/// A chunk in a few words.
pub(crate) fn label(chunk: &DataChunk) -> String {
    let is_of = |name: &&&str| dataset_id(name) == chunk.dataset_id;
    let chain = NAMES.iter().find(is_of).copied().unwrap_or("?");
    format!(
        "{chain} {}..{}",
        chunk.block_range.start, chunk.block_range.end
    )
}

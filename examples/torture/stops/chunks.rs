//! The chunks that scripts are about, and where they come from.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use data_manager::data_chunk::{ChunkId, DataChunk, DatasetId};

/// The highest number of a chunk in any script.
pub(crate) const CHUNKS: u8 = 8;
/// The contents that a chunk's id can have.
pub(crate) const VERSIONS: u8 = 2;
/// A content whose last file its source does not have.
pub(crate) const MISSING: u8 = 9;

/// A chunk's id.
pub(crate) fn id(n: u8) -> ChunkId {
    [n; 32]
}

/// Which chunk has this id.
pub(crate) fn number(id: &ChunkId) -> u8 {
    id[0]
}

/// Two datasets, so that there is more than one directory.
fn dataset(n: u8) -> DatasetId {
    [if n < 4 { 0xd1 } else { 0xd2 }; 32]
}

/// The first block of content `version` of chunk `n`: different for all of them.
pub(crate) fn first_block(n: u8, version: u8) -> u64 {
    u64::from(n) * 100 + u64::from(version) * 10
}

/// What a stranger takes the directory that begins with this block for.
pub(crate) fn of_first_block(block: u64) -> Option<(u8, u8)> {
    let (n, version) = (block / 100, block % 100 / 10);
    Some((u8::try_from(n).ok()?, u8::try_from(version).ok()?))
}

/// Names and contents of its files. One file of some is so long that the library keeps a record of
/// it, and one is empty.
pub(crate) fn files(n: u8, version: u8) -> Vec<(&'static str, Vec<u8>)> {
    let files: &[(&str, usize)] = match n % 3 {
        0 => &[("a.parquet", 10)],
        1 => &[("a.parquet", 5_000), ("b.parquet", 300_000), ("empty", 0)],
        _ => &[("a.parquet", 70), ("b", 9_000)],
    };
    let content = |(at, (name, len)): (usize, &(&'static str, usize))| {
        let mut rng = fastrand::Rng::with_seed(first_block(n, version) * 10 + at as u64);
        (*name, (0..*len).map(|_| rng.u8(..)).collect())
    };
    files.iter().enumerate().map(content).collect()
}

/// The description of content `version` of chunk `n`.
pub(crate) fn describe(n: u8, version: u8, origin: &Path) -> DataChunk {
    let url = |name: &str| format!("file://{}/{n}-{version}-{name}", origin.display());
    let mut named: HashMap<String, String> = files(n, version)
        .iter()
        .map(|(name, _)| ((*name).to_owned(), url(name)))
        .collect();
    if version == MISSING {
        named.insert("missing".to_owned(), url("missing"));
    }
    let start = first_block(n, version);
    DataChunk {
        id: id(n),
        dataset_id: dataset(n),
        block_range: start..start + 10,
        files: named,
    }
}

/// Writes all files of all chunks into `origin`.
pub(crate) fn write_origin(origin: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(origin)?;
    for n in 0..=CHUNKS {
        for version in (0..VERSIONS).chain([MISSING]) {
            for (name, content) in files(n, version) {
                fs::write(origin.join(format!("{n}-{version}-{name}")), content)
                    .context("write the origin")?;
            }
        }
    }
    Ok(())
}

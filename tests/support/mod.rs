//! What the tests share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, as a module"
)]

pub mod origin;
pub mod proxy;
pub mod source;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_manager::data_chunk::{ChunkId, DataChunk};
use data_manager::data_manager::{DataManagerBuilder, DataManagerImpl};
use tempfile::TempDir;

/// How long a test waits for what has to happen. Long, since it is only reached when it fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A data directory of the test's own.
pub fn temp_dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A builder with short backoffs.
pub fn builder(dir: &Path) -> DataManagerBuilder {
    DataManagerImpl::builder()
        .data_dir(dir)
        .threads(2)
        .first_backoff(Duration::from_millis(20))
        .longest_backoff(Duration::from_millis(200))
}

pub fn open(dir: &Path) -> DataManagerImpl {
    builder(dir).open().unwrap()
}

pub fn id(n: u8) -> ChunkId {
    [n; 32]
}

/// The dataset that tests use.
pub const DATASET: [u8; 32] = [0xd5; 32];

/// A chunk of [`DATASET`] with these files.
pub fn chunk<'a>(
    n: u8,
    block_range: Range<u64>,
    files: impl IntoIterator<Item = (&'a str, String)>,
) -> DataChunk {
    let files: HashMap<String, String> = files
        .into_iter()
        .map(|(name, url)| (name.to_owned(), url))
        .collect();
    DataChunk {
        id: id(n),
        dataset_id: DATASET,
        block_range,
        files,
    }
}

/// Bytes that are not all alike, different for each seed.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = fastrand_like(seed);
    (0..len).map(|_| rng()).collect()
}

fn fastrand_like(seed: u64) -> impl FnMut() -> u8 {
    // SplitMix64 (Steele, Lea, Flood, 2014).
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u8::try_from((z ^ (z >> 31)) & 0xff).unwrap_or_default()
    }
}

/// The chunk directories that a reader of the data directory sees.
pub fn chunk_dirs(data_dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for dataset in read_dir(data_dir) {
        let name = dataset.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with(['_', '.']) && dataset.is_dir() {
            found.extend(read_dir(&dataset));
        }
    }
    found.sort();
    found
}

/// What is in a directory; nothing if it is not there.
pub fn read_dir(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

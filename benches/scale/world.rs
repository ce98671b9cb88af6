//! Descriptions of chunks, sources, managers, memory.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use data_manager::data_chunk::{ChunkId, DataChunk};
use data_manager::data_manager::{DataManagerBuilder, DataManagerImpl, Durability};
use data_manager::data_source::{DataSource, OpenRequest, Opened, SourceError};
use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

/// The dataset of all chunks.
pub(crate) const DATASET: [u8; 32] = [0xda; 32];
/// Blocks of each chunk.
pub(crate) const BLOCKS: u64 = 100;

/// The id of chunk number `n`: spread evenly, as digests are, so that neighbours in time are not
/// neighbours in a tree.
pub(crate) fn id(n: u64) -> ChunkId {
    let mut rng = fastrand::Rng::with_seed(n);
    let mut id = [0; 32];
    rng.fill(&mut id);
    id
}

/// Chunk number `n`: one file, with a URL of about 120 bytes.
pub(crate) fn chunk(scheme: &str, n: u64) -> DataChunk {
    let id = id(n);
    let url = format!(
        "{scheme}://bucket-eu-central-1.example.com/datasets/ethereum-mainnet/{n:012}/{:02x}{:02x}{:02x}/blocks-{:020}.parquet",
        id[0],
        id[1],
        id[2],
        n * BLOCKS
    );
    DataChunk {
        id,
        dataset_id: DATASET,
        block_range: n * BLOCKS..(n + 1) * BLOCKS,
        files: HashMap::from([("blocks.parquet".to_owned(), url)]),
    }
}

/// A source that lets so many files through and then keeps everybody waiting.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<Passes>, Condvar)>);

#[derive(Debug, Default)]
struct Passes {
    left: usize,
    /// Counts cancellations, so that whoever waits looks at its own.
    news: u64,
}

impl Gate {
    /// Lets `count` more files through.
    pub(crate) fn open(&self, count: usize) {
        self.0.0.lock().left += count;
        self.0.1.notify_all();
    }
}

impl DataSource for Gate {
    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let gate = self.clone();
        let hook = request.cancel().on_cancel(move || {
            gate.0.0.lock().news += 1;
            gate.0.1.notify_all();
        });
        let mut passes = self.0.0.lock();
        while passes.left == 0 {
            if request.cancel().is_cancelled() {
                drop(passes);
                return Err(SourceError::transient(anyhow!("cancelled")));
            }
            self.0.1.wait(&mut passes);
        }
        passes.left -= 1;
        drop(passes);
        drop(hook);
        Ok(Opened::new(&b"a few bytes"[..]).with_total(11))
    }
}

/// A directory that is gone afterwards, and a builder for it. Nothing is synced: what is measured with
/// these is not the disk.
pub(crate) fn place(dir: &std::path::Path) -> anyhow::Result<(TempDir, DataManagerBuilder)> {
    let place = TempDir::new_in(dir).context("cannot make a directory")?;
    let builder = DataManagerImpl::builder()
        .data_dir(place.path().join("data"))
        .durability(Durability::None);
    Ok((place, builder))
}

/// Bytes of this process that are in memory.
pub(crate) fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmRSS")?.trim().parse::<u64>()? * 1024)
}

/// Seconds that the calling thread was on a processor: other than the clock on the wall, it does not run
/// while the system lets others have their turn.
pub(crate) fn processor_seconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().context("no schedstat")?;
    Ok(nanos.parse::<u64>()? as f64 / 1e9)
}

/// What the planner's lock was held for, since the manager was opened.
pub(crate) fn print_lock(manager: &DataManagerImpl) {
    let lock = manager.stats().lock;
    println!(
        "  the planner's lock: held {} times, over 1 ms {} times ({:.4} %), longest {:.1} µs",
        lock.holds,
        lock.over_1_ms,
        100.0 * lock.over_1_ms as f64 / lock.holds.max(1) as f64,
        lock.longest_ns as f64 / 1e3
    );
}

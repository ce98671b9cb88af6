//! A process of the library: opens an empty data directory, fetches every chunk, shuts down.

use std::time::Duration;

use anyhow::ensure;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerImpl, Durability};

use crate::options::Place;

const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn run(durability: Durability, place: &Place) -> anyhow::Result<()> {
    let manager = DataManagerImpl::builder()
        .data_dir(&place.dir)
        .durability(durability)
        .open()?;
    for n in 0..place.load.chunks {
        drop(manager.download_chunk(describe(place, n)));
    }
    ensure!(manager.wait_idle(DEADLINE), "it hangs");
    let visible = manager.list_chunks().len();
    ensure!(visible == place.load.chunks, "chunks are missing");
    manager.shutdown(DEADLINE)?;
    Ok(())
}

fn describe(place: &Place, n: usize) -> DataChunk {
    let mut id = [0; 32];
    fastrand::Rng::with_seed(n as u64).fill(&mut id);
    let block = n as u64 * 100;
    let file = |index| {
        let name = format!("file-{index}.parquet");
        let url = format!("http://{}/{n:06}/{name}", place.origin);
        (name, url)
    };
    DataChunk {
        id,
        dataset_id: [0xda; 32],
        block_range: block..block + 100,
        files: (0..place.load.files).map(file).collect(),
    }
}

//! A process of the library: opens an empty data directory, fetches every file, shuts down.

use std::time::Duration;

use anyhow::ensure;
use data_encoding::HEXLOWER;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerImpl, Durability};
use sha2::{Digest, Sha256};

use crate::options::Place;

const DEADLINE: Duration = Duration::from_secs(120);

/// Files of a chunk.
const FILES: usize = 5;

pub(crate) fn run(slots: usize, digest: bool, place: &Place) -> anyhow::Result<()> {
    let manager = DataManagerImpl::builder()
        .data_dir(&place.dir)
        .durability(Durability::None)
        .slots(slots)
        .open()?;
    // It comes by argument or environment in no time; to compute it here is not to be measured.
    let fragment = match digest {
        true => format!("#sha256={}", std::env::var(crate::contest::SHA256)?),
        false => String::new(),
    };
    let chunks = place.files.div_ceil(FILES);
    for n in 0..chunks {
        let mut id = [0; 32];
        fastrand::Rng::with_seed(n as u64).fill(&mut id);
        let block = n as u64 * 100;
        let file = |index: usize| {
            let url = format!("http://{}/{index}{fragment}", place.origin);
            (format!("file-{index}.parquet"), url)
        };
        let files = n * FILES..((n + 1) * FILES).min(place.files);
        drop(manager.download_chunk(DataChunk {
            id,
            dataset_id: [0xda; 32],
            block_range: block..block + 100,
            files: files.map(file).collect(),
        }));
    }
    ensure!(manager.wait_idle(DEADLINE), "it hangs");
    let visible = manager.list_chunks().len();
    ensure!(visible == chunks, "chunks are missing");
    manager.shutdown(DEADLINE)?;
    Ok(())
}

/// The SHA-256 of a file of the origin.
pub(crate) fn sha256_of(file_bytes: u64) -> String {
    let body: Vec<u8> = (0..file_bytes).map(|at| (at % 251) as u8).collect();
    HEXLOWER.encode(&Sha256::digest(body))
}

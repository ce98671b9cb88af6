//! The first hour of a worker, in a few seconds: `cargo run --release --example quickstart`.
//!
//! Everything is real but the network: an origin on loopback serves Parquet files over HTTP, and
//! the manager downloads, finds, deletes and reopens chunks as it would anywhere.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `main.rs` | the story; the part to copy from |
//! | `chains.rs` | which chunks there are, and their files |
//! | `parquet_files.rs` | makes Parquet files, and looks into them |
//! | `origin.rs` | a small HTTP/1.1 server |
//! | `display.rs` | progress bars, or lines |
//! | `options.rs`, `place.rs` | the command line, and the directory |
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

mod chains;
mod display;
mod options;
mod origin;
mod parquet_files;
mod place;

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use data_manager::data_chunk::{ChunkId, DataChunk};
use data_manager::data_manager::{ChunkGuard, ChunkTask, DataManagerImpl};

use chains::{BLOCKS_PER_CHUNK, Chains};
use display::{Display, megabytes};
use options::Options;
use origin::Origin;
use place::Place;

/// The block that is looked for; it lies in the second chunk of its chain.
const BLOCK: u64 = BLOCKS_PER_CHUNK + 234;
/// How often `find_chunk` is called to time it.
const LOOKUPS: u64 = 1_000_000;
/// Far longer than a shutdown takes.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// What is repeated at the end.
#[derive(Default)]
struct Measured {
    downloaded_bytes: u64,
    downloading: Duration,
    opening: Duration,
    lookup: Duration,
}

fn main() -> anyhow::Result<()> {
    let Some(options) = Options::from_command_line()? else {
        println!("{}", options::HELP);
        return Ok(());
    };
    let place = Place::prepare(&options)?;
    let result = tell(&place, options.rate);
    let tidied = place.tidy_up();
    result?;
    tidied?;
    place.say_what_is_next();
    Ok(())
}

/// The whole story. What it opens it closes, whether it ends well or not.
fn tell(place: &Place, rate: Option<f64>) -> anyhow::Result<()> {
    let started = Instant::now();
    let chains = Chains::make()?;
    let origin = Origin::start(chains.served(), rate)?;
    println!(
        "Origin    {} serves {} chunks of {} chains, {} (made in {:.1} s)",
        origin.url(""),
        chains.chunks(&origin).len(),
        chains::NAMES.len(),
        megabytes(chains.total_bytes()),
        started.elapsed().as_secs_f64(),
    );

    let data_manager = DataManagerImpl::builder().data_dir(place.path()).open()?;
    println!("Opened    {}", data_manager.data_dir().display());

    let mut measured = Measured::default();
    download(&data_manager, &chains, &origin, &mut measured)?;
    let chunk_id = find(&data_manager, &mut measured)?;
    delete_while_reading(&data_manager, &chunk_id)?;
    restart(data_manager, place, &mut measured)?;
    summarize(&measured);
    Ok(())
}

/// Asks for every chunk, and shows what happens until the last one is there.
fn download(
    data_manager: &DataManagerImpl,
    chains: &Chains,
    origin: &Origin,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let chunks = chains.chunks(origin);
    let (here, missing): (Vec<_>, Vec<_>) = chunks
        .into_iter()
        .partition(|chunk| data_manager.get_chunk(&chunk.id).is_some());
    if !here.is_empty() {
        println!("Here      {} chunks, from an earlier run", here.len());
    }
    let with_bytes = |chunk: &DataChunk| (chunk.clone(), chains.len_bytes(chunk));
    let mut display = Display::new(&missing.iter().map(with_bytes).collect::<Vec<_>>());

    // Whoever wants to see it all subscribes first.
    let events = data_manager.events();
    let started = Instant::now();
    // Each call returns at once. A task could also be awaited, or ignored.
    let mut tasks: Vec<ChunkTask> = missing
        .into_iter()
        .map(|chunk| data_manager.download_chunk(chunk))
        .collect();
    while let Some(task) = tasks.last() {
        let ended = task.wait_timeout(display::REDRAW);
        while let Ok(event) = events.try_recv() {
            display.show(&event);
        }
        if let Some(outcome) = ended {
            outcome?;
            tasks.pop();
        }
    }
    measured.downloading = started.elapsed();
    measured.downloaded_bytes = data_manager.stats().totals.downloaded_bytes;
    drop(display);
    println!(
        "Download  {} in {:.2} s; {} chunks are visible",
        megabytes(measured.downloaded_bytes),
        measured.downloading.as_secs_f64(),
        data_manager.list_chunks().len(),
    );
    Ok(())
}

/// Finds the chunk of a block, lists its files and reads from them.
fn find(data_manager: &DataManagerImpl, measured: &mut Measured) -> anyhow::Result<ChunkId> {
    let chain = chains::NAMES[0];
    let dataset_id = chains::dataset_id(chain);
    let chunk = data_manager
        .find_chunk(dataset_id, BLOCK)
        .with_context(|| format!("no chunk holds block {BLOCK}"))?;
    println!(
        "Find      block {BLOCK} of {chain} is in the chunk of blocks {:?}",
        chunk.block_range()
    );
    for file in chunk.files() {
        let peek = parquet_files::peek(&chunk.path().join(&file.name))?;
        println!(
            "          {:<22} {:>9}  {:>7} rows, the first of block {}",
            file.name,
            megabytes(file.len_bytes),
            peek.rows,
            peek.first_block,
        );
    }

    let blocks = BLOCKS_PER_CHUNK * chains::CHUNKS_PER_CHAIN;
    let started = Instant::now();
    for n in 0..LOOKUPS {
        // A stride that is prime to the number of blocks visits them all.
        let found = data_manager.find_chunk(dataset_id, n * 7919 % blocks);
        ensure!(black_box(found).is_some(), "a block was not found");
    }
    measured.lookup = started.elapsed();
    Ok(*chunk.id())
}

/// Deletes a chunk that somebody still reads.
fn delete_while_reading(data_manager: &DataManagerImpl, id: &ChunkId) -> anyhow::Result<()> {
    let guard: ChunkGuard = data_manager
        .get_chunk(id)
        .context("the chunk is not there")?;
    let directory = guard.path().to_owned();
    let first = directory.join(&guard.files()[0].name);

    let deleted = data_manager.delete_chunk(*id);
    ensure!(
        data_manager
            .find_chunk(*guard.dataset_id(), BLOCK)
            .is_none(),
        "still visible"
    );
    ensure!(
        deleted.wait_timeout(Duration::from_millis(100)).is_none(),
        "deleted under a guard"
    );
    let rows = parquet_files::peek(&first)?.rows;
    println!(
        "Delete    the chunk is no longer found, but a guard holds it: its {} files stay\n          \
         ({} still has {rows} rows)",
        guard.files().len(),
        guard.files()[0].name,
    );

    let started = Instant::now();
    drop(guard);
    deleted.wait()?;
    ensure!(!directory.exists(), "the directory is still there");
    println!(
        "          guard dropped: the directory is gone after {:.1} ms",
        started.elapsed().as_secs_f64() * 1e3,
    );
    Ok(())
}

/// Stops, opens the same directory again, and compares.
fn restart(
    data_manager: DataManagerImpl,
    place: &Place,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let before = data_manager.list_chunks();
    let started = Instant::now();
    data_manager.shutdown(SHUTDOWN_TIMEOUT)?;
    let stopping = started.elapsed();
    drop(data_manager);

    let started = Instant::now();
    let data_manager = DataManagerImpl::open(place.path())?;
    measured.opening = started.elapsed();
    let after = data_manager.list_chunks();
    ensure!(
        before == after,
        "{} chunks before, {} after",
        before.len(),
        after.len()
    );
    println!(
        "Restart   stopped in {:.1} ms, opened again in {:.1} ms: {} chunks came back, {}",
        stopping.as_secs_f64() * 1e3,
        measured.opening.as_secs_f64() * 1e3,
        after.len(),
        megabytes(data_manager.stats().chunks.available_bytes),
    );
    data_manager.shutdown(SHUTDOWN_TIMEOUT)?;
    Ok(())
}

fn summarize(measured: &Measured) {
    let seconds = measured.downloading.as_secs_f64();
    let speed = match measured.downloaded_bytes {
        0 => "there was nothing to get".to_owned(),
        bytes => format!(
            "{:.0} MB a second, synced to disk",
            bytes as f64 / 1e6 / seconds
        ),
    };
    println!("\nFigures   download    {speed}");
    println!(
        "          open        {:.1} ms",
        measured.opening.as_secs_f64() * 1e3
    );
    println!(
        "          find_chunk  {:.0} ns, on average over {LOOKUPS} calls",
        measured.lookup.as_secs_f64() * 1e9 / LOOKUPS as f64,
    );
}

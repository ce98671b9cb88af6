//! A thousand chunks of one small file from one origin, in turn with `curl` that fetches the same.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerImpl, Durability};
use tempfile::TempDir;

use crate::bare;
use crate::figures::{median, median_ratio};
use crate::options::Options;
use crate::origin::Origin;
use crate::world::{DATASET, id};

const DEADLINE: Duration = Duration::from_secs(120);
/// The ways to call curl; the best one counts.
const CURLS: [(&str, &[&str]); 2] = [
    (
        "curl --parallel --parallel-max 50",
        &["--parallel-max", "50"],
    ),
    (
        "the same with --parallel-immediate",
        &["--parallel-max", "50", "--parallel-immediate"],
    ),
];

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let (files, bytes) = (options.files, options.bytes);
    println!("{files} chunks of one file of {bytes} bytes, from one origin on this machine");
    let origin = Origin::start(bytes)?;
    let mut ours = [Vec::new(), Vec::new()];
    let mut curls = [Vec::new(), Vec::new()];
    let mut least = Vec::new();
    for _ in 0..options.rounds {
        if !options.ours_only {
            for ((_, flags), took) in CURLS.iter().zip(&mut curls) {
                took.push(fetch_with_curl(options, &origin, flags)?);
            }
            least.push(bare::fetch(options, &origin)?);
        }
        for (durability, took) in [Durability::None, Durability::Full]
            .into_iter()
            .zip(&mut ours)
        {
            if durability == Durability::None || !options.ours_only {
                took.push(fetch(options, &origin, durability)?);
            }
        }
    }
    let line = |what: &str, took: &[f64]| {
        let each = median(took) / files as f64 * 1e6;
        println!(
            "  {what:36} {:7.1} ms  {each:6.1} µs each",
            median(took) * 1e3
        );
    };
    for ((name, _), took) in CURLS.iter().zip(&curls) {
        line(name, took);
    }
    line("the bare calls of ours, off", &least);
    line("ours, durable commit off", &ours[0]);
    line("ours, durable commit on", &ours[1]);
    let best: Vec<f64> = curls[0]
        .iter()
        .zip(&curls[1])
        .map(|(a, b)| a.min(*b))
        .collect();
    for (what, took) in ["off", "on"].iter().zip(&ours) {
        println!(
            "  times as fast as curl's better way, durable commit {what}: {:.2}",
            median_ratio(&best, took)
        );
    }
    println!("  the bare calls: {:.2}", median_ratio(&best, &least));
    Ok(())
}

/// Seconds from the first call to the last chunk being visible.
fn fetch(options: &Options, origin: &Origin, durability: Durability) -> anyhow::Result<f64> {
    let place = TempDir::new_in(&options.dir)?;
    let manager = DataManagerImpl::builder()
        .data_dir(place.path().join("data"))
        .durability(durability)
        .slots(options.slots)
        .open()?;
    let chunks: Vec<DataChunk> = (0..options.files).map(|n| describe(origin, n)).collect();
    let begun = Instant::now();
    for chunk in chunks {
        drop(manager.download_chunk(chunk));
    }
    ensure!(manager.wait_idle(DEADLINE), "it hangs");
    let took = begun.elapsed().as_secs_f64();
    ensure!(
        manager.list_chunks().len() == options.files,
        "chunks are missing"
    );
    Ok(took)
}

fn describe(origin: &Origin, n: usize) -> DataChunk {
    let block = n as u64 * 100;
    DataChunk {
        id: id(n as u64),
        dataset_id: DATASET,
        block_range: block..block + 100,
        files: HashMap::from([("blocks.parquet".to_owned(), origin.url(n))]),
    }
}

/// Seconds that curl runs, its start included.
fn fetch_with_curl(options: &Options, origin: &Origin, flags: &[&str]) -> anyhow::Result<f64> {
    let place = TempDir::new_in(&options.dir)?;
    let config = place.path().join("urls");
    let lines = |n| {
        let path = place.path().join(format!("{n:06}.parquet"));
        format!(
            "url = \"{}\"\noutput = \"{}\"\n",
            origin.url(n),
            path.display()
        )
    };
    fs::write(&config, (0..options.files).map(lines).collect::<String>())?;
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--no-progress-meter",
        "--parallel",
    ])
    .args(flags);
    curl.arg("-K").arg(&config);
    let begun = Instant::now();
    // Its meter cannot be switched off in all versions.
    let status = curl
        .stderr(Stdio::null())
        .status()
        .context("cannot run curl")?;
    let took = begun.elapsed().as_secs_f64();
    ensure!(status.success(), "curl failed: {status}");
    ensure!(
        count(place.path())? == options.files + 1,
        "files are missing"
    );
    Ok(took)
}

fn count(dir: &Path) -> anyhow::Result<usize> {
    Ok(fs::read_dir(dir)?.count())
}

//! Bytes a chunk. In a process of its own each time: what was freed before is used again, and seen by nobody.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::options::Options;
use crate::world::{CHUNK_BYTES, World};

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    for datasets in &options.datasets {
        let mut process = Command::new(std::env::current_exe()?);
        process.arg("memory-once");
        process.args(["--chunks", &options.chunks.to_string()]);
        process.args(["--datasets", &datasets.to_string()]);
        ensure!(process.status()?.success(), "it failed");
    }
    Ok(())
}

pub(crate) fn once(options: &Options) -> anyhow::Result<()> {
    for datasets in &options.datasets {
        let before = resident_bytes()?;
        let world = World::without_bare(options.chunks, *datasets);
        let each = resident_bytes()?.saturating_sub(before) / options.chunks as u64;
        println!(
            "memory, {} chunks, datasets: {datasets}: {each} bytes a chunk, {CHUNK_BYTES} of them what guards refer to",
            options.chunks
        );
        drop(world);
    }
    Ok(())
}

/// Bytes of this process that are in memory.
fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmRSS")?.trim().parse::<u64>()? * 1024)
}

//! Bytes a chunk.

use anyhow::Context;

use crate::options::Options;
use crate::world::World;

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    for datasets in &options.datasets {
        let before = resident_bytes()?;
        let world = World::without_bare(options.chunks, *datasets);
        let each = resident_bytes()?.saturating_sub(before) / options.chunks as u64;
        drop(world);
        println!(
            "memory, {} chunks, datasets: {datasets}: {each} bytes a chunk",
            options.chunks
        );
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

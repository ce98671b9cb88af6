//! Which file system a directory is on: to sync costs nothing where there is no disk.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// The directory, its file system and the device, with a warning where it is in memory only.
pub(crate) fn describe(dir: &Path) -> anyhow::Result<String> {
    let dir = dir.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let (_, kind, device) = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (device, at, kind) = (fields.next()?, fields.next()?, fields.next()?);
            dir.starts_with(at).then_some((at, kind, device))
        })
        // The last one of the longest: it may have been mounted over.
        .max_by_key(|(at, ..)| at.len())
        .context("no such mount")?;
    let warning = match kind {
        "tmpfs" | "ramfs" => ": in memory, so these figures say NOTHING about a disk",
        _ => "",
    };
    Ok(format!("{}, on {kind} ({device}){warning}", dir.display()))
}

//! What one may not do: a read-only mount, another user's files; and what others may not do.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use data_manager::data_manager::{ChunkTask, DataManagerImpl};

use super::Check;
use super::world::{A_WHILE, Chunk, Ground, PATIENCE, close, id, until};
use crate::power::sandbox::{run, text};

/// Nobody.
const USER: u32 = 65534;

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new("a read-only mount", read_only),
        Check::new("another user, a chunk that it may not enter", |ground| {
            another_user(ground, Path::to_owned)
        }),
        Check::new("another user, a manifest that it may not read", |ground| {
            another_user(ground, |dir| dir.join("_chunk.json"))
        }),
        Check::new("modes of directories and files", modes),
    ]
}

fn read_only(ground: &Ground) -> anyhow::Result<String> {
    ground.prepare(&[0, 1, 2])?;
    let data = ground.data();
    let data = text(&data)?;
    run("mount", &["--bind", data, data])?;
    run("mount", &["-o", "remount,ro,bind", data])?;
    let manager = ground.open()?;
    for n in 0..3 {
        let guard = manager
            .find_chunk([0xd0 + u8::from(n == 2); 32], u64::from(n) * 10)
            .context("not found")?;
        Chunk::small(n).is_whole(ground, &guard)?;
    }
    let new = manager.download_chunk(ground.describe(Chunk::small(3))?);
    let why = refused_or_waits(&manager, 3, &new)?;
    let held = manager.get_chunk(&id(0)).context("not visible")?;
    // One is held and would be buried, one would go at once; neither can.
    let _held = manager.delete_chunk(id(0));
    let _gone = manager.delete_chunk(id(1));
    manager.wait_idle(A_WHILE);
    Chunk::small(0).is_whole(ground, &held)?;
    drop(held);
    let third = manager.get_chunk(&id(2)).context("lookups stopped")?;
    Chunk::small(2).is_whole(ground, &third)?;
    drop(third);
    close(&manager)?;
    drop(manager);
    run("umount", &[data])?;
    // Nothing was half done.
    let manager = ground.open()?;
    ensure!(manager.list_chunks().len() == 3, "something is gone");
    close(&manager)?;
    Ok(why)
}

/// The task ends in an error, or the chunk's status has the reason.
fn refused_or_waits(manager: &DataManagerImpl, n: u8, task: &ChunkTask) -> anyhow::Result<String> {
    until("a reason for what cannot be", || {
        if let Some(Err(error)) = task.wait_timeout(std::time::Duration::ZERO) {
            return Some(format!("ends: {}", error.kind()));
        }
        let error = manager.chunk_status(&id(n))?.last_error?;
        Some(format!("waits: {}", error.kind()))
    })
}

fn another_user(ground: &Ground, what: fn(&Path) -> std::path::PathBuf) -> anyhow::Result<String> {
    ground.prepare(&[0, 1, 2])?;
    ground.describe(Chunk::small(3))?;
    run("chown", &["-R", "65534:65534", text(&ground.room()?)?])?;
    let closed = what(&ground.chunk_dir(1)?);
    chown(&closed, Some(0), Some(0))?;
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000))?;
    // As that user: a process of its own.
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(std::env::current_exe()?)
        .args(["ground", "nobody"])
        .arg(ground.root())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    let metadata = closed.symlink_metadata().context("it was moved")?;
    ensure!(
        metadata.uid() == 0 && metadata.mode() & 0o777 == 0,
        "it was changed"
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The part of [`another_user`] that runs as that user.
pub(super) fn as_nobody(root: &Path) -> anyhow::Result<()> {
    let ground = Ground::at(root);
    ensure!(fs::metadata("/proc/self")?.uid() == USER, "still root");
    let manager = ground.open()?;
    for n in [0, 2] {
        let guard = manager
            .get_chunk(&id(n))
            .context("another chunk is not there")?;
        Chunk::small(n).is_whole(&ground, &guard)?;
    }
    // The source was written by root, for everybody to read.
    let new = manager.download_chunk(ground.described(Chunk::small(3)));
    new.wait_timeout(PATIENCE).context("no end")??;
    manager.wait_idle(A_WHILE);
    // It may be whole, for all that one can know.
    let shown = manager.get_chunk(&id(1)).is_some();
    println!("it is {}", if shown { "shown" } else { "not shown" });
    let guard = manager.get_chunk(&id(0)).context("another chunk is gone")?;
    Chunk::small(0).is_whole(&ground, &guard)?;
    drop(guard);
    close(&manager)
}

fn modes(ground: &Ground) -> anyhow::Result<String> {
    ground.prepare(&[0, 1, 2])?;
    let key = ground.break_off(3)?;
    ensure!(key.join("_parts").is_dir(), "nothing is staged");
    let manager = ground.open()?;
    let held = manager.get_chunk(&id(0)).context("not visible")?;
    let _buried = manager.delete_chunk(id(0));
    ensure!(manager.wait_idle(PATIENCE), "not idle");
    let mut count = 0;
    let mut open = vec![ground.data()];
    while let Some(path) = open.pop() {
        let metadata = path.symlink_metadata()?;
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        let mode = metadata.mode() & 0o7777;
        ensure!(mode == expected, "{} has mode {mode:o}", path.display());
        count += 1;
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        }
    }
    drop(held);
    close(&manager)?;
    Ok(format!("{count} looked at"))
}

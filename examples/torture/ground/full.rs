//! A disk without room: downloads wait and say why, deletes go on, and it goes on by itself.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use data_manager::data_manager::DataManagerImpl;

use super::Check;
use super::world::{Chunk, Ground, PATIENCE, close, id, shortage, told, until};
use crate::power::sandbox::{run, text};

/// More than fit.
const CHUNKS: u8 = 10;

pub(super) fn checks() -> Vec<Check> {
    let big = |n| Chunk {
        n,
        files: 1,
        len_bytes: 900_000,
    };
    let many = |n| Chunk {
        n,
        files: 10,
        len_bytes: 1000,
    };
    vec![
        Check::new("no space: deletes make room", move |ground| {
            deletes_make_room(ground, "size=4m", big)
        }),
        Check::new("no inodes: deletes make room", move |ground| {
            deletes_make_room(ground, "size=64m,nr_inodes=64", many)
        }),
        Check::new("no space: somebody else makes room", move |ground| {
            somebody_makes_room(ground, "size=4m", big, fill_with_bytes)
        }),
        Check::new("no inodes: somebody else makes room", move |ground| {
            somebody_makes_room(ground, "size=64m,nr_inodes=64", many, fill_with_files)
        }),
        Check::new("no space: a start on a full disk", move |ground| {
            start_when_full(ground, "size=4m", fill_with_bytes)
        }),
        Check::new("no inodes: a start on a full disk", move |ground| {
            start_when_full(ground, "size=64m,nr_inodes=64", fill_with_files)
        }),
    ]
}

fn mount(ground: &Ground, options: &str) -> anyhow::Result<()> {
    let room = ground.room()?;
    run(
        "mount",
        &["-t", "tmpfs", "-o", options, "torture", text(&room)?],
    )
}

/// Of `chunks`, those that are there; they have to be whole.
fn whole(
    ground: &Ground,
    manager: &DataManagerImpl,
    chunk: impl Fn(u8) -> Chunk,
) -> anyhow::Result<Vec<u8>> {
    let mut there = Vec::new();
    for n in 0..CHUNKS {
        if let Some(guard) = manager.get_chunk(&id(n)) {
            chunk(n).is_whole(ground, &guard)?;
            there.push(n);
        }
    }
    Ok(there)
}

fn deletes_make_room(
    ground: &Ground,
    options: &str,
    chunk: impl Fn(u8) -> Chunk + Copy,
) -> anyhow::Result<String> {
    mount(ground, options)?;
    let manager = ground.open()?;
    let events = manager.events();
    let mut tasks = Vec::new();
    for n in 0..CHUNKS {
        tasks.push(manager.download_chunk(ground.describe(chunk(n))?));
    }
    let reason = until("stats say that it waits for room", || shortage(&manager))?;
    until("something is there", || {
        (!manager.list_chunks().is_empty()).then_some(())
    })?;
    let told = told(&events);
    let says = |event: &String| event.contains("no_space") || event.contains("space_");
    ensure!(
        told.iter().any(says),
        "no event says that it waits for room"
    );
    let mut seen = Vec::new();
    while seen.len() < usize::from(CHUNKS) {
        let next = until("a download goes on after a delete", || {
            let there = whole(ground, &manager, chunk).ok()?;
            there.into_iter().find(|n| !seen.contains(n))
        });
        let next = next.with_context(|| format!("after {} of {CHUNKS}", seen.len()))?;
        let deleted = manager.delete_chunk(id(next)).wait_timeout(PATIENCE);
        deleted.context("a delete does not end on a full disk")??;
        seen.push(next);
    }
    for task in tasks {
        task.wait_timeout(PATIENCE)
            .context("a task does not end")?
            .context("a download failed instead of waiting")?;
    }
    ensure!(manager.wait_idle(PATIENCE), "not idle in the end");
    until("stats say that it waits no longer", || {
        shortage(&manager).is_none().then_some(())
    })?;
    close(&manager)?;
    Ok(format!("waits for {reason}"))
}

fn fill_with_bytes(room: &Path) -> anyhow::Result<()> {
    let mut at = 1 << 20;
    // Down to the last page.
    for count in 0.. {
        let file = room.join(format!("ballast-{count}"));
        if fs::write(&file, vec![1; at]).is_err() {
            if at <= 4096 {
                break;
            }
            fs::remove_file(&file)?;
            at /= 4;
        }
    }
    Ok(())
}

fn fill_with_files(room: &Path) -> anyhow::Result<()> {
    let ballast = |count| fs::write(room.join(format!("ballast-{count}")), "");
    let made = (0..10_000)
        .take_while(|count| ballast(*count).is_ok())
        .count();
    ensure!(made < 10_000, "no end of inodes");
    Ok(())
}

fn clear_ballast(room: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(room)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("ballast") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn somebody_makes_room(
    ground: &Ground,
    options: &str,
    chunk: impl Fn(u8) -> Chunk,
    fill: fn(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    mount(ground, options)?;
    let manager = ground.open()?;
    let room = ground.room()?;
    fill(&room)?;
    let task = manager.download_chunk(ground.describe(chunk(0))?);
    let reason = until("stats say that it waits for room", || shortage(&manager))?;
    ensure!(manager.list_chunks().is_empty(), "visible on a full disk");
    clear_ballast(&room)?;
    task.wait_timeout(PATIENCE)
        .context("it does not go on by itself")?
        .context("a download failed instead of waiting")?;
    let guard = manager.get_chunk(&id(0)).context("not visible")?;
    chunk(0).is_whole(ground, &guard)?;
    drop(guard);
    close(&manager)?;
    Ok(format!("waits for {reason}"))
}

fn start_when_full(
    ground: &Ground,
    options: &str,
    fill: fn(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    mount(ground, options)?;
    ground.prepare(&[0, 1])?;
    let room = ground.room()?;
    fill(&room)?;
    let manager = ground.open()?;
    for n in [0, 1] {
        let guard = manager.get_chunk(&id(n)).context("not visible")?;
        Chunk::small(n).is_whole(ground, &guard)?;
    }
    let deleted = manager.delete_chunk(id(0)).wait_timeout(PATIENCE);
    deleted.context("a delete does not end on a full disk")??;
    clear_ballast(&room)?;
    let again = manager.download_chunk(ground.describe(Chunk::small(0))?);
    again
        .wait_timeout(PATIENCE)
        .context("it does not go on")??;
    close(&manager)?;
    Ok(String::new())
}

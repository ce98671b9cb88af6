//! Things of another kind in place of what the store expects: nothing hangs, and the start is not
//! stopped.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::Check;
use super::world::{A_WHILE, Chunk, Ground, PATIENCE, close, id, until};
use crate::power::sandbox::{run, text};

/// What a stranger's file says.
const SOMEBODYS: &[u8] = b"somebody's";

/// What is put there.
#[derive(Clone, Copy, Debug)]
enum Thing {
    /// Whoever opens it waits for the other end.
    Fifo,
    /// Whoever reads it never gets to the end.
    Device,
    /// A stranger's.
    File,
    Directory,
}

impl Thing {
    fn put(self, at: &Path) -> anyhow::Result<()> {
        match at.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(at)?,
            Ok(_) => fs::remove_file(at)?,
            Err(_) => {}
        }
        match self {
            Thing::Fifo => run("mknod", &[text(at)?, "p"]),
            Thing::Device => run("mknod", &[text(at)?, "c", "1", "5"]),
            Thing::File => Ok(fs::write(at, SOMEBODYS)?),
            Thing::Directory => {
                fs::create_dir(at)?;
                Ok(fs::write(at.join("keep"), SOMEBODYS)?)
            }
        }
    }
}

pub(super) fn checks() -> Vec<Check> {
    let mut checks = Vec::new();
    for thing in [Thing::Fifo, Thing::Device, Thing::Directory] {
        for file in ["f0.parquet", "_chunk.json"] {
            let name = format!("{thing:?} in place of {file}");
            checks.push(Check::new(name, move |ground| damaged(ground, thing, file)));
        }
        for file in ["0.part", "0.json"] {
            let name = format!("{thing:?} in place of {file}");
            checks.push(Check::new(name, move |ground| staged(ground, thing, file)));
        }
    }
    let own = ["_staging", "_trash", "_tombstones", "_quarantine"];
    for (thing, name) in own
        .map(|name| (Thing::File, name))
        .into_iter()
        .chain(own.map(|name| (Thing::Fifo, name)))
        .chain([(Thing::Directory, "_lock"), (Thing::Fifo, "_lock")])
    {
        let text = format!("{thing:?} in place of {name}");
        checks.push(Check::new(text, move |ground| {
            stranger(ground, thing, name)
        }));
    }
    checks
}

/// In a chunk it is damage; the chunk can be had again.
fn damaged(ground: &Ground, thing: Thing, file: &str) -> anyhow::Result<String> {
    ground.prepare(&[0, 1, 2])?;
    thing.put(&ground.chunk_dir(1)?.join(file))?;
    let manager = ground.open()?;
    until("the damage is found", || {
        manager.get_chunk(&id(1)).is_none().then_some(())
    })?;
    for n in [0, 2] {
        let guard = manager.get_chunk(&id(n)).context("another chunk is gone")?;
        Chunk::small(n).is_whole(ground, &guard)?;
    }
    let again = manager.download_chunk(ground.describe(Chunk::small(1))?);
    again
        .wait_timeout(PATIENCE)
        .context("it cannot be had again")??;
    let guard = manager.get_chunk(&id(1)).context("not visible")?;
    Chunk::small(1).is_whole(ground, &guard)?;
    drop(guard);
    close(&manager)?;
    Ok(String::new())
}

/// In staging it may keep that chunk from coming, and no other.
fn staged(ground: &Ground, thing: Thing, file: &str) -> anyhow::Result<String> {
    ground.prepare(&[0])?;
    let key = ground.break_off(3)?;
    thing.put(&key.join("_parts").join(file))?;
    let manager = ground.open()?;
    let chunk = Chunk {
        n: 3,
        files: 1,
        len_bytes: 2 << 20,
    };
    let task = manager.download_chunk(ground.describe(chunk)?);
    let other = manager.download_chunk(ground.describe(Chunk::small(1))?);
    other
        .wait_timeout(PATIENCE)
        .context("another does not come")??;
    let note = match task.wait_timeout(A_WHILE) {
        Some(end) => {
            end?;
            let guard = manager.get_chunk(&id(3)).context("not visible")?;
            chunk.is_whole(ground, &guard)?;
            String::new()
        }
        None => {
            let status = manager.chunk_status(&id(3)).context("not known")?;
            let error = status.last_error.context("it hangs, and nobody says why")?;
            format!("waits: {error}")
        }
    };
    close(&manager)?;
    Ok(note)
}

/// In place of what the store has for itself: what is there is served, and what is not ours stays.
fn stranger(ground: &Ground, thing: Thing, name: &str) -> anyhow::Result<String> {
    ground.prepare(&[0, 1, 2])?;
    let at: PathBuf = ground.data().join(name);
    thing.put(&at)?;
    let manager = ground.open()?;
    for n in 0..3 {
        let guard = manager.get_chunk(&id(n)).context("a chunk is not there")?;
        Chunk::small(n).is_whole(ground, &guard)?;
    }
    let held = manager.get_chunk(&id(1));
    let new = manager.download_chunk(ground.describe(Chunk::small(3))?);
    manager.delete_chunk(id(0));
    manager.delete_chunk(id(1));
    manager.wait_idle(A_WHILE);
    let note = match new.wait_timeout(A_WHILE) {
        Some(Ok(())) => "a download comes".to_owned(),
        Some(Err(error)) => format!("a download ends: {error}"),
        None => "a download waits".to_owned(),
    };
    drop(held);
    close(&manager)?;
    ensure!(
        is_somewhere(thing, &ground.data())?,
        "what a stranger put there is gone"
    );
    Ok(note)
}

/// It may have been put aside, as long as nobody destroyed it.
fn is_somewhere(thing: Thing, dir: &Path) -> anyhow::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let kind = path.symlink_metadata()?.file_type();
        let found = match thing {
            Thing::Fifo => kind.is_fifo(),
            Thing::Device => kind.is_char_device(),
            Thing::File => kind.is_file() && fs::read(&path)? == SOMEBODYS,
            Thing::Directory => {
                let keep = path.join("keep");
                keep.is_file() && fs::read(keep)? == SOMEBODYS
            }
        };
        if found || kind.is_dir() && is_somewhere(thing, &path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

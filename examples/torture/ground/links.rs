//! A symbolic link in place of everything that the store has: nothing outside is touched, and the
//! start is not stopped.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, ensure};
use data_manager::data_manager::DataManagerImpl;

use super::Check;
use super::world::{A_WHILE, Chunk, Ground, close, id, snapshot, unchanged, until};
use crate::power::sandbox::{run, text};

/// What there is a link in place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// One of the store's own names in the data directory.
    Own(&'static str),
    Dataset,
    Chunk,
    DataFile,
    Manifest,
    StagingKey,
    Parts,
    Part,
    PartRecord,
}

const PLACES: [Place; 13] = [
    Place::Own("_staging"),
    Place::Own("_trash"),
    Place::Own("_tombstones"),
    Place::Own("_quarantine"),
    Place::Own("_lock"),
    Place::Dataset,
    Place::Chunk,
    Place::DataFile,
    Place::Manifest,
    Place::StagingKey,
    Place::Parts,
    Place::Part,
    Place::PartRecord,
];

/// Where the link leads, and when it is put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trap {
    /// Before the start, to a copy of the real thing.
    Copy,
    /// Before the start, to a name outside that is not there.
    Dangling,
    /// Under a store that runs, to a copy of the real thing. That was moved away: a store that has
    /// it open may go on in it.
    WhileRunning,
}

pub(super) fn checks() -> Vec<Check> {
    let mut checks = Vec::new();
    for place in PLACES {
        for trap in [Trap::Copy, Trap::Dangling, Trap::WhileRunning] {
            let what = match place {
                Place::Own(name) => name.to_owned(),
                _ => format!("{place:?}"),
            };
            let name = format!("link in place of {what}, {trap:?}");
            checks.push(Check::new(name, move |ground| check(ground, place, trap)));
        }
    }
    checks
}

fn check(ground: &Ground, place: Place, trap: Trap) -> anyhow::Result<String> {
    ground.prepare(&[0, 1, 2])?;
    let key = ground.break_off(3)?;
    let outside = ground.outside();
    fs::create_dir(&outside)?;
    fs::write(outside.join("keep"), "somebody's")?;
    if place == Place::Own("_quarantine") {
        damage(ground)?;
    }
    let at = match place {
        Place::Own(name) => ground.data().join(name),
        Place::Dataset => ground.dataset_dir(1),
        Place::Chunk => ground.chunk_dir(1)?,
        Place::DataFile => ground.chunk_dir(1)?.join("f0.parquet"),
        Place::Manifest => ground.chunk_dir(1)?.join("_chunk.json"),
        Place::StagingKey => key,
        Place::Parts => key.join("_parts"),
        Place::Part => key.join("_parts/0.part"),
        Place::PartRecord => key.join("_parts/0.json"),
    };
    let (manager, before) = if trap == Trap::WhileRunning {
        let manager = ground.open()?;
        manager.wait_idle(A_WHILE);
        plant(ground, &at, trap)?;
        (manager, snapshot(&outside)?)
    } else {
        plant(ground, &at, trap)?;
        let before = snapshot(&outside)?;
        let manager = ground.open()?;
        others_are_there(ground, &manager, place)?;
        (manager, before)
    };
    let note = exercise(ground, &manager, trap)?;
    close(&manager)?;
    drop(manager);
    unchanged(&before, &snapshot(&outside)?)?;
    // And once more, over what that has left.
    let manager = ground.open().context("the second time")?;
    manager.wait_idle(A_WHILE);
    close(&manager)?;
    unchanged(&before, &snapshot(&outside)?)?;
    Ok(note)
}

fn plant(ground: &Ground, at: &Path, trap: Trap) -> anyhow::Result<()> {
    let target = ground.outside().join("target");
    let there = at.symlink_metadata().is_ok();
    if trap != Trap::Dangling && there {
        run("cp", &["-a", text(at)?, text(&target)?])?;
    } else if trap != Trap::Dangling {
        // A record that was not needed.
        fs::write(&target, "{}")?;
    }
    if there {
        fs::rename(at, ground.root().join("moved"))?;
    }
    symlink(&target, at).context("plant a link")
}

/// Makes something go to quarantine: at a start, and when chunk 0 is removed.
fn damage(ground: &Ground) -> anyhow::Result<()> {
    fs::write(ground.chunk_dir(1)?.join("f0.parquet"), "short")?;
    Ok(fs::write(ground.chunk_dir(0)?.join("somebody's"), "")?)
}

/// What has nothing to do with the link is visible right after the start.
fn others_are_there(
    ground: &Ground,
    manager: &DataManagerImpl,
    place: Place,
) -> anyhow::Result<()> {
    let mut others = vec![2];
    if place != Place::Dataset {
        others.push(0);
    }
    let about_1 = [
        Place::Own("_quarantine"),
        Place::Dataset,
        Place::Chunk,
        Place::DataFile,
        Place::Manifest,
    ];
    if !about_1.contains(&place) {
        others.push(1);
    }
    for n in others {
        let guard = manager.get_chunk(&id(n));
        let guard = guard.with_context(|| format!("chunk {n} is not there"))?;
        Chunk::small(n).is_whole(ground, &guard)?;
    }
    Ok(())
}

/// Everything that writes or deletes somewhere. What of it succeeds is not the question.
fn exercise(ground: &Ground, manager: &DataManagerImpl, trap: Trap) -> anyhow::Result<String> {
    if trap != Trap::WhileRunning {
        until("what is behind a link is not shown", || {
            let shown = manager.get_chunk(&id(1));
            shown
                .is_none_or(|guard| Chunk::small(1).is_whole(ground, &guard).is_ok())
                .then_some(())
        })?;
    }
    let held = manager.get_chunk(&id(2));
    let partial = Chunk {
        n: 3,
        files: 1,
        len_bytes: 2 << 20,
    };
    let wanted = [Chunk::small(1), partial, Chunk::small(4)];
    manager.delete_chunk(id(0));
    manager.delete_chunk(id(2));
    for chunk in wanted {
        manager.download_chunk(ground.describe(chunk)?);
    }
    manager.wait_idle(A_WHILE);
    let mut there = 0;
    for chunk in wanted {
        if let Some(guard) = manager.get_chunk(&id(chunk.n)) {
            let whole = chunk.is_whole(ground, &guard);
            ensure!(trap == Trap::WhileRunning || whole.is_ok(), "{whole:?}");
            there += 1;
        }
    }
    // Taken back, and given up again.
    manager.download_chunk(ground.describe(Chunk::small(2))?);
    manager.wait_idle(A_WHILE);
    for n in 0..5 {
        manager.delete_chunk(id(n));
    }
    drop(held);
    manager.wait_idle(A_WHILE);
    ensure!(
        manager.list_chunks().is_empty(),
        "a deleted chunk is visible"
    );
    Ok(format!("{there} of 3 downloads done"))
}

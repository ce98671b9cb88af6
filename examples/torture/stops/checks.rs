//! What has to hold of a directory after its process ended, in whatever way.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use data_manager::data_manager::{ChunkGuard, DataManagerImpl};

use crate::stops::beliefs::Beliefs;
use crate::stops::chunks::{self, CHUNKS, describe, first_block, id};
use crate::stops::look::{self, check_files, chunk_dirs, name_of};
use crate::stops::victim::{self, Terms};

/// How long to wait for what has to come. Only reached where it does not.
const PATIENCE: Duration = Duration::from_secs(6);

/// Holds a directory against what was said of it: as a stranger first, then as its next owner.
pub(crate) fn check(dir: &Path, terms: &Terms, beliefs: &Beliefs) -> anyhow::Result<()> {
    look_as_a_stranger(dir, beliefs).context("before the next start")?;
    let manager = victim::open(dir, terms).context("the next start")?;
    ensure!(manager.wait_idle(PATIENCE), "it does not become idle");
    eventually(|| look_as_owner(&manager, beliefs)).context("after the next start")?;
    eventually(|| nothing_is_left(dir, &manager, beliefs)).context("after the next start")?;
    eventually(|| ledger_agrees(&manager, dir)).context("after the next start")?;
    ask_again(&manager, dir, terms, beliefs).context("asked again")?;
    manager.shutdown(PATIENCE).context("shutdown")?;
    Ok(())
}

/// Before anybody opens it: what readers take for a chunk is a whole one, and what was held when
/// the process ended is there.
fn look_as_a_stranger(dir: &Path, beliefs: &Beliefs) -> anyhow::Result<()> {
    let seen = chunk_dirs(dir)?;
    for chunk in &seen {
        if !beliefs.spoiled.contains(&name_of(&chunk.path)) {
            check_files(&chunk.path, chunk.n, chunk.version)?;
        }
    }
    for (n, version) in &beliefs.held {
        let there = |chunk: &look::Seen| (chunk.n, chunk.version) == (*n, *version);
        ensure!(
            seen.iter().any(there),
            "chunk {n} {version} was held, and is not in its place"
        );
    }
    Ok(())
}

/// What is visible is what may be, and whole.
fn look_as_owner(manager: &DataManagerImpl, beliefs: &Beliefs) -> anyhow::Result<()> {
    for id in manager.list_chunks() {
        let n = chunks::number(&id);
        ensure!(n <= CHUNKS && id == chunks::id(n), "unknown chunk {id:?}");
    }
    for n in 0..=CHUNKS {
        let guard = manager.get_chunk(&id(n));
        let version = guard.as_ref().map(version_of).transpose()?;
        ensure!(
            beliefs.allow(n, version),
            "chunk {n}: content {version:?} is visible; {beliefs:?}"
        );
        if let (Some(guard), Some(version)) = (guard, version) {
            check_files(guard.path(), n, version)?;
        }
    }
    Ok(())
}

/// Which content of its chunk this is.
fn version_of(guard: &ChunkGuard) -> anyhow::Result<u8> {
    let n = chunks::number(guard.id());
    let start = guard.block_range().start;
    let versions = 0..=u8::MAX;
    let version = versions.into_iter().find(|v| first_block(n, *v) == start);
    version.with_context(|| format!("chunk {n} begins with block {start}"))
}

/// Everything that was deleted is gone from the disk, what was in the way is out of it, and what is
/// visible is what a stranger sees.
fn nothing_is_left(dir: &Path, manager: &DataManagerImpl, beliefs: &Beliefs) -> anyhow::Result<()> {
    let on_disk: Vec<(u8, u8)> = chunk_dirs(dir)?
        .into_iter()
        .map(|chunk| (chunk.n, chunk.version))
        .collect();
    let mut visible = BTreeSet::new();
    for chunk_id in manager.list_chunks() {
        let n = chunks::number(&chunk_id);
        let guard = manager.get_chunk(&chunk_id);
        visible.insert((
            n,
            version_of(&guard.context("a listed chunk is not there")?)?,
        ));
    }
    ensure!(
        on_disk.len() == visible.len() && on_disk.iter().all(|chunk| visible.contains(chunk)),
        "on disk {on_disk:?}, visible {visible:?}"
    );
    let mut empty = vec!["_tombstones", "_trash"];
    if !beliefs.touched {
        empty.push("_quarantine");
    }
    for own in empty {
        let left = look::entries(&dir.join(own))?;
        ensure!(left.is_empty(), "left in {own}: {left:?}");
    }
    Ok(())
}

/// Whether the manager's figures are the disk's, at the latest when what it does behind the start is
/// done.
fn ledger_agrees(manager: &DataManagerImpl, dir: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let (said, found) = (said(manager), found(dir)?);
        if said == found {
            return Ok(());
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "the ledger says {said:?}, the disk {found:?}"
        );
        std::thread::yield_now();
    }
}

/// Visible, committed, left of downloads, staged, trash, quarantine.
fn said(manager: &DataManagerImpl) -> [u64; 6] {
    let stats = manager.stats();
    let space = stats.space;
    [
        stats.chunks.available_bytes,
        space.committed_bytes,
        stats.partials.bytes,
        space.staged_bytes,
        space.trash_bytes,
        space.quarantine_bytes,
    ]
}

fn found(dir: &Path) -> anyhow::Result<[u64; 6]> {
    let mut committed = 0;
    for chunk in chunk_dirs(dir)? {
        let files = chunks::files(chunk.n, chunk.version);
        let sizes = files.iter().map(|(_, bytes)| bytes.len() as u64);
        committed += sizes.sum::<u64>();
    }
    let below = |own, counts| look::bytes_below(&dir.join(own), counts);
    let staged = below("_staging", |name| !name.ends_with(".json"))?;
    let trash = below("_trash", |name| name != "_chunk.json")?;
    let quarantine = below("_quarantine", |name| name != "_chunk.json")?;
    Ok([committed, committed, staged, staged, trash, quarantine])
}

/// Whatever happened, what is asked for now can be had.
fn ask_again(
    manager: &DataManagerImpl,
    dir: &Path,
    terms: &Terms,
    beliefs: &Beliefs,
) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for (n, asked) in beliefs.wanted() {
        // Another content than the one that is there would be refused.
        let there = manager.get_chunk(&id(n));
        let version = there.as_ref().map(version_of).transpose()?.unwrap_or(asked);
        tasks.push((
            n,
            version,
            manager.download_chunk(describe(n, version, &terms.origin)),
        ));
    }
    for (n, version, task) in tasks {
        match task.wait_timeout(PATIENCE) {
            None => bail!("chunk {n} {version} does not come"),
            Some(end) => end.with_context(|| format!("chunk {n} {version}"))?,
        }
        let guard = manager.get_chunk(&id(n));
        let guard = guard.with_context(|| format!("chunk {n} {version} is not visible"))?;
        ensure!(
            version_of(&guard)? == version,
            "chunk {n} is another content"
        );
        check_files(guard.path(), n, version)?;
    }
    eventually(|| nothing_is_left(dir, manager, beliefs))?;
    eventually(|| ledger_agrees(manager, dir))
}

/// Looks again until it holds: some things are done behind the start.
fn eventually(holds: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match holds() {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
            Ok(()) => return Ok(()),
        }
    }
}

//! The query threads: they look blocks and ranges up, hold what they find for a while, and read it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use data_manager::data_manager::ChunkGuard;

use super::scene::{Mood, Scene};
use super::{QUERY_THREADS, broken, content};
use crate::pool::{self, BLOCKS, Content};

/// Lookups in each round, and the longest pause after it.
const LOOKUPS: usize = 16;
const PAUSE_US: u64 = 4_000;
/// Chunks in a range that is asked for.
const SPAN: u64 = 20;
/// References that a thread holds at the most.
const HELD: usize = 200;
/// One of so many rounds asks for the manager's figures.
const STATS: u32 = 50;

pub(super) fn start(scene: &Arc<Scene>, seed: u64) -> Vec<JoinHandle<()>> {
    let start = |number: usize| {
        let query = Query {
            scene: scene.clone(),
            random: fastrand::Rng::with_seed(seed ^ (number as u64 + 1) << 40),
            held: Vec::new(),
        };
        std::thread::spawn(move || {
            if let Err(error) = query.run() {
                broken(&format!("a query: {error:#}"));
            }
        })
    };
    (0..QUERY_THREADS).map(start).collect()
}

struct Query {
    scene: Arc<Scene>,
    random: fastrand::Rng,
    held: Vec<Kept>,
}

/// A reference, until when it is kept, and what has to be there till then.
struct Kept {
    guard: ChunkGuard,
    content: Content,
    until: Instant,
}

impl Query {
    fn run(mut self) -> anyhow::Result<()> {
        loop {
            match self.scene.mood() {
                Mood::Busy => self.round()?,
                Mood::Rest => {
                    self.release(None)?;
                    self.scene.rest();
                }
                Mood::End => return self.release(None),
            }
        }
    }

    fn round(&mut self) -> anyhow::Result<()> {
        for _ in 0..LOOKUPS {
            self.look_up()?;
        }
        self.look_range_up()?;
        self.look_up_what_is_nowhere()?;
        if self.random.u32(..STATS) == 0 {
            let began = Instant::now();
            let _ = self.scene.manager.stats();
            self.scene.stats.note(began.elapsed());
        }
        self.release(Some(Instant::now()))?;
        // Queries of a real worker do not fill its processors with lookups alone.
        std::thread::sleep(Duration::from_micros(self.random.u64(..PAUSE_US)));
        Ok(())
    }

    fn look_up(&mut self) -> anyhow::Result<()> {
        let n = self.random.u32(..self.scene.plan().pool());
        let block = self.random.u64(pool::blocks(n));
        let epoch = self.scene.epoch();
        let began = Instant::now();
        let found = self.scene.manager.find_chunk(pool::dataset(n), block);
        self.scene.find_chunk.note(began.elapsed());
        let Some(guard) = found else { return Ok(()) };
        let found = pool::number(guard.id());
        ensure!(
            found == n,
            "block {block} of chunk {n} was found in {found}"
        );
        self.take(&guard, epoch)
    }

    /// What a guard says has to be right; some are kept, and read.
    fn take(&mut self, guard: &ChunkGuard, epoch: Option<u64>) -> anyhow::Result<()> {
        let n = pool::number(guard.id());
        ensure!(
            *guard.dataset_id() == pool::dataset(n) && guard.block_range() == pool::blocks(n),
            "chunk {n} says that it is another one: {guard:?}"
        );
        let content = content(guard)?;
        ensure!(
            self.scene.is_wanted_since(epoch, content) != Some(false),
            "{content:?} is shown, and is not wanted"
        );
        if self.random.u32(..4) != 0 || self.held.len() >= HELD {
            return Ok(());
        }
        if self.random.bool() {
            self.read(guard, content)?;
        }
        let ms = match self.random.u32(..10) {
            0 => self.random.u64(500..3_000),
            _ => self.random.u64(..50),
        };
        let until = Instant::now() + Duration::from_millis(ms);
        self.held.push(Kept {
            // A copy is as good.
            guard: guard.clone(),
            content,
            until,
        });
        Ok(())
    }

    fn read(&self, guard: &ChunkGuard, content: Content) -> anyhow::Result<()> {
        content
            .check(guard.path())
            .with_context(|| format!("what is held is not whole: {content:?}"))?;
        self.scene.checked_chunks.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Drops what was held for long enough, or all; some of it is read once more before.
    fn release(&mut self, now: Option<Instant>) -> anyhow::Result<()> {
        let over = |kept: &mut Kept| now.is_none_or(|now| kept.until <= now);
        let over: Vec<Kept> = self.held.extract_if(.., over).collect();
        for kept in over {
            let late = self.scene.plan().wanted(kept.content.n) != Some(kept.content);
            // What is deleted is what may go too early.
            if late || self.random.u32(..4) == 0 {
                self.read(&kept.guard, kept.content)?;
                let late = u64::from(late);
                self.scene.checked_late.fetch_add(late, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Chunks and gaps have to lie side by side over the whole range.
    fn look_range_up(&mut self) -> anyhow::Result<()> {
        let n = self.random.u32(..self.scene.plan().pool());
        let start = self.random.u64(pool::blocks(n));
        let range = start..start + self.random.u64(1..=SPAN * BLOCKS);
        let epoch = self.scene.epoch();
        let began = Instant::now();
        let dataset = pool::dataset(n);
        let cover = self.scene.manager.find_range(dataset, range.clone());
        self.scene.find_range.note(began.elapsed());
        let mut parts = cover.missing;
        let held = cover.chunks.iter().map(|guard| {
            let blocks = guard.block_range();
            blocks.start.max(range.start)..blocks.end.min(range.end)
        });
        parts.extend(held);
        parts.sort_by_key(|part| part.start);
        let mut end = range.start;
        for part in &parts {
            ensure!(
                part.start == end && part.end > end,
                "{range:?}: after {end} comes {part:?}"
            );
            end = part.end;
        }
        ensure!(end == range.end, "{range:?}: covered until {end}");
        for guard in cover.chunks {
            let n = pool::number(guard.id());
            let block = guard.block_range().start;
            ensure!(pool::at(n, block) == Some(n), "chunk {n} is at {block}");
            self.take(&guard, epoch)?;
        }
        Ok(())
    }

    fn look_up_what_is_nowhere(&mut self) -> anyhow::Result<()> {
        let beyond = pool::blocks(self.scene.plan().pool()).end;
        let block = self.random.u64(beyond..);
        let manager = &self.scene.manager;
        ensure!(
            manager.find_chunk(pool::dataset(0), block).is_none(),
            "block {block} is nowhere, and was found"
        );
        ensure!(
            manager.find_chunk([0x0f; 32], 0).is_none(),
            "there is no such dataset"
        );
        Ok(())
    }
}

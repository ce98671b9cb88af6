//! The process whose power is cut: downloads, deletes, holds and takes back for ever, and says so.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use data_manager::data_manager::{ChunkGuard, ChunkTask, DataManagerImpl};

use super::words::Word;
use super::world::{CHUNKS, Content, REVISIONS, World, id};

/// Calls whose ends it has not heard of.
const PENDING: usize = 8;
/// References that it keeps.
const HELD: usize = 6;
/// Long enough for any disk; after a cut nothing ends any more, and the process is killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the victim and whoever looks after it are told.
pub(crate) struct Orders {
    pub(crate) data_dir: PathBuf,
    pub(crate) sources: PathBuf,
    pub(crate) durability: String,
    pub(crate) seed: u64,
    pub(crate) load: Kind,
}

/// How a victim works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Many calls at a time, without end.
    Busy,
    /// One call at a time, and after so many of them none any more: what was acknowledged last was
    /// not made to last by what came after it.
    Quiet(u32),
    /// It only opens, and sees to what the last cut left.
    Idle,
}

/// What it says before it does nothing any more.
pub(crate) const QUIET: &str = "quiet";

impl Kind {
    fn to_arg(self) -> String {
        match self {
            Kind::Busy => "busy".to_owned(),
            Kind::Quiet(calls) => calls.to_string(),
            Kind::Idle => "idle".to_owned(),
        }
    }

    fn parse(arg: &str) -> anyhow::Result<Kind> {
        Ok(match arg {
            "busy" => Kind::Busy,
            "idle" => Kind::Idle,
            calls => Kind::Quiet(calls.parse()?),
        })
    }
}

impl Orders {
    pub(crate) fn to_args(&self) -> anyhow::Result<Vec<String>> {
        let path = |path: &Path| super::sandbox::text(path).map(str::to_owned);
        Ok(vec![
            path(&self.data_dir)?,
            path(&self.sources)?,
            self.durability.clone(),
            self.seed.to_string(),
            self.load.to_arg(),
        ])
    }

    pub(crate) fn parse(args: &[String]) -> anyhow::Result<Orders> {
        let [data_dir, sources, durability, seed, load] = args else {
            anyhow::bail!("{} arguments", args.len());
        };
        Ok(Orders {
            data_dir: data_dir.into(),
            sources: sources.into(),
            durability: durability.clone(),
            seed: seed.parse()?,
            load: Kind::parse(load)?,
        })
    }

    pub(crate) fn open(&self) -> anyhow::Result<DataManagerImpl> {
        Ok(DataManagerImpl::builder()
            .data_dir(&self.data_dir)
            .serve_files_from(&self.sources)
            .durability(super::options::durability(&self.durability)?)
            .open()?)
    }
}

/// Runs until it is killed.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let orders = Orders::parse(args)?;
    end_with_whoever_started_us();
    tell(&format!("pid {}", std::process::id()))?;
    let mut load = Load {
        manager: orders.open()?,
        world: World::at(&orders.sources),
        random: fastrand::Rng::with_seed(orders.seed),
        asked: vec![None; usize::from(CHUNKS)],
        pending: VecDeque::new(),
        held: VecDeque::new(),
    };
    tell("opened")?;
    load.take_over();
    match orders.load {
        Kind::Busy => loop {
            load.step()?;
            while load.pending.len() > PENDING {
                load.settle()?;
            }
        },
        Kind::Quiet(calls) => {
            for _ in 0..calls {
                load.step()?;
                load.settle_all()?;
            }
            load.last_step()?;
        }
        Kind::Idle => _ = load.manager.wait_idle(PATIENCE),
    }
    tell(QUIET)?;
    loop {
        std::thread::park();
    }
}

/// If the one who looks after us is killed, nobody else would end this process.
fn end_with_whoever_started_us() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
}

fn tell(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush().context("nobody listens")
}

struct Load {
    manager: DataManagerImpl,
    world: World,
    random: fastrand::Rng,
    /// The revision that was last asked for, unless it was dropped since.
    asked: Vec<Option<u8>>,
    pending: VecDeque<Pending>,
    held: VecDeque<ChunkGuard>,
}

/// A call, and what to say once it is carried out.
struct Pending {
    word: Word,
    n: u8,
    /// Absent where the task would wait for references.
    task: Option<ChunkTask>,
}

impl Load {
    /// What is there is wanted.
    fn take_over(&mut self) {
        for n in 0..CHUNKS {
            let guard = self.manager.get_chunk(&id(n));
            let content = guard.and_then(|guard| Content::of_block(guard.block_range().start));
            self.asked[usize::from(n)] = content.map(|content| content.revision);
        }
    }

    fn step(&mut self) -> anyhow::Result<()> {
        let n = self.random.u8(..CHUNKS);
        match self.random.u8(..20) {
            0..12 => self.want(n)?,
            12..14 => self.drop(n)?,
            // Another content under the same id.
            14..15 => {
                self.drop(n)?;
                self.want(n)?;
            }
            // Deleted while somebody reads it, and perhaps taken back.
            15..18 => {
                self.hold(n);
                let same = self.asked[usize::from(n)];
                self.drop(n)?;
                if self.random.bool() {
                    self.asked[usize::from(n)] = same;
                    self.want(n)?;
                }
            }
            _ => self.hold(n),
        }
        Ok(())
    }

    /// One of the four things that can be acknowledged.
    fn last_step(&mut self) -> anyhow::Result<()> {
        let is_there = |n: &u8| self.asked[usize::from(*n)].is_some();
        let (there, missing): (Vec<u8>, Vec<u8>) = (0..CHUNKS).partition(is_there);
        let n = self.random.choice(there);
        match (self.random.u8(..8), n) {
            (0..3, _) | (_, None) => {
                let n = self.random.choice(missing).unwrap_or(0);
                self.want(n)?;
            }
            (3, Some(n)) => self.drop(n)?,
            (action, Some(n)) => {
                self.hold(n);
                let same = self.asked[usize::from(n)];
                self.drop(n)?;
                if action > 5 {
                    self.settle_all()?;
                    self.asked[usize::from(n)] = same;
                    self.want(n)?;
                }
            }
        }
        self.settle_all()
    }

    fn want(&mut self, n: u8) -> anyhow::Result<()> {
        let revision = self.asked[usize::from(n)].unwrap_or_else(|| self.random.u8(..REVISIONS));
        let content = Content { n, revision };
        self.asked[usize::from(n)] = Some(revision);
        tell(&Word::Want(content).to_string())?;
        let task = self.manager.download_chunk(self.world.chunk(content));
        self.push(Word::Have(content), n, Some(task));
        Ok(())
    }

    fn drop(&mut self, n: u8) -> anyhow::Result<()> {
        self.asked[usize::from(n)] = None;
        tell(&Word::Drop(n).to_string())?;
        let task = self.manager.delete_chunk(id(n));
        let held = self.held.iter().any(|guard| *guard.id() == id(n));
        self.push(Word::Gone(n), n, (!held).then_some(task));
        Ok(())
    }

    fn hold(&mut self, n: u8) {
        self.held.extend(self.manager.get_chunk(&id(n)));
        if self.held.len() > HELD {
            self.held.pop_front();
        }
    }

    fn push(&mut self, word: Word, n: u8, task: Option<ChunkTask>) {
        self.pending.push_back(Pending { word, n, task });
    }

    fn settle_all(&mut self) -> anyhow::Result<()> {
        while !self.pending.is_empty() {
            self.settle()?;
        }
        Ok(())
    }

    /// Waits for the end of the oldest call, and says so if no later one was about the same chunk.
    fn settle(&mut self) -> anyhow::Result<()> {
        let Some(Pending { word, n, task }) = self.pending.pop_front() else {
            return Ok(());
        };
        let reached = match task {
            // What was superseded says nothing about the disk.
            Some(task) => task.wait_timeout(PATIENCE).is_some_and(|end| end.is_ok()),
            // Gone, or buried: then it waits only for references.
            None => self.manager.wait_idle(PATIENCE),
        };
        if reached && !self.pending.iter().any(|other| other.n == n) {
            tell(&word.to_string())?;
        }
        Ok(())
    }
}

//! The process with the manager in it: carries out what the scheduler says, while queries read and
//! subscribers listen. It ends with whoever started it, and at the first thing that does not hold.

mod calm;
mod listeners;
mod queries;
mod scene;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use data_manager::data_manager::{ChunkGuard, ChunkTask, DataManagerImpl};

use crate::plan::Plan;
use crate::pool::{self, Content};
use crate::process::Footprint;
use crate::words::{Command, Ended, Figures, Opened, Orders, Progress, Word};
use listeners::Listeners;
pub(crate) use scene::is_timer;
use scene::{Mood, Scene};

/// What the scheduler may hold against the threads and handles of a calm worker.
pub(crate) const SLOTS: usize = 16;
pub(crate) const EXECUTOR_THREADS: usize = 2;
pub(crate) const QUERY_THREADS: usize = 4;

/// A round over the chunks that are asked for by default takes a minute.
const SCRUB_BYTES_PER_SECOND: u64 = 4 << 20;
/// A stall holds a slot for so long.
const STALL: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// Events that wait for a subscriber, for each chunk that is wanted: what happens in two seconds, about.
const EVENTS: f64 = 0.5;
/// Single calls beside each assignment.
const CALLS: usize = 20;
const SHUTDOWN: Duration = Duration::from_secs(10);

/// The child process.
pub(crate) fn run(orders: &str) {
    if let Err(error) = work(orders) {
        broken(&format!("{error:#}"));
    }
}

/// Says what did not hold, and ends the process. From any thread.
fn broken(what: &str) -> ! {
    let _ = say(&Word::Broken(what.to_owned()));
    std::process::exit(1)
}

fn say(word: &Word) -> anyhow::Result<()> {
    let line = serde_json::to_string(word)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush().context("nobody listens")
}

fn work(orders: &str) -> anyhow::Result<()> {
    let orders: Orders = serde_json::from_str(orders)?;
    let before = Footprint::look()?;
    let began = Instant::now();
    let manager = open(&orders)?;
    let listeners = Listeners::start(&manager, orders.chunks);
    let open_ms = u64::try_from(began.elapsed().as_millis())?;
    let visible = visible(&manager)?;
    listeners.begin_with(visible.keys().copied());
    say(&Word::Opened(Opened {
        visible,
        open_ms,
        before: before.clone(),
    }))?;
    let scene = Arc::new(Scene::new(manager, Plan::new(orders.seed, orders.chunks)));
    let mut worker = Worker {
        queries: queries::start(&scene, orders.seed),
        random: fastrand::Rng::with_seed(orders.seed ^ u64::from(std::process::id())),
        descriptions: Vec::new(),
        tasks: Vec::new(),
        ended_tasks: 0,
        missed: 0,
        before,
        orders,
        scene,
        listeners,
    };
    for line in std::io::stdin().lines() {
        match serde_json::from_str(&line?)? {
            Command::Assign(step) => say(&Word::Assigned(worker.assign(step)?))?,
            Command::Bandwidth(limit) => {
                let manager = &worker.scene.manager;
                let bytes = || manager.stats().totals.downloaded_bytes;
                let before = bytes();
                manager.set_bandwidth_limit(limit)?;
                let after = bytes();
                say(&Word::Limited { before, after })?;
            }
            Command::Calm => say(&Word::Calm(Box::new(worker.calm()?)))?,
            Command::GoOn => {
                let manager = &worker.scene.manager;
                manager.set_scrub_rate(Some(SCRUB_BYTES_PER_SECOND))?;
                worker.scene.set_mood(Mood::Busy);
                say(&Word::Done)?;
            }
            Command::Finish => return say(&Word::Ended(Box::new(worker.finish()?))),
        }
    }
    bail!("whoever started it is gone")
}

fn open(orders: &Orders) -> anyhow::Result<DataManagerImpl> {
    let manager = DataManagerImpl::builder()
        .data_dir(&orders.data_dir)
        .durability(orders.durability)
        .threads(EXECUTOR_THREADS)
        .slots(SLOTS)
        .stall_timeout(STALL)
        .first_backoff(Duration::from_millis(50))
        .longest_backoff(LONGEST_BACKOFF)
        .event_queue((f64::from(orders.chunks) * EVENTS) as usize)
        .scrub_rate(SCRUB_BYTES_PER_SECOND)
        .open()?;
    Ok(manager)
}

/// Number and revision of all that the manager shows.
fn visible(manager: &DataManagerImpl) -> anyhow::Result<BTreeMap<u32, u32>> {
    let mut visible = BTreeMap::new();
    for id in manager.list_chunks() {
        let n = pool::number(&id);
        let guard = manager.get_chunk(&id);
        let guard = guard.with_context(|| format!("chunk {n} is listed, and not to be had"))?;
        ensure!(
            pool::id(n) == id,
            "an id is listed that nobody asked for: {guard:?}"
        );
        let twice = visible.insert(n, content(&guard)?.revision).is_some();
        ensure!(!twice, "chunk {n} is listed twice");
    }
    Ok(visible)
}

/// Which content a guard refers to, by what it says of its files.
fn content(guard: &ChunkGuard) -> anyhow::Result<Content> {
    let n = pool::number(guard.id());
    let files = guard.files();
    let first = files.first();
    let first = first.with_context(|| format!("chunk {n} says that it has no files"))?;
    let content = Content::of_file(n, &first.name)
        .with_context(|| format!("chunk {n} has a file {}", first.name))?;
    ensure!(
        files.len() == content.files() as usize,
        "chunk {n} says that it has {} files of {}",
        files.len(),
        content.files(),
    );
    let len_bytes: u64 = files.iter().map(|file| file.len_bytes).sum();
    let right = len_bytes == content.len_bytes();
    ensure!(right, "chunk {n} says that it has {len_bytes} bytes");
    Ok(content)
}

struct Worker {
    orders: Orders,
    scene: Arc<Scene>,
    queries: Vec<std::thread::JoinHandle<()>>,
    listeners: Listeners,
    random: fastrand::Rng,
    /// By number, with their revisions: a digest is not made anew every second.
    descriptions: Vec<Option<(u32, data_manager::data_chunk::DataChunk)>>,
    /// Of calls, those that had not ended when last looked at.
    tasks: Vec<ChunkTask>,
    ended_tasks: u64,
    /// Events that the quick subscriber had missed when it was last calm.
    missed: u64,
    before: Footprint,
}

impl Worker {
    fn assign(&mut self, step: u32) -> anyhow::Result<Progress> {
        let mut plan = (*self.scene.plan()).clone();
        plan.advance_to(step);
        let chunks: Vec<_> = plan.all().map(|content| self.describe(content)).collect();
        let mut tasks = Vec::new();
        let plan = Arc::new(plan);
        let scene = self.scene.clone();
        scene.change(plan.clone(), |manager| {
            tasks.push(manager.set_assignment(chunks));
            for _ in 0..CALLS {
                self.call(manager, &plan, &mut tasks);
            }
        });
        self.tasks.append(&mut tasks);
        self.forget_ended_tasks();
        self.progress()
    }

    /// Asks for what is wanted anyway, which joins; or for what is not, and takes that back.
    fn call(&mut self, manager: &DataManagerImpl, plan: &Plan, tasks: &mut Vec<ChunkTask>) {
        let n = self.random.u32(..plan.pool());
        if let Some(content) = plan.wanted(n) {
            tasks.push(manager.download_chunk(self.describe(content)));
        } else {
            tasks.push(manager.download_chunk(self.describe(plan.content(n))));
            tasks.push(manager.delete_chunk(pool::id(n)));
        }
    }

    fn describe(&mut self, content: Content) -> data_manager::data_chunk::DataChunk {
        let at = content.n as usize;
        if self.descriptions.len() <= at {
            self.descriptions.resize(at + 1, None);
        }
        match &self.descriptions[at] {
            Some((revision, known)) if *revision == content.revision => known.clone(),
            _ => {
                let description = content.describe(&self.orders.base);
                self.descriptions[at] = Some((content.revision, description.clone()));
                description
            }
        }
    }

    fn forget_ended_tasks(&mut self) {
        let before = self.tasks.len();
        self.tasks
            .retain(|task| task.wait_timeout(Duration::ZERO).is_none());
        self.ended_tasks += (before - self.tasks.len()) as u64;
    }

    fn progress(&self) -> anyhow::Result<Progress> {
        let footprint = Footprint::look()?;
        Ok(Progress {
            figures: Figures::of(&self.scene.manager),
            queries: self.scene.queries(),
            rss_bytes: footprint.rss_bytes,
            peak_rss_bytes: footprint.peak_rss_bytes,
            threads: footprint.threads.len(),
            handles: footprint.handles.len(),
        })
    }

    fn finish(mut self) -> anyhow::Result<Ended> {
        self.scene.set_mood(Mood::End);
        for query in self.queries.drain(..) {
            ensure!(query.join().is_ok(), "a query panicked");
        }
        let began = Instant::now();
        self.scene.manager.shutdown(SHUTDOWN).context("shutdown")?;
        let shutdown_ms = u64::try_from(began.elapsed().as_millis())?;
        self.forget_ended_tasks();
        ensure!(
            self.tasks.is_empty(),
            "{} tasks have not ended",
            self.tasks.len()
        );
        self.listeners.join()?;
        ensure!(
            Arc::into_inner(self.scene).is_some(),
            "somebody still has the manager"
        );
        Ok(Ended {
            after: scene::footprint_like(&self.before)?,
            before: self.before,
            shutdown_ms,
            tasks: self.ended_tasks,
        })
    }
}

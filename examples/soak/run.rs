//! The scheduler: what happens when, and what has to hold then.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use data_manager::data_manager::DataManagerImpl;
use tempfile::TempDir;

use crate::checks;
use crate::child::Worker;
use crate::disk::Disk;
use crate::figures::Report;
use crate::options::Options;
use crate::origin::Origin;
use crate::plan::Plan;
use crate::pool;
use crate::process::Footprint;
use crate::words::{Calm, Command, Opened, Orders, Word};

/// Between two changes of the assignment.
const STEP: Duration = Duration::from_secs(1);
/// Between two lines of progress, in steps.
const SAID: u32 = 5;
/// What a shutdown with nothing under way may take.
const SHUTDOWN_MS: u64 = 5_000;

/// What a step brings, for each chunk that is wanted.
const STEP_BYTES: f64 = 1_000.0;
/// What may arrive beyond a limit on bandwidth, of what is measured over a second or more. A read that had
/// begun before the limit may bring a long file.
const OVER_LIMIT: f64 = 1.05;
const OVER_LIMIT_BYTES: f64 = 1024.0 * 1024.0;

/// Something that happens once.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// As a part of what is asked for.
    Limit(Option<f64>),
    Calm,
    /// Calm, and memory is held against what it was at the calm moment before.
    CalmAndFlat,
    Kill,
    Down(bool),
}

/// When, as a part of the time. The two halves, one of each worker, are alike.
const ACTS: [(f64, Act); 13] = [
    (0.08, Act::Limit(Some(0.25))),
    (0.13, Act::Limit(Some(0.5))),
    (0.17, Act::Limit(None)),
    (0.25, Act::Calm),
    (0.42, Act::CalmAndFlat),
    (0.50, Act::Kill),
    (0.58, Act::Limit(Some(0.5))),
    (0.63, Act::Limit(Some(0.2))),
    (0.67, Act::Limit(None)),
    (0.75, Act::Calm),
    (0.80, Act::Down(true)),
    (0.86, Act::Down(false)),
    (0.92, Act::CalmAndFlat),
];

/// A limit, since when it holds, and what had arrived then.
struct Limited {
    bytes_per_second: u64,
    since: Instant,
    bytes: u64,
}

struct Soak {
    options: Options,
    orders: Orders,
    /// Holds the data directory until the end.
    _place: TempDir,
    origin: Origin,
    plan: Plan,
    worker: Worker,
    /// What it had before it opened the directory.
    before: Footprint,
    /// Calm moments of this worker, each with what was wanted then.
    calm: Vec<(Calm, Plan)>,
    limited: Option<Limited>,
    report: Report,
}

/// All of it; what is said at the end.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let place = TempDir::new_in(&options.dir).context("cannot make a directory")?;
    let origin = Origin::start(options.seed, options.faults)?;
    let orders = Orders {
        data_dir: place.path().join("data"),
        base: origin.base(),
        seed: options.seed,
        chunks: options.chunks,
        durability: options.durability,
        patience_ms: u64::try_from(options.patience.as_millis())?,
    };
    let (worker, opened) = Worker::start(&orders)?;
    ensure!(opened.visible.is_empty(), "something is there already");
    let mut soak = Soak {
        plan: Plan::new(options.seed, options.chunks),
        options: options.clone(),
        orders,
        _place: place,
        origin,
        worker,
        before: opened.before,
        calm: Vec::new(),
        limited: None,
        report: Report::default(),
    };
    soak.fill().context("filling")?;
    let mut acts = ACTS.iter().peekable();
    for step in 1..=options.seconds {
        let next = Instant::now() + STEP;
        soak.assign(step)
            .with_context(|| format!("in step {step}"))?;
        let part = f64::from(step) / f64::from(options.seconds);
        while let Some((_, act)) = acts.next_if(|(at, _)| *at <= part) {
            soak.act(*act)
                .with_context(|| format!("in step {step}, {act:?}"))?;
        }
        if step.is_multiple_of(SAID) {
            soak.report.say(step);
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    soak.end().context("at the end")
}

impl Soak {
    /// The first assignment, until all of it is there.
    fn fill(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        self.assign(0)?;
        self.calm()?;
        self.report.filled = began.elapsed();
        self.go_on()
    }

    fn assign(&mut self, step: u32) -> anyhow::Result<()> {
        self.plan.advance_to(step);
        let began = Instant::now();
        let progress = match self.worker.ask(&Command::Assign(step))? {
            Word::Assigned(progress) => progress,
            other => bail!("the worker says {other:?}"),
        };
        self.report.note(progress, began.elapsed());
        Ok(())
    }

    fn act(&mut self, act: Act) -> anyhow::Result<()> {
        match act {
            Act::Limit(part) => {
                let demand = STEP_BYTES * f64::from(self.options.chunks);
                self.limit(part.map(|part| (part * demand) as u64))
            }
            Act::Calm => {
                self.calm()?;
                self.go_on()
            }
            Act::CalmAndFlat => {
                self.calm()?;
                self.expect_flat_memory()?;
                self.go_on()
            }
            Act::Kill => self.kill(),
            Act::Down(down) => {
                self.origin.set_down(down);
                Ok(())
            }
        }
    }

    /// Sets another limit; the one before has to have held.
    fn limit(&mut self, limit: Option<u64>) -> anyhow::Result<()> {
        let now = Instant::now();
        let (before, after) = match self.worker.ask(&Command::Bandwidth(limit))? {
            Word::Limited { before, after } => (before, after),
            other => bail!("the worker says {other:?}"),
        };
        let since = limit.map(|bytes_per_second| Limited {
            bytes_per_second,
            since: now,
            bytes: after,
        });
        if let Some(limited) = std::mem::replace(&mut self.limited, since) {
            let arrived = (before - limited.bytes) as f64;
            let seconds = limited.since.elapsed().as_secs_f64();
            let earned = limited.bytes_per_second as f64 * seconds;
            ensure!(
                arrived <= earned * OVER_LIMIT + OVER_LIMIT_BYTES,
                "{arrived} bytes came where {earned:.0} may"
            );
        }
        Ok(())
    }

    /// A calm moment, with all that has to hold in it.
    fn calm(&mut self) -> anyhow::Result<()> {
        let calm = match self.worker.ask(&Command::Calm)? {
            Word::Calm(calm) => *calm,
            other => bail!("the worker says {other:?}"),
        };
        let wanted = self.plan.all().map(|content| (content.n, content.revision));
        ensure!(
            wanted.eq(calm.visible.iter().map(|(n, revision)| (*n, *revision))),
            "what is listed is not what is wanted"
        );
        let disk = Disk::look(&self.orders.data_dir)?;
        disk.check_set(&self.plan)?;
        disk.check_contents()?;
        disk.check_ledger(&calm.progress.figures)?;
        ensure!(
            calm.progress.figures.quarantined == 0 && calm.progress.figures.damaged == 0,
            "nobody damaged anything: {:?}",
            calm.progress.figures
        );
        let (footprint, data_dir) = (&calm.footprint, &self.orders.data_dir);
        checks::threads_and_handles(footprint, &self.before, data_dir)?;
        if let Some((last, _)) = self.calm.last() {
            checks::events(&calm.events, &last.events)?;
        }
        self.report.calm(self.plan.step(), &calm);
        self.calm.push((calm, self.plan.clone()));
        Ok(())
    }

    fn expect_flat_memory(&self) -> anyhow::Result<()> {
        // The first of a worker's life that had the same load; what only filled had another.
        let Some(((later, _), before)) = self.calm.split_last() else {
            return Ok(());
        };
        let earlier = before.iter().find(|(_, plan)| plan.step() > 0);
        let Some((earlier, _)) = earlier else {
            bail!("nothing to hold memory against");
        };
        checks::memory(&later.footprint, &earlier.footprint)
    }

    fn go_on(&mut self) -> anyhow::Result<()> {
        match self.worker.ask(&Command::GoOn)? {
            Word::Done => Ok(()),
            other => bail!("the worker says {other:?}"),
        }
    }

    /// kill -9 at some moment in the middle of the work, a look from outside, and a start.
    fn kill(&mut self) -> anyhow::Result<()> {
        let random_ms = fastrand::Rng::with_seed(self.options.seed).u64(100..800);
        // It waits for nothing: it is what makes the moment of the kill a random one.
        std::thread::sleep(Duration::from_millis(random_ms));
        let disk = self.look_after_kill()?;
        let (worker, opened) = Worker::start(&self.orders)?;
        self.worker = worker;
        self.before = opened.before.clone();
        self.expect_all_back(&disk, &opened)?;
        self.report.killed(&opened);
        self.calm.clear();
        // The new worker knows nothing of what is wanted.
        self.assign(self.plan.step())
    }

    fn look_after_kill(&mut self) -> anyhow::Result<Disk> {
        self.worker.kill()?;
        let disk = Disk::look(&self.orders.data_dir)?;
        disk.check_contents().context("after the kill")?;
        Ok(disk)
    }

    /// What was complete and not deleted is visible at once, and nothing else is.
    fn expect_all_back(&self, disk: &Disk, opened: &Opened) -> anyhow::Result<()> {
        let due = disk.visible();
        let differ = |n: &u32| due.get(n) != opened.visible.get(n);
        let numbers = due.keys().chain(opened.visible.keys());
        let wrong: Vec<u32> = numbers.copied().filter(differ).take(5).collect();
        ensure!(
            wrong.is_empty(),
            "what is on disk after the kill is not what the start shows: chunks {wrong:?}"
        );
        let Some((_, then)) = self.calm.last() else {
            return Ok(());
        };
        // What was there in the last calm moment and was wanted ever since.
        let mut plan = then.clone();
        let mut kept: Vec<_> = plan.all().collect();
        for step in then.step() + 1..=self.plan.step() {
            plan.advance_to(step);
            kept.retain(|content| plan.wanted(content.n) == Some(*content));
        }
        let lost = kept
            .iter()
            .find(|content| opened.visible.get(&content.n) != Some(&content.revision));
        ensure!(
            lost.is_none(),
            "lost by the kill: {lost:?} of {}",
            kept.len()
        );
        Ok(())
    }

    /// Nothing changes and nothing goes wrong any more.
    fn end(mut self) -> anyhow::Result<Report> {
        self.origin.set_faulty(false);
        self.calm()?;
        self.expect_flat_memory()?;
        let ended = match self.worker.ask(&Command::Finish)? {
            Word::Ended(ended) => *ended,
            other => bail!("the worker says {other:?}"),
        };
        self.worker.wait()?;
        checks::end(&ended)?;
        ensure!(
            ended.shutdown_ms <= SHUTDOWN_MS,
            "the shutdown took {} ms",
            ended.shutdown_ms
        );
        self.report.ended(&ended, &self.origin);
        succeed(&self.orders, &self.plan, self.options.patience)
            .context("a start after the end")?;
        Ok(self.report)
    }
}

/// Opens what the workers left, keeping nothing of broken downloads: then nothing at all is left over.
fn succeed(orders: &Orders, plan: &Plan, patience: Duration) -> anyhow::Result<()> {
    let manager = DataManagerImpl::builder()
        .data_dir(&orders.data_dir)
        .partials_max_bytes(0)
        .open()?;
    ensure!(manager.wait_idle(patience), "it is not idle in time");
    let mut listed: Vec<u32> = manager.list_chunks().iter().map(pool::number).collect();
    listed.sort_unstable();
    ensure!(
        plan.all().map(|content| content.n).eq(listed),
        "what is listed is not what was wanted"
    );
    let deadline = Instant::now() + patience;
    loop {
        let disk = Disk::look(&orders.data_dir)?;
        if disk.staging.entries == 0 && disk.trash.entries == 0 {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "something is left over: {:?}, {:?}",
            disk.staging,
            disk.trash
        );
        std::thread::yield_now();
    }
    manager.shutdown(patience)?;
    let disk = Disk::look(&orders.data_dir)?;
    disk.check_set(plan)?;
    disk.check_contents()
}

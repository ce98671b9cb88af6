//! What is in a world: one manager or two, perhaps a blocking pool, and the records of all that happens.

use crate::jobs::Jobs;
use crate::level::Count;
use crate::plan::Plan;
use crate::promise::{Completion, Ledger, Operation, Promise};
use crate::report::panics_on_purpose;
use crate::scene::NOTHING;
use crate::stage::Stage;
use crate::witness::Witness;
use fastrand::Rng;
use parking_lot::Mutex;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many of the futures that live are named when a world hangs.
const NAMED: usize = 30;

/// One world. Its tasks and threads share it, and none of its locks is held while anything of the executor is called.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) main: Arc<Stage>,
    /// A second manager, which ends after the first.
    pub(crate) side: Option<Arc<Stage>>,
    pub(crate) jobs: Jobs,
    /// Futures and jobs that end by themselves and have not.
    pub(crate) busy: Arc<Count>,
    pub(crate) ledger: Arc<Ledger>,
    witnesses: Mutex<Vec<Arc<Witness>>>,
    ids: AtomicU64,
    /// What the threads outside do, for reports.
    pub(crate) outside: Box<[Mutex<&'static str>]>,
    /// What the driver does, for reports.
    driver: Mutex<&'static str>,
    panics_before: u64,
}

impl World {
    pub(crate) fn new(
        plan: Plan,
        busy: Arc<Count>,
        main: Arc<Stage>,
        side: Option<Arc<Stage>>,
    ) -> Self {
        Self {
            outside: (0..plan.crew).map(|_| Mutex::new(NOTHING)).collect(),
            jobs: Jobs::new(plan.pool, &busy),
            plan,
            main,
            side,
            busy,
            ledger: Arc::default(),
            witnesses: Mutex::default(),
            ids: AtomicU64::new(1),
            driver: Mutex::new("sets it up"),
            panics_before: panics_on_purpose(),
        }
    }

    /// The first manager, most of the time.
    pub(crate) fn any_stage(&self, rng: &mut Rng) -> &Arc<Stage> {
        match &self.side {
            Some(side) if rng.u8(..4) == 0 => side,
            _ => &self.main,
        }
    }

    /// The record of a future that ends by itself.
    pub(crate) fn witness(&self, stage: &Arc<Stage>, kind: &'static str) -> Arc<Witness> {
        self.record(stage, kind, false)
    }

    /// The record of a future that waits until the end of the world.
    pub(crate) fn stayer(&self, stage: &Arc<Stage>, kind: &'static str) -> Arc<Witness> {
        self.record(stage, kind, true)
    }

    fn record(&self, stage: &Arc<Stage>, kind: &'static str, stays: bool) -> Arc<Witness> {
        let witness = Arc::new(Witness::new(
            (self.next_id(), kind),
            stage,
            &self.ledger,
            stays,
        ));
        self.witnesses.lock().push(Arc::clone(&witness));
        witness
    }

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The record of an operation.
    pub(crate) fn promise(&self) -> Arc<Promise> {
        Arc::new(Promise::new(self.next_id(), &self.ledger))
    }

    /// An operation that somebody is to complete.
    pub(crate) fn operation(&self) -> (Operation, Completion) {
        self.promise().operation()
    }

    /// Gives a job to the pool, which is busy until it has run. `None`, and the job dropped, where there is no pool.
    pub(crate) fn run_job(
        &self,
        urgent: bool,
        job: impl FnOnce(&Promise) + Send + 'static,
    ) -> Option<Operation> {
        self.jobs.run(&self.promise(), urgent, job)
    }

    pub(crate) fn witnesses(&self) -> Vec<Arc<Witness>> {
        self.witnesses.lock().clone()
    }

    pub(crate) fn driver_does(&self, what: &'static str) {
        *self.driver.lock() = what;
    }

    /// Counts what happened in it, and forgets its records: they and the world keep each other.
    pub(crate) fn close(&self) -> Totals {
        let witnesses = std::mem::take(&mut *self.witnesses.lock());
        let sum = |count: fn(&Witness) -> u64| witnesses.iter().map(|w| count(w)).sum();
        Totals {
            worlds: 1,
            tasks: witnesses.len() as u64,
            jobs: self.jobs.accepted(),
            polls: sum(Witness::polls),
            wakes: sum(Witness::wakes),
            cancels: sum(Witness::cancels),
            panics: panics_on_purpose() - self.panics_before,
        }
    }

    /// What can be said without a look into the executor.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("          {}\n", self.plan);
        let _ = writeln!(text, "driver    {}", self.driver.lock());
        for errand in &self.outside {
            let _ = writeln!(text, "outside   {}", errand.lock());
        }
        for (name, stage) in self.stages() {
            let _ = writeln!(
                text,
                "{name:9} {} futures live, {} workers have polled and not ended",
                stage.alive.get(),
                stage.workers.get(),
            );
        }
        let _ = writeln!(text, "busy      {} futures and jobs", self.busy.get());
        let living: Vec<_> = self.witnesses().into_iter().filter(|w| w.lives()).collect();
        for witness in living.iter().take(NAMED) {
            let _ = writeln!(text, "lives     {witness:?}");
        }
        if living.len() > NAMED {
            let _ = writeln!(text, "          and {} more", living.len() - NAMED);
        }
        text
    }

    /// The executor's own words.
    pub(crate) fn describe_executor(&self) -> String {
        let mut text = String::new();
        for (name, stage) in self.stages() {
            let manager = stage.manager();
            let _ = writeln!(text, "{name:9} {manager:?}");
            // The last reference would drop the manager here.
            std::mem::forget(manager);
        }
        let _ = write!(text, "pool      {:?}", self.jobs);
        text
    }

    fn stages(&self) -> impl Iterator<Item = (&'static str, &Arc<Stage>)> {
        let side = self.side.iter().map(|side| ("side", side));
        std::iter::once(("main", &self.main)).chain(side)
    }
}

/// What happened, in numbers.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) worlds: u64,
    tasks: u64,
    jobs: u64,
    polls: u64,
    wakes: u64,
    cancels: u64,
    panics: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, other: Totals) {
        self.worlds += other.worlds;
        self.tasks += other.tasks;
        self.jobs += other.jobs;
        self.polls += other.polls;
        self.wakes += other.wakes;
        self.cancels += other.cancels;
        self.panics += other.panics;
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} worlds, {} tasks, {} jobs, {} polls, {} wakes, {} cancels, {} panics",
            self.worlds, self.tasks, self.jobs, self.polls, self.wakes, self.cancels, self.panics
        )
    }
}

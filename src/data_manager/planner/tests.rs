//! The planner alone, in a world made of plain data: calls, answers of the disk and of sources,
//! and guards come in any order, and after every step what must always hold is checked.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::data_chunk::{ChunkSpec, DataChunk};
use crate::data_manager::transfer::Transfer;
use crate::data_source::{CommitError, FetchFailure, FetchedFile, HostSign, Setback};

const IDS: u8 = 5;
const SLOTS: usize = 3;

fn spec(n: u8, variant: u64) -> Arc<ChunkSpec> {
    let files = ["a", "b"].map(|name| (name.to_owned(), format!("http://h/{n}/{variant}/{name}")));
    let chunk = DataChunk {
        id: [n; 32],
        dataset_id: [n % 2; 32],
        block_range: 0..1 + variant,
        files: HashMap::from(files),
    };
    Arc::new(ChunkSpec::check(chunk).unwrap())
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "the world says no")
}

/// Something that was started and has not answered.
enum Pending {
    /// A job of a transfer; `Some` for a file.
    Job(Arc<Transfer>, Option<usize>),
    /// The transfer's task was resumed.
    Task(Arc<Transfer>),
    /// The commit that the task awaits.
    Commit(Arc<Transfer>, Vec<FetchedFile>),
    Leaving(StoredChunk, LeavingJob),
    Abandon(StagingKey),
}

/// One `Held`: the catalogue's reference and the guards'.
#[derive(Clone)]
struct Reference {
    id: ChunkId,
    generation: u64,
    in_catalogue: bool,
    guards: usize,
}

struct OnDisk {
    spec: Arc<ChunkSpec>,
    tombstone: bool,
    /// A removal began and failed, or its commit failed after the rename: it may not be all there,
    /// or not after a power cut.
    half_gone: bool,
}

struct World {
    planner: Planner,
    rng: fastrand::Rng,
    now: Moment,
    pending: Vec<Pending>,
    references: Vec<Reference>,
    /// Generations on disk.
    disk: BTreeMap<u64, OnDisk>,
    next_generation: u64,
    files_in_flight: usize,
    /// What the last call on each id asked for.
    asked: BTreeMap<u8, Option<u64>>,
    tasks: Vec<Completion>,
    history: Vec<String>,
    /// How likely an answer is a failure, in percent.
    trouble: u32,
}

impl World {
    fn new(seed: u64) -> World {
        let options = PlannerOptions {
            slots: SLOTS,
            slots_per_host: SLOTS,
            partials: PartialLimits {
                bytes: 4,
                age: Duration::from_secs(60),
            },
            first_backoff: Duration::from_millis(100),
            longest_backoff: Duration::from_secs(10),
            seed,
        };
        World {
            planner: Planner::new(options),
            rng: fastrand::Rng::with_seed(seed),
            now: Duration::ZERO,
            pending: Vec::new(),
            references: Vec::new(),
            disk: BTreeMap::new(),
            next_generation: 1,
            files_in_flight: 0,
            asked: BTreeMap::new(),
            tasks: Vec::new(),
            history: Vec::new(),
            trouble: 25,
        }
    }

    fn carry_out(&mut self) {
        loop {
            let actions = self.planner.take_actions(self.now);
            for action in actions {
                self.act(action);
            }
            // Whoever held nothing says so before anything else happens, as `Core` does it.
            let gone = |r: &Reference| !r.in_catalogue && r.guards == 0;
            let released: Vec<_> = self
                .references
                .iter()
                .filter(|r| gone(r))
                .cloned()
                .collect();
            self.references.retain(|r| !gone(r));
            for reference in &released {
                self.planner
                    .released(self.now, reference.id, reference.generation);
            }
            self.planner.settle_fresh(self.now);
            if released.is_empty() && self.planner.board.actions.is_empty() {
                let actions = self.planner.take_actions(self.now);
                if actions.is_empty() {
                    return;
                }
                actions.into_iter().for_each(|action| self.act(action));
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Publish(stored) => {
                let on_disk = self
                    .disk
                    .get(&stored.generation)
                    .expect("only what is on disk");
                assert!(!on_disk.tombstone, "visible with a tombstone");
                assert!(!on_disk.half_gone, "visible and half gone");
                let id = stored.spec.id;
                let visible = |r: &Reference| r.in_catalogue && r.id == id;
                assert!(
                    !self.references.iter().any(visible),
                    "two visible contents of an id"
                );
                let generation = stored.generation;
                self.references.push(Reference {
                    id,
                    generation,
                    in_catalogue: true,
                    guards: 0,
                });
            }
            Action::Retract(id) => {
                let visible = |r: &&mut Reference| r.in_catalogue && r.id == id;
                self.references
                    .iter_mut()
                    .find(visible)
                    .expect("visible")
                    .in_catalogue = false;
            }
            Action::Start(transfer) => {
                let same = |p: &Pending| matches!(p, Pending::Job(t, _) | Pending::Task(t) | Pending::Commit(t, _) if t.spec.id == transfer.spec.id);
                assert!(!self.pending.iter().any(same), "two transfers of one id");
                let abandons =
                    |p: &Pending| matches!(p, Pending::Abandon(s) if s.id == transfer.spec.id);
                assert!(
                    !self.pending.iter().any(abandons),
                    "fetches into what is being removed"
                );
                self.pending.push(Pending::Job(transfer, None));
            }
            Action::Fetch(transfer, index) => {
                self.files_in_flight += 1;
                assert!(self.files_in_flight <= SLOTS);
                self.pending.push(Pending::Job(transfer, Some(index)));
            }
            Action::Finish(transfer) => self.pending.push(Pending::Task(transfer)),
            Action::Abandon(key) => self.pending.push(Pending::Abandon(key)),
            Action::Leaving(stored, job) => {
                let same = |p: &Pending| matches!(p, Pending::Leaving(s, _) if s.generation == stored.generation);
                assert!(
                    !self.pending.iter().any(same),
                    "two jobs for one generation"
                );
                if matches!(job, LeavingJob::Remove | LeavingJob::Quarantine) {
                    let held = self
                        .references
                        .iter()
                        .any(|r| r.generation == stored.generation);
                    assert!(!held, "removes what somebody refers to");
                }
                self.pending.push(Pending::Leaving(stored, job));
            }
            Action::Complete(completion, outcome) => completion.complete(outcome),
            Action::Cancel(token) => token.cancel(),
            Action::Emit(_) | Action::Alarm { .. } => {}
        }
    }

    fn fails(&mut self) -> bool {
        self.rng.u32(0..100) < self.trouble
    }

    /// One of the things that were started answers.
    fn answer(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.pending.len());
        match self.pending.swap_remove(at) {
            Pending::Job(transfer, index) => self.answer_job(transfer, index),
            Pending::Task(transfer) => self.answer_task(transfer),
            Pending::Commit(transfer, files) => self.answer_commit(&transfer, files),
            Pending::Abandon(key) => self.planner.abandoned(self.now, key.id),
            Pending::Leaving(stored, job) => {
                let fails = self.fails();
                self.do_leaving_job(&stored, job, fails);
                let result = if fails {
                    Err(error(ErrorKind::Io))
                } else {
                    Ok(())
                };
                let key = (stored.spec.id, stored.generation);
                self.planner.leaving_job_ended(self.now, key, result);
            }
        }
    }

    fn do_leaving_job(&mut self, stored: &StoredChunk, job: LeavingJob, fails: bool) {
        let changed = !fails || self.rng.bool();
        let on_disk = self
            .disk
            .get_mut(&stored.generation)
            .expect("a job for what is on disk");
        match job {
            LeavingJob::Remove | LeavingJob::Quarantine if fails => on_disk.half_gone = true,
            // A failure may come before or after the change that it is about.
            _ if !changed => {}
            LeavingJob::Bury => on_disk.tombstone = true,
            LeavingJob::Exhume => on_disk.tombstone = false,
            LeavingJob::Remove | LeavingJob::Quarantine => {
                self.disk.remove(&stored.generation);
            }
        }
    }

    fn answer_job(&mut self, transfer: Arc<Transfer>, index: Option<usize>) {
        self.files_in_flight -= usize::from(index.is_some());
        let cancelled = transfer.cancel.is_cancelled();
        let end = match (index, cancelled || self.fails()) {
            (Some(index), false) => {
                transfer.file_ended(
                    index,
                    Ok(FetchedFile {
                        len_bytes: 1,
                        xxh3: 1,
                    }),
                );
                JobEnd::Done
            }
            (None, false) => JobEnd::Done,
            (_, true) if cancelled => JobEnd::Failed,
            (_, true) => [JobEnd::Failed, JobEnd::Hopeless][self.rng.usize(..2)],
        };
        if let Some(index) = index
            && end != JobEnd::Done
        {
            let failure = match (cancelled, end) {
                (true, _) => FetchFailure::Cancelled,
                (_, JobEnd::Hopeless) => Setback::permanent(error(ErrorKind::NotFound)).into(),
                _ => Setback::transient(error(ErrorKind::Network)).into(),
            };
            transfer.file_ended(index, Err(failure));
        }
        let sign = match end {
            JobEnd::Done => HostSign::Answered,
            _ => [HostSign::Answered, HostSign::Silent, HostSign::None][self.rng.usize(..3)],
        };
        let file = index.map(|index| (index, sign));
        if self.planner.job_ended(self.now, &transfer, file, end) {
            self.pending.push(Pending::Task(transfer));
        }
    }

    fn answer_task(&mut self, transfer: Arc<Transfer>) {
        let arrived = transfer.arrived();
        let whole: Option<Vec<_>> = arrived.iter().copied().collect();
        let failure = match whole {
            None => Setback::transient(error(ErrorKind::Network)).into(),
            Some(_) if !self.planner.may_commit(&transfer) => FetchFailure::Cancelled,
            Some(files) => return self.pending.push(Pending::Commit(transfer, files)),
        };
        let end = TransferEnd {
            result: Err(failure),
            arrived,
            left_behind: None,
        };
        self.planner.transfer_ended(self.now, &transfer, end);
    }

    fn answer_commit(&mut self, transfer: &Transfer, files: Vec<FetchedFile>) {
        let fails = self.fails();
        // A failure may come before or after the rename.
        let stored = (!fails || self.rng.bool()).then(|| self.put_on_disk(transfer, files));
        let committed = match (fails, stored) {
            (false, Some(stored)) => Ok(stored),
            (_, left_behind) => Err(CommitError {
                error: error(ErrorKind::Io),
                left_behind,
            }),
        };
        if let Err(CommitError {
            left_behind: Some(stored),
            ..
        }) = &committed
            && let Some(on_disk) = self.disk.get_mut(&stored.generation)
        {
            on_disk.half_gone = true;
        }
        let end = TransferEnd::of_commit(committed, transfer.spec.files.len());
        self.planner.transfer_ended(self.now, transfer, end);
    }

    fn put_on_disk(&mut self, transfer: &Transfer, files: Vec<FetchedFile>) -> StoredChunk {
        let generation = self.next_generation;
        self.next_generation += 1;
        let spec = transfer.spec.clone();
        let on_disk = OnDisk {
            spec: spec.clone(),
            tombstone: false,
            half_gone: false,
        };
        self.disk.insert(generation, on_disk);
        StoredChunk {
            spec,
            files: files.into(),
            generation,
            path: Arc::from(std::path::Path::new("x")),
        }
    }

    /// One random thing happens.
    fn step(&mut self) {
        let n = self.rng.u8(..IDS);
        match self.rng.u32(0..100) {
            0..=14 => self.want(n),
            15..=26 => {
                self.history.push(format!("unwant {n}"));
                self.tasks.push(self.planner.unwant(self.now, [n; 32]));
                self.asked.insert(n, None);
            }
            27..=30 => self.assign(),
            31..=40 => self.take_guard(),
            41..=52 => self.drop_guard(),
            53 => self.damage(n),
            54..=57 => {
                self.now += Duration::from_millis(self.rng.u64(0..2000));
                self.planner.tick(self.now);
            }
            _ => self.answer(),
        }
        self.carry_out();
        self.check();
    }

    fn want(&mut self, n: u8) {
        let mut variant = self.rng.u64(..2);
        // Another content is refused while one is visible, which changes nothing.
        if let Some(visible) = self.visible(n) {
            variant = visible;
        }
        self.history.push(format!("want {n} {variant}"));
        self.tasks
            .push(self.planner.want(self.now, spec(n, variant)));
        self.asked.insert(n, Some(variant));
    }

    fn assign(&mut self) {
        let mut chosen: Vec<(u8, u64)> = (0..IDS).map(|n| (n, self.rng.u64(..2))).collect();
        chosen.retain(|_| self.rng.bool());
        self.history.push(format!("assign {chosen:?}"));
        let epoch = self.planner.assignment_begin();
        self.asked.clear();
        for (n, variant) in chosen {
            assert!(self.planner.assign(self.now, epoch, Ok(spec(n, variant))));
            self.asked.insert(n, Some(variant));
        }
        let mut from = None;
        loop {
            from = self.planner.assignment_sweep(self.now, epoch, from, 2);
            if from.is_none() {
                break;
            }
        }
        self.tasks.push(self.planner.assignment_end(epoch));
    }

    fn damage(&mut self, n: u8) {
        let id = [n; 32];
        let visible = self
            .references
            .iter()
            .find(|r| r.in_catalogue && r.id == id);
        if let Some(generation) = visible.map(|reference| reference.generation) {
            self.history.push(format!("damage {n}"));
            self.planner
                .damaged(self.now, (id, generation), error(ErrorKind::Damaged));
        }
    }

    fn visible(&self, n: u8) -> Option<u64> {
        let reference = self
            .references
            .iter()
            .find(|r| r.in_catalogue && r.id == [n; 32])?;
        Some(self.disk[&reference.generation].spec.block_range.end - 1)
    }

    fn take_guard(&mut self) {
        let mut visible: Vec<_> = self
            .references
            .iter_mut()
            .filter(|r| r.in_catalogue)
            .collect();
        if !visible.is_empty() {
            let at = self.rng.usize(..visible.len());
            visible[at].guards += 1;
        }
    }

    fn drop_guard(&mut self) {
        let mut held: Vec<_> = self
            .references
            .iter_mut()
            .filter(|r| r.guards > 0)
            .collect();
        if !held.is_empty() {
            let at = self.rng.usize(..held.len());
            held[at].guards -= 1;
        }
    }

    /// What holds after every step.
    fn check(&self) {
        for reference in &self.references {
            assert!(
                self.disk.contains_key(&reference.generation),
                "what is held is on disk"
            );
        }
        for n in 0..IDS {
            if let Some(visible) = self.visible(n) {
                let asked = self.asked.get(&n).copied().flatten();
                assert_eq!(
                    asked,
                    Some(visible),
                    "visible {n} is not what was asked for"
                );
            }
        }
        let board = &self.planner.board;
        assert_eq!(board.scheduler.files_in_flight(), self.files_in_flight);
        let entries = self.planner.entries.values();
        assert_eq!(
            board.busy,
            entries.clone().filter(|entry| entry.is_busy()).count()
        );
        assert_eq!(
            board.working,
            entries.filter(|entry| entry.is_working()).count()
        );
    }

    /// Lets everything answer, without trouble, until nothing is left to do.
    fn settle(&mut self) {
        self.trouble = 0;
        for _ in 0..10_000 {
            while !self.pending.is_empty() {
                self.answer();
                self.carry_out();
                self.check();
            }
            let board = &self.planner.board;
            let due = board.due.first().map(|(at, _)| *at);
            let wakes = due.into_iter().chain(board.scheduler.next_wake());
            let Some(at) = wakes.min() else { return };
            self.now = self.now.max(at);
            self.planner.tick(self.now);
            self.carry_out();
        }
        panic!("it never comes to rest");
    }

    fn check_end(&mut self) {
        assert!(self.planner.is_idle());
        for n in 0..IDS {
            assert_eq!(
                self.visible(n),
                self.asked.get(&n).copied().flatten(),
                "chunk {n}"
            );
        }
        for reference in &mut self.references {
            reference.guards = 0;
        }
        self.carry_out();
        self.settle();
        let wanted = self.asked.values().flatten().count();
        assert_eq!(self.disk.len(), wanted, "leftovers on disk");
        assert!(
            self.disk.values().all(|on_disk| !on_disk.tombstone),
            "leftover tombstones"
        );
        for task in &self.tasks {
            assert!(
                task.task().wait_timeout(Duration::ZERO).is_some(),
                "a task never ended"
            );
        }
        assert_eq!(self.planner.board.assignment.pending(), 0);
    }
}

#[test]
fn whatever_happens_it_gets_to_what_was_asked_for() {
    for seed in 0..400 {
        let mut world = World::new(seed);
        let run = std::panic::AssertUnwindSafe(|| {
            (0..150).for_each(|_| world.step());
            world.settle();
            world.check_end();
        });
        if let Err(panic) = std::panic::catch_unwind(run) {
            let last = world.history.len().saturating_sub(30);
            eprintln!(
                "seed {seed}; the last calls were {:#?}",
                &world.history[last..]
            );
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_shutdown_ends_every_task_and_comes_to_rest() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        (0..60).for_each(|_| world.step());
        world.planner.shut_down();
        let mut from = None;
        loop {
            from = world.planner.shut_down_entries(from, 2);
            if from.is_none() {
                break;
            }
        }
        world.carry_out();
        for task in &world.tasks {
            assert!(
                task.task().wait_timeout(Duration::ZERO).is_some(),
                "seed {seed}"
            );
        }
        world.trouble = 0;
        while !world.pending.is_empty() {
            world.answer();
            world.carry_out();
        }
        assert!(world.planner.is_quiet(), "seed {seed}");
    }
}

#[test]
fn backoff_grows_to_its_cap_and_is_spread() {
    let mut world = World::new(7);
    let backoff = &mut world.planner.board.backoff;
    let longest = backoff.longest;
    for (failures, cap_ms) in [
        (1, 100),
        (2, 200),
        (5, 1600),
        (40, 10_000),
        (u32::MAX, 10_000),
    ] {
        let draws: Vec<Duration> = (0..200).map(|_| backoff.retry(failures)).collect();
        let cap = Duration::from_millis(cap_ms);
        assert!(draws.iter().all(|draw| *draw <= cap && *draw <= longest));
        assert!(
            draws.iter().any(|draw| *draw > cap / 2) && draws.iter().any(|draw| *draw < cap / 2)
        );
    }
}

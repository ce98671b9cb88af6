//! Joins the parts: carries out what the planner decides, and tells it how that went.
//!
//! One lock, [`Core::state`], orders all decisions. Under it: the planner, and the changes of the
//! catalogue that it decided, so that what is visible is what was decided, in that order. Never
//! under it: IO, a wake, a callback, the end of a task, the drop of a chunk's last reference.

mod jobs;
mod lock;
mod telling;

use std::num::NonZeroU64;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::{Condvar, Mutex};

use self::jobs::Alarm;
use self::lock::{Locked, State};
use super::events::EventHub;
use super::held::HeldChunk;
use super::metrics::Timings;
use super::planner::{Action, LeavingJob, Moment, Planner};
use super::rate::RateMeter;
use super::references::References;
use super::releases::Releases;
use super::scrub::Scrub;
use super::sources::Sources;
use super::stats::{ChunkStatus, Estimate, InFlight, LockHolds, Stats};
use crate::data_catalogue::{DataCatalogue, Held};
use crate::data_chunk::{ChunkId, ChunkSpec, DataChunk};
use crate::data_source::{
    CancelToken, DirLock, FetchLimits, Ledger, LocalDataSource, StoredChunk, Throttle,
};
use crate::error::Error;
use crate::io_operation::BlockingPool;
use crate::tasks_manager::TasksManager;

/// How many ids or releases are looked at under one lock.
pub(super) const SLICE: usize = 64;

/// What the manager's calls, tasks and jobs share.
///
/// Tasks and jobs hold it, so it must not hold the pools they run on: those belong to the manager,
/// which drops them.
pub(super) struct Core {
    /// See the module's documentation.
    state: Mutex<State>,
    /// Notified, without the lock, whenever the planner has become idle or quiet.
    calm: Condvar,
    pub(super) catalogue: DataCatalogue,
    pub(super) hub: EventHub,
    pub(super) sources: Sources,
    pub(super) throttle: Arc<Throttle>,
    pub(super) scrub: Scrub,
    pub(super) fetch_limits: FetchLimits,
    releases: Arc<Releases>,
    /// Chunks that somebody found before they were checked; see `checking.rs`.
    found: (Sender<StoredChunk>, Receiver<StoredChunk>),
    /// Of the bytes in the data directory.
    pub(super) ledger: Arc<Ledger>,
    /// Gone after the shutdown, which gives the directory back.
    store: Mutex<Option<Arc<LocalDataSource>>>,
    tasks: Weak<TasksManager>,
    pool: Weak<BlockingPool>,
    /// The task that calls the planner at the next time it asked for.
    alarm: Mutex<Alarm>,
    /// Bytes that arrived since the manager was opened.
    downloaded_bytes: AtomicU64,
    /// How fast.
    arrivals: RateMeter,
    /// Who refers to what is no longer visible.
    references: References,
    /// What the planner does not time. Protects its value.
    timings: Mutex<Timings>,
    opened: Instant,
    /// Cancelled when the manager is shut down.
    pub(super) closing: CancelToken,
}

/// What is done at the end of a hold of the lock, if others wait for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// Nothing: the caller is done, and they will have it.
    Quick,
    /// It is handed to one of them: the caller will be back for it at once.
    Patient,
}

/// What is left to do once the state lock is released.
struct Deferred {
    actions: Vec<Action>,
    /// What the catalogue let go of.
    held: Vec<Arc<dyn Held>>,
    /// Something became visible.
    published: bool,
    /// There may be more releases than were taken.
    look_again: bool,
    /// Whether the planner was idle or quiet when the lock was released.
    calm: bool,
}

impl Core {
    pub(super) fn new(
        planner: Planner,
        sources: Sources,
        fetch_limits: FetchLimits,
        hub: EventHub,
        store: LocalDataSource,
        tasks: &Arc<TasksManager>,
        pool: &Arc<BlockingPool>,
    ) -> Arc<Self> {
        Arc::new(Core {
            state: Mutex::new(State {
                planner,
                holds: LockHolds::default(),
            }),
            calm: Condvar::new(),
            catalogue: DataCatalogue::new(),
            hub,
            sources,
            throttle: Arc::new(Throttle::new()),
            scrub: Scrub::default(),
            fetch_limits,
            releases: Arc::new(Releases::new()),
            found: unbounded(),
            ledger: store.ledger().clone(),
            store: Mutex::new(Some(Arc::new(store))),
            tasks: Arc::downgrade(tasks),
            pool: Arc::downgrade(pool),
            alarm: Mutex::default(),
            downloaded_bytes: AtomicU64::new(0),
            arrivals: RateMeter::default(),
            references: References::default(),
            timings: Mutex::default(),
            opened: Instant::now(),
            closing: CancelToken::new(),
        })
    }

    /// Bytes arrived.
    pub(super) fn count_bytes(&self, now: Moment, count: u64) {
        self.arrivals.note(now, count);
        self.downloaded_bytes.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        let (mut stats, flying, left) = {
            let locked = self.lock();
            let now = self.moment(&locked);
            let mut stats = locked.stats(now);
            stats.lock = locked.state.holds;
            (stats, locked.flying(now), locked.left())
        };
        stats.in_flight = flying.into_iter().map(InFlight::from).collect();
        stats.totals.downloaded_bytes = self.downloaded_bytes.load(Ordering::Relaxed);
        stats.scrub = self.scrub.stats();
        stats.space.set(&self.ledger.balance());
        stats.bandwidth_limit = self.throttle.limit().map(NonZeroU64::get);
        let bytes_per_second = self.arrivals.bytes_per_second(self.now());
        stats.estimate = Estimate::of(&stats, left, bytes_per_second);
        stats
    }

    pub(super) fn status(&self, id: &ChunkId) -> Option<ChunkStatus> {
        self.look(|planner, now| {
            let mut status = planner.status(id, now)?;
            status.references = self.catalogue.references(id) + self.references.count(id);
            Some(status)
        })
    }

    pub(super) fn now(&self) -> Moment {
        self.opened.elapsed()
    }

    fn lock(&self) -> Locked<'_> {
        Locked::wait_for(&self.state)
    }

    fn moment(&self, planner: &Locked<'_>) -> Moment {
        planner.since.saturating_duration_since(self.opened)
    }

    /// The data directory, until the shutdown gives it back.
    pub(super) fn store(&self) -> Option<Arc<LocalDataSource>> {
        self.store.lock().clone()
    }

    /// The door: a description that is right, or why it is not.
    pub(super) fn admit(&self, chunk: DataChunk) -> Result<Arc<ChunkSpec>, (ChunkId, Error)> {
        let id = chunk.id;
        let admitted = ChunkSpec::check(chunk).and_then(|spec| {
            self.sources.check(&spec)?;
            Ok(Arc::new(spec))
        });
        admitted.map_err(|error| (id, error))
    }

    /// Tells the planner a fact and carries out what it decides.
    pub(super) fn apply<R>(self: &Arc<Self>, fact: impl FnOnce(&mut Planner, Moment) -> R) -> R {
        let (result, deferred) = self.decide(fact, Manners::Quick);
        self.carry_out(deferred);
        result
    }

    /// The same with one slice of many, which lets others go before the next one.
    pub(super) fn apply_slice<R>(
        self: &Arc<Self>,
        facts: impl FnOnce(&mut Planner, Moment) -> R,
    ) -> R {
        let (result, deferred) = self.decide(facts, Manners::Patient);
        self.carry_out(deferred);
        result
    }

    /// Looks without changing anything.
    pub(super) fn look<R>(&self, at: impl FnOnce(&Planner, Moment) -> R) -> R {
        let planner = self.lock();
        at(&planner, self.moment(&planner))
    }

    /// Blocks until `calm` holds of the planner; false if it did not within `timeout`.
    pub(super) fn wait_until(&self, timeout: Duration, calm: fn(&Planner) -> bool) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.state.lock();
        while !calm(&state.planner) {
            match deadline {
                None => self.calm.wait(&mut state),
                Some(deadline) => {
                    if self.calm.wait_until(&mut state, deadline).timed_out() {
                        return calm(&state.planner);
                    }
                }
            }
        }
        true
    }

    /// Hands over what guards released, for as long as the manager lives.
    pub(super) async fn attend_to_releases(core: Weak<Core>) {
        loop {
            let ring = {
                let Some(core) = core.upgrade() else { return };
                let ring = core.releases.next_ring();
                core.absorb_releases();
                ring
            };
            if ring.await.is_err() {
                return;
            }
        }
    }
    /// Ends every unfinished task and breaks every transfer off.
    pub(super) fn shut_down(self: &Arc<Self>) {
        self.scrub.shut_down();
        // Whoever shuts down waits anyway, and the sources' hooks do not.
        self.closing.cancel();
        self.apply(|planner, _| planner.shut_down());
        let mut from = None;
        loop {
            from = self.apply_slice(|planner, now| planner.shut_down_entries(now, from, SLICE));
            if from.is_none() {
                return;
            }
        }
    }

    /// Gives the data directory back; guards and jobs that still use it keep it locked.
    pub(super) fn close(self: &Arc<Self>) {
        // The store first: without it, nothing is published any more.
        drop(self.store.lock().take());
        drop(self.catalogue.clear());
        let alarm = self.alarm.lock().task.take();
        if let Some(alarm) = alarm {
            alarm.cancel();
        }
        loop {
            let more = self.lock().forget(SLICE);
            if !more {
                break;
            }
        }
        self.calm.notify_all();
        self.hub.close();
        // What was not logged yet, while there are threads for it.
        self.tell();
    }

    fn decide<R>(
        self: &Arc<Self>,
        fact: impl FnOnce(&mut Planner, Moment) -> R,
        manners: Manners,
    ) -> (R, Deferred) {
        let mut deferred = Deferred {
            actions: Vec::new(),
            held: Vec::new(),
            published: false,
            look_again: false,
            calm: false,
        };
        let mut planner = self.lock();
        let now = self.moment(&planner);
        let result = fact(&mut planner, now);
        for action in planner.take_actions(now) {
            match action {
                Action::Publish(stored) => {
                    deferred.published = true;
                    let held = self.hold(&stored);
                    let replaced = held.and_then(|held| self.catalogue.publish(held));
                    deferred.held.extend(replaced);
                }
                Action::Retract(id) => {
                    let held = self.catalogue.retract(&id);
                    held.iter().for_each(|held| self.references.left(held));
                    deferred.held.extend(held);
                }
                Action::Emit(event) => self.hub.push(&event),
                later => deferred.actions.push(later),
            }
        }
        deferred.calm = planner.is_idle() || planner.is_quiet();
        if manners == Manners::Patient {
            planner.let_others_go_first();
        }
        (result, deferred)
    }

    fn carry_out(self: &Arc<Self>, mut deferred: Deferred) {
        let mut calm;
        loop {
            calm = deferred.calm;
            let look_again = deferred.look_again || !deferred.held.is_empty();
            drop(deferred.held);
            if deferred.published {
                self.scrub.chunk_came();
            }
            for action in deferred.actions {
                self.act(action);
            }
            if !look_again {
                break;
            }
            deferred = self.decide_releases();
        }
        self.tell();
        if calm {
            self.calm.notify_all();
        }
    }

    fn absorb_releases(self: &Arc<Self>) {
        let deferred = self.decide_releases();
        self.carry_out(deferred);
    }

    fn decide_releases(self: &Arc<Self>) -> Deferred {
        let released = self.releases.take(SLICE);
        let look_again = released.len() == SLICE;
        let absorb = |planner: &mut Planner, now| {
            for (id, generation) in released {
                planner.released(now, id, generation);
                self.references.released(id);
            }
            // Only once all that left has been heard of, so that no tombstone is written in vain.
            if !look_again {
                planner.settle_fresh(now);
            }
        };
        let ((), mut deferred) = self.decide(absorb, Manners::Patient);
        deferred.look_again = look_again;
        deferred
    }

    fn act(self: &Arc<Self>, action: Action) {
        match action {
            Action::Start(transfer) => super::download::start(self, &transfer),
            Action::Fetch(transfer, index) => super::download::fetch(self, &transfer, index),
            Action::Finish(transfer) => transfer.finish(),
            Action::Cancel(token) => {
                // The hooks are a source's code, so not on a caller's thread; and not on the
                // blocking pool, where a thousand deletes may be waiting in front of them.
                drop(self.spawn(async move { token.cancel() }));
            }
            Action::Abandon(key) => self.spawn_job(move |core| async move {
                let result = core.run_job(move |store| store.abandon(&key)).await;
                let gone = result.is_ok();
                core.report_trouble(Some(key.id), result.err());
                core.apply(|planner, now| planner.abandoned(now, key, gone));
            }),
            Action::Leaving(stored, job) => self.spawn_job(move |core| async move {
                let key = (stored.spec.id, stored.generation);
                let result = match job {
                    LeavingJob::Verify => super::scrub::verify_found(&core, stored).await,
                    _ => core.do_leaving_job(stored, job).await.map(|()| None),
                };
                core.apply(|planner, now| planner.leaving_job_ended(now, key, job, result));
            }),
            Action::Complete(completion, outcome) => completion.complete(outcome),
            Action::Alarm { at, number } => self.set_alarm(at, number),
            // Carried out under the lock.
            Action::Publish(_) | Action::Retract(_) | Action::Emit(_) => {}
        }
    }

    /// What was found before it was checked, the first time.
    pub(super) fn found_unchecked(&self) -> impl Iterator<Item = StoredChunk> {
        self.found.1.try_iter()
    }

    fn hold(&self, stored: &StoredChunk) -> Option<Arc<dyn Held>> {
        let lock = self.store()?.lock();
        Some(self.hold_with(stored, &lock))
    }

    fn hold_with(&self, stored: &StoredChunk, lock: &Arc<DirLock>) -> Arc<dyn Held> {
        let (releases, found) = (self.releases.clone(), self.found.0.clone());
        Arc::new(HeldChunk::new(
            stored.clone(),
            releases,
            found,
            lock.clone(),
        ))
    }

    /// Makes what opening found visible, and tells the planner. Before anybody else has the manager,
    /// so that no slices are needed, and the planner may take as long as the catalogue.
    pub(super) fn load(
        self: &Arc<Self>,
        chunks: &[StoredChunk],
        doomed: Vec<StoredChunk>,
    ) -> Result<(), Error> {
        // Nobody waits for it yet, so that it is held for long is not noted.
        let mut state = self.state.lock();
        let planner = &mut state.planner;
        thread::scope(|scope| {
            let told = thread::Builder::new()
                .name("opening".to_owned())
                .spawn_scoped(scope, || planner.found(chunks))
                .map_err(|error| Error::io("start a thread to open with", error))?;
            if let Some(store) = self.store() {
                let lock = store.lock();
                let held = chunks.iter().map(|stored| self.hold_with(stored, &lock));
                self.catalogue.load(held.collect());
            }
            told.join().unwrap_or_else(|panic| resume_unwind(panic));
            Ok(())
        })?;
        drop(state);
        let mut doomed = doomed.into_iter().peekable();
        while doomed.peek().is_some() {
            self.apply_slice(|planner, now| {
                for stored in doomed.by_ref().take(SLICE) {
                    planner.found_doomed(now, stored);
                }
            });
        }
        Ok(())
    }
}

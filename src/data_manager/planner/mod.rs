//! Decides what to do next. Facts go in, [`Action`]s come out.
//!
//! The planner is a state machine without threads, clocks, IO or locks: time is an argument, and
//! what it decides is carried out by its caller ([`Core`](super::core::Core)), which reports how
//! it went as another fact. Every rule of what a call means lives here:
//!
//! * the last call on an id wins, in whatever state the id is;
//! * one transfer at a time for an id, however often it is asked for;
//! * a chunk is wanted or leaving, never both: a leaving generation comes back whole or not at all;
//! * slots count files in flight, and are given to the chunk whose turn it is.
//!
//! It is level-triggered: [`Entry::settle`] and [`Entry::advance`] look at what is wanted and what
//! is there, not at how it came to be so, and may be called at any time.
//!
//! | file | facts |
//! | --- | --- |
//! | `calls.rs` | a chunk is wanted, unwanted, found damaged |
//! | `found.rs` | chunks were found on disk; (what is known of those that nothing named since) |
//! | `transfers.rs` | a job ended, a transfer ended, a slot is free |
//! | `failing.rs` | an attempt failed, a host is given up or back |
//! | `pausing.rs` | nothing is to be begun until that is taken back |
//! | `space.rs` | (asked by the others: the disk is full, or there is room again) |
//! | `scheduler/` | (asked by the others: which file goes next, and which host is given a rest) |
//! | `partials.rs` | (asked by the others: what earlier attempts left, and what of it has to go) |
//! | `leaving.rs` | a reference was dropped, a removal or a tombstone is done |
//! | `assignment.rs` | an assignment begins, goes on, ends |
//! | `status.rs`, `tally.rs` | (what is said of one chunk, what is counted over all of them) |

mod assignment;
mod calls;
mod chores;
mod entry;
mod failing;
mod found;
mod leaving;
mod partials;
mod pausing;
mod scheduler;
mod space;
mod status;
mod tally;
mod transfers;

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use assignment::{Assignment, Deletes};
use chores::Chores;
use entry::Entry;
pub(super) use entry::LeavingJob;
use found::Found;
pub(super) use partials::PartialLimits;
use partials::Partials;
use scheduler::Scheduler;
use space::SpaceWatch;
use tally::Tally;
pub(super) use transfers::{JobEnd, TransferEnd, lost_job};

use super::chunk_task::Completion;
use super::events::Event;
use super::metrics::Histogram;
use super::stats::{Counters, Estimate, LockHolds, ScrubStats, SpaceStats, StateCounts, Stats};
use super::transfer::Transfer;
use crate::data_chunk::ChunkId;
use crate::data_source::{CancelToken, StagingKey, StoredChunk};
use crate::error::{Error, ErrorKind};

/// How many of the hosts that were given up are shown by name.
const RESTING_SHOWN: usize = 16;

/// A point in time: since the manager was opened.
pub(super) type Moment = Duration;

/// What the planner may be told to do differently.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannerOptions {
    /// Files in flight at the most.
    pub(super) slots: usize,
    /// The same for each host.
    pub(super) slots_per_host: usize,
    /// What is kept of attempts that did not end well.
    pub(super) partials: PartialLimits,
    /// The longest wait before the second attempt.
    pub(super) first_backoff: Duration,
    /// The longest wait between two attempts.
    pub(super) longest_backoff: Duration,
    /// What jitter is drawn from.
    pub(super) seed: u64,
}

/// What is to be done. Actions are carried out in the order in which they come out.
pub(super) enum Action {
    /// Put the chunk into the catalogue. At once, before anything else is decided.
    Publish(StoredChunk),
    /// Take the chunk out of the catalogue. At once.
    Retract(ChunkId),
    /// Spawn the chunk's task, and the job that prepares its staging directory.
    Start(Arc<Transfer>),
    /// Fetch one file of a started transfer.
    Fetch(Arc<Transfer>, usize),
    /// No job of the transfer is left, and none will follow: resume its task.
    Finish(Arc<Transfer>),
    /// Break the transfer off, also where it stalls.
    Cancel(CancelToken),
    /// Remove what was staged.
    Abandon(StagingKey),
    /// Do something about a generation on its way out.
    Leaving(StoredChunk, LeavingJob),
    /// End a task.
    Complete(Completion, Result<(), Error>),
    /// Tell the subscribers.
    Emit(Event),
    /// Call [`Planner::tick`] at that time. A greater number is a later decision and replaces what
    /// earlier ones asked for, in whatever order they are carried out.
    Alarm { at: Moment, number: u64 },
}

/// The state machine.
pub(super) struct Planner {
    entries: BTreeMap<ChunkId, Entry>,
    /// The others that are known: those of which there is nothing more to say than that.
    found: Found,
    board: Board,
}

/// What is shared by all entries.
struct Board {
    scheduler: Scheduler,
    backoff: Backoff,
    partials: Partials,
    space: SpaceWatch,
    /// When to look at an id again.
    due: BTreeSet<(Moment, ChunkId)>,
    /// The earliest time for which an alarm was asked.
    alarm: Option<Moment>,
    /// How many alarms were asked for.
    alarms: u64,
    next_attempt: u64,
    chores: Chores,
    /// Ids with a generation that just left and may be referred to.
    fresh: Vec<ChunkId>,
    deletes: Deletes,
    assignment: Assignment,
    /// More slots can be given than were given at a time.
    more_grants: bool,
    shut_down: bool,
    counts: StateCounts,
    tally: Tally,
    counters: Counters,
    /// How long it took from a delete until the directory was gone.
    removals: Histogram,
    /// The bytes of the chunks that were fetched and became visible.
    fetched_bytes: u64,
    /// Entries for which [`Entry::is_busy`].
    busy: usize,
    /// Entries that keep a shutdown waiting.
    working: usize,
    actions: Vec<Action>,
}

impl Planner {
    pub(super) fn new(options: PlannerOptions) -> Self {
        Planner {
            entries: BTreeMap::new(),
            found: Found::default(),
            board: Board {
                scheduler: Scheduler::new(options.slots, options.slots_per_host),
                backoff: Backoff {
                    first: options.first_backoff,
                    longest: options.longest_backoff,
                    rng: fastrand::Rng::with_seed(options.seed),
                },
                partials: Partials::new(options.partials),
                space: SpaceWatch::default(),
                due: BTreeSet::new(),
                alarm: None,
                alarms: 0,
                next_attempt: 0,
                chores: Chores::default(),
                fresh: Vec::new(),
                deletes: Deletes::default(),
                assignment: Assignment::default(),
                more_grants: false,
                shut_down: false,
                counts: StateCounts::default(),
                tally: Tally::default(),
                counters: Counters::default(),
                removals: Histogram::default(),
                fetched_bytes: 0,
                busy: 0,
                working: 0,
                actions: Vec::new(),
            },
        }
    }

    /// What has been decided since the last call, to be carried out in this order.
    pub(super) fn take_actions(&mut self, now: Moment) -> Vec<Action> {
        self.expire_partials(now);
        self.grant_slots();
        self.make_room(now);
        while let Some((stored, job)) = self.board.chores.pop() {
            self.board.act(Action::Leaving(stored, job));
        }
        self.board.tell_of_space();
        self.board.set_alarm(now);
        std::mem::take(&mut self.board.actions)
    }

    /// The time `now` has come.
    pub(super) fn tick(&mut self, now: Moment) {
        if self.board.alarm.is_some_and(|alarm| alarm <= now) {
            self.board.alarm = None;
        }
        self.board.scheduler.wake(now);
        while let Some(&(at, id)) = self.board.due.first()
            && at <= now
        {
            self.board.due.pop_first();
            self.edit(id, |entry, board| entry.wake(now, board));
        }
    }

    /// Whether everything that was asked for is reached, or cannot be.
    pub(super) fn is_idle(&self) -> bool {
        self.board.busy == 0
    }

    /// Whether nothing runs that a shutdown should wait for.
    pub(super) fn is_quiet(&self) -> bool {
        self.board.working == 0
    }

    /// Stops: nothing new is started but what makes deletes last. What is there is stopped by
    /// [`shut_down_entries`](Self::shut_down_entries).
    pub(super) fn shut_down(&mut self) {
        if !std::mem::replace(&mut self.board.shut_down, true) {
            self.board.end_all_deletes();
            let outcome = Err(shut_down());
            self.board.assignment.end(outcome, &mut self.board.actions);
        }
    }

    /// Ends the unfinished tasks and cancels the transfers of at most `limit` ids after `from`;
    /// returns where to go on, or `None` at the end. What was found and never named has neither.
    pub(super) fn shut_down_entries(
        &mut self,
        now: Moment,
        from: Option<ChunkId>,
        limit: usize,
    ) -> Option<ChunkId> {
        let ids = self.entries_after(from, limit);
        for id in &ids {
            self.edit(*id, |entry, board| entry.shut_down(now, board));
        }
        ids.last().copied().filter(|_| ids.len() == limit)
    }

    /// Forgets at most `limit` ids; true if there are more. After a shutdown.
    pub(super) fn forget(&mut self, limit: usize) -> bool {
        for id in self.ids_after(None, limit) {
            self.edit(id, |entry, _| *entry = Entry::default());
        }
        !self.entries.is_empty() || !self.found.is_empty()
    }

    /// Of all ids that are known.
    fn ids_after(&self, from: Option<ChunkId>, limit: usize) -> Vec<ChunkId> {
        let mut ids = self.entries_after(from, limit);
        let from = from.map_or(Bound::Unbounded, Bound::Excluded);
        ids.extend(self.found.ids_after(from).take(limit));
        ids.sort_unstable();
        ids.truncate(limit);
        ids
    }

    fn entries_after(&self, from: Option<ChunkId>, limit: usize) -> Vec<ChunkId> {
        let from = from.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.entries.range((from, Bound::Unbounded));
        rest.take(limit).map(|(id, _)| *id).collect()
    }

    /// Whether anything is known of `id`.
    fn knows(&self, id: &ChunkId) -> bool {
        self.entries.contains_key(id) || self.found.contains(id)
    }

    /// The planner's part of the figures.
    pub(super) fn stats(&self, now: Moment) -> Stats {
        let board = &self.board;
        let (hosts_resting, resting_hosts) = board.scheduler.given_up(now, RESTING_SHOWN);
        Stats {
            chunks: board.counts.clone(),
            paused: board.scheduler.is_paused(),
            files_in_flight: board.scheduler.files_in_flight(),
            // Given by `flying` and `left`, without what takes time or is not the planner's.
            in_flight: Vec::new(),
            estimate: Estimate::default(),
            waits: self.waits(),
            held: self.held(now),
            slots: board.scheduler.slots(),
            // Where there is no limit of its own, it is that of all hosts together.
            slots_per_host: (board.scheduler.slots_per_host()).min(board.scheduler.slots()),
            // Not the planner's to know.
            bandwidth_limit: None,
            partials: board.partials.counts(),
            // The rest is the ledger's.
            space: SpaceStats {
                waits_for: board.waits_for(),
                ..SpaceStats::default()
            },
            hosts_resting,
            resting_hosts,
            scrub: ScrubStats::default(),
            totals: board.counters.clone(),
            lock: LockHolds::default(),
        }
    }

    /// How long it took from deletes until the directories were gone.
    pub(super) fn removals(&self) -> Histogram {
        self.board.removals
    }

    pub(super) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.board.counters
    }

    /// Changes how many files may be in flight.
    pub(super) fn set_slots(&mut self, slots: usize) {
        self.board.scheduler.set_slots(slots);
    }

    /// Changes how many files of one host may be in flight.
    pub(super) fn set_slots_per_host(&mut self, limit: usize) {
        self.board.scheduler.set_slots_per_host(limit);
    }

    /// Changes one entry, and keeps what is counted over all entries in step. What was found and is
    /// named by this has an entry from now on.
    fn edit<R>(&mut self, id: ChunkId, change: impl FnOnce(&mut Entry, &mut Board) -> R) -> R {
        let mut place = match self.entries.entry(id) {
            btree_map::Entry::Occupied(place) => {
                self.board.count(place.get(), Change::Out);
                place
            }
            btree_map::Entry::Vacant(place) => {
                let found = self.found.take(&id);
                if let Some(entry) = &found {
                    self.board.count(entry, Change::Out);
                }
                place.insert_entry(found.unwrap_or_default())
            }
        };
        let result = change(place.get_mut(), &mut self.board);
        if place.get().is_empty() {
            place.remove();
        } else {
            self.board.count(place.get(), Change::In);
        }
        result
    }
}

/// Whether an entry enters the counts or leaves them.
#[derive(Clone, Copy)]
enum Change {
    In,
    Out,
}

impl Board {
    fn count(&mut self, entry: &Entry, change: Change) {
        let apply = |count: &mut usize, yes: bool| match change {
            Change::In => *count += usize::from(yes),
            Change::Out => *count -= usize::from(yes),
        };
        apply(&mut self.busy, entry.is_busy());
        apply(&mut self.working, entry.is_working());
        apply(self.counts.of(entry.state()), true);
        self.tally.count(entry, change);
        let bytes = entry.visible_bytes();
        match change {
            Change::In => self.counts.available_bytes += bytes,
            Change::Out => self.counts.available_bytes -= bytes,
        }
    }

    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn emit(&mut self, event: Event) {
        self.actions.push(Action::Emit(event));
    }

    fn set_alarm(&mut self, now: Moment) {
        let due = self.due.first().map(|(at, _)| *at);
        let more = self.more_grants.then_some(now);
        let wakes = [
            more,
            self.scheduler.next_wake(),
            self.partials.next_expiry(),
        ];
        let Some(at) = wakes.into_iter().flatten().chain(due).min() else {
            return;
        };
        if !self.shut_down && self.alarm.is_none_or(|alarm| at < alarm) {
            self.alarm = Some(at);
            self.alarms += 1;
            self.act(Action::Alarm {
                at: at.max(now),
                number: self.alarms,
            });
        }
    }
}

/// How long to wait before trying again.
struct Backoff {
    first: Duration,
    longest: Duration,
    rng: fastrand::Rng,
}

impl Backoff {
    /// After `failures` failures in a row: exponential, capped, with full jitter (a uniform draw
    /// between nothing and the cap of this attempt), so that what failed together does not come
    /// back together. See "Exponential Backoff And Jitter" (M. Brooker, 2015).
    fn retry(&mut self, failures: u32) -> Duration {
        self.cap(failures).mul_f64(self.rng.f64())
    }

    /// The rest of a host, after that many in a row with this one: the same, but never less than
    /// half, since nobody profits if a host that is down is looked at sooner.
    fn rest(&mut self, rests: u32) -> Duration {
        let cap = self.cap(rests.saturating_add(1));
        cap.mul_f64(0.5 + 0.5 * self.rng.f64())
    }

    /// The longest, and a little less for some, so that what failed together does not come back
    /// together.
    fn longest(&mut self) -> Duration {
        self.longest.mul_f64(1.0 - 0.1 * self.rng.f64())
    }

    /// What a source asks for, up to the longest, and a little more for some.
    fn as_asked(&mut self, asked: Duration) -> Duration {
        let spread = self.first.mul_f64(self.rng.f64());
        asked.saturating_add(spread).min(self.longest)
    }

    fn cap(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let cap = self.first.saturating_mul(1 << doublings);
        cap.min(self.longest)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The error of whatever a shutdown ends.
pub(super) fn shut_down() -> Error {
    Error::new(ErrorKind::ShutDown, "the manager was shut down")
}

fn superseded(id: ChunkId) -> Error {
    Error::new(
        ErrorKind::Superseded,
        "a later call reversed or replaced this one",
    )
    .with_chunk(id)
}

impl Entry {
    /// A time that was noted for this id has come.
    fn wake(&mut self, now: Moment, board: &mut Board) {
        self.retry(now, board);
        self.advance_all(now, board);
    }

    /// Whether a shutdown waits for it: a job runs, or a delete is not on disk yet.
    fn is_working(&self) -> bool {
        self.running.is_some()
            || self.abandoning.is_some()
            || self.leaving.iter().any(|leaving| {
                let owed = leaving.holds == 0 || leaving.owes_tombstone();
                leaving.job.is_some() || (owed && leaving.retry_at.is_none())
            })
    }
}

#[cfg(test)]
mod simulator;
#[cfg(test)]
mod tests;

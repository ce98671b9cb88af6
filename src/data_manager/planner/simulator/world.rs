//! The world: the planner, what surrounds it, and threads that take turns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::super::{Action, Event as Told, PartialLimits, Planner, PlannerOptions};
use super::caller::{Asked, OpenAssignment, number_of};
use super::clock::{Clock, Event, Key};
use super::disk::Disk;
use super::duty::{Duty, Fact};
use super::history::History;
use super::ledger::Ledger;
use super::origin::{Host, Mood};
use super::watch::Watches;
use crate::data_chunk::{ChunkId, ChunkSpec};
use crate::data_manager::planner::Moment;
use crate::data_manager::transfer::{Outcome, Transfer};
use crate::data_source::{Generation, StagingKey, StoredChunk};
use crate::io_operation::IoOperation;

/// What `Core` calls `SLICE`, small enough to matter.
const SLICE: usize = 2;

/// What one run is like.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) seed: u64,
    pub(super) ids: u32,
    pub(super) hosts: usize,
    pub(super) slots: usize,
    pub(super) slots_per_host: usize,
    pub(super) partial_bytes: u64,
    pub(super) partial_age: Duration,
    pub(super) first_backoff: Duration,
    pub(super) longest_backoff: Duration,
    pub(super) calls: usize,
    /// The longest time between two calls.
    pub(super) pace: Duration,
    /// How often a thread is put aside between two duties, in percent.
    pub(super) reorder: u32,
    /// How often a crash comes after an event, in 1/10,000.
    pub(super) crashes: u32,
    pub(super) disk_trouble: u32,
    /// Check everything after every step; the large scenarios cannot afford it.
    pub(super) checked: bool,
}

/// One `Held`: the catalogue's reference, the guards', and those of threads that are about to let
/// go of the catalogue's.
pub(super) struct Reference {
    pub(super) number: u64,
    pub(super) id: ChunkId,
    pub(super) generation: Generation,
    pub(super) in_catalogue: bool,
    pub(super) passing: bool,
    pub(super) guards: usize,
}

/// Whether the files of an attempt can be fetched.
pub(super) enum Stage {
    Preparing(Vec<usize>),
    Ready,
    Failed,
}

/// One attempt, as `download.rs` knows it.
pub(super) struct Attempt {
    pub(super) transfer: Arc<Transfer>,
    pub(super) stage: Stage,
    /// `Transfer::finish` was called.
    pub(super) over: bool,
    /// What its task awaits, once it is started.
    pub(super) operation: Option<IoOperation<Outcome>>,
    /// Keeps the token's hook registered.
    pub(super) hook: Option<Box<dyn std::any::Any>>,
}

/// All that a crash ends.
#[derive(Default)]
pub(super) struct Life {
    pub(super) references: Vec<Reference>,
    pub(super) numbered: u64,
    pub(super) releases: VecDeque<(ChunkId, Generation)>,
    /// From the decision to start it until the planner knows that it ended.
    pub(super) attempts: BTreeMap<u64, Attempt>,
    pub(super) reads: BTreeMap<(u64, usize), Key>,
    /// Files that were handed out and have not landed, with their hosts.
    pub(super) in_flight: BTreeMap<(u64, usize), usize>,
    pub(super) leaving_jobs: BTreeSet<Generation>,
    pub(super) verifications: BTreeSet<Generation>,
    /// How many are in both.
    pub(super) jobs_decided: usize,
    pub(super) abandoning: BTreeSet<StagingKey>,
    /// Staging directories that could not be removed.
    pub(super) leaked: BTreeSet<StagingKey>,
    /// Attempts whose cancellation got to the source.
    pub(super) broken_off: Arc<Mutex<Vec<u64>>>,
    /// The number of the alarm that was decided last.
    pub(super) alarm_decided: u64,
    /// The one that was carried out last, and its event while it has not come.
    pub(super) alarm: (u64, Option<Key>),
    pub(super) assignment: Option<OpenAssignment>,
    /// Nothing is to be begun.
    pub(super) paused: bool,
    pub(super) shut_down: bool,
    pub(super) shut_down_ended: bool,
    /// Ends of tasks that were decided and not carried out.
    pub(super) completing: usize,
    /// Whether the planner just heard that a time has come.
    pub(super) ticked: bool,
    pub(super) watches: Watches,
}

pub(super) struct World {
    pub(super) profile: Profile,
    pub(super) planner: Planner,
    pub(super) rng: fastrand::Rng,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    pub(super) hosts: Vec<Host>,
    pub(super) life: Life,
    /// What the last call on each id asked for.
    pub(super) asked: BTreeMap<u32, Asked>,
    pub(super) ledger: Ledger,
    pub(super) history: History,
    pub(super) slots: usize,
    pub(super) slots_per_host: usize,
    pub(super) calls_left: usize,
    pub(super) specs: BTreeMap<(u32, u8, u8), Arc<ChunkSpec>>,
    /// How often the planner decided something.
    pub(super) steps: u64,
    /// How its host behaves for a chunk, where that differs from what it does for others.
    pub(super) mood_of: Box<dyn Fn(u32) -> Option<Mood>>,
    /// Where nothing is in trouble any more.
    pub(super) healed: bool,
}

impl World {
    pub(super) fn new(profile: Profile) -> World {
        let mut rng = fastrand::Rng::with_seed(profile.seed);
        let hosts = (0..profile.hosts).map(|_| Host::random(&mut rng)).collect();
        let mut world = World {
            planner: Planner::new(options(&profile)),
            clock: Clock::default(),
            disk: Disk::default(),
            hosts,
            life: Life::default(),
            asked: BTreeMap::new(),
            ledger: Ledger::default(),
            history: History::default(),
            slots: profile.slots,
            slots_per_host: profile.slots_per_host,
            calls_left: profile.calls,
            specs: BTreeMap::new(),
            steps: 0,
            mood_of: Box::new(|_| None),
            healed: false,
            rng,
            profile,
        };
        world.disk.trouble = world.profile.disk_trouble;
        world.disk.lazy = world.rng.bool();
        world.clock.now = Duration::from_millis(world.rng.u64(..5000));
        world
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        self.history.note(self.clock.now, line);
    }

    pub(super) fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_micros(self.rng.u64(range.start * 1000..range.end * 1000))
    }

    /// The next event; false if there is none.
    pub(super) fn step(&mut self) -> bool {
        let Some(event) = self.clock.next() else {
            return false;
        };
        match event {
            Event::Thread(duties) => self.run(duties),
            Event::Call => self.call(),
            Event::Slice(epoch) => self.assignment_slice(epoch),
            Event::HostTurns(host) => self.host_turns(host),
            Event::DiskTurns => self.disk_turns(),
        }
        self.check_tasks();
        true
    }

    /// A thread that starts now.
    pub(super) fn spawn(&mut self, duties: impl IntoIterator<Item = Duty>) {
        let delay = self.millis(0..2);
        let duties = duties.into_iter().collect();
        self.clock.after(delay, Event::Thread(duties));
    }

    pub(super) fn run(&mut self, mut duties: VecDeque<Duty>) {
        while let Some(duty) = duties.pop_front() {
            match duty {
                Duty::Pause(delay) => {
                    self.clock.after(delay, Event::Thread(duties));
                    return;
                }
                Duty::Read {
                    attempt,
                    index,
                    delay,
                } => {
                    duties.push_front(Duty::ReadEnded { attempt, index });
                    let key = self.clock.after(delay, Event::Thread(duties));
                    self.life.reads.insert((attempt, index), key);
                    return;
                }
                duty => {
                    for next in self.perform(duty).into_iter().rev() {
                        duties.push_front(next);
                    }
                }
            }
            if !duties.is_empty() && self.rng.u32(..100) < self.profile.reorder {
                let delay = self.millis(0..5);
                self.clock.after(delay, Event::Thread(duties));
                return;
            }
        }
    }

    /// Tells the planner a fact, as `Core::decide` does. What may wait until the lock is released is
    /// returned.
    pub(super) fn decide<R>(
        &mut self,
        fact: impl FnOnce(&mut Planner, Moment) -> R,
    ) -> (R, Vec<Duty>) {
        let now = self.now();
        self.steps += 1;
        let result = fact(&mut self.planner, now);
        let (mut let_go, mut later) = (Vec::new(), Vec::new());
        for action in self.planner.take_actions(now) {
            match action {
                Action::Publish(stored) => self.publish(&stored),
                Action::Retract(id) => let_go.push(Duty::LetGo(self.retract(id))),
                Action::Emit(event) => self.told(&event),
                action => {
                    self.decided(&action);
                    later.push(Duty::Act(action));
                }
            }
        }
        if self.profile.checked {
            self.check();
        }
        self.life.ticked = false;
        let look_again = !let_go.is_empty();
        let_go.append(&mut later);
        let_go.extend(look_again.then_some(Duty::TellReleases));
        (result, let_go)
    }

    /// The same, for whoever goes on after it.
    pub(super) fn apply<R>(&mut self, fact: impl FnOnce(&mut Planner, Moment) -> R) -> R {
        let (result, duties) = self.decide(fact);
        self.run(duties.into());
        result
    }

    /// `Core::decide_releases`.
    pub(super) fn tell_releases(&mut self) -> Vec<Duty> {
        let most = SLICE.min(self.life.releases.len());
        let released: Vec<_> = self.life.releases.drain(..most).collect();
        let look_again = released.len() == SLICE;
        let ((), mut duties) = self.decide(|planner, now| {
            for (id, generation) in released {
                planner.released(now, id, generation);
            }
            if !look_again {
                planner.settle_fresh(now);
            }
        });
        if look_again && !matches!(duties.last(), Some(Duty::TellReleases)) {
            duties.push(Duty::TellReleases);
        }
        duties
    }

    pub(super) fn visible(&self, id: ChunkId) -> Option<&Reference> {
        let mut references = self.life.references.iter();
        references.find(|reference| reference.in_catalogue && reference.id == id)
    }

    fn publish(&mut self, stored: &StoredChunk) {
        let (id, generation) = (stored.spec.id, stored.generation);
        self.note(|| format!("        publish {} g{generation}", number_of(id)));
        self.check_publish(stored);
        self.life.numbered += 1;
        self.life.references.push(Reference {
            number: self.life.numbered,
            id,
            generation,
            in_catalogue: true,
            passing: false,
            guards: 0,
        });
        self.ledger.published(self.steps, stored);
    }

    fn retract(&mut self, id: ChunkId) -> u64 {
        self.note(|| format!("        retract {}", number_of(id)));
        let mut references = self.life.references.iter_mut();
        let reference = references.find(|reference| reference.in_catalogue && reference.id == id);
        let reference = reference.expect("retracts what is not in the catalogue");
        (reference.in_catalogue, reference.passing) = (false, true);
        reference.number
    }

    /// A thread, or a guard, lets go of a reference. True if it was the last.
    pub(super) fn drop_if_last(&mut self, number: u64) -> bool {
        let is_last = |r: &Reference| !r.in_catalogue && !r.passing && r.guards == 0;
        let mut references = self.life.references.iter();
        let at = references.position(|r| r.number == number && is_last(r));
        let Some(at) = at else { return false };
        let reference = self.life.references.remove(at);
        self.life
            .releases
            .push_back((reference.id, reference.generation));
        true
    }

    fn told(&mut self, event: &Told) {
        match event {
            Told::HostResting { host, delay_ms } => {
                self.note(|| format!("        {host} rests for {delay_ms} ms"));
                self.check_rest(host, *delay_ms);
            }
            Told::Paused => self.note(|| "        paused".to_owned()),
            Told::Resumed => self.note(|| "        resumed".to_owned()),
            Told::HostBack { host } => {
                self.note(|| format!("        {host} is back"));
                self.life.watches.back(host);
            }
            _ => {}
        }
    }

    /// The alarm's sleep is over, unless a later one has taken its place.
    pub(super) fn alarm_rings(&mut self, number: u64) -> bool {
        let rings = self.life.alarm.0 == number;
        if rings {
            self.life.alarm.1 = None;
            self.life.ticked = true;
        }
        rings
    }

    pub(super) fn set_alarm(&mut self, at: Moment, number: u64) {
        if number <= self.life.alarm.0 {
            return;
        }
        // A timer is never early.
        let delay = at.saturating_sub(self.now()) + self.millis(0..2);
        let duties = VecDeque::from([Duty::Tell(Fact::Tick(number))]);
        let key = self.clock.after(delay, Event::Thread(duties));
        if let (_, Some(outdated)) = std::mem::replace(&mut self.life.alarm, (number, Some(key))) {
            self.clock.take(outdated);
        }
    }

    /// The process is killed, and started again.
    pub(super) fn crash(&mut self, power_cut: bool) {
        self.note(|| format!("crash, power cut: {power_cut}"));
        let visible = self.life.references.iter().filter(|r| r.in_catalogue);
        // What was not synced may be gone, or is verified first.
        let lasts = |r: &&Reference| !self.disk.chunks[&r.generation].unsynced;
        let seen = visible.filter(lasts).map(|r| r.generation);
        let seen: Vec<Generation> = seen.collect();
        self.disk.crash(power_cut, &mut self.rng);
        self.start();
        for generation in seen {
            let back = |r: &Reference| r.in_catalogue && r.generation == generation;
            if !self.life.references.iter().any(back) {
                self.fail(&format!("g{generation} was visible and did not come back"));
            }
        }
        self.check_start();
    }

    /// `DataManagerImpl::start`, in a process without a past.
    pub(super) fn start(&mut self) {
        self.clock
            .retain(|event| !matches!(event, Event::Thread(_) | Event::Slice(_)));
        self.life = Life::default();
        self.ledger.forget_tasks();
        self.profile.seed = self.profile.seed.wrapping_add(1);
        self.planner = Planner::new(options(&self.profile));
        (self.slots, self.slots_per_host) = (self.profile.slots, self.profile.slots_per_host);
        self.disk.lazy = self.rng.bool();
        let [wanted, unverified, doomed] = self.disk.scan();
        self.asked.clear();
        for stored in wanted.iter().chain(&unverified) {
            let content = super::caller::content_of(&stored.spec);
            let asked = Asked {
                content,
                has_urls: false,
            };
            self.asked.insert(number_of(stored.spec.id), asked);
        }
        for stored in &wanted {
            self.publish(stored);
        }
        self.planner.found(&wanted);
        for slice in doomed.chunks(SLICE) {
            // What is still to be found is not what the planner knows yet.
            let checked = std::mem::replace(&mut self.profile.checked, false);
            self.apply(|planner, now| {
                for stored in slice {
                    planner.found_doomed(now, stored.clone());
                }
            });
            self.profile.checked = checked;
        }
        for stored in unverified {
            let checked = std::mem::replace(&mut self.profile.checked, false);
            self.apply(|planner, now| planner.found_unverified(now, stored));
            self.profile.checked = checked;
        }
        let partials = self.disk.partials(self.now());
        self.apply(|planner, now| {
            for partial in &partials {
                planner.found_partial(now, partial);
            }
        });
        let pause = Duty::Pause(self.millis(0..20));
        let examine = wanted.into_iter().map(Duty::Examine);
        self.spawn(std::iter::once(pause).chain(examine).collect::<Vec<_>>());
    }

    /// Ends the run.
    pub(super) fn fail(&self, reason: &str) -> ! {
        panic!("{reason}")
    }
}

fn options(profile: &Profile) -> PlannerOptions {
    PlannerOptions {
        slots: profile.slots,
        slots_per_host: profile.slots_per_host,
        partials: PartialLimits {
            bytes: profile.partial_bytes,
            age: profile.partial_age,
        },
        first_backoff: profile.first_backoff,
        longest_backoff: profile.longest_backoff,
        seed: profile.seed,
    }
}

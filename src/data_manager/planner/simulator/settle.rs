//! The end of a run: everything is well again, and what was asked for is reached in time.
//!
//! The best possible time, from the moment when all trouble ends, is at least the greatest of:
//! what is left to fetch, over the slots; the same for each host, over its limit; the longest
//! single file. Greedy scheduling of jobs on machines is within twice the best of it; hosts with
//! limits of their own cost it once more: hence [`FACTOR`].
//!
//! What may be under way then: an attempt that stalls ([`STALL_TIMEOUT`]) or connects in vain, whose
//! failure was decided before; and then the wait that follows from it, a backoff or a rest, which
//! is the longest backoff at the most. After that nothing fails any more. Where the disk was full,
//! files go one by one until the first chunk is committed, which may be the time of all of them.
//! The jobs around a
//! transfer (preparing, committing, writing tombstones) take some ms each: [`SLACK`].

use std::time::Duration;

use super::super::entry::Phase;
use super::caller::{id_of, number_of};
use super::clock::Event;
use super::duty::Duty;
use super::origin::{Mood, STALL_TIMEOUT};
use super::world::World;
use crate::data_chunk::ChunkId;
use crate::data_manager::planner::Moment;
use crate::data_source::StagingKey;

const FACTOR: u32 = 3;
const SLACK: Duration = Duration::from_secs(2);
/// How long anything may take here at the most, before it counts as never.
const NEVER: Duration = Duration::from_secs(3600);

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    /// How long it took, over the best possible and what had to be waited for.
    pub(super) ratio: f64,
    pub(super) steps: u64,
}

impl World {
    /// No more calls, no more trouble.
    pub(super) fn heal(&mut self) {
        self.note(|| "all is well from here on".to_owned());
        self.healed = true;
        self.profile.reorder = 0;
        self.calls_left = 0;
        for host in &mut self.hosts {
            host.mood = Mood::Well;
        }
        (self.disk.trouble, self.disk.full) = (0, false);
        while self.life.assignment.is_some() && self.step() {}
        self.set_paused(false);
    }

    /// A lower bound of the time that is left, and what it would be one after the other.
    fn best(&mut self) -> (Duration, Duration) {
        let mut of_hosts = vec![Duration::ZERO; self.hosts.len()];
        let mut longest = Duration::ZERO;
        let asked: Vec<_> = self.asked.iter().map(|(n, asked)| (*n, *asked)).collect();
        for (n, _) in asked {
            let entry = self.planner.entries.get(&id_of(n));
            let wanted = entry.and_then(|entry| entry.wanted.as_ref());
            let Some(wanted) = wanted.filter(|w| w.phase != Phase::Visible) else {
                continue;
            };
            let leaving = entry.into_iter().flat_map(|entry| &entry.leaving);
            let on_disk = leaving.filter(|l| l.stored.spec.same_content(&wanted.spec));
            let sound = |generation| {
                self.disk
                    .chunks
                    .get(&generation)
                    .is_some_and(|c| !c.damaged)
            };
            if on_disk.map(|l| l.stored.generation).any(sound) {
                continue;
            }
            let staged = self.disk.staging.get(&StagingKey::of(&wanted.spec));
            for (index, file) in wanted.spec.files.iter().enumerate() {
                let part = staged.and_then(|staged| staged.parts.get(index));
                let have = part.map_or(0, |part| part.bytes);
                let left = super::caller::size_of(&wanted.spec, index) - have;
                let number = super::caller::host_number(file.host());
                let takes = self.hosts[number].time_for(left);
                of_hosts[number] += takes;
                longest = longest.max(takes);
            }
        }
        let all: Duration = of_hosts.iter().sum();
        let over = |time: Duration, most: usize| time / u32::try_from(most.max(1)).unwrap();
        let limit = self.slots.min(self.slots_per_host);
        let of_hosts = of_hosts.into_iter().map(|time| over(time, limit)).max();
        let best = longest.max(over(all, self.slots));
        (best.max(of_hosts.unwrap_or_default()), all)
    }

    /// When the longest backoff or rest ends that is under way.
    fn longest_wait(&self) -> Moment {
        let board = &self.planner.board;
        let backing_off =
            self.planner
                .entries
                .values()
                .filter_map(|entry| match entry.wanted.as_ref()?.phase {
                    Phase::BackingOff { until } => Some(until),
                    _ => None,
                });
        let rests = board.scheduler.host_views().into_iter();
        let rests = rests.filter_map(|(_, host)| host.resting_until);
        let entries = self.planner.entries.values();
        let leaving = entries.flat_map(|entry| &entry.leaving);
        let leaving = leaving.filter_map(|leaving| leaving.retry_at);
        let space = board.scheduler.waits_for_space_until();
        let until = backing_off.chain(rests).chain(leaving).chain(space).max();
        until.unwrap_or_default()
    }

    fn converge(&mut self) -> f64 {
        let began = self.now();
        let (best, one_by_one) = self.best();
        let mut bound = best * FACTOR + STALL_TIMEOUT + self.profile.longest_backoff + SLACK;
        let mut waits_until = began;
        let mut was_full = false;
        loop {
            waits_until = waits_until.max(self.longest_wait());
            if !was_full && self.planner.board.scheduler.is_short_of_space() {
                (was_full, bound) = (true, bound + one_by_one);
            }
            let reached = (0..self.profile.ids).all(|n| self.is_reached(n));
            if reached && self.planner.is_idle() {
                break;
            }
            let took = self.now() - began;
            if took > bound {
                let best = best.as_secs_f64();
                self.fail(&format!(
                    "not there after {took:?}, where {best:.3} s were possible"
                ));
            }
            if !self.step() {
                self.fail("nothing is to come, and it is not there");
            }
        }
        let took = (self.now() - began).as_secs_f64();
        let least = if was_full { one_by_one } else { best };
        let least = (least + (waits_until - began)).as_secs_f64();
        took / (least + 0.1)
    }

    /// Runs to the end, and looks at what is left.
    pub(super) fn settle(&mut self) -> Verdict {
        self.heal();
        let ratio = self.converge();
        self.drop_all_guards();
        let deadline = self.now() + NEVER;
        while self.now() < deadline && self.step() {}
        if !self.clock.is_empty() {
            self.fail("it never comes to rest");
        }
        self.check_end();
        Verdict {
            ratio,
            steps: self.steps,
        }
    }

    fn check_end(&mut self) {
        let open = self.ledger.open_tasks();
        if !open.is_empty() {
            self.fail(&format!("never ended: {open:?}"));
        }
        let wanted: Vec<_> = self.asked.keys().copied().collect();
        let on_disk: Vec<_> = self
            .disk
            .chunks
            .values()
            .map(|c| number_of(c.stored.spec.id))
            .collect();
        let (mut sorted, mut expected) = (on_disk.clone(), wanted);
        sorted.sort_unstable();
        expected.sort_unstable();
        if sorted != expected {
            self.fail(&format!("{sorted:?} on disk, asked for was {expected:?}"));
        }
        if self.disk.chunks.values().any(|on_disk| on_disk.tombstone) {
            self.fail("a tombstone is left");
        }
        let staged = self.disk.staging.keys();
        if staged.filter(|key| !self.life.leaked.contains(key)).count() > 0 {
            self.fail("what expired is still staged");
        }
        if self.planner.board.assignment.pending() > 0 {
            self.fail("the assignment still waits");
        }
        if !self.planner.board.due.is_empty() {
            self.fail("something is still due");
        }
    }

    /// `shutdown`, and then a new start.
    pub(super) fn shut_down(&mut self) {
        self.note(|| "shut down".to_owned());
        self.life.shut_down = true;
        self.apply(|planner, _| planner.shut_down());
        self.run([Duty::ShutDown(None)].into());
        let deadline = self.now() + STALL_TIMEOUT + SLACK;
        let calls = self.calls_left;
        self.calls_left = 0;
        while !(self.life.shut_down_ended && self.planner.is_quiet()) {
            if self.now() > deadline {
                self.fail("a shutdown takes too long");
            }
            if !self.step() {
                self.fail("a shutdown never ends");
            }
        }
        self.close();
        self.calls_left = calls;
    }

    pub(super) fn shut_down_slice(&mut self, from: Option<ChunkId>) -> Vec<Duty> {
        let (next, mut duties) =
            self.decide(|planner, now| planner.shut_down_entries(now, from, 2));
        match next {
            Some(next) => duties.push(Duty::ShutDown(Some(next))),
            None => self.life.shut_down_ended = true,
        }
        duties
    }

    /// `Core::close`, and a new start.
    fn close(&mut self) {
        // Threads that were put aside still carry out what was decided.
        while self.life.completing > 0 && self.step() {}
        self.check_tasks();
        let open = self.ledger.open_tasks();
        if !open.is_empty() {
            self.fail(&format!("did not end with the shutdown: {open:?}"));
        }
        for (id, entry) in &self.planner.entries {
            for leaving in entry
                .leaving
                .iter()
                .filter(|l| l.retry_at.is_none() && !l.damaged)
            {
                let on_disk = self.disk.chunks.get(&leaving.stored.generation);
                if on_disk.is_some_and(|on_disk| !on_disk.tombstone) {
                    let n = number_of(*id);
                    self.fail(&format!("the delete of {n} does not last"));
                }
            }
        }
        while self.planner.forget(2) {}
        let board = &self.planner.board;
        let left = board.busy + board.working + usize::from(board.counts != Default::default());
        if left > 0 {
            self.fail("something is counted, and nothing is known");
        }
        self.disk.crash(false, &mut self.rng);
        self.start();
        self.check_start();
        self.clock.after(Duration::ZERO, Event::Call);
    }
}

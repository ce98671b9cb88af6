//! What holds after every decision.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::super::entry::{Entry, Phase};
use super::super::{Action, LeavingJob};
use super::caller::{content_of, id_of, number_of};
use super::world::{Attempt, Stage, World};
use crate::data_chunk::ChunkId;
use crate::data_manager::stats::StateCounts;
use crate::data_manager::transfer::Transfer;
use crate::data_source::{StagingKey, StoredChunk};

impl World {
    pub(super) fn check_publish(&self, stored: &StoredChunk) {
        let (id, generation) = (stored.spec.id, stored.generation);
        let Some(on_disk) = self.disk.chunks.get(&generation) else {
            self.fail("publishes what is not on disk");
        };
        hold!(self, !on_disk.tombstone, "visible with a tombstone");
        hold!(self, !on_disk.condemned, "visible, and perhaps not whole");
        hold!(self, on_disk.lasts, "visible before it lasts");
        hold!(self, !on_disk.unverified, "visible before it was verified");
        let same_place = on_disk.stored.path() == stored.path();
        hold!(self, same_place, "at another place");
        hold!(
            self,
            self.visible(id).is_none(),
            "two visible contents of an id"
        );
    }

    /// Something was decided that is carried out later.
    pub(super) fn decided(&mut self, action: &Action) {
        match action {
            Action::Start(transfer) => self.decided_start(transfer),
            Action::Fetch(transfer, index) => self.decided_fetch(transfer, *index),
            Action::Leaving(stored, job) => self.decided_leaving(stored, *job),
            Action::Abandon(key) => {
                let mut attempts = self.life.attempts.values();
                let uses = attempts.any(|attempt| StagingKey::of(&attempt.transfer.spec) == *key);
                hold!(self, !uses, "removes the staging directory of a transfer");
                let new = self.life.abandoning.insert(*key);
                hold!(self, new, "removes a staging directory twice");
            }
            Action::Alarm { at, number } => {
                hold!(self, *at >= self.now(), "an alarm for the past");
                hold!(
                    self,
                    *number > self.life.alarm_decided,
                    "alarms out of order"
                );
                self.life.alarm_decided = *number;
            }
            Action::Complete(..) => self.life.completing += 1,
            Action::Finish(_)
            | Action::Cancel(_)
            | Action::Publish(_)
            | Action::Retract(_)
            | Action::Emit(_) => {}
        }
    }

    fn decided_start(&mut self, transfer: &Arc<Transfer>) {
        hold!(self, !self.life.paused, "starts, and there is a pause");
        let (id, number) = (transfer.spec.id, transfer.attempt);
        let too_many = self.planner.board.scheduler.has_begun_too_many();
        hold!(self, !too_many, "too many chunks are begun");
        self.note(|| format!("        start {} attempt {number}", number_of(id)));
        let mut attempts = self.life.attempts.values();
        let runs = attempts.any(|attempt| attempt.transfer.spec.id == id);
        hold!(self, !runs, "two transfers of one id");
        let removed = self.life.abandoning.iter().any(|key| key.id == id);
        hold!(self, !removed, "starts in what is being removed");
        let attempt = Attempt {
            transfer: transfer.clone(),
            stage: Stage::Preparing(Vec::new()),
            over: false,
            operation: None,
            hook: None,
        };
        self.life.attempts.insert(number, attempt);
    }

    fn decided_fetch(&mut self, transfer: &Arc<Transfer>, index: usize) {
        hold!(self, !self.life.paused, "fetches, and there is a pause");
        let name = transfer.spec.files[index].host();
        let (id, number) = (number_of(transfer.spec.id), transfer.attempt);
        self.note(|| format!("        fetch {id} attempt {number} file {index} of {name}"));
        let host = self.host_of(transfer, index);
        let runs = self.life.attempts.contains_key(&number);
        hold!(self, runs, "fetches for an attempt that is over");
        let flights = &mut self.life.in_flight;
        let twice = flights.insert((number, index), host);
        hold!(self, twice.is_none(), "fetches a file twice");
        let flights = self.life.in_flight.values();
        let of_host = flights.filter(|other| **other == host).count();
        let all = self.life.in_flight.len();
        hold!(self, all <= self.slots, "{all} files in flight");
        let scheduler = &self.planner.board.scheduler;
        let space = !scheduler.is_short_of_space() || all == 1;
        hold!(self, space, "{all} files in flight, and the disk is full");
        hold!(
            self,
            of_host <= self.slots_per_host,
            "{of_host} files of {name} in flight"
        );
        let watches = &self.life.watches;
        hold!(self, !watches.is_resting(name), "{name} rests");
        let probed = watches.is_probed(name);
        hold!(
            self,
            !probed || of_host == 1,
            "{of_host} files of {name}, which is probed"
        );
        let arrived = transfer.arrived()[index];
        hold!(self, arrived.is_none(), "fetches what has arrived");
    }

    fn decided_leaving(&mut self, stored: &StoredChunk, job: LeavingJob) {
        let generation = stored.generation;
        let of_kind = match job {
            LeavingJob::Verify => &mut self.life.verifications,
            _ => &mut self.life.leaving_jobs,
        };
        of_kind.insert(generation);
        let both = self.life.leaving_jobs.len() + self.life.verifications.len();
        self.life.jobs_decided += 1;
        hold!(
            self,
            both == self.life.jobs_decided,
            "two jobs for one generation"
        );
        let verifications = self.life.verifications.len();
        hold!(
            self,
            verifications <= 2,
            "{verifications} are verified at a time"
        );
        hold!(
            self,
            self.life.leaving_jobs.len() <= 2,
            "more than two jobs at a time"
        );
        if matches!(job, LeavingJob::Remove | LeavingJob::Quarantine) {
            let mut references = self.life.references.iter();
            // What a thread is about to let go of is nobody's any more.
            let held = references.any(|r| {
                r.generation == generation && (r.in_catalogue || r.guards > 0 || r.passing)
            });
            hold!(self, !held, "removes what somebody refers to");
            let on_disk = self.disk.chunks.get(&generation);
            let damaged = on_disk.is_some_and(|on_disk| on_disk.put_aside);
            let right = on_disk.is_none() || damaged == (job == LeavingJob::Quarantine);
            hold!(self, right, "{job:?} of g{generation}");
            let [wanted, unverified, _] = self.disk.scan();
            let mut latest = wanted.iter().chain(&unverified);
            let latest = latest.any(|stored| stored.generation == generation);
            let found = on_disk.is_some_and(|on_disk| on_disk.found && latest);
            hold!(
                self,
                !found || damaged,
                "removes g{generation}, which nobody asked for"
            );
            if let Some(on_disk) = self.disk.chunks.get_mut(&generation) {
                on_disk.condemned = true;
            }
        }
    }

    /// A host is given a rest: as long as documented, and when its signs say so.
    pub(super) fn check_rest(&mut self, host: &str, delay_ms: u64) {
        let view = self.planner.board.scheduler.host_view(host);
        let until = view.and_then(|view| view.resting_until);
        let Some(until) = until else {
            self.fail("a rest that does not begin");
        };
        self.life.watches.rested(host, until);
        let rests = self.life.watches.rests(host).unwrap_or(1);
        let first = self.profile.first_backoff;
        let cap = first.saturating_mul(1 << rests.min(20));
        let cap_ms = cap.min(self.profile.longest_backoff).as_millis();
        let delay_ms = u128::from(delay_ms);
        let in_bounds = delay_ms + 1 >= cap_ms / 2 && delay_ms <= cap_ms;
        hold!(self, in_bounds, "rest {rests} takes {delay_ms} ms");
    }

    pub(super) fn check(&mut self) {
        if let Some(wrong) = self.life.watches.take_wrong() {
            self.fail(&wrong);
        }
        self.check_references();
        self.check_entries();
        self.check_figures();
        self.check_partials();
        self.check_scheduler();
        self.check_alarm();
        if !self.life.shut_down {
            self.check_wanted();
            self.check_liveness();
            self.check_patience();
        }
    }

    fn check_references(&self) {
        for reference in &self.life.references {
            let generation = reference.generation;
            let Some(on_disk) = self.disk.chunks.get(&generation) else {
                self.fail("what is held is not on disk");
            };
            if reference.in_catalogue {
                let n = number_of(reference.id);
                hold!(
                    self,
                    !on_disk.tombstone,
                    "g{generation} is visible, with a tombstone"
                );
                hold!(
                    self,
                    !on_disk.condemned,
                    "g{generation} is visible, and condemned"
                );
                let asked = self.asked.get(&n).map(|asked| asked.content);
                let visible = Some(content_of(&on_disk.stored.spec));
                hold!(
                    self,
                    asked == visible || self.life.shut_down,
                    "{n} shows {visible:?}"
                );
            }
        }
    }

    /// What is counted over all entries, counted again.
    fn check_entries(&self) {
        let board = &self.planner.board;
        // As they would be if somebody named them.
        let ids = self.planner.found.ids_after(Bound::Unbounded);
        let found: Vec<(ChunkId, Entry)> = ids
            .filter_map(|id| Some((id, self.planner.found.entry(&id)?)))
            .collect();
        for (id, _) in &found {
            let twice = self.planner.entries.contains_key(id);
            hold!(self, !twice, "{} is known twice", number_of(*id));
        }
        let entries = || {
            let found = found.iter().map(|(id, entry)| (id, entry));
            self.planner.entries.iter().chain(found)
        };
        let busy = entries().filter(|(_, entry)| entry.is_busy()).count();
        hold!(
            self,
            board.busy == busy,
            "{} of {busy} are busy",
            board.busy
        );
        let working = entries().filter(|(_, entry)| entry.is_working()).count();
        hold!(
            self,
            board.working == working,
            "{} of {working} work",
            board.working
        );
        let mut counts = StateCounts::default();
        for (_, entry) in entries() {
            *counts.of(entry.state()) += 1;
            hold!(self, !entry.is_empty(), "an entry for nothing");
        }
        let visible = self.life.references.iter().filter(|r| r.in_catalogue);
        counts.available_bytes = visible
            .filter_map(|r| self.disk.chunks.get(&r.generation))
            .map(|on_disk| on_disk.stored.len_bytes())
            .sum();
        hold!(
            self,
            board.counts == counts,
            "{:?} is {counts:?}",
            board.counts
        );
        for (id, entry) in entries() {
            self.check_holds(*id, entry);
        }
    }

    /// The references that the planner counts are those that there are, and those that it has not
    /// heard of yet.
    fn check_holds(&self, id: ChunkId, entry: &Entry) {
        let visible = entry.visible.iter().map(|v| (v.stored.generation, v.holds));
        let leaving = entry.leaving.iter().map(|l| (l.stored.generation, l.holds));
        for (generation, holds) in visible.chain(leaving) {
            let held = self.life.references.iter();
            let held = held.filter(|r| r.generation == generation).count();
            let told = self.life.releases.iter();
            let untold = told.filter(|(_, other)| *other == generation).count();
            let there = held + untold;
            let n = number_of(id);
            hold!(
                self,
                holds as usize == there,
                "{n} g{generation}: {holds} of {there} holds"
            );
        }
    }

    fn check_partials(&self) {
        let partials = &self.planner.board.partials;
        let kept: BTreeMap<StagingKey, u64> =
            partials.all().map(|(key, bytes, _)| (key, bytes)).collect();
        let counts = partials.counts();
        hold!(
            self,
            counts.chunks == kept.len(),
            "{} partials",
            counts.chunks
        );
        let sum: u64 = kept.values().sum();
        hold!(
            self,
            counts.bytes == sum,
            "{} bytes in partials of {sum}",
            counts.bytes
        );
        let runs = |key: &StagingKey| {
            let mut attempts = self.life.attempts.values();
            attempts.any(|attempt| StagingKey::of(&attempt.transfer.spec) == *key)
        };
        for (key, staged) in &self.disk.staging {
            let (n, on_disk) = (number_of(key.id), staged.bytes());
            match kept.get(key) {
                Some(bytes) => {
                    hold!(self, !runs(key), "{n} is kept and used");
                    let leaked = self.life.leaked.contains(key);
                    hold!(
                        self,
                        leaked || on_disk <= *bytes,
                        "{n} has {on_disk} bytes, not {bytes}"
                    );
                }
                None => {
                    let known = runs(key)
                        || self.life.abandoning.contains(key)
                        || self.life.leaked.contains(key);
                    hold!(
                        self,
                        known || self.life.shut_down,
                        "nobody knows what is staged of {n}"
                    );
                }
            }
        }
        // Beyond the limit only what cannot go for a moment.
        if counts.bytes > self.profile.partial_bytes && !self.life.shut_down {
            let deferred = |key: &StagingKey| {
                let leaked = self.life.leaked.contains(key);
                leaked || runs(key) || self.stands_in_the_way(key.id)
            };
            let first = partials
                .all()
                .min_by_key(|(key, _, expires)| (*expires, *key));
            let stuck = kept.keys().any(deferred) || first.is_none();
            hold!(self, stuck, "{} bytes of partials", counts.bytes);
        }
    }

    fn stands_in_the_way(&self, id: ChunkId) -> bool {
        let entry = self.planner.entries.get(&id);
        entry.is_some_and(|entry| entry.running.is_some() || entry.abandoning.is_some())
    }

    /// What the planner wants is what was asked for.
    fn check_wanted(&self) {
        for n in 0..self.profile.ids {
            let found = self.planner.found.entry(&id_of(n));
            let entry = self.planner.entries.get(&id_of(n)).or(found.as_ref());
            let wanted = entry.and_then(|entry| entry.wanted.as_ref());
            let wanted = wanted.map(|wanted| content_of(&wanted.spec));
            let asked = self.asked.get(&n).map(|asked| asked.content);
            hold!(
                self,
                wanted == asked,
                "{n}: wants {wanted:?}, asked for was {asked:?}"
            );
        }
    }

    /// Whatever has its time has an alarm at or before it.
    fn check_alarm(&self) {
        let board = &self.planner.board;
        let now = self.now();
        if self.life.shut_down {
            return;
        }
        let mut next = board.due.first().map(|(at, _)| *at);
        let rests = board.scheduler.host_views().into_iter();
        let rests = rests.filter_map(|(_, host)| host.resting_until);
        let expiries = board.partials.all().map(|(_, _, expires)| expires);
        let expiries = expiries.filter(|expires| *expires != Duration::MAX);
        let space = board.scheduler.waits_for_space_until();
        next = next
            .into_iter()
            .chain(rests)
            .chain(expiries)
            .chain(space)
            .min();
        let Some(next) = next else { return };
        hold!(
            self,
            board.alarm.is_some_and(|at| at <= next),
            "no alarm for {next:?}"
        );
        // Unless a thread is about to set it.
        if self.life.alarm_decided == board.alarms && self.life.alarm.0 == board.alarms {
            let at = self.life.alarm.1.map(|(at, _)| at);
            let soon = next.max(now) + Duration::from_millis(5);
            hold!(
                self,
                at.is_some_and(|at| at <= soon),
                "the alarm for {next:?} is {at:?}"
            );
        }
        if self.life.ticked {
            let late = |entry: &Entry| match &entry.wanted {
                Some(wanted) => matches!(wanted.phase, Phase::BackingOff { until } if until <= now),
                None => false,
            };
            let late = self.planner.entries.values().any(late);
            hold!(self, !late, "the time has come, and it still backs off");
            let mut rests = board.scheduler.host_views().into_iter();
            let late = rests.any(|(_, host)| host.resting_until.is_some_and(|at| at <= now));
            hold!(self, !late, "the time has come, and it still rests");
            let late = space.is_some_and(|at| at <= now);
            hold!(self, !late, "the time has come, and nobody looks for space");
            let mut leaving = self
                .planner
                .entries
                .values()
                .flat_map(|entry| &entry.leaving);
            let late = leaving.any(|l| l.retry_at.is_some_and(|at| at <= now));
            hold!(
                self,
                !late,
                "the time has come, and nothing is done about what leaves"
            );
        }
    }

    /// After a start: what was found is shown, and nothing else.
    pub(super) fn check_start(&self) {
        let [wanted, ..] = self.disk.scan();
        let shown = self.life.references.iter().filter(|r| r.in_catalogue);
        let shown: BTreeSet<_> = shown.map(|r| r.generation).collect();
        let found: BTreeSet<_> = wanted.iter().map(|stored| stored.generation).collect();
        hold!(self, shown == found, "{shown:?} of {found:?} came back");
    }
}

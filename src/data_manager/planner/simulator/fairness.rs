//! What holds of whose turn it is: the scheduler counted again, and nobody waits in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::entry::{Entry, Phase};
use super::super::scheduler::recount::InLine;
use super::caller::number_of;
use super::world::World;
use crate::data_chunk::ChunkId;
/// How long an attempt that is not its chunk's first may bring nothing while others wait: the
/// documented second, and what an alarm and a thread that is put aside add to it.
const PATIENCE: Duration = Duration::from_millis(1000 + 50);

impl World {
    pub(super) fn check_scheduler(&self) {
        let scheduler = &self.planner.board.scheduler;
        scheduler.check();
        let flights = scheduler.flight_views();
        let theirs: BTreeMap<(u64, usize), usize> = flights
            .iter()
            .map(|flight| {
                let host = super::caller::host_number(flight.host);
                ((flight.transfer.attempt, flight.index), host)
            })
            .collect();
        hold!(self, theirs == self.life.in_flight, "{theirs:?}");
        hold!(self, scheduler.files_in_flight() == theirs.len(), "flights");
        let begun = scheduler.begun_views();
        for (name, host) in scheduler.host_views() {
            let in_flight = flights.iter().filter(|flight| flight.host == name).count();
            hold!(self, host.in_flight == in_flight, "{name}: {host:?}");
            let files = begun.iter().flat_map(|begun| &begun.files);
            let promised = files.filter(|(_, other)| *other == name).count();
            hold!(self, host.promised == promised, "{name}: {host:?}");
        }
        let mut files_to_hand_out = BTreeMap::new();
        for begun in &begun {
            let flights = flights.iter();
            let of_it = flights.filter(|flight| flight.transfer.attempt == begun.attempt);
            hold!(
                self,
                of_it.count() == begun.in_flight,
                "attempt {}",
                begun.attempt
            );
            files_to_hand_out.insert(begun.attempt, begun.files.len());
        }
        let mut lines = BTreeSet::new();
        let mut waiting = [0; 4];
        for (id, entry) in &self.planner.entries {
            self.check_attempt(*id, entry, &mut files_to_hand_out);
            if let Some(wanted) = &entry.wanted
                && let Phase::Waiting(place) = wanted.phase
            {
                let in_line = place.in_line(*id);
                waiting[in_line.0] += 1;
                lines.extend(waits_at(wanted).into_iter().map(|host| (host, in_line)));
            }
        }
        hold!(
            self,
            files_to_hand_out.is_empty(),
            "begun for nobody: {files_to_hand_out:?}"
        );
        // Where one of its hosts rests, or did, a chunk waits there alone.
        let theirs: BTreeSet<(&str, InLine)> = scheduler.lines().into_iter().collect();
        let in_line = |lines: &BTreeSet<(&str, InLine)>| -> BTreeSet<InLine> {
            lines.iter().map(|(_, in_line)| *in_line).collect()
        };
        let right = theirs.is_subset(&lines) && in_line(&theirs) == in_line(&lines);
        hold!(self, right, "{theirs:?} wait, not {lines:?}");
        hold!(
            self,
            scheduler.waiting() == waiting,
            "{:?} wait",
            scheduler.waiting()
        );
    }

    /// What an entry knows of its transfer is what the scheduler knows.
    fn check_attempt(&self, id: ChunkId, entry: &Entry, to_hand_out: &mut BTreeMap<u64, usize>) {
        let n = number_of(id);
        let Some(running) = &entry.running else {
            return;
        };
        let attempt = running.transfer.attempt;
        hold!(
            self,
            self.life.attempts.contains_key(&attempt),
            "{n} runs what is over"
        );
        let left = to_hand_out.remove(&attempt).unwrap_or(0);
        let expected = if running.stopped {
            0
        } else {
            running.to_hand_out
        };
        hold!(
            self,
            left == expected,
            "{n}: {left} files to hand out, not {expected}"
        );
        let flights = self.life.in_flight.keys();
        let flights = flights.filter(|(other, _)| *other == attempt).count();
        hold!(
            self,
            running.jobs == flights || running.jobs == flights + 1,
            "{n}: jobs"
        );
        hold!(
            self,
            !running.over || running.jobs == 0,
            "{n}: over, with jobs"
        );
        let fetching = entry.wanted.as_ref().map(|wanted| wanted.phase);
        let fetching = fetching == Some(Phase::Transferring);
        hold!(
            self,
            fetching != running.doomed || self.life.shut_down,
            "{n}: doomed or wanted"
        );
    }

    /// No slot stays free that somebody could use.
    pub(super) fn check_liveness(&self) {
        let scheduler = &self.planner.board.scheduler;
        if self.life.paused || self.life.in_flight.len() >= scheduler.room() {
            return;
        }
        let has_room = |name: &str| scheduler.host_view(name).is_none_or(|host| host.room > 0);
        for begun in scheduler.begun_views() {
            let ready = begun.files.iter().any(|(_, host)| has_room(host));
            hold!(
                self,
                !ready,
                "attempt {} waits while a slot is free",
                begun.attempt
            );
        }
        let mut at: BTreeMap<ChunkId, Vec<&str>> = BTreeMap::new();
        for (name, line) in scheduler.lines() {
            at.entry(line.3).or_default().push(name);
        }
        for (id, entry) in &self.planner.entries {
            let n = number_of(*id);
            let Some(wanted) = &entry.wanted else {
                continue;
            };
            if matches!(wanted.phase, Phase::Waiting(_)) {
                let rests = |name: &str| {
                    let host = scheduler.host_view(name);
                    host.is_some_and(|host| host.resting_until.is_some())
                };
                let ready = at
                    .get(id)
                    .is_some_and(|hosts| hosts.iter().any(|name| has_room(name)));
                let waits = waits_at(wanted).into_iter().any(rests);
                let may = ready && !waits && !scheduler.has_begun_enough();
                hold!(self, !may, "{n} waits while a slot is free");
            }
            let free = entry.running.is_none() && entry.abandoning.is_none();
            if wanted.phase == Phase::Settling && free {
                let same = |spec: &crate::data_chunk::ChunkSpec| wanted.spec.same_content(spec);
                let mut leaving = entry.leaving.iter();
                let returns = leaving.any(|l| l.can_return() && same(&l.stored.spec));
                hold!(self, returns, "{n} settles for nothing");
            }
        }
    }

    /// What was never tried does not wait behind retries that bring nothing.
    pub(super) fn check_patience(&self) {
        if self.life.paused {
            return;
        }
        let scheduler = &self.planner.board.scheduler;
        let full = self.life.in_flight.len() >= self.slots;
        let fresh = |in_line: &InLine| in_line.0.is_multiple_of(2);
        let lines = scheduler.lines();
        let flights = scheduler.flight_views();
        let called_back = flights.iter().filter(|flight| flight.called_back).count();
        let waiting: BTreeSet<ChunkId> = lines
            .iter()
            .filter(|(_, line)| fresh(line))
            .map(|(_, line)| line.3)
            .collect();
        if waiting.len() <= called_back {
            return;
        }
        let host = |name: &str| scheduler.host_view(name);
        for flight in flights
            .iter()
            .filter(|flight| !flight.fresh && !flight.called_back)
        {
            // What goes after it could not have its slot.
            let before = |line: &InLine| fresh(line) && line.0 < flight.tier;
            let mut ahead = lines.iter().filter(|(_, line)| before(line));
            let ready = ahead
                .clone()
                .any(|(name, _)| host(name).is_some_and(|host| host.room > 0));
            let same_host = ahead.any(|(name, _)| *name == flight.host);
            let view = host(flight.host);
            let crowded = view.is_some_and(|host| host.room == 0 && host.resting_until.is_none());
            let in_the_way = full && ready || same_host && crowded;
            let idle = flight.transfer.last_arrival();
            let idle = idle.is_none_or(|at| self.now().saturating_sub(at) > PATIENCE);
            let attempt = flight.transfer.attempt;
            hold!(
                self,
                !(in_the_way && idle),
                "attempt {attempt} is in the way"
            );
        }
    }
}

/// At which hosts a chunk waits.
fn waits_at(wanted: &super::super::entry::Wanted) -> BTreeSet<&str> {
    let missing = wanted.missing();
    let files = wanted.spec.files.iter().enumerate();
    let hosts: BTreeSet<&str> = files
        .filter(|(index, _)| missing(*index))
        .map(|(_, file)| file.host())
        .collect();
    if hosts.is_empty() {
        return BTreeSet::from([wanted.spec.files[0].host()]);
    }
    hosts
}

//! Which file goes next.
//!
//! Knows chunks that wait, transfers that have begun and files in flight, and nothing of what they
//! are for. A free slot is given by these rules, in this order:
//!
//! 0. While there is a pause nobody gets any, and nobody has to give one back. While the disk is full nobody gets any, until something was removed or a time has passed;
//!    then one file at a time, and those of one chunk before those of the next, until a chunk is
//!    whole.
//! 1. A host that rests, or that has as many files in flight as it may, gets none.
//! 2. A chunk that somebody wants now ([`Priority::High`]) goes before others; then one that was
//!    never tried before one that failed.
//! 3. A chunk that has a file in flight lets one that has none go first, so that a short chunk is
//!    not stuck behind a long one; alone, a chunk has its files side by side. Between chunks
//!    that have none in flight, those that have begun and those that have not take turns; of those
//!    that have begun, the one that got a slot the longest ago goes first.
//! 4. Hosts take turns, then datasets, then it is first come, first served.
//!
//! A chunk waits at every host that has a file of it; if one of them rests, at that one alone, so
//! that no half of it lies about for as long as the host is away. At most [`BEGUN_PER_SLOT`] chunks
//! for each slot are begun at a time, not counting those that were begun when a host went away.
//!
//! Where a chunk that was never tried finds no slot, an attempt that is not the first of its chunk
//! and that brings nothing is called back: chunks that keep failing cost the others nothing.

mod calling_back;
mod health;
mod hosts;
#[cfg(test)]
pub(super) mod recount;
mod tier;
mod turns;
mod waiting;

use std::collections::BTreeSet;
use std::sync::Arc;

use health::Health;
use hosts::{Host, HostId, HostWaits, Hosts};

pub(super) use self::health::Turn;
use self::tier::TIERS;
pub(super) use self::tier::{Place, Tier, Trial};
use self::waiting::missing_files;
use super::{Backoff, Moment};
use crate::data_chunk::{ChunkId, DatasetId, FileSpec};
use crate::data_manager::stats::{Priority, RestingHost};
use crate::data_manager::transfer::Transfer;
use crate::data_source::HostSign;
use crate::error::Error;

/// How many chunks are begun at a time, for each slot.
const BEGUN_PER_SLOT: usize = 4;
/// From how many for each slot on those that have begun go first, before others of their datasets.
const BEGUN_FIRST_PER_SLOT: usize = 2;

/// How many chunks are refused room, one after the other, before the next rest.
const REFUSALS_MAX: u32 = 16;

/// Who gets a free slot.
pub(super) enum Grant {
    /// A chunk that waits: its transfer is to begin. It has no file in flight by that.
    Newcomer(ChunkId),
    /// A file of a transfer that has begun.
    File {
        transfer: Arc<Transfer>,
        index: usize,
    },
}

/// A transfer with files that are still to be handed out.
struct Begun {
    transfer: Arc<Transfer>,
    tier: Tier,
    in_flight: usize,
    /// When it last got a slot, as a serial number; 0 if it never did.
    served: u64,
    /// Last first. Never empty.
    files: Vec<(usize, HostId)>,
}

/// A file in flight.
struct Flight {
    transfer: Arc<Transfer>,
    index: usize,
    host: HostId,
    tier: Tier,
    called_back: bool,
    /// Its transfer hands out no more files.
    stopped: bool,
}

/// Names a host until the scheduler is changed again.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostRef(HostId);

/// See the module's documentation.
pub(super) struct Scheduler {
    slots: usize,
    paused: bool,
    hosts: Hosts,
    /// Whether the disk has room.
    space: Health,
    /// How many were told that it has none since it was last tried.
    refusals: u32,
    begun: Vec<Begun>,
    flights: Vec<Flight>,
    /// How many chunks wait in each tier.
    waiting: [usize; TIERS],
    next_ticket: u64,
    /// Slots that were given to files.
    grants: u64,
    /// Whose turn it is between two that have nothing in flight.
    newcomers_turn: bool,
    /// When an attempt that brings something now may be called back, if it stops.
    look_again: Option<Moment>,
}

impl Scheduler {
    pub(super) fn new(slots: usize, per_host: usize) -> Self {
        Scheduler {
            slots,
            paused: false,
            hosts: Hosts::new(per_host),
            space: Health::Well { silences: 0 },
            refusals: 0,
            begun: Vec::new(),
            flights: Vec::new(),
            waiting: [0; TIERS],
            next_ticket: 0,
            grants: 0,
            newcomers_turn: true,
            look_again: None,
        }
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn set_slots(&mut self, slots: usize) {
        self.slots = slots;
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Begins or ends a pause; false if that changes nothing.
    pub(super) fn set_paused(&mut self, paused: bool) -> bool {
        std::mem::replace(&mut self.paused, paused) != paused
    }

    pub(super) fn slots_per_host(&self) -> usize {
        self.hosts.limit()
    }

    pub(super) fn set_slots_per_host(&mut self, limit: usize) {
        self.hosts.set_limit(limit);
    }

    pub(super) fn files_in_flight(&self) -> usize {
        self.flights.len()
    }

    /// The files in flight.
    pub(super) fn flights(&self) -> impl Iterator<Item = (&Arc<Transfer>, usize)> {
        let flights = self.flights.iter();
        flights.map(|flight| (&flight.transfer, flight.index))
    }

    /// The transfers that have something to fetch, or are fetching it, and were not stopped.
    pub(super) fn under_way(&self) -> Vec<&Arc<Transfer>> {
        let begun = self.begun.iter().map(|begun| &begun.transfer);
        let flights = self.flights.iter().filter(|flight| !flight.stopped);
        let flights = flights.map(|flight| &flight.transfer);
        let mut all: Vec<&Arc<Transfer>> = begun.chain(flights).collect();
        all.sort_unstable_by_key(|transfer| transfer.attempt);
        all.dedup_by_key(|transfer| transfer.attempt);
        all
    }

    /// The chunks that wait, by the state of the host that they wait for; one with files of several
    /// hosts is counted at one of them.
    pub(super) fn waits(&self) -> HostWaits {
        self.hosts.waits()
    }

    /// A newcomer's transfer begins.
    pub(super) fn begin(
        &mut self,
        place: Place,
        transfer: &Arc<Transfer>,
        missing: impl Fn(usize) -> bool,
    ) {
        let spec = &transfer.spec;
        if let Some((host, ..)) = self.hosts.peek(place.tier) {
            self.hosts.passed(host, &place);
        }
        // Before it leaves the hosts, which forget each other when nothing needs them.
        let promise = |hosts: &mut Hosts, file: &FileSpec| hosts.promise(file.host());
        let files: Vec<(usize, HostId)> = missing_files(spec, missing)
            .rev()
            .map(|(index, file)| (index, promise(&mut self.hosts, file)))
            .collect();
        self.remove(place, spec);
        self.newcomers_turn = false;
        if !files.is_empty() {
            self.begun.push(Begun {
                transfer: transfer.clone(),
                tier: place.tier,
                in_flight: 0,
                served: 0,
                files,
            });
        }
    }

    /// A transfer is wanted sooner, or not so soon, than when it began.
    pub(super) fn set_priority(&mut self, attempt: u64, priority: Priority) {
        let same = |transfer: &Transfer| transfer.attempt == attempt;
        let begun = self.begun.iter_mut().filter(|begun| same(&begun.transfer));
        begun.for_each(|begun| begun.tier.priority = priority);
        let flights = self.flights.iter_mut();
        let flights = flights.filter(|flight| same(&flight.transfer));
        flights.for_each(|flight| flight.tier.priority = priority);
    }

    /// No more files of the transfer are handed out.
    pub(super) fn stop(&mut self, attempt: u64) {
        for flight in &mut self.flights {
            flight.stopped |= flight.transfer.attempt == attempt;
        }
        let same = |begun: &Begun| begun.transfer.attempt == attempt;
        if let Some(at) = self.begun.iter().position(same) {
            for (_, host) in self.begun.remove(at).files {
                self.hosts.withdraw(host);
            }
        }
    }

    /// Who gets a slot now, if one is free and somebody can use it.
    pub(super) fn next(&mut self) -> Option<Grant> {
        if self.paused || self.flights.len() >= self.space.room(self.slots) {
            return None;
        }
        let begun = self.next_begun();
        let newcomer = self.next_newcomer();
        // Two that have the halves of what there is room for would wait for each other.
        let newcomer = newcomer.filter(|_| begun.is_none() || !self.looks_for_space());
        match (begun, newcomer) {
            (Some((at, _)), Some((tier, dataset, _)))
                if self.begun_goes_first(at, tier, dataset) =>
            {
                self.newcomers_turn = true;
                begun.map(|(at, file)| self.hand_out(at, file))
            }
            (_, Some((.., id))) => Some(Grant::Newcomer(id)),
            (Some((at, file)), None) => Some(self.hand_out(at, file)),
            (None, None) => None,
        }
    }

    fn begun_goes_first(&self, at: usize, newcomer: Tier, dataset: DatasetId) -> bool {
        let begun = &self.begun[at];
        if begun.tier != newcomer {
            return begun.tier < newcomer;
        }
        // A dataset that has none yet is not made to wait for another's to be done.
        let of_dataset = |begun: &Begun| begun.transfer.spec.dataset_id == dataset;
        let enough = || self.are_begun(BEGUN_FIRST_PER_SLOT) && self.begun.iter().any(of_dataset);
        begun.in_flight == 0 && !self.newcomers_turn || enough()
    }

    /// Whether so many chunks for each slot are begun.
    fn are_begun(&self, per_slot: usize) -> bool {
        let many = self.slots.saturating_mul(per_slot);
        self.begun.len() >= many && self.active_begun() >= many
    }

    fn next_newcomer(&self) -> Option<(Tier, DatasetId, ChunkId)> {
        if self.are_begun(BEGUN_PER_SLOT) {
            return None;
        }
        Tier::ALL
            .iter()
            .find_map(|tier| (self.hosts.peek(*tier)).map(|(_, dataset, id)| (*tier, dataset, id)))
    }

    /// Begun transfers that do not only wait for a host to come back.
    fn active_begun(&self) -> usize {
        let rests = |host: HostId| {
            let host = self.hosts.get(host);
            host.is_some_and(|host| host.health.is_resting())
        };
        let active = |begun: &&Begun| {
            begun.in_flight > 0 || begun.files.iter().any(|(_, host)| !rests(*host))
        };
        self.begun.iter().filter(active).count()
    }

    /// The begun transfer that goes next, and which of its files.
    fn next_begun(&self) -> Option<(usize, usize)> {
        let ready = |begun: &Begun| {
            let files = begun.files.iter();
            files.rev().position(|(_, host)| self.hosts.has_room(*host))
        };
        let candidates = self.begun.iter().enumerate();
        candidates
            .filter_map(|(at, begun)| Some((at, begun.files.len() - 1 - ready(begun)?)))
            .min_by_key(|(at, _)| {
                let begun = &self.begun[*at];
                (begun.tier, begun.in_flight, begun.served, *at)
            })
    }

    fn hand_out(&mut self, at: usize, file: usize) -> Grant {
        let begun = &mut self.begun[at];
        let (index, host) = begun.files.remove(file);
        begun.in_flight += 1;
        self.grants += 1;
        begun.served = self.grants;
        let transfer = begun.transfer.clone();
        self.hosts.take_off(host);
        self.flights.push(Flight {
            transfer: transfer.clone(),
            index,
            host,
            tier: begun.tier,
            called_back: false,
            stopped: false,
        });
        if begun.files.is_empty() {
            self.begun.remove(at);
        }
        Grant::File { transfer, index }
    }

    /// A file that was handed out has landed. Returns what that says of its host.
    pub(super) fn landed(
        &mut self,
        now: Moment,
        (attempt, index): (u64, usize),
        sign: HostSign,
        backoff: &mut Backoff,
    ) -> (Turn, Option<HostRef>) {
        let Some(at) = self.flight(attempt, index) else {
            return (Turn::Same, None);
        };
        let host = self.flights.swap_remove(at).host;
        let same = |begun: &&mut Begun| begun.transfer.attempt == attempt;
        if let Some(begun) = self.begun.iter_mut().find(same) {
            begun.in_flight -= 1;
        }
        let turn = self
            .hosts
            .land(now, host, sign, |rests| backoff.rest(rests));
        (turn, self.hosts.get(host).map(|_| HostRef(host)))
    }

    /// The host of a file in flight answered.
    pub(super) fn answered(
        &mut self,
        now: Moment,
        attempt: u64,
        index: usize,
    ) -> (Turn, Option<HostRef>) {
        let Some(at) = self.flight(attempt, index) else {
            return (Turn::Same, None);
        };
        let host = self.flights[at].host;
        (self.hosts.answered(now, host), Some(HostRef(host)))
    }

    fn flight(&self, attempt: u64, index: usize) -> Option<usize> {
        let same = |flight: &Flight| flight.index == index && flight.transfer.attempt == attempt;
        self.flights.iter().position(same)
    }

    /// The time `now` has come.
    pub(super) fn wake(&mut self, now: Moment) {
        self.hosts.wake(now);
        if self.space.rests_until().is_some_and(|until| until <= now) {
            self.space.wake();
        }
    }

    /// The disk is full; or, where it was only `refused`, there was no room for this chunk, which
    /// cost nothing to hear: there may be for a smaller one.
    pub(super) fn space_is_short(&mut self, now: Moment, refused: bool, backoff: &mut Backoff) {
        if refused && self.looks_for_space() && self.refusals < REFUSALS_MAX {
            self.refusals += 1;
            return;
        }
        self.refusals = 0;
        self.space.fail(now, |rests| backoff.rest(rests));
    }

    /// Something was removed: perhaps there is space now.
    pub(super) fn space_was_freed(&mut self) {
        self.space.wake();
    }

    /// A chunk is whole and in its place.
    pub(super) fn space_was_found(&mut self) {
        self.space = Health::Well { silences: 0 };
    }

    /// Whether there was too little of it when somebody last needed some.
    pub(super) fn is_short_of_space(&self) -> bool {
        !self.space.is_unremarkable()
    }

    /// Whether one file at a time finds out if there is space again.
    pub(super) fn looks_for_space(&self) -> bool {
        !self.space.is_unremarkable() && !self.space.is_resting()
    }

    /// When [`wake`](Self::wake) has something to do.
    pub(super) fn next_wake(&self) -> Option<Moment> {
        let rest = self.hosts.next_rest_end();
        let wakes = [rest, self.look_again, self.space.rests_until()];
        wakes.into_iter().flatten().min()
    }

    /// A chunk failed because its host was silent.
    pub(super) fn suffered(&mut self, host: HostRef, chunk: ChunkId, error: &Error) {
        self.hosts.suffered(host.0, chunk, error);
    }

    pub(super) fn take_sufferers(&mut self, host: HostRef) -> BTreeSet<ChunkId> {
        self.hosts.take_sufferers(host.0)
    }

    pub(super) fn name_of(&self, host: HostRef) -> String {
        let host = self.hosts.get(host.0);
        host.map_or_else(String::new, |host| host.name.to_string())
    }

    /// At most `limit` of the hosts that were given up, as a person wants to see them.
    pub(super) fn given_up(&self, now: Moment, limit: usize) -> (usize, Vec<RestingHost>) {
        let shown = self.hosts.each_given_up().take(limit);
        let shown = shown.map(|host| show(host, now)).collect();
        (self.hosts.given_up(), shown)
    }
}

fn show(host: &Host, now: Moment) -> RestingHost {
    RestingHost::new(
        host.name.to_string(),
        host.rest_left(now),
        host.last_error.clone(),
    )
}

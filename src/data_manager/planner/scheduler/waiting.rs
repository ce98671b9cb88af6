//! The chunks that wait, and at which hosts.

use super::health::Health;
use super::{Place, Scheduler, Tier, show};
use crate::data_chunk::{ChunkSpec, FileSpec};
use crate::data_manager::planner::Moment;
use crate::data_manager::stats::{Priority, RestingHost};

impl Scheduler {
    /// Puts a chunk among those that wait, for the files of `spec` that `missing` names.
    pub(in super::super) fn push(
        &mut self,
        tier: Tier,
        spec: &ChunkSpec,
        missing: impl Fn(usize) -> bool,
    ) -> Place {
        self.next_ticket += 1;
        let place = Place {
            tier,
            dataset_id: spec.dataset_id,
            ticket: self.next_ticket,
        };
        self.insert(place, spec, missing);
        place
    }

    fn insert(&mut self, place: Place, spec: &ChunkSpec, missing: impl Fn(usize) -> bool) {
        self.waiting[place.tier.index()] += 1;
        if let Some(resting) = self.resting_host(spec, &missing) {
            self.hosts.insert(resting, &place, spec.id);
            return self.hosts.count_in(resting);
        }
        if missing_files(spec, &missing).next().is_none() {
            // All of it is staged: it only needs somebody to commit it.
            self.hosts.insert(spec.files[0].host(), &place, spec.id);
            return self.hosts.count_in(spec.files[0].host());
        }
        for (_, file) in missing_files(spec, &missing) {
            // The second file of a host finds the chunk there.
            self.hosts.insert(file.host(), &place, spec.id);
        }
        // The host that `remove` comes to first: whoever removes it does not know what was missing.
        let waits_at = |host: &str| missing_files(spec, &missing).any(|(_, f)| f.host() == host);
        let mut hosts = spec.files.iter().map(FileSpec::host);
        if let Some(first) = hosts.find(|host| waits_at(host)) {
            self.hosts.count_in(first);
        }
    }

    /// A host of a missing file that rests.
    fn resting_host<'a>(
        &self,
        spec: &'a ChunkSpec,
        missing: impl Fn(usize) -> bool,
    ) -> Option<&'a str> {
        self.host_that(spec, missing, Health::is_resting)
    }

    fn host_that<'a>(
        &self,
        spec: &'a ChunkSpec,
        missing: impl Fn(usize) -> bool,
        is_it: fn(Health) -> bool,
    ) -> Option<&'a str> {
        let fits = |name: &str| {
            let host = self.hosts.id_of(name).and_then(|id| self.hosts.get(id));
            host.is_some_and(|host| is_it(host.health))
        };
        let mut hosts = missing_files(spec, missing).map(|(_, file)| file.host());
        hosts.find(|name| fits(name))
    }

    /// Whether a newcomer has to wait for a host that rests; then it does, and no longer elsewhere.
    pub(in super::super) fn postpone(
        &mut self,
        place: Place,
        spec: &ChunkSpec,
        missing: impl Fn(usize) -> bool,
    ) -> bool {
        let postponed = self.resting_host(spec, &missing).is_some();
        if postponed {
            self.remove(place, spec);
            self.insert(place, spec, missing);
        }
        postponed
    }

    pub(in super::super) fn remove(&mut self, place: Place, spec: &ChunkSpec) {
        let mut waited = false;
        for file in &spec.files {
            let was_there = self.hosts.remove(file.host(), &place, spec.id, !waited);
            waited |= was_there;
        }
        self.waiting[place.tier.index()] -= usize::from(waited);
    }

    /// The same place in another tier.
    pub(in super::super) fn lift(
        &mut self,
        place: Place,
        priority: Priority,
        spec: &ChunkSpec,
        missing: impl Fn(usize) -> bool,
    ) -> Place {
        self.remove(place, spec);
        let tier = Tier::new(priority, place.tier.trial);
        let place = Place { tier, ..place };
        self.insert(place, spec, missing);
        place
    }

    /// A host of a missing file that serves as many files as it may; of a chunk that does not find
    /// another one.
    pub(in super::super) fn full_host<'a>(
        &self,
        spec: &'a ChunkSpec,
        missing: impl Fn(usize) -> bool,
    ) -> Option<&'a str> {
        let has_room = |name: &str| {
            let id = self.hosts.id_of(name);
            id.is_none_or(|id| self.hosts.has_room(id))
        };
        let mut hosts = missing_files(spec, &missing).map(|(_, file)| file.host());
        let first = hosts.next()?;
        let full = !has_room(first) && !hosts.any(has_room);
        full.then_some(first)
    }

    /// The host that a waiting chunk waits for: it rests, or is being tried again.
    pub(in super::super) fn rest_of(
        &self,
        now: Moment,
        spec: &ChunkSpec,
        missing: impl Fn(usize) -> bool,
    ) -> Option<RestingHost> {
        let host = self.host_that(spec, missing, Health::is_given_up)?;
        let resting = self.hosts.id_of(host)?;
        Some(show(self.hosts.get(resting)?, now))
    }
}

/// The files that no earlier attempt brought, with their numbers.
pub(super) fn missing_files(
    spec: &ChunkSpec,
    missing: impl Fn(usize) -> bool,
) -> impl DoubleEndedIterator<Item = (usize, &FileSpec)> {
    let files = spec.files.iter().enumerate();
    files.filter(move |(index, _)| missing(*index))
}

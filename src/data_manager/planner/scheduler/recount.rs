//! What the scheduler believes, laid open for the simulator to count again.

pub(in super::super) use super::hosts::HostWaits;
use super::*;
use crate::data_chunk::DatasetId;

/// One host, as the scheduler sees it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct HostView {
    pub(in super::super) resting_until: Option<Moment>,
    /// It rests, or is being tried again.
    pub(in super::super) given_up: bool,
    pub(in super::super) in_flight: usize,
    pub(in super::super) promised: usize,
    /// How many more files of it may be in flight.
    pub(in super::super) room: usize,
}

/// A chunk's place in the line of one host: tier, dataset, ticket, chunk.
pub(in super::super) type InLine = (usize, DatasetId, u64, ChunkId);

/// A transfer with files to hand out.
pub(in super::super) struct BegunView<'a> {
    pub(in super::super) attempt: u64,
    pub(in super::super) in_flight: usize,
    pub(in super::super) files: Vec<(usize, &'a str)>,
}

pub(in super::super) struct FlightView<'a> {
    pub(in super::super) transfer: Arc<Transfer>,
    pub(in super::super) index: usize,
    pub(in super::super) host: &'a str,
    /// The number of its tier.
    pub(in super::super) tier: usize,
    pub(in super::super) fresh: bool,
    pub(in super::super) called_back: bool,
}

impl Place {
    pub(in super::super) fn in_line(self, id: ChunkId) -> InLine {
        (self.tier.index(), self.dataset_id, self.ticket, id)
    }
}

impl Scheduler {
    pub(in super::super) fn host_view(&self, name: &str) -> Option<HostView> {
        let host = self.hosts.get(self.hosts.id_of(name)?)?;
        Some(host.view(self.hosts.limit()))
    }

    pub(in super::super) fn host_views(&self) -> Vec<(&str, HostView)> {
        self.hosts.views()
    }

    /// Everything that waits, once for each host at which it does.
    pub(in super::super) fn lines(&self) -> Vec<(&str, InLine)> {
        self.hosts.lines()
    }

    pub(in super::super) fn waiting(&self) -> [usize; TIERS] {
        self.waiting
    }

    pub(in super::super) fn begun_views(&self) -> Vec<BegunView<'_>> {
        let name = |host: HostId| self.hosts.get(host).map_or("", |host| &*host.name);
        let view = |begun: &Begun| BegunView {
            attempt: begun.transfer.attempt,
            in_flight: begun.in_flight,
            files: begun
                .files
                .iter()
                .map(|(at, host)| (*at, name(*host)))
                .collect(),
        };
        self.begun.iter().map(view).collect()
    }

    pub(in super::super) fn flight_views(&self) -> Vec<FlightView<'_>> {
        let name = |host: HostId| self.hosts.get(host).map_or("", |host| &*host.name);
        let view = |flight: &Flight| FlightView {
            transfer: flight.transfer.clone(),
            index: flight.index,
            host: name(flight.host),
            tier: flight.tier.index(),
            fresh: flight.tier.trial == Trial::Fresh,
            called_back: flight.called_back,
        };
        self.flights.iter().map(view).collect()
    }

    /// How many files may be in flight, as far as the disk has space.
    pub(in super::super) fn room(&self) -> usize {
        self.space.room(self.slots)
    }

    /// Until when nothing is fetched, since the disk is full.
    pub(in super::super) fn waits_for_space_until(&self) -> Option<Moment> {
        self.space.rests_until()
    }

    /// Whether no more chunks may begin.
    pub(in super::super) fn has_begun_enough(&self) -> bool {
        let most = self.slots.saturating_mul(BEGUN_PER_SLOT);
        self.begun.len() >= most && self.active_begun() >= most
    }

    /// Whether more chunks are begun than may be.
    pub(in super::super) fn has_begun_too_many(&self) -> bool {
        let most = self.slots.saturating_mul(BEGUN_PER_SLOT);
        self.begun.len() > most && self.active_begun() > most
    }

    /// What is kept twice agrees.
    pub(in super::super) fn check(&self) {
        self.hosts.check();
    }
}

//! Too little room: who is told, and what goes to make some.
//!
//! When nothing is fetched for want of it, and how it is found out whether there is room again, is in
//! [`Scheduler`](super::scheduler::Scheduler).

use super::{Board, Moment};
use crate::data_chunk::ChunkSpec;
use crate::data_manager::events::Event;
use crate::data_source::{SpaceShortage, StagingKey};
use crate::error::Error;

/// What subscribers know of it.
#[derive(Debug, Default)]
pub(super) struct SpaceWatch {
    /// What there was too little of last.
    last: Option<(SpaceShortage, Error)>,
    /// What was told last; `None` after there was room again.
    told: Option<SpaceShortage>,
}

impl Board {
    /// The disk is full, or what the limits leave of it. What earlier attempts left is the cheapest
    /// to give up: the others' at first, and where that was not enough, all of it.
    pub(super) fn space_is_short(&mut self, now: Moment, spec: &ChunkSpec, error: &Error) {
        let again = self.scheduler.looks_for_space();
        let own = StagingKey::of(spec);
        self.partials.clear(Some(&own).filter(|_| !again));
        let reason = SpaceShortage::of(error);
        let refused = matches!(
            reason,
            SpaceShortage::MaxBytes | SpaceShortage::MinFreeBytes
        );
        (self.scheduler).space_is_short(now, refused, &mut self.backoff);
        self.space.last = Some((reason, error.clone()));
    }

    /// The chunk can never fit: what there is of it is of no use to anybody, and in the way of the
    /// others, who do not wait for it.
    pub(super) fn space_is_too_small(&mut self, now: Moment, spec: &ChunkSpec) {
        self.partials.expire(now, &StagingKey::of(spec));
    }

    /// What there is too little of, if anything waits for it.
    pub(super) fn waits_for(&self) -> Option<SpaceShortage> {
        let counts = &self.counts;
        let unreached = counts.settling + counts.waiting + counts.transferring + counts.backing_off;
        let short = self.scheduler.is_short_of_space() && unreached > 0 && !self.shut_down;
        let last = self.space.last.as_ref().filter(|_| short);
        last.map(|(reason, _)| *reason)
    }

    /// Tells the subscribers what has changed.
    pub(super) fn tell_of_space(&mut self) {
        let reason = self.waits_for();
        if self.space.told == reason || self.shut_down {
            return;
        }
        self.space.told = reason;
        match self.space.last.clone().filter(|_| reason.is_some()) {
            Some((reason, error)) => self.emit(Event::SpaceShort { reason, error }),
            None => self.emit(Event::SpaceBack),
        }
    }
}

//! What is counted over all entries beside their states: what is still to come, what is verified,
//! what is held. Kept by `Planner::edit`, so that nobody has to walk over the entries to know it.

use std::collections::BTreeSet;

use super::entry::{Entry, Leaving, Phase, Trust};
use super::{Change, Moment, Planner, millis};
use crate::data_chunk::ChunkId;
use crate::data_manager::stats::{Flying, HeldCounts, Left, OldestHeld, WaitCounts, WaitReason};
use crate::data_source::Generation;

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Chunks that wait to be verified.
    verifying: usize,
    /// Chunks with an attempt that has failed or was broken off, and has not ended.
    stopped: usize,
    /// Chunks that are to be fetched, and are not being fetched now, but for such an attempt.
    to_come: usize,
    /// Those of them whose length is known.
    known: usize,
    /// What those miss.
    known_bytes: u64,
    /// What there is of the others.
    unknown_done_bytes: u64,
    /// Generations on their way out that somebody refers to, by when they left.
    held: BTreeSet<(Moment, ChunkId, Generation)>,
}

/// What an entry that is not being fetched now has still to come.
struct ToCome {
    total_bytes: Option<u64>,
    done_bytes: u64,
}

impl Tally {
    pub(super) fn count(&mut self, entry: &Entry, change: Change) {
        let apply = |count: &mut usize, yes: bool| match change {
            Change::In => *count += usize::from(yes),
            Change::Out => *count -= usize::from(yes),
        };
        let apply_bytes = |count: &mut u64, bytes: u64| match change {
            Change::In => *count += bytes,
            Change::Out => *count -= bytes,
        };
        apply(&mut self.verifying, entry.is_verifying());
        apply(&mut self.stopped, entry.is_stopped());
        let to_come = entry.to_come();
        apply(&mut self.to_come, to_come.is_some());
        match to_come {
            Some(ToCome {
                total_bytes: Some(total),
                done_bytes,
            }) => {
                apply(&mut self.known, true);
                apply_bytes(&mut self.known_bytes, total.saturating_sub(done_bytes));
            }
            Some(unknown) => apply_bytes(&mut self.unknown_done_bytes, unknown.done_bytes),
            None => {}
        }
        for leaving in entry.leaving.iter().filter(|leaving| leaving.is_held()) {
            let key = (
                leaving.since,
                leaving.stored.spec.id,
                leaving.stored.generation,
            );
            match change {
                Change::In => self.held.insert(key),
                Change::Out => self.held.remove(&key),
            };
        }
    }
}

impl Planner {
    /// What waits, and for what.
    pub(super) fn waits(&self) -> WaitCounts {
        let (board, mut waits) = (&self.board, WaitCounts::default());
        let counts = &board.counts;
        match board.holds_all_up() {
            Some(WaitReason::Paused) => waits.paused = counts.waiting,
            Some(_) => waits.disk_space = counts.waiting,
            None => {
                let hosts = board.scheduler.waits();
                (waits.slot, waits.host_slot, waits.host_resting) =
                    (hosts.ready, hosts.full, hosts.resting);
            }
        }
        waits.backoff = counts.backing_off + counts.failed;
        waits.verifying = board.tally.verifying;
        waits.settling = counts.settling - board.tally.verifying;
        waits.references = counts.held;
        waits
    }

    /// What is deleted or replaced, and referred to.
    pub(super) fn held(&self, now: Moment) -> HeldCounts {
        let held = &self.board.tally.held;
        let oldest = held.first().map(|(since, id, _)| {
            let age = now.saturating_sub(*since);
            OldestHeld::new(*id, millis(age))
        });
        HeldCounts::new(held.len(), oldest)
    }

    /// The files in flight. Costs by the number of slots.
    pub(in crate::data_manager) fn flying(&self, now: Moment) -> Vec<Flying> {
        let flights = self.board.scheduler.flights();
        let flying = flights.map(|(transfer, index)| Flying {
            spec: transfer.spec.clone(),
            index,
            attempt: transfer.tries,
            done_bytes: transfer.files[index].done_bytes(),
            total_bytes: transfer.files[index].total_bytes(),
            bytes_per_second: transfer.rates[index].bytes_per_second(now),
        });
        flying.collect()
    }

    /// What is still to come. Costs by the number of transfers that have begun, which is bounded by
    /// the slots.
    pub(in crate::data_manager) fn left(&self) -> Left {
        let (board, tally) = (&self.board, &self.board.tally);
        let mut left = Left {
            chunks: tally.to_come + board.counts.transferring - tally.stopped,
            known_bytes: tally.known_bytes,
            unknown_chunks: tally.to_come - tally.known,
            unknown_done_bytes: tally.unknown_done_bytes,
            mean_bytes: None,
        };
        let (mut of, mut sum) = (0, 0u64);
        for transfer in board.scheduler.under_way() {
            match transfer.progress() {
                (done, Some(total)) => {
                    left.known_bytes += total.saturating_sub(done);
                    (of, sum) = (of + 1, sum.saturating_add(total));
                }
                (done, None) => {
                    left.unknown_chunks += 1;
                    left.unknown_done_bytes += done;
                }
            }
        }
        // What came last is more like what comes next than what was there before.
        of += board.counters.downloaded_chunks;
        sum = sum.saturating_add(board.fetched_bytes);
        if of == 0 {
            of = u64::try_from(board.counts.available).unwrap_or(u64::MAX);
            sum = board.counts.available_bytes;
        }
        left.mean_bytes = sum.checked_div(of);
        left
    }
}

impl super::Board {
    /// What all waiting chunks wait for, whatever else they might.
    pub(super) fn holds_all_up(&self) -> Option<WaitReason> {
        if self.scheduler.is_paused() {
            return Some(WaitReason::Paused);
        }
        let short = self.scheduler.is_short_of_space();
        short.then_some(WaitReason::DiskSpace)
    }
}

impl Leaving {
    /// Whether somebody refers to it, as far as is known.
    pub(super) fn is_held(&self) -> bool {
        self.holds > 0 && !self.fresh
    }
}

impl Entry {
    /// Whether what is wanted is there and waits to be verified.
    pub(super) fn is_verifying(&self) -> bool {
        let unverified = |at: usize| self.leaving[at].trust == Trust::Unverified;
        (0..self.leaving.len()).any(|at| unverified(at) && self.is_wanted_back(at))
    }

    /// Whether the attempt that runs brings no more.
    fn is_stopped(&self) -> bool {
        let wanted = self.wanted.as_ref();
        wanted.is_some_and(|wanted| wanted.phase == Phase::Transferring)
            && self.running.as_ref().is_some_and(|running| running.stopped)
    }

    fn to_come(&self) -> Option<ToCome> {
        let wanted = self.wanted.as_ref().filter(|wanted| !wanted.ended)?;
        let to_come = match wanted.phase {
            Phase::Waiting(_) | Phase::BackingOff { .. } => true,
            Phase::Settling => !(0..self.leaving.len()).any(|at| self.is_wanted_back(at)),
            Phase::Transferring => self.is_stopped(),
            Phase::Visible => false,
        };
        let tried = wanted.tried.as_ref().filter(|_| to_come);
        to_come.then(|| ToCome {
            total_bytes: tried.and_then(|tried| tried.total_bytes),
            done_bytes: tried.map_or(0, |tried| tried.staged_bytes),
        })
    }
}

//! Room for chunks that were never tried: attempts of chunks that failed before, and that bring
//! nothing, give their slots back.

use std::sync::Arc;
use std::time::Duration;

use super::{Flight, Scheduler, Tier, Trial};
use crate::data_manager::planner::Moment;
use crate::data_manager::transfer::Transfer;

/// How long an attempt that is not its chunk's first may bring nothing while others wait, once it
/// has brought something.
const PATIENCE: Duration = Duration::from_secs(1);

impl Scheduler {
    /// The attempts that are to be called back, so that chunks that were never tried get their
    /// slots.
    pub(in super::super) fn call_back(&mut self, now: Moment) -> Vec<Arc<Transfer>> {
        self.look_again = None;
        if self.paused {
            // The slot would go to nobody.
            return Vec::new();
        }
        let fresh = |tier: &Tier| tier.trial == Trial::Fresh;
        let fresh_waiting: usize = Tier::ALL
            .iter()
            .filter(|tier| fresh(tier))
            .map(|tier| self.waiting[tier.index()])
            .sum();
        let mut wanted = fresh_waiting.saturating_sub(self.called_back());
        if wanted == 0 || self.flights.iter().all(|flight| fresh(&flight.tier)) {
            return Vec::new();
        }
        let no_slot = self.flights.len() >= self.slots;
        let mut back: Vec<Arc<Transfer>> = Vec::new();
        for at in 0..self.flights.len() {
            let flight = &self.flights[at];
            // What goes before them would get the slot back at once.
            let goes_after = |tier: &&Tier| fresh(tier) && **tier < flight.tier;
            let in_the_way = Tier::ALL.iter().filter(goes_after).any(|tier| {
                no_slot && self.hosts.has_ready(*tier) || self.hosts.is_full(*tier, flight.host)
            });
            if fresh(&flight.tier) || flight.called_back || !in_the_way || wanted == 0 {
                continue;
            }
            match flight.patience_ends() {
                Some(at) if at > now => {
                    let look_again = self.look_again.map_or(at, |earlier| earlier.min(at));
                    self.look_again = Some(look_again);
                }
                _ => {
                    wanted -= 1;
                    back.push(flight.transfer.clone());
                    self.mark_called_back(at);
                }
            }
        }
        back
    }

    fn called_back(&self) -> usize {
        let called_back = |flight: &&Flight| flight.called_back;
        self.flights.iter().filter(called_back).count()
    }

    /// All files of one transfer come back together.
    fn mark_called_back(&mut self, at: usize) {
        let attempt = self.flights[at].transfer.attempt;
        for flight in &mut self.flights {
            flight.called_back |= flight.transfer.attempt == attempt;
        }
    }
}

impl Flight {
    /// Until when its transfer may bring nothing while a chunk waits that was never tried; `None`
    /// if it has brought nothing at all.
    fn patience_ends(&self) -> Option<Moment> {
        let arrived = self.transfer.last_arrival()?;
        Some(arrived.saturating_add(PATIENCE))
    }
}

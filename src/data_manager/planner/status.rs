//! What is said of one chunk.

use super::entry::{Entry, Phase, Wanted};
use super::{Moment, Planner, millis};
use crate::data_chunk::ChunkId;
use crate::data_manager::stats::{ChunkState, ChunkStatus, WaitReason};
use crate::data_source::StagingKey;

impl Planner {
    pub(in crate::data_manager) fn status(&self, id: &ChunkId, now: Moment) -> Option<ChunkStatus> {
        let Some(entry) = self.entries.get(id) else {
            return Some(self.found.entry(id)?.status(id, now));
        };
        let mut status = entry.status(id, now);
        let Some(wanted) = &entry.wanted else {
            return Some(status);
        };
        match wanted.phase {
            Phase::Waiting(_) => self.say_what_it_waits_for(wanted, now, &mut status),
            // The rest of it does.
            Phase::Transferring if entry.has_nothing_in_flight() => {
                status.wait_reason = self.board.holds_all_up();
            }
            _ => {}
        }
        let nothing_runs = entry.running.is_none() && entry.visible.is_none();
        let staged = (self.board.partials).bytes_of(&StagingKey::of(&wanted.spec));
        if let Some(staged) = staged.filter(|_| nothing_runs) {
            status.done_bytes = staged;
        }
        Some(status)
    }

    fn say_what_it_waits_for(&self, wanted: &Wanted, now: Moment, status: &mut ChunkStatus) {
        let scheduler = &self.board.scheduler;
        let rest = scheduler.rest_of(now, &wanted.spec, wanted.missing());
        let (mut reason, mut host) = match &rest {
            Some(rest) => (WaitReason::HostResting, Some(rest.host.clone())),
            None => match scheduler.full_host(&wanted.spec, wanted.missing()) {
                Some(full) => (WaitReason::HostSlot, Some(full.to_owned())),
                None => (WaitReason::Slot, None),
            },
        };
        if let Some(of_all) = self.board.holds_all_up() {
            (reason, host) = (of_all, None);
        }
        (status.wait_reason, status.waits_for_host) = (Some(reason), host);
        if let Some(rest) = rest {
            status.next_try_in_ms = rest.next_try_in_ms;
            status.last_error = status.last_error.take().or(rest.last_error);
        }
    }
}

impl Entry {
    /// Whether its transfer has files left to fetch, and none is being fetched.
    fn has_nothing_in_flight(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.jobs == 0 && running.to_hand_out > 0)
    }

    fn status(&self, id: &ChunkId, now: Moment) -> ChunkStatus {
        let mut status = ChunkStatus::new(*id, self.state());
        match &self.wanted {
            Some(wanted) => wanted.say(now, &mut status),
            None => self.say_leaving(now, &mut status),
        }
        if let Some(running) = &self.running {
            let (done, total) = running.transfer.progress();
            status.done_bytes = done;
            status.total_bytes = total;
        } else if let Some(visible) = &self.visible {
            status.done_bytes = visible.stored.len_bytes();
            status.total_bytes = Some(status.done_bytes);
        }
        status.wait_reason = match status.state {
            ChunkState::BackingOff | ChunkState::Failed => Some(WaitReason::Backoff),
            ChunkState::Settling if self.is_verifying() => Some(WaitReason::Verifying),
            ChunkState::Settling => Some(WaitReason::Settling),
            ChunkState::Held => Some(WaitReason::References),
            ChunkState::Removing => (status.next_try_in_ms).map(|_| WaitReason::Backoff),
            _ => None,
        };
        status.leaving = self.leaving.len();
        let held = self.leaving.iter().filter(|leaving| leaving.is_held());
        let since = held.map(|leaving| leaving.since).min();
        status.held_ms = since.map(|since| millis(now.saturating_sub(since)));
        status
    }

    /// What there is to say of what is not wanted.
    fn say_leaving(&self, now: Moment, status: &mut ChunkStatus) {
        let failed = self.leaving.iter().filter(|leaving| leaving.failures > 0);
        let Some(leaving) = failed.max_by_key(|leaving| leaving.retry_at) else {
            return;
        };
        status.failures = leaving.failures;
        if let Some(failed) = &leaving.failed {
            status.last_error = Some(failed.error.clone());
            status.last_error_ms = Some(millis(now.saturating_sub(failed.at)));
        }
        let next = leaving.retry_at;
        status.next_try_in_ms = next.map(|at| millis(at.saturating_sub(now)));
    }
}

impl Wanted {
    fn say(&self, now: Moment, status: &mut ChunkStatus) {
        status.wanted = true;
        status.priority = self.priority;
        status.failures = self.failures;
        status.attempts = self.failures + u32::from(self.phase == Phase::Transferring);
        if let Some(tried) = &self.tried {
            status.total_bytes = tried.total_bytes;
        }
        if let Some(failed) = self.failed() {
            status.last_error = Some(failed.error.clone());
            status.last_error_ms = Some(millis(now.saturating_sub(failed.at)));
        }
        if let Phase::BackingOff { until } = self.phase {
            status.next_try_in_ms = Some(millis(until.saturating_sub(now)));
        }
    }
}

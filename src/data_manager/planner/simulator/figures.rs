//! What the figures say, counted again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::super::Change;
use super::super::entry::{Entry, Phase};
use super::super::scheduler::recount::{HostView, HostWaits, InLine};
use super::super::tally::Tally;

use super::world::World;
use crate::data_chunk::{ChunkId, FileSpec};
use crate::data_manager::stats::{ChunkState, ChunkStatus, WaitReason};

impl World {
    pub(super) fn check_figures(&self) {
        self.check_tally();
        self.check_host_waits();
        self.check_left();
        self.check_statuses();
    }

    /// Nothing was changed that is counted, but by `Planner::edit`.
    fn check_tally(&self) {
        let mut tally = Tally::default();
        for entry in self.planner.entries.values() {
            tally.count(entry, Change::In);
        }
        let kept = &self.planner.board.tally;
        hold!(self, *kept == tally, "{kept:?} is {tally:?}");
        let held = self.planner.held(self.now());
        let leaving = self.planner.entries.values().flat_map(|e| &e.leaving);
        let referred = leaving.filter(|leaving| leaving.holds > 0 && !leaving.fresh);
        let mut since: Vec<_> = referred.map(|l| (l.since, l.stored.spec.id)).collect();
        since.sort_unstable();
        hold!(self, held.contents == since.len(), "{held:?}");
        let oldest = held.oldest.map(|oldest| (oldest.held_ms, oldest.chunk_id));
        let first = since.first().map(|(since, id)| {
            let age = self.now().saturating_sub(*since).as_millis();
            (u64::try_from(age).unwrap(), *id)
        });
        hold!(
            self,
            oldest == first,
            "{oldest:?} is the oldest, not {first:?}"
        );
    }

    /// Each waiting chunk is counted at the first of the hosts that it waits at.
    fn check_host_waits(&self) {
        let scheduler = &self.planner.board.scheduler;
        let mut lines: BTreeMap<ChunkId, BTreeSet<&str>> = BTreeMap::new();
        for (host, in_line) in scheduler.lines() {
            let (_, _, _, id): InLine = in_line;
            lines.entry(id).or_default().insert(host);
        }
        let mut waits = HostWaits::default();
        for (id, hosts) in &lines {
            let wanted = self.planner.entries[id].wanted.as_ref();
            let files = wanted.into_iter().flat_map(|wanted| &wanted.spec.files);
            let first = files.map(FileSpec::host).find(|at| hosts.contains(at));
            match first.and_then(|host| scheduler.host_view(host)) {
                Some(HostView { given_up: true, .. }) => waits.resting += 1,
                Some(host) if host.room > 0 => waits.ready += 1,
                _ => waits.full += 1,
            }
        }
        let kept = scheduler.waits();
        hold!(self, kept == waits, "{kept:?} is {waits:?}");
    }

    fn check_left(&self) {
        let comes = |entry: &&Entry| {
            let back = (0..entry.leaving.len()).any(|at| entry.is_wanted_back(at));
            entry
                .wanted
                .as_ref()
                .is_some_and(|wanted| match wanted.phase {
                    Phase::Visible => false,
                    Phase::Transferring => {
                        let running = entry.running.as_ref();
                        !wanted.ended || running.is_some_and(|running| !running.stopped)
                    }
                    Phase::Settling => !wanted.ended && !back,
                    Phase::Waiting(_) | Phase::BackingOff { .. } => !wanted.ended,
                })
        };
        let coming = self.planner.entries.values().filter(comes).count();
        let left = self.planner.left();
        hold!(self, left.chunks == coming, "{left:?}, and {coming} come");
        hold!(self, left.unknown_chunks <= coming, "{left:?}");
    }

    /// What each chunk is said to wait for is what is counted.
    fn check_statuses(&self) {
        let found = self.planner.found.ids_after(Bound::Unbounded);
        let ids = self.planner.entries.keys().copied().chain(found);
        let (planner, now) = (&self.planner, self.now());
        let statuses = ids.filter_map(|id| planner.status(&id, now));
        // Where the rest of a chunk that has begun waits, its status says so, and the counts do not.
        let has_begun = |status: &ChunkStatus| status.state == ChunkState::Transferring;
        let statuses: Vec<ChunkStatus> = statuses.filter(|status| !has_begun(status)).collect();
        let count = |reason| {
            let of_it = statuses.iter().filter(|s| s.wait_reason == Some(reason));
            of_it.count()
        };
        let waits = self.planner.waits();
        for (kept, reason) in [
            (waits.backoff, WaitReason::Backoff),
            (waits.disk_space, WaitReason::DiskSpace),
            (waits.settling, WaitReason::Settling),
            (waits.verifying, WaitReason::Verifying),
            (waits.paused, WaitReason::Paused),
            (waits.references, WaitReason::References),
        ] {
            let (retries, said) = (self.failed_removals(), count(reason));
            // What could not be removed backs off, too, and is not to come.
            let more = if reason == WaitReason::Backoff {
                retries
            } else {
                0
            };
            hold!(
                self,
                kept + more == said,
                "{kept} of {said} wait: {reason:?}"
            );
        }
        let at_hosts = waits.slot + waits.host_slot + waits.host_resting;
        let said = [
            WaitReason::Slot,
            WaitReason::HostSlot,
            WaitReason::HostResting,
        ];
        let said: usize = said.into_iter().map(count).sum();
        hold!(self, at_hosts == said, "{said} wait at hosts: {waits:?}");
    }

    fn failed_removals(&self) -> usize {
        let waits = |entry: &&Entry| {
            let held = entry.leaving.iter().any(|leaving| leaving.holds > 0);
            let mut leaving = entry.leaving.iter();
            let again = leaving.any(|l| l.failures > 0 && l.retry_at.is_some());
            entry.wanted.is_none() && !held && again
        };
        self.planner.entries.values().filter(waits).count()
    }
}

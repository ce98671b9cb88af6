//! Jobs about leaving generations, a few at a time: thousands of deletes must not stand in front of
//! the one commit, or the one revival, that somebody waits for.

use std::collections::VecDeque;

use super::entry::LeavingJob;
use crate::data_source::StoredChunk;

/// How many run at a time: fewer than the threads that the blocking pool has beyond its slots.
const AT_A_TIME: usize = 2;

/// The jobs that wait for their turn. As many as there are leaving generations, at the most.
#[derive(Default)]
pub(super) struct Chores {
    /// Tombstones: short, and somebody may wait for one to go.
    short: VecDeque<(StoredChunk, LeavingJob)>,
    /// Removals.
    long: VecDeque<(StoredChunk, LeavingJob)>,
    running: usize,
}

impl Chores {
    pub(super) fn push(&mut self, stored: StoredChunk, job: LeavingJob) {
        match job {
            LeavingJob::Bury | LeavingJob::Exhume => self.short.push_back((stored, job)),
            LeavingJob::Remove | LeavingJob::Quarantine => self.long.push_back((stored, job)),
        }
    }

    /// The next job to start now, if there is one.
    pub(super) fn pop(&mut self) -> Option<(StoredChunk, LeavingJob)> {
        if self.running >= AT_A_TIME {
            return None;
        }
        let next = self.short.pop_front().or_else(|| self.long.pop_front())?;
        self.running += 1;
        Some(next)
    }

    /// One that was started has ended.
    pub(super) fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
    }
}

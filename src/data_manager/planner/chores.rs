//! Jobs about leaving generations, a few at a time: thousands of deletes must not stand in front of
//! the one commit, or the one revival, that somebody waits for.

use std::collections::{BTreeMap, VecDeque};

use super::entry::LeavingJob;
use crate::data_chunk::ChunkId;
use crate::data_source::{Generation, StoredChunk};

/// How many run at a time: with two verifications, a check, a scrub and a call of `verify`, fewer than the
/// threads that the blocking pool has beyond its slots.
const AT_A_TIME: usize = 2;
/// How many are read at a time before they are believed. Beside the others: reading takes long, and
/// has a thread for moments only.
const VERIFIED_AT_A_TIME: usize = 2;

/// The jobs that wait for their turn. As many as there are leaving generations, at the most.
#[derive(Default)]
pub(super) struct Chores {
    /// Tombstones: short, and somebody may wait for one to go.
    short: VecDeque<(StoredChunk, LeavingJob)>,
    /// Removals.
    long: VecDeque<(StoredChunk, LeavingJob)>,
    /// To be read before they are believed.
    unverified: BTreeMap<(ChunkId, Generation), StoredChunk>,
    running: usize,
    verifying: usize,
}

impl Chores {
    pub(super) fn push(&mut self, stored: StoredChunk, job: LeavingJob) {
        match job {
            LeavingJob::Bury | LeavingJob::Exhume => self.short.push_back((stored, job)),
            LeavingJob::Remove | LeavingJob::Quarantine => self.long.push_back((stored, job)),
            LeavingJob::Verify => {
                let key = (stored.spec.id, stored.generation);
                self.unverified.insert(key, stored);
            }
        }
    }

    /// Takes back that a chunk is to be verified; false if that has begun.
    pub(super) fn cancel_verification(&mut self, key: (ChunkId, Generation)) -> bool {
        self.unverified.remove(&key).is_some()
    }

    /// The next job to start now, if there is one.
    pub(super) fn pop(&mut self) -> Option<(StoredChunk, LeavingJob)> {
        if self.running < AT_A_TIME
            && let Some(next) = self.short.pop_front().or_else(|| self.long.pop_front())
        {
            self.running += 1;
            return Some(next);
        }
        if self.verifying >= VERIFIED_AT_A_TIME {
            return None;
        }
        let (_, stored) = self.unverified.pop_first()?;
        self.verifying += 1;
        Some((stored, LeavingJob::Verify))
    }

    /// One that was started has ended.
    pub(super) fn ended(&mut self, job: LeavingJob) {
        let running = match job {
            LeavingJob::Verify => &mut self.verifying,
            _ => &mut self.running,
        };
        *running = running.saturating_sub(1);
    }
}

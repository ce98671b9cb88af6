//! Generations on their way out, and back.
//!
//! | a leaving generation has | and is asked back | then |
//! | --- | --- | --- |
//! | a job that runs | either | wait for the job |
//! | surely no tombstone, and is not verified | yes | every byte of it is read first |
//! | surely no tombstone | yes | it is visible again, at once; or as soon as no later generation would take its place at a start |
//! | a tombstone, perhaps | yes | the tombstone is removed first |
//! | no reference | no | it is removed |
//! | references, not surely a tombstone | no | a tombstone is written |
//! | references, a tombstone | no | wait for the last reference |

use super::entry::{Entry, Failed, Leaving, LeavingJob, Phase, Tombstone, Trust, Visible, Wanted};
use super::{Board, Moment, Planner, superseded};
use crate::data_chunk::{ChunkId, ChunkSpec};
use crate::data_manager::events::Event;
use crate::data_source::{Generation, StoredChunk};
use crate::error::{Error, ErrorKind};

/// How often a chunk is read again that has to be verified before it is shown, where the disk fails.
const VERIFY_TRIES: u32 = 3;

impl Planner {
    /// The last reference of one `Held` of a generation was dropped.
    pub(in crate::data_manager) fn released(
        &mut self,
        now: Moment,
        id: ChunkId,
        generation: Generation,
    ) {
        if !self.knows(&id) {
            return;
        }
        self.edit(id, |entry, board| {
            if let Some(visible) = &mut entry.visible
                && visible.stored.generation == generation
            {
                visible.holds -= 1;
            } else if let Some(at) = entry.leaving_at(generation) {
                entry.leaving[at].holds -= 1;
                entry.advance(at, now, board);
            } else {
                let mut aside = entry.aside.iter_mut();
                if let Some(visible) = aside.find(|v| v.stored.generation == generation) {
                    visible.holds -= 1;
                }
            }
        });
    }

    /// Everybody who held nothing of what just left has said so: what is still held gets its
    /// tombstone.
    pub(in crate::data_manager) fn settle_fresh(&mut self, now: Moment) {
        for id in std::mem::take(&mut self.board.fresh) {
            self.edit(id, |entry, board| {
                for at in (0..entry.leaving.len()).rev() {
                    entry.leaving[at].fresh = false;
                    entry.advance(at, now, board);
                }
            });
        }
    }

    /// Whether a generation still waits to be verified: nobody deleted or replaced it.
    pub(in crate::data_manager) fn is_to_be_verified(
        &self,
        (id, generation): (ChunkId, Generation),
    ) -> bool {
        self.entries.get(&id).is_some_and(|entry| {
            let at = entry.leaving_at(generation);
            at.is_some_and(|at| {
                entry.leaving[at].trust == Trust::Unverified && entry.is_wanted_back(at)
            })
        })
    }

    /// A job about a leaving generation ended. One that verified may have given the chunk's
    /// directory another name.
    pub(in crate::data_manager) fn leaving_job_ended(
        &mut self,
        now: Moment,
        (id, generation): (ChunkId, Generation),
        job: LeavingJob,
        result: Result<Option<StoredChunk>, Error>,
    ) {
        self.board.chores.ended(job);
        self.edit(id, |entry, board| {
            let Some(at) = entry.leaving_at(generation) else {
                return;
            };
            entry.leaving[at].job = None;
            match result {
                Ok(renamed) => {
                    if let Some(renamed) = renamed {
                        entry.leaving[at].stored = renamed;
                    }
                    entry.leaving_job_done(now, at, job, board);
                }
                Err(error) if job == LeavingJob::Verify => {
                    entry.not_verified(at, now, error, board);
                }
                Err(error) => entry.leaving_job_failed(at, now, error, board),
            }
            if let Some(at) = entry.leaving_at(generation) {
                entry.advance(at, now, board);
            }
            entry.settle(now, board);
        });
    }
}

impl Entry {
    fn leaving_at(&self, generation: Generation) -> Option<usize> {
        self.leaving
            .iter()
            .position(|leaving| leaving.stored.generation == generation)
    }

    /// Does the next thing about each leaving generation.
    pub(super) fn advance_all(&mut self, now: Moment, board: &mut Board) {
        for at in (0..self.leaving.len()).rev() {
            self.advance(at, now, board);
        }
    }

    /// Does the next thing about the leaving generation at `at`, if there is one.
    pub(super) fn advance(&mut self, at: usize, now: Moment, board: &mut Board) {
        let wanted_back = self.is_wanted_back(at);
        let returns = self.is_asked_back(at);
        let would_be_found = self.would_start_find(at);
        let leaving = &mut self.leaving[at];
        // Thousands may be read before its turn comes: what is deleted does not wait for them.
        let key = (leaving.stored.spec.id, leaving.stored.generation);
        if leaving.job == Some(LeavingJob::Verify)
            && !wanted_back
            && board.chores.cancel_verification(key)
        {
            leaving.job = None;
        }
        if leaving.job.is_some() || leaving.retry_at.is_some_and(|retry_at| now < retry_at) {
            return;
        }
        leaving.retry_at = None;
        let job = match *leaving {
            Leaving {
                tombstone: Tombstone::No,
                trust: Trust::Unverified,
                ..
            } if wanted_back => LeavingJob::Verify,
            Leaving {
                tombstone: Tombstone::No,
                ..
            } if returns => {
                if would_be_found {
                    self.take_back(at, board);
                }
                return;
            }
            Leaving {
                tombstone: Tombstone::No,
                trust: Trust::Verified,
                ..
            } if wanted_back => return,
            _ if returns => LeavingJob::Exhume,
            // Many may wait before it, and a removal that failed may fail for ever.
            Leaving {
                holds: 0,
                tombstone: Tombstone::No | Tombstone::Perhaps,
                damaged,
                condemned,
                ..
            } if damaged || condemned => LeavingJob::Bury,
            Leaving {
                holds: 0,
                damaged: true,
                ..
            } => LeavingJob::Quarantine,
            Leaving { holds: 0, .. } => LeavingJob::Remove,
            _ if !leaving.fresh && leaving.owes_tombstone() => LeavingJob::Bury,
            _ => return,
        };
        match job {
            LeavingJob::Remove | LeavingJob::Quarantine => leaving.condemned = true,
            LeavingJob::Bury | LeavingJob::Exhume => leaving.tombstone = Tombstone::Perhaps,
            LeavingJob::Verify => {}
        }
        leaving.job = Some(job);
        board.chores.push(leaving.stored.clone(), job);
    }

    /// Whether the content that is wanted is the leaving generation at `at`.
    pub(super) fn is_wanted_back(&self, at: usize) -> bool {
        let settling = |spec: &ChunkSpec| spec.same_content(&self.leaving[at].stored.spec);
        let wanted = self
            .wanted
            .as_ref()
            .filter(|wanted| wanted.phase == Phase::Settling);
        wanted.is_some_and(|wanted| settling(&wanted.spec)) && self.leaving[at].can_return()
    }

    /// The same, and nothing else of the id stands in its way.
    fn is_asked_back(&self, at: usize) -> bool {
        self.is_wanted_back(at) && self.running.is_none() && self.abandoning.is_none()
    }

    /// Whether a start that came now would show the generation at `at`: of several without a
    /// tombstone it takes the latest, so those that are later have to be gone, or buried.
    fn would_start_find(&self, at: usize) -> bool {
        let generation = self.leaving[at].stored.generation;
        let mut others = self.leaving.iter();
        others
            .all(|other| other.stored.generation <= generation || other.tombstone == Tombstone::Yes)
    }

    fn take_back(&mut self, at: usize, board: &mut Board) {
        let Leaving {
            stored,
            holds,
            deletes,
            ..
        } = self.leaving.remove(at);
        board.end_deletes(&deletes, &Err(superseded(stored.spec.id)));
        self.show(Visible { stored, holds }, board);
    }

    fn leaving_job_done(&mut self, now: Moment, at: usize, job: LeavingJob, board: &mut Board) {
        self.leaving[at].failures = 0;
        self.leaving[at].failed = None;
        match job {
            LeavingJob::Bury => self.leaving[at].tombstone = Tombstone::Yes,
            LeavingJob::Exhume => self.leaving[at].tombstone = Tombstone::No,
            LeavingJob::Verify => self.leaving[at].trust = Trust::Verified,
            LeavingJob::Remove | LeavingJob::Quarantine => {
                let Leaving {
                    stored,
                    since,
                    deletes,
                    ..
                } = self.leaving.remove(at);
                let chunk_id = stored.spec.id;
                if job == LeavingJob::Remove {
                    board.scheduler.space_was_freed();
                    board.emit(Event::Removed { chunk_id });
                    board.counters.removed_chunks += 1;
                    board.removals.note(now.saturating_sub(since));
                }
                board.end_deletes(&deletes, &Ok(()));
            }
        }
    }

    /// What was found was not verified: it is damaged, or that is not known.
    fn not_verified(&mut self, at: usize, now: Moment, error: Error, board: &mut Board) {
        // What nobody asks for is removed, whatever is in it.
        if !self.is_wanted_back(at) {
            return;
        }
        let chunk_id = self.leaving[at].stored.spec.id;
        if let Some(wanted) = &mut self.wanted {
            wanted.note_failure(now, error.clone());
        }
        let tries = self.leaving[at].failures + 1;
        let told = match error.kind() {
            // It was deleted and asked for again between two steps: it is read from its beginning.
            ErrorKind::Superseded => return,
            ErrorKind::Damaged => {
                self.leaving[at].damaged = true;
                let error = error.clone();
                Event::Damaged { chunk_id, error }
            }
            ErrorKind::Denied => self.set_aside(at, error.clone(), board),
            _ if tries < VERIFY_TRIES => return self.leaving_job_failed(at, now, error, board),
            _ => self.set_aside(at, error.clone(), board),
        };
        board.emit(told);
        if self.wanted.as_ref().is_some_and(|w| w.spec.has_urls()) {
            // Whoever asked for it waits for the fetch.
            self.wanted = self.wanted.take().map(|wanted| Wanted {
                ended: wanted.ended,
                priority: wanted.priority,
                ..Wanted::new(wanted.spec, wanted.task)
            });
        } else {
            self.end_wanted(Err(error), board);
            self.wanted = None;
        }
    }

    /// It may be whole, and cannot be read: it stays where it is, and the next start looks again.
    fn set_aside(&mut self, at: usize, error: Error, board: &mut Board) -> Event {
        let Leaving {
            stored,
            holds,
            deletes,
            ..
        } = self.leaving.remove(at);
        board.end_deletes(&deletes, &Err(superseded(stored.spec.id)));
        board.counters.unreadable += 1;
        let path = stored.path().to_owned();
        self.aside.push(Visible { stored, holds });
        Event::Unreadable { path, error }
    }

    /// What was set aside has to be gone: a tombstone at first, since a disk that does not let it be
    /// read may not let it be moved.
    pub(super) fn remove_aside(&mut self, now: Moment, board: &mut Board) {
        for visible in std::mem::take(&mut self.aside) {
            let mut leaving = Leaving::new(visible, now, false);
            (leaving.fresh, leaving.condemned) = (false, true);
            self.leaving.push(leaving);
        }
        self.leaving
            .sort_by_key(|leaving| leaving.stored.generation);
        self.advance_all(now, board);
    }

    /// The end of the manager is nothing that asks for what is not verified to be gone: it stays
    /// where it is, and the next start verifies it.
    pub(super) fn leave_unverified(&mut self, board: &mut Board) {
        for at in (0..self.leaving.len()).rev() {
            if self.leaving[at].trust != Trust::Full && self.is_wanted_back(at) {
                let left = self.leaving.remove(at).stored;
                (board.chores).cancel_verification((left.spec.id, left.generation));
            }
        }
    }

    fn leaving_job_failed(&mut self, at: usize, now: Moment, error: Error, board: &mut Board) {
        let leaving = &mut self.leaving[at];
        let chunk_id = leaving.stored.spec.id;
        leaving.failures += 1;
        // Full jitter may draw next to nothing; the disk gets at least a moment.
        let delay = board
            .backoff
            .retry(leaving.failures)
            .max(board.backoff.first / 2);
        leaving.retry_at = Some(now.saturating_add(delay));
        leaving.failed = Some(Failed {
            at: now,
            error: error.clone(),
        });
        board.due.insert((now.saturating_add(delay), chunk_id));
        board.emit(Event::DiskTrouble {
            chunk_id: Some(chunk_id),
            error,
        });
    }
}

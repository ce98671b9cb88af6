//! Jobs on the disk, from where they change something to where the planner hears of it.

use std::sync::Arc;

use super::super::{LeavingJob, TransferEnd};
use super::caller::number_of;
use super::disk::{End, Part};
use super::duty::{Duty, Fact, Lasting};
use super::world::World;
use crate::data_chunk::ChunkId;
use crate::data_manager::transfer::Transfer;
use crate::data_source::{CommitError, FetchedFile, Generation, StagingKey, StoredChunk};
use crate::error::{Error, ErrorKind};

impl World {
    /// A commit gets to its rename.
    pub(super) fn commit(&mut self, transfer: Arc<Transfer>, files: &[FetchedFile]) -> Vec<Duty> {
        let pause = Duty::Pause(self.millis(0..10));
        let count = files.len();
        let key = StagingKey::of(&transfer.spec);
        let staged = self.disk.staging.get(&key);
        let whole = |staged: &super::disk::Staged| {
            let parts = staged.parts.iter().map(|part| part.complete);
            parts.eq(files.iter().copied().map(Some))
        };
        if !staged.is_some_and(whole) {
            self.fail("commits what is not staged whole");
        }
        let end = self.disk.end(&mut self.rng, true);
        if end == End::FailsBefore {
            // What was moved by then is fetched again.
            if self.rng.bool()
                && let Some(staged) = self.disk.staging.get_mut(&key)
            {
                staged.parts.fill(Part::default());
            }
            let error = CommitError::not_there(self.disk.error());
            let end = TransferEnd::of_commit(Err(error), count);
            return vec![pause, Duty::Tell(Fact::TransferEnded(transfer, end))];
        }
        let stored = self.disk.commit(&transfer.spec, files, transfer.attempt);
        let generation = stored.generation;
        self.note(|| format!("    {} g{generation} on disk: {end:?}", number_of(key.id)));
        let lasts = match end {
            End::Well => vec![Duty::Lasts(generation, Lasting::Chunk)],
            _ => Vec::new(),
        };
        let committed = match end {
            End::Well => Ok(stored),
            _ => Err(CommitError {
                error: self.disk.error(),
                left_behind: Some(stored),
            }),
        };
        if committed.is_err()
            && let Some(on_disk) = self.disk.chunks.get_mut(&generation)
        {
            on_disk.condemned = true;
        }
        let end = TransferEnd::of_commit(committed, count);
        let told = Duty::Tell(Fact::TransferEnded(transfer, end));
        std::iter::once(pause).chain(lasts).chain([told]).collect()
    }

    /// A job about a leaving generation gets to where it changes something.
    pub(super) fn leave(&mut self, stored: &StoredChunk, job: LeavingJob) -> Vec<Duty> {
        let generation = stored.generation;
        let key = (stored.spec.id, generation);
        if job == LeavingJob::Verify
            && let Some(why_not) = self.why_not_verified(key)
        {
            self.note(|| {
                format!(
                    "    {} g{generation} is not verified: {why_not}",
                    number_of(key.0)
                )
            });
            return vec![Duty::Tell(Fact::LeavingEnded(key, job, Err(why_not)))];
        }
        let end = self.disk.end(&mut self.rng, job == LeavingJob::Bury);
        self.note(|| {
            format!(
                "    {} g{generation} {job:?}: {end:?}",
                number_of(stored.spec.id)
            )
        });
        if end != End::FailsBefore {
            self.disk.leave(generation, job);
        }
        let what = match job {
            LeavingJob::Bury | LeavingJob::Exhume => Lasting::Tombstone,
            LeavingJob::Verify => Lasting::Chunk,
            LeavingJob::Remove | LeavingJob::Quarantine => Lasting::Removal,
        };
        let lasts = (end == End::Well).then_some(Duty::Lasts(generation, what));
        let result = match end {
            End::Well => Ok(()),
            _ => Err(self.disk.error()),
        };
        let pause = Duty::Pause(self.millis(0..10));
        let fact = Fact::LeavingEnded(key, job, result);
        std::iter::once(pause)
            .chain(lasts)
            .chain([Duty::Tell(fact)])
            .collect()
    }

    /// What a verification that gets to the end of the chunk finds.
    fn why_not_verified(&mut self, key: (ChunkId, Generation)) -> Option<Error> {
        if !self.planner.is_to_be_verified(key) {
            return Some(Error::new(ErrorKind::Superseded, "nobody asks for it"));
        }
        let on_disk = self.disk.chunks.get(&key.1);
        let damaged = on_disk.is_none_or(|on_disk| on_disk.damaged);
        damaged.then(|| Error::new(ErrorKind::Damaged, "not what was committed"))
    }

    pub(super) fn leaving_ended(
        &mut self,
        key: (ChunkId, Generation),
        job: LeavingJob,
        result: Result<(), Error>,
    ) -> Vec<Duty> {
        self.life.leaving_jobs.remove(&key.1);
        self.life.verifications.remove(&key.1);
        self.life.jobs_decided -= 1;
        let kind = result.as_ref().err().map(Error::kind);
        if kind == Some(ErrorKind::Damaged) && self.planner.is_to_be_verified(key) {
            self.found_damaged(key);
        }
        let result = result.map(|()| None);
        self.decide(|planner, now| planner.leaving_job_ended(now, key, job, result))
            .1
    }

    pub(super) fn abandon(&mut self, key: StagingKey) -> Vec<Duty> {
        let gone = matches!(self.disk.end(&mut self.rng, false), End::Well);
        if gone {
            self.disk.staging.remove(&key);
        } else {
            self.life.leaked.insert(key);
        }
        let pause = Duty::Pause(self.millis(0..4));
        vec![pause, Duty::Tell(Fact::Abandoned(key, gone))]
    }
}

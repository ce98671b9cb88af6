//! Jobs on the disk, from where they change something to where the planner hears of it.

use std::sync::Arc;

use super::super::{LeavingJob, TransferEnd};
use super::caller::number_of;
use super::disk::{End, Part};
use super::duty::{Duty, Fact, Lasting};
use super::world::World;
use crate::data_manager::transfer::Transfer;
use crate::data_source::{CommitError, FetchedFile, StagingKey, StoredChunk};
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
            LeavingJob::Remove | LeavingJob::Quarantine => Lasting::Removal,
        };
        let lasts = (end == End::Well).then_some(Duty::Lasts(generation, what));
        let result = match end {
            End::Well => Ok(()),
            _ => Err(self.disk.error()),
        };
        let pause = Duty::Pause(self.millis(0..10));
        let fact = Fact::LeavingEnded((stored.spec.id, generation), result);
        std::iter::once(pause)
            .chain(lasts)
            .chain([Duty::Tell(fact)])
            .collect()
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

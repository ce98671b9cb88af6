//! The data directory as plain data: what is there after each change, and what would be there
//! after a crash.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::super::LeavingJob;
use super::duty::Lasting;
use crate::data_chunk::{ChunkId, ChunkSpec};
use crate::data_manager::planner::Moment;
use crate::data_source::{FetchedFile, FoundPartial, Generation, StagingKey, StoredChunk};
use crate::error::{Error, ErrorKind};

/// A committed generation in its place.
#[derive(Clone)]
pub(super) struct OnDisk {
    pub(super) stored: StoredChunk,
    pub(super) tombstone: bool,
    /// Whether the tombstone would still be there, or not there, after a power cut.
    tombstone_lasts: bool,
    /// Whether the chunk would.
    pub(super) lasts: bool,
    /// It was committed without waiting for the disk.
    pub(super) unsynced: bool,
    /// The same, and the power was cut since: what is in it was not looked at.
    pub(super) unverified: bool,
    /// A start found it, and since then nobody asked for anything else of its id.
    pub(super) found: bool,
    /// Somebody from outside was at it, or a power cut.
    pub(super) damaged: bool,
    /// It was found damaged: it goes to quarantine.
    pub(super) put_aside: bool,
    /// Its removal began, or its commit failed: it must not be shown.
    pub(super) condemned: bool,
}

/// One file in staging.
#[derive(Clone, Copy, Default)]
pub(super) struct Part {
    pub(super) bytes: u64,
    pub(super) complete: Option<FetchedFile>,
}

/// A staging directory.
#[derive(Clone, Default)]
pub(super) struct Staged {
    pub(super) parts: Vec<Part>,
    pub(super) touched: Moment,
}

impl Staged {
    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// How a job on the disk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Well,
    /// Before it changed anything.
    FailsBefore,
    /// After it had changed something.
    FailsAfter,
}

#[derive(Default)]
pub(super) struct Disk {
    pub(super) chunks: BTreeMap<Generation, OnDisk>,
    /// Removed, but a power cut may bring it back.
    pub(super) ghosts: BTreeMap<Generation, OnDisk>,
    pub(super) staging: BTreeMap<StagingKey, Staged>,
    pub(super) next_generation: Generation,
    /// The attempt that brought it, since the last start.
    pub(super) brought_by: BTreeMap<Generation, u64>,
    /// How likely a job fails, in percent.
    pub(super) trouble: u32,
    /// Whatever writes fails.
    pub(super) full: bool,
    /// Nothing is waited for: `Durability::None`.
    pub(super) lazy: bool,
}

impl Disk {
    pub(super) fn end(&self, rng: &mut fastrand::Rng, writes: bool) -> End {
        if writes && self.full {
            return [End::FailsBefore, End::FailsBefore, End::FailsAfter][rng.usize(..3)];
        }
        match rng.u32(..100) < self.trouble {
            true => [End::FailsBefore, End::FailsAfter][rng.usize(..2)],
            false => End::Well,
        }
    }

    pub(super) fn error(&self) -> Error {
        let kind = match self.full {
            true => ErrorKind::NoSpace,
            false => ErrorKind::Io,
        };
        Error::new(kind, "the disk says no")
    }

    /// The rename of a commit.
    pub(super) fn commit(
        &mut self,
        spec: &Arc<ChunkSpec>,
        files: &[FetchedFile],
        attempt: u64,
    ) -> StoredChunk {
        self.next_generation += 1;
        let generation = self.next_generation;
        let root = Arc::from(Path::new("/disk"));
        let stored = StoredChunk::new(root, spec.clone(), files, generation, None);
        self.staging.remove(&StagingKey::of(spec));
        let on_disk = OnDisk {
            stored: stored.clone(),
            tombstone: false,
            tombstone_lasts: true,
            lasts: false,
            unsynced: self.lazy,
            unverified: false,
            found: false,
            damaged: false,
            put_aside: false,
            condemned: false,
        };
        self.chunks.insert(generation, on_disk);
        self.brought_by.insert(generation, attempt);
        stored
    }

    /// What a job about a leaving generation changes.
    pub(super) fn leave(&mut self, generation: Generation, job: LeavingJob) {
        match job {
            LeavingJob::Bury | LeavingJob::Exhume => {
                // Of what a removal took away that then failed, too: a power cut may bring that back.
                let on_disk = self.chunks.get_mut(&generation);
                let on_disk = on_disk.or_else(|| self.ghosts.get_mut(&generation));
                let tombstone = job == LeavingJob::Bury;
                if let Some(on_disk) = on_disk.filter(|on_disk| on_disk.tombstone != tombstone) {
                    on_disk.tombstone = tombstone;
                    on_disk.tombstone_lasts = false;
                }
            }
            LeavingJob::Verify => {
                // It is synced, too.
                if let Some(on_disk) = self.chunks.get_mut(&generation) {
                    (on_disk.unsynced, on_disk.unverified) = (false, false);
                }
            }
            LeavingJob::Remove | LeavingJob::Quarantine => {
                if let Some(on_disk) = self.chunks.remove(&generation) {
                    self.ghosts.insert(generation, on_disk);
                }
            }
        }
    }

    /// The last change of that kind is synced.
    pub(super) fn lasts(&mut self, generation: Generation, what: Lasting) {
        let on_disk = self.chunks.get_mut(&generation);
        let on_disk = on_disk.or_else(|| {
            self.ghosts
                .get_mut(&generation)
                .filter(|_| what == Lasting::Tombstone)
        });
        match (what, on_disk) {
            (Lasting::Removal, _) => {
                self.ghosts.remove(&generation);
            }
            (Lasting::Chunk, Some(on_disk)) => on_disk.lasts = true,
            (Lasting::Tombstone, Some(on_disk)) => on_disk.tombstone_lasts = true,
            (_, None) => {}
        }
    }

    /// The process is killed; perhaps the power is cut, too.
    pub(super) fn crash(&mut self, power_cut: bool, rng: &mut fastrand::Rng) {
        let ghosts = std::mem::take(&mut self.ghosts);
        self.brought_by.clear();
        if power_cut {
            let back = ghosts.into_iter().filter(|_| rng.bool());
            self.chunks.extend(back.collect::<Vec<_>>());
            let lasts = |on_disk: &OnDisk| on_disk.lasts && !on_disk.unsynced;
            self.chunks.retain(|_, chunk| lasts(chunk) || rng.bool());
            for on_disk in self.chunks.values_mut() {
                on_disk.damaged |= on_disk.unsynced && rng.bool();
                on_disk.tombstone ^= !on_disk.tombstone_lasts && rng.bool();
            }
            for staged in self.staging.values_mut().filter(|_| rng.bool()) {
                staged.parts.fill(Part::default());
            }
        }
        let another_boot = power_cut || rng.bool();
        for on_disk in self.chunks.values_mut() {
            on_disk.unverified |= on_disk.unsynced && another_boot;
            on_disk.found = true;
            (on_disk.lasts, on_disk.tombstone_lasts) = (true, true);
            (on_disk.condemned, on_disk.put_aside) = (false, false);
            on_disk.stored = on_disk.stored.as_found();
        }
    }

    /// What a start finds: what is wanted, what of that has to be verified first, and what was
    /// deleted or replaced.
    pub(super) fn scan(&self) -> [Vec<StoredChunk>; 3] {
        let (mut wanted, mut doomed) = (BTreeMap::new(), Vec::new());
        for on_disk in self.chunks.values() {
            let stored = on_disk.stored.clone();
            if on_disk.tombstone {
                doomed.push(stored);
            } else {
                // Ascending: the later one counts.
                doomed.extend(wanted.insert(stored.spec.id, stored));
            }
        }
        let unverified = |stored: &StoredChunk| self.chunks[&stored.generation].unverified;
        let (unverified, wanted) = wanted.into_values().partition(unverified);
        [wanted, unverified, doomed]
    }

    pub(super) fn partials(&self, now: Moment) -> Vec<FoundPartial> {
        let found = self.staging.iter().map(|(key, staged)| FoundPartial {
            key: *key,
            len_bytes: staged.bytes(),
            age: now.saturating_sub(staged.touched),
        });
        found.collect()
    }

    pub(super) fn generations_of(&self, id: ChunkId) -> Vec<Generation> {
        let of_id = self.chunks.iter().filter(|(_, c)| c.stored.spec.id == id);
        of_id.map(|(generation, _)| *generation).collect()
    }
}

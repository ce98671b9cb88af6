//! What the planner knows of one chunk id.
//!
//! An id can be in several states at once: a new content may be on its way while an older one,
//! deleted, is still referred to. So an entry is not one state but what is wanted, what is
//! visible, what runs, and what is on its way out; [`Entry::state`] sums it up.

use std::sync::Arc;

use super::assignment::DeleteId;
use super::scheduler::{Place, Tier, Trial};
use super::{Moment, Transfer};
use crate::data_chunk::ChunkSpec;
use crate::data_manager::chunk_task::Completion;
use crate::data_manager::stats::{ChunkState, Priority};
use crate::data_source::{FetchedFile, StoredChunk};
use crate::error::Error;

/// Everything about one id.
#[derive(Default)]
pub(super) struct Entry {
    /// What the last call asks for; `None` if it was a delete.
    pub(super) wanted: Option<Wanted>,
    /// The generation that is in the catalogue.
    pub(super) visible: Option<Visible>,
    /// The transfer that runs, perhaps for a content that is no longer wanted. At most one: its
    /// staging directory has one user.
    pub(super) running: Option<Running>,
    /// The staging directory of a content that is no longer wanted is being removed.
    pub(super) abandoning: Option<Vec<DeleteId>>,
    /// Generations on their way out, oldest first.
    pub(super) leaving: Vec<Leaving>,
    /// Generations that cannot be read: they were visible, and are left where they are until a call
    /// asks for the id to be gone.
    pub(super) aside: Vec<Visible>,
    /// The delete that the last call asked for, which an identical call joins.
    pub(super) delete: Option<DeleteId>,
    /// The assignment that this id was last in.
    pub(super) assigned: u64,
    /// The assignment that was the latest when a call last named this id.
    pub(super) touched: u64,
    /// Whether the assignment waits for this id.
    pub(super) counted: bool,
}

/// A content that is to be visible.
pub(super) struct Wanted {
    pub(super) spec: Arc<ChunkSpec>,
    /// As in `spec`: what an assignment of a million chunks compares, without looking any further.
    pub(super) said: u64,
    /// Ends when the chunk is visible, or cannot be.
    pub(super) task: Completion,
    /// Whether `task` ended.
    pub(super) ended: bool,
    pub(super) phase: Phase,
    pub(super) priority: Priority,
    /// How many attempts failed in a row.
    pub(super) failures: u32,
    /// The file that had a wrong digest, once for each time; since the URLs are what they are.
    pub(super) digest_failures: Vec<String>,
    /// What earlier attempts showed. In a box, since most chunks need one or none.
    pub(super) tried: Option<Box<Tried>>,
    /// The files that earlier attempts brought, in the order of `spec.files`.
    pub(super) fetched: Vec<Option<FetchedFile>>,
}

/// What attempts at a content showed that did not end well.
#[derive(Default)]
pub(super) struct Tried {
    /// How the last one failed; absent if it was called back.
    pub(super) failed: Option<Failed>,
    /// How long all files are together, if the sources said so.
    pub(super) total_bytes: Option<u64>,
    /// What they left in staging.
    pub(super) staged_bytes: u64,
}

/// A failure.
pub(super) struct Failed {
    pub(super) at: Moment,
    pub(super) error: Error,
}

/// Where a wanted content is on its way.
///
/// | from | to | when |
/// | --- | --- | --- |
/// | `Settling` | `Visible` | it is there already, a leaving generation is taken back, or what was found is verified |
/// | `Settling` | `Waiting` | nothing of the id stands in the way any more |
/// | `Waiting` | `Transferring` | a slot is free and it is its turn |
/// | `Transferring` | `Visible` | committed |
/// | `Transferring` | `BackingOff` | the attempt failed |
/// | `Transferring` | `Waiting` | called back to make room |
/// | `BackingOff` | `Waiting` | the time has come, the caller asks again, or the host that failed is back |
/// | `Waiting`, `BackingOff` | `Settling` | what was staged has grown too old, and goes first |
/// | `Visible` | `Settling` | found damaged, and its URLs are known |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for something of the same id to get out of the way, or to come back.
    Settling,
    /// Waits for a slot.
    Waiting(Place),
    /// The transfer that runs is for this content.
    Transferring,
    /// Waits for its next attempt.
    BackingOff { until: Moment },
    /// It is in the catalogue.
    Visible,
}

/// A generation in the catalogue.
pub(super) struct Visible {
    pub(super) stored: StoredChunk,
    /// How many `Held`s of this generation exist.
    pub(super) holds: u32,
}

/// A transfer with jobs on the blocking pool.
pub(super) struct Running {
    pub(super) transfer: Arc<Transfer>,
    /// What earlier attempts had left in staging when it began.
    pub(super) staged_bytes: u64,
    /// How many files are still to be handed out.
    pub(super) to_hand_out: usize,
    /// Jobs that were handed out and have not ended.
    pub(super) jobs: usize,
    /// No more files are handed out: it failed, or nobody wants it.
    pub(super) stopped: bool,
    /// Its content is no longer wanted; what it staged goes.
    pub(super) doomed: bool,
    /// It makes room for chunks that were never tried, and goes on later.
    pub(super) called_back: bool,
    /// All its jobs ended, and its task was told so.
    pub(super) over: bool,
    /// The deletes that wait for it to end.
    pub(super) deletes: Vec<DeleteId>,
}

/// A generation on its way out.
pub(super) struct Leaving {
    pub(super) stored: StoredChunk,
    pub(super) holds: u32,
    /// When it left the view, or was found.
    pub(super) since: Moment,
    /// The job that runs for it; there is never more than one.
    pub(super) job: Option<LeavingJob>,
    pub(super) tombstone: Tombstone,
    /// Just left: whether anybody refers to it is not known yet.
    pub(super) fresh: bool,
    /// It goes to quarantine, not away, and does not come back.
    pub(super) damaged: bool,
    pub(super) trust: Trust,
    /// Its removal has begun: it may be half gone, and does not come back even if that failed.
    pub(super) condemned: bool,
    pub(super) failures: u32,
    /// How its last job failed, if it did.
    pub(super) failed: Option<Failed>,
    pub(super) retry_at: Option<Moment>,
    pub(super) deletes: Vec<DeleteId>,
}

/// What is being done about a leaving generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data_manager) enum LeavingJob {
    /// Writing its tombstone.
    Bury,
    /// Removing its tombstone, to take it back.
    Exhume,
    /// Removing it.
    Remove,
    /// Moving it to quarantine.
    Quarantine,
    /// Reading all of it before it comes back.
    Verify,
}

/// Whether a leaving generation is what was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Full,
    /// It was committed without waiting for the disk, before the machine was started anew: every byte
    /// is verified before it is shown. Nobody asked for it to be gone, so it is no removal's either
    /// for as long as it is wanted.
    Unverified,
    /// The same, and every byte was verified.
    Verified,
}

/// Whether a leaving generation has a tombstone on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tombstone {
    No,
    /// A job that writes or removes one has begun, and has not succeeded: it may have failed after
    /// it had changed something. What comes back has its tombstone removed first, and what stays
    /// away has one written again.
    Perhaps,
    Yes,
}

impl Leaving {
    pub(super) fn new(visible: Visible, since: Moment, damaged: bool) -> Self {
        Leaving {
            stored: visible.stored,
            holds: visible.holds,
            since,
            job: None,
            tombstone: Tombstone::No,
            fresh: true,
            damaged,
            trust: Trust::Full,
            condemned: false,
            failures: 0,
            failed: None,
            retry_at: None,
            deletes: Vec::new(),
        }
    }

    /// A generation that nobody ever referred to in this run.
    pub(super) fn unreferenced(stored: StoredChunk, since: Moment) -> Self {
        let mut leaving = Leaving::new(Visible { stored, holds: 0 }, since, false);
        leaving.fresh = false;
        leaving
    }

    /// Whether its directory is still whole and may come back into view.
    pub(super) fn can_return(&self) -> bool {
        !self.damaged && !self.condemned
    }

    /// Whether a start would show it again: its delete would be forgotten, or the damage to its bytes,
    /// which no start looks at.
    pub(super) fn owes_tombstone(&self) -> bool {
        self.tombstone != Tombstone::Yes
    }

    /// Whether there is nothing to do but to wait for the last reference.
    fn rests(&self) -> bool {
        self.job.is_none() && self.holds > 0 && !self.fresh && !self.owes_tombstone()
    }
}

impl Wanted {
    pub(super) fn new(spec: Arc<ChunkSpec>, task: Completion) -> Self {
        let fetched = vec![None; spec.files.len()];
        Wanted {
            said: spec.said,
            spec,
            task,
            ended: false,
            phase: Phase::Settling,
            priority: Priority::Normal,
            failures: 0,
            digest_failures: Vec::new(),
            tried: None,
            fetched,
        }
    }
}

impl Wanted {
    /// In which class it waits.
    pub(super) fn tier(&self) -> Tier {
        let trial = if self.failures == 0 {
            Trial::Fresh
        } else {
            Trial::Retry
        };
        Tier::new(self.priority, trial)
    }

    /// Which files no earlier attempt brought.
    pub(super) fn missing(&self) -> impl Fn(usize) -> bool {
        |index| self.fetched[index].is_none()
    }

    /// How the last attempt failed.
    pub(super) fn failed(&self) -> Option<&Failed> {
        self.tried.as_ref()?.failed.as_ref()
    }

    pub(super) fn note_failure(&mut self, at: Moment, error: Error) {
        self.tried.get_or_insert_default().failed = Some(Failed { at, error });
    }

    /// Notes a wrong digest of `file`, and returns how many it had.
    pub(super) fn count_digest_failure(&mut self, file: Option<&str>) -> usize {
        let file = file.unwrap_or_default();
        self.digest_failures.push(file.to_owned());
        let files = self.digest_failures.iter();
        let count = files.filter(|failed| *failed == file).count();
        // Beyond two of each file, more of them say nothing new.
        self.digest_failures.truncate(2 * self.spec.files.len());
        count
    }
}

impl Entry {
    /// Whether nothing is left to know.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_none()
            && self.visible.is_none()
            && self.running.is_none()
            && self.abandoning.is_none()
            && self.leaving.is_empty()
            && self.aside.is_empty()
    }

    /// Whether `wait_idle` has to wait for it.
    pub(super) fn is_busy(&self) -> bool {
        let wanted = self.wanted.as_ref();
        let on_its_way = wanted.is_some_and(|wanted| !wanted.ended);
        let winding_down = self.running.as_ref().is_some_and(|running| running.doomed);
        on_its_way
            || winding_down
            || self.abandoning.is_some()
            || self.leaving.iter().any(|leaving| !leaving.rests())
    }

    /// One word for a person.
    pub(super) fn state(&self) -> ChunkState {
        match &self.wanted {
            None if self.leaving.iter().any(|leaving| leaving.holds > 0) => ChunkState::Held,
            None if self.leaving.is_empty() && !self.aside.is_empty() => ChunkState::Unreadable,
            None => ChunkState::Removing,
            Some(wanted) => match wanted.phase {
                Phase::Settling => ChunkState::Settling,
                Phase::Waiting(_) => ChunkState::Waiting,
                Phase::Transferring => ChunkState::Transferring,
                Phase::BackingOff { .. } if wanted.ended => ChunkState::Failed,
                Phase::BackingOff { .. } => ChunkState::BackingOff,
                Phase::Visible => ChunkState::Available,
            },
        }
    }

    pub(super) fn visible_bytes(&self) -> u64 {
        self.visible
            .as_ref()
            .map_or(0, |visible| visible.stored.len_bytes())
    }
}

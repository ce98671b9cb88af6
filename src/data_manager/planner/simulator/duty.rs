//! What a thread or a task of the real core does, cut where others can come in between.
//!
//! [`Core`](crate::data_manager::core::Core) tells the planner a fact under its lock, and carries out
//! what was decided after it, on the same thread: another thread may decide, and carry out, before
//! it is through. A thread here is a list of duties. The world may put it aside after each of them.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Action, JobEnd, LeavingJob, TransferEnd};
use crate::data_chunk::ChunkId;
use crate::data_manager::transfer::{Outcome, Transfer};
use crate::data_source::{
    FetchFailure, FetchedFile, Generation, HostSign, StagingKey, StoredChunk,
};
use crate::error::Error;

/// One thing to do, without anybody coming in between.
pub(super) enum Duty {
    /// Goes on later.
    Pause(Duration),
    /// Goes on later, or as soon as the attempt is cancelled: reads from a socket.
    Read {
        attempt: u64,
        index: usize,
        delay: Duration,
    },
    /// The read is over.
    ReadEnded {
        attempt: u64,
        index: usize,
    },
    /// Carries an action out that may wait until the lock is released.
    Act(Action),
    /// Lets go of what the catalogue held, by the reference's number.
    LetGo(u64),
    /// Tells the planner of releases.
    TellReleases,
    /// Tells the planner a fact.
    Tell(Fact),
    /// `Transfer::finish`, outside the lock.
    Finish(Arc<Transfer>),
    /// The task goes on after its await.
    Bring(Arc<Transfer>, Outcome),
    /// The job that prepares.
    Prepare(Arc<Transfer>),
    /// The job that fetches one file.
    Open(Arc<Transfer>, usize),
    /// The source has the file.
    Opened(Fetch),
    /// The next bytes are due.
    Receive(Fetch),
    /// So many bytes arrived.
    Store(Fetch, u64),
    /// The job that fetches ends.
    EndFile(Arc<Transfer>, usize, Result<FetchedFile, FetchFailure>),
    /// A job on the disk gets to where it changes something.
    Commit(Arc<Transfer>, Vec<FetchedFile>),
    Leave(StoredChunk, LeavingJob),
    Abandon(StagingKey),
    /// The disk says that it lasts.
    Lasts(Generation, Lasting),
    /// Breaks off what a cancelled attempt reads.
    BreakOff(crate::data_source::CancelToken),
    /// Looks behind the start at what was found.
    Examine(StoredChunk),
    /// The next slice of a shutdown.
    ShutDown(Option<ChunkId>),
}

/// What lasts, of a change of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    Chunk,
    Tombstone,
    Removal,
}

/// How the fetching of one file goes on.
#[derive(Clone)]
pub(super) struct Fetch {
    pub(super) transfer: Arc<Transfer>,
    pub(super) index: usize,
    pub(super) host: usize,
    pub(super) total: u64,
    pub(super) fate: Fate,
}

/// What becomes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Whole,
    CutHalfWay,
    StallsHalfWay,
    StallsAtOnce,
    WrongDigest,
}

/// A fact for the planner.
pub(super) enum Fact {
    JobEnded(Arc<Transfer>, Option<(usize, HostSign)>, JobEnd),
    Answered(Arc<Transfer>, usize),
    MayCommit(Arc<Transfer>, Vec<FetchedFile>),
    TransferEnded(Arc<Transfer>, TransferEnd),
    LeavingEnded((ChunkId, Generation), LeavingJob, Result<(), Error>),
    Abandoned(StagingKey, bool),
    Damaged((ChunkId, Generation)),
    /// The alarm of that number.
    Tick(u64),
}

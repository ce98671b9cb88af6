//! The interface that workers use, and the place that joins all the parts.
//!
//! [`DataManagerImpl`] takes calls ("get this chunk", "drop that one", "which chunk holds block
//! N?") and answers at once: what takes time happens behind it, on the Tasks Manager and the
//! blocking pool, and is reported by a [`ChunkTask`], by [`Events`] and by [`Stats`].
//!
//! | file | what it is for |
//! | --- | --- |
//! | `planner/` | decides what to do next; no threads, no clock, no IO |
//! | `core.rs` | carries decisions out and reports back |
//! | `download.rs` | one download, along the six arrows of the diagram |
//! | `transfer.rs` | what the jobs of one attempt share |
//! | `assigning.rs` | how an assignment gets to the planner |
//! | `following.rs` | an assignment document is asked for again and again |
//! | `held.rs`, `releases.rs` | what guards share, and how a dropped one reaches the planner |
//! | `checking.rs`, `auditing.rs` | what was found on disk, and the ledger, are looked at behind the start |
//! | `scrub.rs` | what is on disk is read again, and held against what was committed |
//! | `sources.rs` | which source serves which scheme |
//! | `chunk_task.rs`, `events.rs`, `stats.rs`, `builder.rs` | what callers see |

mod assigning;
mod auditing;
mod builder;
mod checking;
mod chunk_task;
mod core;
mod download;
mod events;
mod following;
mod held;
mod planner;
mod releases;
mod scrub;
mod sources;
mod stats;
mod transfer;

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use builder::{DataManagerBuilder, Durability};
pub use chunk_task::ChunkTask;
pub use events::{Event, Events, RecvError};
pub use following::{AssignmentFollower, FollowStatus};
pub use stats::{
    ChunkState, ChunkStatus, Counters, LockHolds, PartialCounts, Priority, RestingHost, ScrubStats,
    SpaceArea, SpaceShortage, SpaceStats, StateCounts, Stats,
};

use self::assigning::OpenAssignment;
use self::chunk_task::Completion;
use self::core::Core;
use self::events::EventHub;
use self::planner::{Planner, PlannerOptions};
pub use crate::data_catalogue::{ChunkGuard, DatasetSummary, RangeCover};
use crate::data_chunk::{ChunkId, DataChunk, DataChunkRef, DatasetId};
use crate::data_source::LocalDataSource;
use crate::error::{Error, ErrorKind};
use crate::io_operation::BlockingPool;
use crate::tasks_manager::TasksManager;

/// Threads of the blocking pool beyond those that fetch: commits, deletes and cancellations never
/// wait for a transfer.
const SPARE_THREADS: usize = 8;

/// What a worker needs of a data manager.
///
/// [`DataManagerImpl`] has the same methods, and more, as its own: the trait need not be in scope
/// to use it. It is there for whoever wants to put another implementation in its place.
pub trait DataManager: Send + Sync {
    /// Opens a data directory.
    ///
    /// # Panics
    /// With the reason, where [`DataManagerImpl::open`] would return an error.
    fn new(data_dir: PathBuf) -> Self;

    /// Asks for a chunk to be there.
    fn download_chunk(&self, chunk: DataChunk);

    /// The ids of the chunks that are there.
    fn list_chunks(&self) -> Vec<ChunkId>;

    /// The chunk that holds a block, as a reference that keeps it on disk.
    fn find_chunk(
        &self,
        dataset_id: DatasetId,
        block_number: u64,
    ) -> Option<impl DataChunkRef + 'static>;

    /// Asks for a chunk to be gone.
    fn delete_chunk(&self, chunk_id: ChunkId);
}

/// Keeps the wanted chunks in a local directory, and hands them out.
///
/// Calls do no IO and return at once; what they ask for happens behind them, and the last call on
/// an id wins. All calls may come from any thread at any time. Dropping the manager shuts it down.
///
/// A chunk is *visible* (in [`list_chunks`](Self::list_chunks), [`find_chunk`](Self::find_chunk)
/// and [`find_range`](Self::find_range)) from the moment it is whole, checked and committed, until
/// the call that asks for it to be gone.
pub struct DataManagerImpl {
    core: Arc<Core>,
    data_dir: PathBuf,
    shutdown_timeout: Duration,
    /// The threads. Held during a shutdown, so that a second one waits for the first, for as long
    /// as it was told to.
    running: Mutex<Running>,
}

enum Running {
    Pools {
        tasks: Arc<TasksManager>,
        blocking: Arc<BlockingPool>,
    },
    /// How the shutdown went.
    Stopped(Result<(), Error>),
}

impl DataManagerImpl {
    /// Opens a data directory with the default settings.
    ///
    /// # Panics
    /// With the reason, where [`open`](Self::open) would return an error.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        match Self::open(data_dir) {
            Ok(manager) => manager,
            Err(error) => panic!("cannot open the data manager: {error}"),
        }
    }

    /// Opens a data directory with the default settings; what is whole in it is visible at once.
    ///
    /// Does IO, and takes longer the more is in the directory.
    ///
    /// # Errors
    /// As [`DataManagerBuilder::open`].
    pub fn open(data_dir: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::builder().data_dir(data_dir).open()
    }

    /// A builder with the default settings.
    pub fn builder() -> DataManagerBuilder {
        DataManagerBuilder::default()
    }

    fn start(builder: &DataManagerBuilder) -> Result<Self, Error> {
        // What is refused is refused before anything is touched.
        let sources = builder.sources()?;
        let (store, scan) = LocalDataSource::open(&builder.data_dir, builder.store)?;
        store.ledger().set_limits(builder.space);
        let planner = Planner::new(PlannerOptions {
            slots: builder.slots,
            slots_per_host: builder.slots_per_host.unwrap_or(usize::MAX),
            partials: builder.partials,
            first_backoff: builder.first_backoff,
            longest_backoff: builder.longest_backoff,
            seed: fastrand::u64(..),
        });
        let tasks = TasksManager::try_new(builder.threads)
            .map_err(|error| Error::io("start the threads that poll", error))?;
        let tasks = Arc::new(tasks);
        let blocking = Arc::new(BlockingPool::new(
            builder.slots.saturating_add(SPARE_THREADS),
        ));
        let data_dir = store.path().to_owned();
        let hub = EventHub::new(builder.event_queue);
        let limits = builder.fetch_limits;
        let core = Core::new(planner, sources, limits, hub, store, &tasks, &blocking);
        core.load(&scan.chunks, scan.doomed)?;
        for slice in scan.unverified.chunks(core::SLICE) {
            core.apply_slice(|planner, now| {
                for stored in slice {
                    planner.found_unverified(now, stored.clone());
                }
            });
        }
        let limit = builder.bandwidth_limit.and_then(NonZeroU64::new);
        core.throttle.set_limit(limit);
        core.apply(|planner, now| {
            for partial in &scan.partials {
                planner.found_partial(now, partial);
            }
        });
        core.report_findings(scan.findings);
        drop(core.spawn(Core::attend_to_releases(Arc::downgrade(&core))));
        let scrub_rate = builder.scrub_rate.and_then(NonZeroU64::new);
        core.scrub.set_rate(scrub_rate);
        drop(core.spawn(scrub::rounds(Arc::downgrade(&core))));
        drop(core.spawn(checking::check_behind(Arc::downgrade(&core), scan.chunks)));
        Ok(DataManagerImpl {
            core,
            data_dir,
            shutdown_timeout: builder.shutdown_timeout,
            running: Mutex::new(Running::Pools { tasks, blocking }),
        })
    }

    /// The data directory, as an absolute path.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Asks for a chunk to be there. The task ends when it is visible.
    ///
    /// If it is there with the same content, the task has succeeded already. If another content
    /// is visible under the same id, the task fails with
    /// [`Refused`](crate::ErrorKind::Refused) and what is there stays. If another content is on
    /// its way under the same id, that one is superseded; if the same content is, this call joins
    /// it, and its URLs are used from the next attempt on. If the chunk was deleted but is still
    /// referred to, it is taken back, and nothing is fetched. A chunk whose task ended in an error
    /// is tried again at once.
    ///
    /// A description that cannot be right is refused, through the task, before anything is
    /// touched.
    pub fn download_chunk(&self, chunk: DataChunk) -> ChunkTask {
        let completion = match self.core.admit(chunk) {
            Err((_, error)) => Completion::ended(Err(error)),
            Ok(spec) => self.core.apply(|planner, now| planner.want(now, spec)),
        };
        completion.task()
    }

    /// Asks for a chunk to be gone. It is invisible when this returns; the task ends when its
    /// directory is gone, which waits for the last reference.
    ///
    /// A transfer that is under way is broken off. The id of a chunk that is not there is fine.
    pub fn delete_chunk(&self, chunk_id: ChunkId) -> ChunkTask {
        self.core
            .apply(|planner, now| planner.unwant(now, chunk_id))
            .task()
    }

    /// The ids of all visible chunks, ascending. Costs by their number.
    ///
    /// The list is made in slices, so that nobody waits for it: a chunk that is visible all the
    /// while is in it, one that is invisible all the while is not.
    pub fn list_chunks(&self) -> Vec<ChunkId> {
        self.core.catalogue.ids()
    }

    /// The visible chunk that holds `block_number`. Where several do, it is the one with the
    /// greatest first block, and of those the one with the smallest id.
    pub fn find_chunk(&self, dataset_id: DatasetId, block_number: u64) -> Option<ChunkGuard> {
        self.core.catalogue.find(&dataset_id, block_number)
    }

    /// The visible chunk with this id.
    pub fn get_chunk(&self, chunk_id: &ChunkId) -> Option<ChunkGuard> {
        self.core.catalogue.get(chunk_id)
    }

    /// Every visible chunk that holds a block of `blocks` (half-open), and the parts of it that
    /// none holds.
    pub fn find_range(&self, dataset_id: DatasetId, blocks: Range<u64>) -> RangeCover {
        self.core.catalogue.cover(&dataset_id, blocks)
    }

    /// The parts of `blocks` (half-open) that no visible chunk holds, in block order; each is as long as
    /// it can be. [`find_range`](Self::find_range) says the same and hands the chunks out.
    pub fn missing(&self, dataset_id: DatasetId, blocks: Range<u64>) -> Vec<Range<u64>> {
        self.core.catalogue.missing(&dataset_id, blocks)
    }

    /// Of each dataset with a visible chunk: the blocks from its first to its last, and how many chunks.
    /// Ascending by their ids. Costs by their number.
    pub fn datasets(&self) -> Vec<DatasetSummary> {
        self.core.catalogue.datasets()
    }

    /// Makes `chunks` the wanted set: asks for what is missing, drops what is not in it, and
    /// replaces what is visible under the same id with another content. The task ends when all of
    /// that is reached, the deletes that it causes included.
    ///
    /// Made to be repeated: an assignment that changes nothing joins the one before. A description
    /// that cannot be right spoils nothing: the rest is carried out, and then the task ends in the
    /// first bad entry's error; if its id is present, that chunk stays. Where an id comes twice,
    /// the later entry counts.
    ///
    /// Costs by the size of the set, and is taken in by slices, so that no other call waits for
    /// it. A call that comes meanwhile and names a chunk has the last word on it; another
    /// assignment that begins meanwhile replaces this one.
    pub fn set_assignment(&self, chunks: impl IntoIterator<Item = DataChunk>) -> ChunkTask {
        let mut assignment = OpenAssignment::begin(&self.core);
        for chunk in chunks {
            assignment.push(chunk);
        }
        assignment.finish().task()
    }

    /// Follows the assignment at `url`, an [`AssignmentDocument`](crate::data_chunk::AssignmentDocument)
    /// in JSON: asks for it now and then every `every` (and up to a tenth longer), and makes what it
    /// says the wanted set whenever it says something new, as [`set_assignment`](Self::set_assignment)
    /// does. Sources that can tell are asked only for what changed.
    ///
    /// A document that cannot be had, or is not a whole good one, changes nothing: the last one holds,
    /// and [`AssignmentFailed`](Event::AssignmentFailed) says why. Between two documents the calls of
    /// this manager have the last word; a document that says the same again does not take it back.
    /// Until the follower is dropped it is woken for each question, and takes a thread of the blocking
    /// pool while it asks. A document has at most 1 GiB. What is asked for this way is small beside the
    /// chunks: the limit on bandwidth does not count it, and `every` holds whatever `Retry-After` says.
    /// Where the source has dates only and no ETags, a document that is older than the one before may
    /// go unseen.
    ///
    /// # Errors
    /// [`Refused`](crate::ErrorKind::Refused) if no source serves the URL, it declares a digest, or
    /// `every` is nothing; [`ShutDown`](crate::ErrorKind::ShutDown) after that.
    pub fn follow_assignment(
        &self,
        url: &str,
        every: Duration,
    ) -> Result<AssignmentFollower, Error> {
        AssignmentFollower::start(&self.core, url, every)
    }

    /// Blocks until everything that was asked for is reached or failed for good: true then, false
    /// if that took longer than `timeout`.
    ///
    /// That is, every wanted chunk is visible or its task has ended in an error, and every
    /// unwanted one is gone or waits only for references. A chunk between two attempts whose task
    /// has not ended is not idle.
    pub fn wait_idle(&self, timeout: Duration) -> bool {
        self.core.wait_until(timeout, Planner::is_idle)
    }

    /// Why this chunk is not here, or not gone; `None` if nothing is known of it.
    pub fn chunk_status(&self, chunk_id: &ChunkId) -> Option<ChunkStatus> {
        self.core.look(|planner, now| planner.status(chunk_id, now))
    }

    /// The manager's figures at this moment.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Says how soon a chunk is wanted that was asked for and is not there yet; for a query that
    /// waits for it. False, and nothing is changed, if the chunk is not wanted.
    ///
    /// It stays so until it is said otherwise or the chunk is deleted: also for later attempts, and
    /// whatever [`download_chunk`](Self::download_chunk) and
    /// [`set_assignment`](Self::set_assignment) say of the same content. What is being fetched
    /// already is not broken off for it.
    pub fn set_priority(&self, chunk_id: &ChunkId, priority: Priority) -> bool {
        self.core
            .apply(|planner, _| planner.prioritize(*chunk_id, priority))
    }

    /// Changes how many files are fetched at a time, over all chunks; 0 is taken as 1. What is in
    /// flight beyond it may end.
    pub fn set_slots(&self, slots: usize) {
        let slots = slots.max(1);
        self.core
            .set_max_threads(slots.saturating_add(SPARE_THREADS));
        self.core.apply(|planner, _| planner.set_slots(slots));
    }

    /// Changes how many files of one host are fetched at a time; 0 is taken as 1.
    pub fn set_slots_per_host(&self, slots: usize) {
        self.core
            .apply(|planner, _| planner.set_slots_per_host(slots.max(1)));
    }

    /// Limits all transfers together to so many bytes per second, from now on; `None` lifts the
    /// limit. What waits for its turn goes by the new limit at once; only what a read under way
    /// was allowed before may still come. [`Stats`] shows the limit.
    ///
    /// The limit holds for what is taken from sources. It is exact over seconds, and smooth: 100 ms
    /// bring less than twice what the limit allows in them.
    ///
    /// # Errors
    /// [`Refused`](crate::ErrorKind::Refused) if the limit is 0: then the one before stays. To stop
    /// transfers, delete their chunks or shut down.
    pub fn set_bandwidth_limit(&self, bytes_per_second: Option<u64>) -> Result<(), Error> {
        let limit = builder::checked_limit("bandwidth_limit", bytes_per_second)?;
        self.core.throttle.set_limit(limit);
        Ok(())
    }

    /// Reads a visible chunk again and holds every byte against what was committed. The task ends
    /// well if all are the same.
    ///
    /// One chunk after the other is read, in the order in which they are asked for. A call that comes
    /// while the chunk waits for its turn joins. The chunk stays what it is meanwhile: it can be found,
    /// held and deleted.
    ///
    /// # Errors
    /// The task ends in an error of kind [`Damaged`](crate::ErrorKind::Damaged), which names the file,
    /// if something is not what was committed: by then the chunk is not visible any more, and it is
    /// fetched again if its URLs are known; a guard keeps its path.
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is not visible at the call;
    /// [`Superseded`](crate::ErrorKind::Superseded) if it is deleted or replaced meanwhile;
    /// [`Io`](crate::ErrorKind::Io) if the disk fails: then nothing is known, and the chunk stays;
    /// [`Denied`](crate::ErrorKind::Denied) if the disk does not let anybody read it: then it leaves the
    /// view and stays where it is.
    pub fn verify(&self, chunk_id: &ChunkId) -> ChunkTask {
        scrub::verify(&self.core, *chunk_id).task()
    }

    /// Changes how many bytes per second the background scrub reads, from now on; `None` turns it
    /// off. What it was at is gone on with.
    ///
    /// The scrub verifies one visible chunk after the other, in rounds. There is an hour, or more,
    /// between the beginnings of two rounds; the first begins with a chunk that is drawn, so that one
    /// of many short lives of a manager comes past each chunk. [`Stats`] shows how far it is.
    ///
    /// # Errors
    /// [`Refused`](crate::ErrorKind::Refused) if the rate is 0: then the one before stays.
    pub fn set_scrub_rate(&self, bytes_per_second: Option<u64>) -> Result<(), Error> {
        let rate = builder::checked_limit("scrub_rate", bytes_per_second)?;
        self.core.scrub.set_rate(rate);
        Ok(())
    }

    /// Subscribes to what happens from now on. The first subscriber is told first what was found wrong
    /// with the data directory before it came.
    pub fn events(&self) -> Events {
        self.core.hub.subscribe()
    }

    /// Stops: unfinished tasks end in [`ShutDown`](crate::ErrorKind::ShutDown), transfers are
    /// broken off (what they staged is kept, for when the same is asked for again), deletes are
    /// made to last, threads are joined, and the data directory is given back as soon as the last
    /// guard is dropped. Blocks for at most about `timeout`. May be called again.
    ///
    /// Afterwards nothing is visible, and every call that asks for something fails.
    ///
    /// # Errors
    /// [`Timeout`](crate::ErrorKind::Timeout) if something that was under way did not stop in
    /// time: then its thread is left to itself, and keeps the directory locked until it ends.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now().checked_add(timeout);
        let left = || {
            deadline.map_or(timeout, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            })
        };
        self.core.shut_down();
        let Some(mut running) = self.running.try_lock_for(timeout) else {
            return Err(not_in_time());
        };
        let (tasks, blocking) = match std::mem::replace(&mut *running, Running::Stopped(Ok(()))) {
            Running::Pools { tasks, blocking } => (tasks, blocking),
            Running::Stopped(outcome) => {
                *running = Running::Stopped(outcome.clone());
                return outcome;
            }
        };
        let quiet = self.core.wait_until(left(), Planner::is_quiet);
        self.core.close();
        drop(tasks);
        // Also if it is too late: afterwards nobody waits for the threads that are left.
        let ended = blocking.shut_down(left());
        let outcome = if quiet && ended {
            Ok(())
        } else {
            Err(not_in_time())
        };
        *running = Running::Stopped(outcome.clone());
        outcome
    }
}

fn not_in_time() -> Error {
    let message = "something that was under way did not stop in time";
    Error::new(ErrorKind::Timeout, message)
}

/// Opens the directory `local_data_dir` under the current one.
///
/// # Panics
/// As [`DataManagerImpl::new`].
impl Default for DataManagerImpl {
    fn default() -> Self {
        match Self::builder().open() {
            Ok(manager) => manager,
            Err(error) => panic!("cannot open the data manager: {error}"),
        }
    }
}

impl Drop for DataManagerImpl {
    fn drop(&mut self) {
        // There is nobody to tell; `shutdown` is for whoever wants to know.
        let _ = self.shutdown(self.shutdown_timeout);
    }
}

impl fmt::Debug for DataManagerImpl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataManagerImpl")
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

impl DataManager for DataManagerImpl {
    fn new(data_dir: PathBuf) -> Self {
        DataManagerImpl::new(data_dir)
    }

    fn download_chunk(&self, chunk: DataChunk) {
        drop(DataManagerImpl::download_chunk(self, chunk));
    }

    fn list_chunks(&self) -> Vec<ChunkId> {
        DataManagerImpl::list_chunks(self)
    }

    fn find_chunk(
        &self,
        dataset_id: DatasetId,
        block_number: u64,
    ) -> Option<impl DataChunkRef + 'static> {
        DataManagerImpl::find_chunk(self, dataset_id, block_number)
    }

    fn delete_chunk(&self, chunk_id: ChunkId) {
        drop(DataManagerImpl::delete_chunk(self, chunk_id));
    }
}

//! One download, from the planner's decision to the chunk being visible: the six arrows of the
//! diagram, in this order.
//!
//! 1. [`start`] spawns the chunk's task on the Tasks Manager ("I have a task to do").
//! 2. The task is made around an [`IoOperation`], which it awaits ("create task").
//! 3. [`start`] gives the job [`prepare`] to the blocking pool, together with the operation's
//!    completer ("do the job, and use this waker when done").
//! 4. [`fetch`] gives each file to the same pool as a job of its own ("do this"): from the thread
//!    that prepared, which keeps the first one, and later from whichever thread freed a slot. No
//!    job waits for another.
//! 5. The thread that ends the last file calls [`Transfer::finish`], which stores the outcome and
//!    then wakes the task through `TasksManager::wake` ("I am done, wake up").
//! 6. The Tasks Manager polls the task again, and [`bring`] goes on after its `.await` ("resume
//!    from awaiting the task"): it commits, as an operation of its own, and the chunk is published.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::Core;
use super::events::Event;
use super::planner::{JobEnd, TransferEnd, lost_job};
use super::transfer::{HandOut, Outcome, Transfer};
use crate::data_source::StoredChunk;
use crate::data_source::{
    CommitError, FetchFailure, FetchObserver, FetchedFile, Fetcher, HostSign, Setback, Staging,
};
use crate::error::{Error, ErrorKind};
use crate::io_operation::IoOperation;

/// At most one progress event in this time for each chunk.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Arrows 1 to 3: the chunk's task on the pool that polls, and its first job on the pool that
/// blocks.
pub(super) fn start(core: &Arc<Core>, transfer: &Arc<Transfer>) {
    let (operation, completer) = IoOperation::new();
    transfer.bind(completer);
    // Nobody joins the task: it reports to the planner.
    drop(core.spawn(bring(core.clone(), transfer.clone(), operation)));
    let ticket = Ticket::new(core, transfer, None);
    core.submit_urgent(move || prepare(ticket));
}

/// The chunk's task. Runs on the pool that polls and never blocks.
async fn bring(core: Arc<Core>, transfer: Arc<Transfer>, operation: IoOperation<Outcome>) {
    let began = core.now();
    // Arrow 6 is the return from this await.
    let outcome = match operation.await {
        Ok(outcome) => outcome,
        Err(lost) => Err(lost_job(transfer.spec.id, &lost.to_string())),
    };
    let wanted = |core: &Arc<Core>| core.apply(|planner, _| planner.may_commit(&transfer));
    let failed = |failure| TransferEnd {
        result: Err(failure),
        arrived: transfer.arrived(),
        left_behind: None,
    };
    let end = match outcome {
        Err(failure) => failed(failure),
        Ok(_) if !wanted(&core) => failed(FetchFailure::Cancelled),
        Ok(files) => {
            let committed = commit(&core, &transfer, files).await;
            TransferEnd::of_commit(committed, transfer.spec.files.len())
        }
    };
    core.apply(|planner, now| {
        if planner.transfer_ended(now, &transfer, end) {
            // Before anybody hears of the chunk.
            core.note_time(|timings| timings.attempt.note(now.saturating_sub(began)));
        }
    });
}

async fn commit(
    core: &Arc<Core>,
    transfer: &Arc<Transfer>,
    files: Vec<FetchedFile>,
) -> Result<StoredChunk, CommitError> {
    let (spec, staging) = (transfer.spec.clone(), transfer.staging());
    let at_work = core.clone();
    let job = core.run_job(move |store| {
        at_work.look_at_lock(store);
        let Some(staging) = staging else {
            return Err(Error::new(ErrorKind::Internal, "nothing was staged"));
        };
        let began = Instant::now();
        let committed = store.commit(&staging, &spec, &files);
        if committed.is_ok() {
            at_work.note_time(|timings| timings.commit.note(began.elapsed()));
        }
        Ok(committed.map_err(|failed| failed.explained(store.ledger())))
    });
    job.await
        .unwrap_or_else(|error| Err(CommitError::not_there(error)))
}

/// The job "thread downloading chunk": makes the staging directory, then starts the files that
/// were handed out meanwhile, and goes on as the job of the first of them.
fn prepare(mut ticket: Ticket) {
    let staged = match ticket.core.store() {
        None => Err(FetchFailure::Cancelled),
        Some(_) if ticket.transfer.cancel.is_cancelled() => Err(FetchFailure::Cancelled),
        Some(store) => store
            .stage(&ticket.transfer.spec)
            .map_err(|error| Setback::transient(ticket.core.ledger.explain(error)).into()),
    };
    match staged {
        Ok(staging) => {
            let staging = Arc::new(staging);
            (ticket.transfer).found_staged(|index| staging.part_bytes(index));
            let mut files = ticket.transfer.prepared(staging.clone()).into_iter();
            let first = files.next();
            for index in files {
                submit_file(&ticket.core, &ticket.transfer, index, staging.clone());
            }
            (ticket.end, ticket.reported) = (JobEnd::Done, true);
            if let Some(index) = first {
                // One file is this thread's: to hand it over too would cost a small one more than
                // its fetch. It has its slot, so this is no more of a transfer than was granted.
                let file = Ticket::new(&ticket.core, &ticket.transfer, Some(index));
                drop(ticket);
                fetch_file(file, index, &staging);
            }
        }
        Err(failure) => {
            ticket.reported = true;
            for index in ticket.transfer.not_prepared(failure) {
                drop(Ticket::new(&ticket.core, &ticket.transfer, Some(index)));
            }
        }
    }
}

/// Arrow 4: one file of a transfer that has begun.
pub(super) fn fetch(core: &Arc<Core>, transfer: &Arc<Transfer>, index: usize) {
    match transfer.hand_out(index) {
        HandOut::Wait => {}
        HandOut::GiveUp => drop(Ticket::new(core, transfer, Some(index))),
        HandOut::Fetch(staging) => submit_file(core, transfer, index, staging),
    }
}

fn submit_file(core: &Arc<Core>, transfer: &Arc<Transfer>, index: usize, staging: Arc<Staging>) {
    let ticket = Ticket::new(core, transfer, Some(index));
    core.submit(move || fetch_file(ticket, index, &staging));
}

/// The job "download file".
fn fetch_file(mut ticket: Ticket, index: usize, staging: &Arc<Staging>) {
    let (core, transfer) = (ticket.core.clone(), ticket.transfer.clone());
    let file = &transfer.spec.files[index];
    let Some(source) = core.sources.get(&file.scheme) else {
        // Schemes were checked at the door.
        let error = Error::new(ErrorKind::Internal, "no source for the scheme");
        ticket.reported = true;
        transfer.file_ended(index, Err(Setback::permanent(error).into()));
        return;
    };
    let observer = FileObserver {
        core: &core,
        transfer: &transfer,
        index,
    };
    let fetcher = Fetcher {
        source: &**source,
        file,
        index,
        cancel: &transfer.cancel,
        throttle: &core.throttle,
        progress: &transfer.files[index],
        limits: core.fetch_limits,
        observer: &observer,
    };
    let began = Instant::now();
    let result = explained(&core, fetcher.fetch(staging));
    if result.is_ok() {
        core.note_time(|timings| timings.file.note(began.elapsed()));
    }
    ticket.end = match &result {
        Ok(_) => JobEnd::Done,
        Err(FetchFailure::Failed(setback)) if setback.permanent => JobEnd::Hopeless,
        Err(_) => JobEnd::Failed,
    };
    ticket.sign = match &result {
        Err(FetchFailure::Failed(setback)) => setback.host,
        // That the source answered was said when it did; a file that was staged whole asked nobody.
        Ok(_) | Err(FetchFailure::Cancelled) => HostSign::None,
    };
    ticket.reported = true;
    transfer.file_ended(index, result);
}

/// Says what there is too little of where the disk is full.
fn explained<T>(core: &Core, result: Result<T, FetchFailure>) -> Result<T, FetchFailure> {
    result.map_err(|failure| match failure {
        FetchFailure::Failed(mut setback) => {
            setback.error = core.ledger.explain(setback.error);
            FetchFailure::Failed(setback)
        }
        FetchFailure::Cancelled => FetchFailure::Cancelled,
    })
}

/// Passes on how a file goes on.
struct FileObserver<'a> {
    core: &'a Arc<Core>,
    transfer: &'a Transfer,
    index: usize,
}

impl FetchObserver for FileObserver<'_> {
    fn answered(&self) {
        (self.core).apply(|planner, now| planner.host_answered(now, self.transfer, self.index));
    }

    fn arrived(&self, count: u64) {
        let now = self.core.now();
        self.core.count_bytes(now, count);
        self.transfer.note_arrival(now, self.index, count);
        report_progress(self.core, self.transfer);
    }
}

fn report_progress(core: &Core, transfer: &Transfer) {
    if core.hub.wants_progress() && transfer.may_report(core.now(), PROGRESS_INTERVAL) {
        let (done_bytes, total_bytes) = transfer.progress();
        core.emit(&Event::Progress {
            chunk_id: transfer.spec.id,
            done_bytes,
            total_bytes,
        });
    }
}

/// A job that the planner counts. However it ends, by returning, by a panic, or by never being
/// run, the planner is told; and if it was the transfer's last one, the task is resumed (arrow 5).
struct Ticket {
    core: Arc<Core>,
    transfer: Arc<Transfer>,
    /// The file that the job fetches; `None` for the job that prepares.
    index: Option<usize>,
    end: JobEnd,
    /// What it says of the file's host.
    sign: HostSign,
    /// Whether the transfer knows how the job ended.
    reported: bool,
}

impl Ticket {
    fn new(core: &Arc<Core>, transfer: &Arc<Transfer>, index: Option<usize>) -> Self {
        let (core, transfer) = (core.clone(), transfer.clone());
        Ticket {
            core,
            transfer,
            index,
            end: JobEnd::Failed,
            sign: HostSign::None,
            reported: false,
        }
    }
}

impl Ticket {
    /// Tells the transfer how a job ended that never said so itself: it panicked, or it was never
    /// run, since the system refuses threads.
    fn report_lost(&self) {
        let id = self.transfer.spec.id;
        let failure = match self.transfer.cancel.is_cancelled() {
            true => FetchFailure::Cancelled,
            false => lost_job(id, "it panicked or was never run"),
        };
        match self.index {
            Some(index) => self.transfer.file_ended(index, Err(failure)),
            None => {
                for index in self.transfer.not_prepared(failure) {
                    drop(Ticket::new(&self.core, &self.transfer, Some(index)));
                }
            }
        }
    }
}

fn report_end(core: &Arc<Core>, transfer: &Transfer, file: Option<(usize, HostSign)>, end: JobEnd) {
    if core.apply(|planner, now| planner.job_ended(now, transfer, file, end)) {
        transfer.finish();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (core, transfer) = (self.core.clone(), self.transfer.clone());
        let file = self.index.map(|index| (index, self.sign));
        let end = self.end;
        if self.reported {
            return report_end(&core, &transfer, file, end);
        }
        self.report_lost();
        // Where no job can be run, reporting one lost job starts the next, which is lost too: as tasks
        // they follow each other, on one stack they would be nested.
        let report = {
            let (core, transfer) = (core.clone(), transfer.clone());
            async move { report_end(&core, &transfer, file, end) }
        };
        if core.spawn(report).is_none() {
            report_end(&core, &transfer, file, end);
        }
    }
}

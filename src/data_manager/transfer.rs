//! One attempt to bring a chunk here: what its jobs and its task share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::rate::RateMeter;
use crate::data_chunk::ChunkSpec;
use crate::data_source::{CancelToken, FetchFailure, FetchedFile, FileProgress, HostSign, Staging};
use crate::error::Error;
use crate::io_operation::Completer;

/// The files that are staged whole, in the order of the description's files.
pub(super) type Arrived = Vec<Option<FetchedFile>>;

/// What the jobs of an attempt bring its task: every file, or why not.
pub(super) type Outcome = Result<Vec<FetchedFile>, FetchFailure>;

/// One attempt.
pub(super) struct Transfer {
    pub(super) spec: Arc<ChunkSpec>,
    /// Different for every attempt of every chunk.
    pub(super) attempt: u64,
    /// Which attempt of its chunk it is: 1, and one more for each that failed in a row.
    pub(super) tries: u32,
    pub(super) cancel: CancelToken,
    /// In the order of `spec.files`.
    pub(super) files: Vec<FileProgress>,
    /// How fast they arrive; the same order.
    pub(super) rates: Vec<RateMeter>,
    /// When bytes arrived last, in ms since the manager was opened, plus one; 0 until some have.
    arrived_ms: AtomicU64,
    /// Whether anybody looked at what was staged before.
    looked: AtomicBool,
    /// When progress was last reported, in ms since the manager was opened; 0 for never.
    reported_ms: AtomicU64,
    /// Protects what the jobs leave for each other. No IO, no wake under it.
    work: Mutex<Work>,
}

struct Work {
    stage: Stage,
    arrived: Arrived,
    failure: Option<FetchFailure>,
    /// All jobs have ended.
    over: bool,
    /// Resumes the task; absent until the task is spawned, and after it was used.
    completer: Option<Completer<Outcome>>,
}

/// Whether files can be fetched yet.
enum Stage {
    /// The staging directory is being prepared; these files were handed out meanwhile.
    Preparing {
        waiting: Vec<usize>,
    },
    Ready(Arc<Staging>),
    Failed,
}

/// What a file that was handed out is to do.
pub(super) enum HandOut {
    Fetch(Arc<Staging>),
    /// The job that prepares will start it.
    Wait,
    /// There is nothing to fetch into.
    GiveUp,
}

impl Transfer {
    /// The attempt with this number among all, and with that among its chunk's.
    pub(super) fn new(
        spec: Arc<ChunkSpec>,
        (attempt, tries): (u64, u32),
        arrived: Arrived,
    ) -> Self {
        let files = spec.files.iter().map(|_| FileProgress::default()).collect();
        let rates = spec.files.iter().map(|_| RateMeter::default()).collect();
        let work = Work {
            stage: Stage::Preparing {
                waiting: Vec::new(),
            },
            arrived,
            failure: None,
            over: false,
            completer: None,
        };
        Transfer {
            spec,
            attempt,
            tries,
            cancel: CancelToken::new(),
            files,
            rates,
            arrived_ms: AtomicU64::new(0),
            looked: AtomicBool::new(false),
            reported_ms: AtomicU64::new(0),
            work: Mutex::new(work),
        }
    }

    /// The staging directory is there, with so many bytes of each file.
    pub(super) fn found_staged(&self, len_bytes: impl Fn(usize) -> u64) {
        for (index, file) in self.files.iter().enumerate() {
            file.set(len_bytes(index), None);
        }
        self.looked.store(true, Ordering::Relaxed);
    }

    /// The bytes that it leaves in staging, where `before` were when it began.
    pub(super) fn left_bytes(&self, before: u64) -> u64 {
        match self.looked.load(Ordering::Relaxed) {
            true => self.progress().0,
            false => before,
        }
    }

    /// Bytes of the file at `index` arrived.
    pub(super) fn note_arrival(&self, now: Duration, index: usize, count: u64) {
        self.rates[index].note(now, count);
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.arrived_ms
            .store(now_ms.saturating_add(1), Ordering::Relaxed);
    }

    /// When bytes arrived last in this attempt.
    pub(super) fn last_arrival(&self) -> Option<Duration> {
        let plus_one = self.arrived_ms.load(Ordering::Relaxed);
        plus_one.checked_sub(1).map(Duration::from_millis)
    }

    /// How it failed, if that was its host's fault.
    pub(super) fn host_error(&self) -> Option<Error> {
        match &self.work.lock().failure {
            Some(FetchFailure::Failed(setback)) if setback.host == HostSign::Silent => {
                Some(setback.error.clone())
            }
            _ => None,
        }
    }

    /// Bytes done, and the total once every file's is known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        let work = self.work.lock();
        let mut done = 0u64;
        let mut total = Some(0u64);
        for (file, arrived) in self.files.iter().zip(&work.arrived) {
            let (file_done, file_total) = match arrived {
                Some(arrived) => (arrived.len_bytes, Some(arrived.len_bytes)),
                None => (file.done_bytes(), file.total_bytes()),
            };
            done += file_done;
            total = total
                .zip(file_total)
                .map(|(sum, len)| sum.saturating_add(len));
        }
        (done, total)
    }

    /// Whether it is time to report progress again; true for one caller per `interval`.
    pub(super) fn may_report(&self, now: Duration, interval: Duration) -> bool {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).max(1);
        let last_ms = self.reported_ms.load(Ordering::Relaxed);
        let since_ms = u128::from(now_ms.saturating_sub(last_ms));
        let due = last_ms == 0 || since_ms >= interval.as_millis();
        let exchange = || {
            let (order, failed) = (Ordering::Relaxed, Ordering::Relaxed);
            self.reported_ms
                .compare_exchange(last_ms, now_ms, order, failed)
                .is_ok()
        };
        due && exchange()
    }

    /// The staging directory is ready: returns the files that waited for it.
    pub(super) fn prepared(&self, staging: Arc<Staging>) -> Vec<usize> {
        let mut work = self.work.lock();
        match std::mem::replace(&mut work.stage, Stage::Ready(staging)) {
            Stage::Preparing { waiting } => waiting,
            Stage::Ready(_) | Stage::Failed => Vec::new(),
        }
    }

    /// There will be no staging directory: returns the files that waited for it.
    pub(super) fn not_prepared(&self, failure: FetchFailure) -> Vec<usize> {
        let mut work = self.work.lock();
        work.note(failure);
        match std::mem::replace(&mut work.stage, Stage::Failed) {
            Stage::Preparing { waiting } => waiting,
            Stage::Ready(_) | Stage::Failed => Vec::new(),
        }
    }

    /// The file at `index` was handed out.
    pub(super) fn hand_out(&self, index: usize) -> HandOut {
        match &mut self.work.lock().stage {
            Stage::Ready(staging) => HandOut::Fetch(staging.clone()),
            Stage::Failed => HandOut::GiveUp,
            Stage::Preparing { waiting } => {
                waiting.push(index);
                HandOut::Wait
            }
        }
    }

    /// The file at `index` arrived, or did not.
    pub(super) fn file_ended(&self, index: usize, result: Result<FetchedFile, FetchFailure>) {
        let mut work = self.work.lock();
        match result {
            Ok(file) => work.arrived[index] = Some(file),
            Err(failure) => work.note(failure),
        }
    }

    /// What is staged whole by now.
    pub(super) fn arrived(&self) -> Arrived {
        self.work.lock().arrived.clone()
    }

    /// The staging directory, if it was prepared.
    pub(super) fn staging(&self) -> Option<Arc<Staging>> {
        match &self.work.lock().stage {
            Stage::Ready(staging) => Some(staging.clone()),
            Stage::Preparing { .. } | Stage::Failed => None,
        }
    }

    /// The task is there and can be resumed with `completer`.
    pub(super) fn bind(&self, completer: Completer<Outcome>) {
        let over = {
            let mut work = self.work.lock();
            work.completer = Some(completer);
            work.over
        };
        if over {
            self.finish();
        }
    }

    /// All jobs ended: resumes the task. Arrow 5 of the diagram.
    pub(super) fn finish(&self) {
        let (completer, outcome) = {
            let mut work = self.work.lock();
            work.over = true;
            (
                work.completer.take(),
                work.outcome(self.cancel.is_cancelled()),
            )
        };
        if let Some(completer) = completer {
            completer.complete(outcome);
        }
    }
}

impl Work {
    /// Keeps the failure that says most: one that no retry can mend before one that may pass, and
    /// that before a file that was broken off because another one failed.
    fn note(&mut self, failure: FetchFailure) {
        let weight = |failure: &FetchFailure| match failure {
            FetchFailure::Cancelled => 1,
            FetchFailure::Failed(setback) if setback.permanent => 3,
            FetchFailure::Failed(_) => 2,
        };
        if weight(&failure) > self.failure.as_ref().map_or(0, weight) {
            self.failure = Some(failure);
        }
    }

    fn outcome(&self, cancelled: bool) -> Outcome {
        let whole: Option<Vec<FetchedFile>> = self.arrived.iter().copied().collect();
        match (&self.failure, whole) {
            (Some(failure), _) => Err(failure.clone()),
            (None, _) if cancelled => Err(FetchFailure::Cancelled),
            (None, Some(files)) => Ok(files),
            (None, None) => Err(FetchFailure::Cancelled),
        }
    }
}

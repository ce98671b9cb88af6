//! Follows an assignment document: asks for it again and again, and makes what it says the wanted
//! set whenever it says something new.
//!
//! A document that cannot be had, or cannot be understood, changes nothing: the last good one holds.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use super::assigning::OpenAssignment;
use super::core::Core;
use super::events::Event;
use crate::data_chunk::{AssignmentDocument, check_document_url, redact_url};
use crate::data_source::{CancelToken, DataSource, DocumentReader, DocumentVersion};
use crate::error::Error;
use crate::tasks_manager::{JoinHandle, sleep};

/// The longest document that is read: some millions of chunks.
const MAX_DOCUMENT_BYTES: u64 = 1 << 30;

/// Up to this part of the interval is added to it, so that a fleet that was started at once does not
/// ask at once for ever.
const JITTER: f64 = 0.1;

/// An assignment document that is being followed, by
/// [`follow_assignment`](super::DataManagerImpl::follow_assignment). Dropping it stops that; what was
/// assigned last stays assigned.
pub struct AssignmentFollower {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// How following a document goes.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct FollowStatus {
    /// How often the document was asked for and came, or was found to be the same.
    pub answered: u64,
    /// How many documents were taken: the first one, and each that said something new.
    pub taken: u64,
    /// How many chunks are in the one that was taken last.
    pub chunks: usize,
    /// How long ago the last answer came, in ms; `None` before the first.
    pub answered_ms_ago: Option<u64>,
    /// How often in a row it could not be had since.
    pub failures: u64,
    /// Why not, the last time.
    pub error: Option<Error>,
}

struct Shared {
    url: String,
    every: Duration,
    source: Arc<dyn DataSource>,
    cancel: CancelToken,
    /// For a moment each; no IO under it.
    status: Mutex<Status>,
}

#[derive(Default)]
struct Status {
    told: FollowStatus,
    answered: Option<Instant>,
}

impl AssignmentFollower {
    pub(super) fn start(core: &Arc<Core>, url: &str, every: Duration) -> Result<Self, Error> {
        if every.is_zero() {
            return Err(Error::refused("every", "has to be more than nothing"));
        }
        let refused = |reason: &str| Error::refused("url", reason).with_url(redact_url(url));
        let scheme = check_document_url(url).map_err(|reason| refused(&format!("it {reason}")))?;
        let source = core.sources.get(&scheme);
        let source = source.ok_or_else(|| refused(&format!("no source serves {scheme:?}")))?;
        source
            .check(url)
            .map_err(|reason| refused(&format!("it {reason}")))?;
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            every,
            source: source.clone(),
            cancel: CancelToken::new(),
            status: Mutex::default(),
        });
        let task = core.spawn(follow(Arc::downgrade(core), shared.clone()));
        let task = task.ok_or_else(super::planner::shut_down)?;
        Ok(AssignmentFollower { shared, task })
    }

    /// How it goes.
    pub fn status(&self) -> FollowStatus {
        let status = self.shared.status.lock();
        let ago = |then: Instant| u64::try_from(then.elapsed().as_millis()).unwrap_or(u64::MAX);
        FollowStatus {
            answered_ms_ago: status.answered.map(ago),
            ..status.told.clone()
        }
    }
}

impl Drop for AssignmentFollower {
    fn drop(&mut self) {
        self.shared.cancel.cancel();
        self.task.cancel();
    }
}

impl fmt::Debug for AssignmentFollower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssignmentFollower")
            .field("url", &redact_url(&self.shared.url))
            .field("every", &self.shared.every)
            .finish_non_exhaustive()
    }
}

/// The task: asks, and waits, and asks again.
async fn follow(core: Weak<Core>, shared: Arc<Shared>) {
    let mut version = None;
    loop {
        {
            let Some(core) = core.upgrade() else { return };
            // A shutdown does not wait for a source that stalls.
            let cancel = shared.cancel.clone();
            let _hook = core.closing.on_cancel(move || cancel.cancel());
            let (before, with) = (version.clone(), shared.clone());
            let at = core.clone();
            let asked = core.run(move || ask(&at, &with, before.as_ref())).await;
            if shared.cancel.is_cancelled() {
                return;
            }
            version = shared
                .note(&core, asked.and_then(|asked| asked))
                .or(version);
        }
        sleep(shared.every.mul_f64(1.0 + JITTER * fastrand::f64())).await;
    }
}

/// What was new: how many chunks, if a document was taken; and the version to compare with.
type News = (Option<usize>, Option<DocumentVersion>);

/// The job: reads the document, and assigns what is new.
fn ask(core: &Arc<Core>, shared: &Shared, before: Option<&DocumentVersion>) -> Result<News, Error> {
    let reader = DocumentReader {
        source: &*shared.source,
        url: &shared.url,
        cancel: &shared.cancel,
        rate_floor: core.fetch_limits.rate_floor,
        max_bytes: MAX_DOCUMENT_BYTES,
    };
    let (bytes, version) = match reader.read_unless(before)? {
        None => return Ok((None, None)),
        Some((None, version)) => return Ok((None, Some(version))),
        Some((Some(bytes), version)) => (bytes, version),
    };
    let document = AssignmentDocument::from_json(&bytes)
        .map_err(|error| error.with_url(redact_url(&shared.url)))?;
    drop(bytes);
    // Whoever stopped following has the last word.
    if shared.cancel.is_cancelled() {
        return Ok((None, None));
    }
    let chunks = document.chunks.len();
    let mut assignment = OpenAssignment::begin(core);
    for chunk in document.chunks {
        assignment.push(chunk);
    }
    drop(assignment.finish());
    Ok((Some(chunks), Some(version)))
}

impl Shared {
    /// Keeps how it went, and tells the subscribers of what is new; the version, if there is one.
    fn note(&self, core: &Core, asked: Result<News, Error>) -> Option<DocumentVersion> {
        let mut status = self.status.lock();
        match asked {
            Err(error) => {
                status.told.failures += 1;
                status.told.error = Some(error.clone());
                drop(status);
                core.emit(&Event::AssignmentFailed { error });
                None
            }
            Ok(news) => {
                status.answered = Some(Instant::now());
                status.told.answered += 1;
                status.told.failures = 0;
                status.told.error = None;
                let (chunks, version) = news;
                if let Some(chunks) = chunks {
                    status.told.taken += 1;
                    status.told.chunks = chunks;
                    drop(status);
                    core.emit(&Event::AssignmentTaken { chunks });
                }
                version
            }
        }
    }
}

//! Follows an assignment document: asks for it again and again, and makes what it says the wanted
//! set whenever it says something new.
//!
//! A document that cannot be had, or cannot be understood, changes nothing: the last good one holds.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use super::DataManagerImpl;
use super::assigning::OpenAssignment;
use super::core::Core;
use super::events::Event;
use crate::data_chunk::{AssignmentDocument, check_document_url, redact_url};
use crate::data_source::{CancelToken, DataSource, DocumentReader, DocumentVersion};
use crate::error::Error;
use crate::tasks_manager::{JoinHandle, block_on, sleep};

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
    /// How many of those were refused, as [`set_assignment`](super::DataManagerImpl::set_assignment)
    /// refuses what cannot be right; the others are wanted.
    pub refused: usize,
    /// Why the first of them was.
    pub refusal: Option<Error>,
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
    /// Held while an assignment begins, and by whoever stops following.
    beginning: Mutex<()>,
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
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            every,
            source: source_of(core, url)?,
            cancel: CancelToken::new(),
            beginning: Mutex::new(()),
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
        drop(self.shared.beginning.lock());
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

impl DataManagerImpl {
    /// Reads the assignment at `url` once, with the sources of this manager, and does nothing about
    /// it: for whoever wants to know what is in it before he passes it to
    /// [`set_assignment`](Self::set_assignment). The limits are those of
    /// [`follow_assignment`](Self::follow_assignment).
    ///
    /// Blocks until it is there, or the manager is shut down.
    ///
    /// # Errors
    /// [`Refused`](crate::ErrorKind::Refused) if no source serves the URL, it declares a digest, or what it
    /// names is not a whole assignment; [`ShutDown`](crate::ErrorKind::ShutDown); otherwise what the source
    /// said. It is asked once.
    pub fn read_assignment(&self, url: &str) -> Result<AssignmentDocument, Error> {
        let core = &self.core;
        let (source, url) = (source_of(core, url)?, url.to_owned());
        let (closing, rate_floor) = (core.closing.clone(), core.fetch_limits.rate_floor);
        let cancel = closing.clone();
        let read = core.run(move || {
            let reader = DocumentReader {
                source: &*source,
                url: &url,
                cancel: &cancel,
                rate_floor,
                max_bytes: MAX_DOCUMENT_BYTES,
            };
            let (bytes, _) = reader.read_unless(None)?;
            AssignmentDocument::from_json(&bytes.unwrap_or_default())
                .map_err(|error| error.with_url(redact_url(&url)))
        });
        match block_on(read).and_then(|read| read) {
            Err(_) if closing.is_cancelled() => Err(super::planner::shut_down()),
            read => read,
        }
    }
}

/// Who serves the document at `url`.
fn source_of(core: &Core, url: &str) -> Result<Arc<dyn DataSource>, Error> {
    let refused = |reason: &str| Error::refused("url", reason).with_url(redact_url(url));
    let scheme = check_document_url(url).map_err(|reason| refused(&format!("it {reason}")))?;
    let source = core.sources.get(&scheme);
    let source = source.ok_or_else(|| refused(&format!("no source serves {scheme:?}")))?;
    source
        .check(url)
        .map_err(|reason| refused(&format!("it {reason}")))?;
    Ok(source.clone())
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
        sleep(with_jitter(shared.every)).await;
    }
}

/// A wait that nobody sees the end of does not overflow.
fn with_jitter(every: Duration) -> Duration {
    let longer = every.as_secs_f64() * (1.0 + JITTER * fastrand::f64());
    Duration::try_from_secs_f64(longer).unwrap_or(Duration::MAX)
}

/// What was new, and the version to compare with from now on, each if there is one.
type News = (Option<Taken>, Option<DocumentVersion>);

/// A document that was taken.
struct Taken {
    chunks: usize,
    /// How many of them were refused, and why the first of them was.
    refused: (usize, Option<Error>),
}

/// The job: reads the document, and assigns what is new.
fn ask(core: &Arc<Core>, shared: &Shared, before: Option<&DocumentVersion>) -> Result<News, Error> {
    let reader = DocumentReader {
        source: &*shared.source,
        url: &shared.url,
        cancel: &shared.cancel,
        rate_floor: core.fetch_limits.rate_floor,
        max_bytes: MAX_DOCUMENT_BYTES,
    };
    let (bytes, version) = reader.read_unless(before)?;
    let Some(bytes) = bytes else {
        return Ok((None, version));
    };
    let document = AssignmentDocument::from_json(&bytes)
        .map_err(|error| error.with_url(redact_url(&shared.url)))?;
    drop(bytes);
    let chunks = document.chunks.len();
    let Some(mut assignment) = shared.begin(core) else {
        return Ok((None, None));
    };
    for chunk in document.chunks {
        // What came in by then is wanted, and nothing is dropped.
        if shared.cancel.is_cancelled() {
            return Ok((None, None));
        }
        assignment.push(chunk);
    }
    let refused = assignment.finish_unattended();
    Ok((Some(Taken { chunks, refused }), version))
}

impl Shared {
    /// Begins an assignment, unless it was said before that nobody follows any more: whoever stopped
    /// has the last word, and what he assigns then comes after this.
    fn begin<'a>(&self, core: &'a Arc<Core>) -> Option<OpenAssignment<'a>> {
        let _beginning = self.beginning.lock();
        let stopped = self.cancel.is_cancelled();
        (!stopped).then(|| OpenAssignment::begin(core))
    }

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
            Ok((news, version)) => {
                status.answered = Some(Instant::now());
                status.told.answered += 1;
                status.told.failures = 0;
                status.told.error = None;
                if let Some(Taken { chunks, refused }) = news {
                    status.told.taken += 1;
                    status.told.chunks = chunks;
                    (status.told.refused, status.told.refusal) = refused;
                    let refused = status.told.refused;
                    drop(status);
                    core.emit(&Event::AssignmentTaken { chunks, refused });
                }
                version
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_no_shorter_and_no_panic() {
        for every in [SHORT, Duration::from_secs(60), Duration::MAX] {
            let wait = with_jitter(every);
            assert!(
                wait >= every && wait <= every.saturating_add(every / 5),
                "{wait:?}"
            );
        }
    }

    const SHORT: Duration = Duration::from_nanos(1_000_000);
}

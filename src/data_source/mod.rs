//! Where bytes come from, and where they are kept.
//!
//! * [`DataSource`]: where a file's bytes come from. [`HttpSource`] and [`FileSource`] are built
//!   in; anybody may register another one for a scheme of their own.
//! * [`LocalDataSource`]: the data directory. It downloads chunks into it, deletes them from it
//!   and reads what is in it.
//!
//! Everything here blocks, and is called on the blocking pool only. Nothing here knows of tasks,
//! retries or what is wanted: a call either does what it says or returns the error.

mod cancel;
mod checksums;
mod fetch;
mod file;
mod http;
mod local;
mod rate;
mod throttle;

use std::fmt;
use std::io::Read;
use std::time::Duration;

pub use cancel::CancelToken;
pub(crate) use fetch::{
    FetchFailure, FetchObserver, FetchedFile, Fetcher, FileProgress, HostSign, Setback,
};
pub use file::FileSource;
pub use http::{HttpOptions, HttpSource};
pub(crate) use local::{
    Audit, Audited, Balance, CommitError, Correction, DirLock, Finding, FoundPartial, Generation,
    Ledger, Removed, SpaceLimits, Staging, StagingKey, StoreOptions, StoredChunk, Verification,
};
pub use local::{Durability, LocalDataSource, SpaceArea, SpaceShortage};
pub(crate) use rate::RateFloor;
pub(crate) use throttle::Throttle;

use crate::error::ErrorKind;

/// Where the bytes of a file come from; one per URL scheme.
///
/// Calls block, and come from several threads at once. A source keeps no state about a transfer:
/// retries, resuming, digests and time limits on the whole are the caller's.
///
/// ```
/// use data_manager::data_source::{DataSource, OpenRequest, Opened, SourceError};
///
/// /// Serves `zeros:N`: a file of N zero bytes.
/// #[derive(Debug)]
/// struct Zeros;
///
/// impl DataSource for Zeros {
///     fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
///         let len = request.url().strip_prefix("zeros:").and_then(|n| n.parse::<u64>().ok());
///         let len = len.ok_or_else(|| SourceError::permanent(anyhow::anyhow!("not zeros:N")))?;
///         let rest = len.saturating_sub(request.offset());
///         let reader = std::io::Read::take(std::io::repeat(0), rest);
///         Ok(Opened::new(reader).starting_at(request.offset()).with_total(len))
///     }
/// }
/// ```
pub trait DataSource: Send + Sync + fmt::Debug {
    /// Refuses a URL that this source could never serve. Called while a caller waits: no IO.
    ///
    /// # Errors
    /// The reason, for the person who wrote the URL: what comes after "the URL", such as "names no
    /// host". It must not repeat credentials.
    fn check(&self, url: &str) -> anyhow::Result<()> {
        let _ = url;
        Ok(())
    }

    /// Opens `request.url()` for reading from `request.offset()`, or from an earlier position if
    /// the source cannot start there or what it holds has changed since `request.validator()`.
    ///
    /// # Errors
    /// Says whether trying again can help.
    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError>;
}

/// What [`DataSource::open`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct OpenRequest<'a> {
    url: &'a str,
    offset: u64,
    validator: Option<&'a str>,
    cancel: &'a CancelToken,
}

impl<'a> OpenRequest<'a> {
    /// A request for the whole of `url`.
    pub fn new(url: &'a str, cancel: &'a CancelToken) -> Self {
        OpenRequest {
            url,
            offset: 0,
            validator: None,
            cancel,
        }
    }

    /// Asks to go on at byte `offset` of what `validator` stood for.
    #[must_use]
    pub fn resume(mut self, offset: u64, validator: &'a str) -> Self {
        self.offset = offset;
        self.validator = Some(validator);
        self
    }

    /// The URL, without its fragment.
    pub fn url(&self) -> &'a str {
        self.url
    }

    /// The first byte that is wanted, counted from 0. Not 0 only where there is a validator.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The validator of the bytes before `offset`, as an earlier [`Opened`] gave it.
    pub fn validator(&self) -> Option<&'a str> {
        self.validator
    }

    /// Says when nobody wants the bytes any more. A source whose reads can stall registers a way
    /// to break them off here.
    pub fn cancel(&self) -> &'a CancelToken {
        self.cancel
    }
}

/// An open file: what [`DataSource::open`] returns.
pub struct Opened {
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) start: u64,
    pub(crate) total: Option<u64>,
    pub(crate) validator: Option<String>,
    pub(crate) self_delimiting: bool,
}

impl Opened {
    /// `reader` gives the file from its first byte; its length is unknown.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Opened {
            reader: Box::new(reader),
            start: 0,
            total: None,
            validator: None,
            self_delimiting: true,
        }
    }

    /// The reader's first byte is byte `start` of the file.
    #[must_use]
    pub fn starting_at(mut self, start: u64) -> Self {
        self.start = start;
        self
    }

    /// The whole file has `len_bytes` bytes.
    #[must_use]
    pub fn with_total(mut self, len_bytes: u64) -> Self {
        self.total = Some(len_bytes);
        self
    }

    /// What to present to resume: a string that changes whenever a byte of the file does (a
    /// strong ETag, a modification time). Without one, a broken transfer starts again.
    #[must_use]
    pub fn with_validator(mut self, validator: impl Into<String>) -> Self {
        self.validator = Some(validator.into());
        self
    }

    /// The reader's end proves nothing: a connection that was cut looks the same. Such a file is
    /// taken only if its digest is declared.
    #[must_use]
    pub fn ending_anywhere(mut self) -> Self {
        self.self_delimiting = false;
        self
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("start", &self.start)
            .field("total", &self.total)
            .field("validator", &self.validator)
            .finish_non_exhaustive()
    }
}

/// Why a source could not serve, and whether trying again can help.
#[derive(Debug)]
pub struct SourceError {
    pub(crate) kind: ErrorKind,
    pub(crate) permanent: bool,
    pub(crate) host_wide: bool,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) cause: anyhow::Error,
}

impl SourceError {
    /// Trying again later may help: the connection broke, the source is busy.
    pub fn transient(cause: impl Into<anyhow::Error>) -> Self {
        SourceError {
            kind: ErrorKind::Network,
            permanent: false,
            host_wide: false,
            retry_after: None,
            cause: cause.into(),
        }
    }

    /// Trying again as it stands will not help: there is no such file, access is refused.
    pub fn permanent(cause: impl Into<anyhow::Error>) -> Self {
        SourceError {
            kind: ErrorKind::NotFound,
            permanent: true,
            host_wide: false,
            retry_after: None,
            cause: cause.into(),
        }
    }

    /// Says more exactly what kind of failure it is. The defaults are [`ErrorKind::Network`] for
    /// a transient failure and [`ErrorKind::NotFound`] for a permanent one.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The URL's host would have failed for any other file too: it cannot be reached, or hung up
    /// before it said anything. After some of these in a row the whole host is given a rest.
    /// What a host says of one file is never host-wide.
    #[must_use]
    pub fn host_wide(mut self) -> Self {
        self.host_wide = true;
        self
    }

    /// The source asks not to be tried again for this file before `delay` is over.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.cause)
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause.as_ref())
    }
}

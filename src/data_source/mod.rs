//! Where bytes come from, and where they are kept.
//!
//! * [`DataSource`]: where a file's bytes come from. [`HttpSource`] and [`FileSource`] are built
//!   in, and `S3Source` with the feature `s3`; anybody may register another one for a scheme of their own.
//! * [`LocalDataSource`]: the data directory. It downloads chunks into it, deletes them from it
//!   and reads what is in it.
//!
//! Everything here blocks, and is called on the blocking pool only. Nothing here knows of tasks,
//! retries or what is wanted: a call either does what it says or returns the error.

mod cancel;
mod checksums;
#[cfg(feature = "conformance")]
pub mod conformance;
mod document;
mod fetch;
mod file;
mod http;
mod listing;
mod local;
pub mod mirrors;
mod opened;
#[cfg(fuzzing)]
pub(crate) mod properties;
mod rate;
mod request;
#[cfg(feature = "s3")]
mod s3;
mod source_error;
mod throttle;

use std::fmt;
use std::sync::Arc;

use anyhow::anyhow;

pub use cancel::CancelToken;
pub(crate) use document::{DocumentReader, DocumentVersion};
pub(crate) use fetch::{
    FetchFailure, FetchLimits, FetchObserver, FetchedFile, Fetcher, FileProgress, HostSign, Setback,
};
pub use file::FileSource;
pub use http::{HttpOptions, HttpSource};
pub(crate) use local::{
    Audit, Audited, Balance, CommitError, Correction, DirLock, Finding, FoundPartial, Generation,
    Ledger, LockNews, Removed, SpaceLimits, Staging, StagingKey, StoreOptions, StoredChunk,
    Verification,
};
pub use local::{Durability, LocalDataSource, SpaceArea, SpaceShortage};
pub(crate) use mirrors::{MirrorSetting, MirrorSource, Rests};
pub use opened::Opened;
pub(crate) use opened::{Body, ChangedUnderWay, Copied, CopiesFrom};
pub(crate) use rate::RateFloor;
pub use request::{ListRequest, OpenRequest};
#[cfg(feature = "s3")]
pub use s3::{S3Options, S3Source};
pub use source_error::SourceError;
pub(crate) use throttle::Throttle;

use crate::data_chunk::DataChunk;

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

    /// Gives `found` each whole chunk under `request.url()`, in no particular order, with URLs that
    /// this source serves. Blocks; what it calls must not.
    ///
    /// # Errors
    /// Of kind [`Unsupported`](crate::ErrorKind::Unsupported) where the source cannot list, which
    /// is so unless it says otherwise. What was found before an error is sound; it is not all.
    fn list(
        &self,
        request: &ListRequest<'_>,
        found: &mut dyn FnMut(DataChunk),
    ) -> Result<(), SourceError> {
        let (_, _) = (request, found);
        Err(SourceError::unsupported(anyhow!(
            "the source does not list what it holds"
        )))
    }
}

/// A source that others use, too.
impl<S: DataSource + ?Sized> DataSource for Arc<S> {
    fn check(&self, url: &str) -> anyhow::Result<()> {
        (**self).check(url)
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        (**self).open(request)
    }

    fn list(
        &self,
        request: &ListRequest<'_>,
        found: &mut dyn FnMut(DataChunk),
    ) -> Result<(), SourceError> {
        (**self).list(request, found)
    }
}

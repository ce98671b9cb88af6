//! Why a source could not serve.

use std::fmt;
use std::time::Duration;

use crate::error::ErrorKind;

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

    /// What there is has the validator of [`OpenRequest::unless`](super::OpenRequest::unless).
    pub fn unchanged() -> Self {
        let cause = anyhow::anyhow!("nothing has changed since");
        SourceError::permanent(cause).with_kind(ErrorKind::Unchanged)
    }

    /// The source cannot do this at all, such as listing what it holds.
    pub fn unsupported(cause: impl Into<anyhow::Error>) -> Self {
        SourceError::permanent(cause).with_kind(ErrorKind::Unsupported)
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether trying again as it stands cannot help.
    pub fn is_permanent(&self) -> bool {
        self.permanent
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

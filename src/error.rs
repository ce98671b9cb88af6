//! The one error type of the crate.
//!
//! Every failure that leaves this crate is an [`Error`]: opaque, cheap to clone (one task may be
//! joined by many callers, and each of them gets the outcome), with accessors for what a program
//! decides on and a text for what a person reads. The text names the chunk, the file and the URL
//! where they are known; URLs are redacted before they get here, so an `Error` never carries a
//! credential or a query string.
//!
//! This module depends on nothing else in the crate.

use std::fmt;
use std::sync::Arc;

/// What kind of failure an [`Error`] is; what a program decides on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call was refused before anything was touched: a bad description, an unknown scheme, or
    /// another description for an id that is present.
    Refused,
    /// Another owner, in this process or another one, holds the data directory.
    Locked,
    /// A later call reversed or replaced what the task was to do.
    Superseded,
    /// The manager was shut down before the task ended, or was already shut down at the call.
    ShutDown,
    /// The source says that the file does not exist (404, 410, no such file); or there is no visible
    /// chunk of the id.
    NotFound,
    /// Access is refused: by the source (401, 403), or by the local disk (permission denied).
    Denied,
    /// The source is there but cannot serve now (5xx, 408, 429).
    Unavailable,
    /// The connection failed, broke off or stalled, or the name did not resolve.
    Network,
    /// The source answered with something that cannot be trusted or understood.
    Protocol,
    /// The bytes that arrived do not have the declared digest.
    Digest,
    /// The disk is full, or out of inodes or quota.
    NoSpace,
    /// The local disk failed in another way.
    Io,
    /// A chunk on disk does not match its manifest.
    Damaged,
    /// The time given to wait was over first.
    Timeout,
    /// What was asked for has not changed since; only of a conditional request.
    Unchanged,
    /// The source cannot do that at all.
    Unsupported,
    /// A job panicked or was lost; a defect in this crate or in a source that was registered.
    Internal,
}

impl ErrorKind {
    /// The name in JSON and in log lines, for example `no_space`.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Refused => "refused",
            ErrorKind::Locked => "locked",
            ErrorKind::Superseded => "superseded",
            ErrorKind::ShutDown => "shut_down",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Denied => "denied",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Network => "network",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Digest => "digest",
            ErrorKind::NoSpace => "no_space",
            ErrorKind::Io => "io",
            ErrorKind::Damaged => "damaged",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Unchanged => "unchanged",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure, with what failed and why.
///
/// Cloning is one atomic increment.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    /// What went wrong, without the chunk, file and URL.
    message: String,
    chunk_id: Option<[u8; 32]>,
    file: Option<String>,
    /// Redacted by whoever set it.
    url: Option<String>,
    cause: Option<anyhow::Error>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Arc::new(Inner {
            kind,
            message: message.into(),
            chunk_id: None,
            file: None,
            url: None,
            cause: None,
        }))
    }

    /// Bad input: `field` of the description is wrong because of `reason`.
    pub(crate) fn refused(field: &str, reason: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Refused, format!("{field}: {reason}"))
    }

    /// The disk failed while it was to do `action`.
    pub(crate) fn io(action: impl fmt::Display, cause: std::io::Error) -> Self {
        Self::new(kind_of_io(&cause), format!("cannot {action}: {cause}")).with_cause(cause.into())
    }

    pub(crate) fn with_chunk(self, chunk_id: [u8; 32]) -> Self {
        self.edit(|inner| inner.chunk_id = Some(chunk_id))
    }

    pub(crate) fn with_file(self, file: &str) -> Self {
        self.edit(|inner| inner.file = Some(file.to_owned()))
    }

    /// `redacted_url` must have gone through `data_chunk::redact_url`.
    pub(crate) fn with_url(self, redacted_url: String) -> Self {
        self.edit(|inner| inner.url = Some(redacted_url))
    }

    pub(crate) fn with_cause(self, cause: anyhow::Error) -> Self {
        self.edit(|inner| inner.cause = Some(cause))
    }

    /// Errors are built by one owner and shared only afterwards, so the `Arc` is still unique here.
    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        match Arc::get_mut(&mut self.0) {
            Some(inner) => {
                change(inner);
                self
            }
            None => {
                // A shared error (the outcome of a joined task) is decorated as a copy; the
                // cause stays reachable through the original's text.
                let mut copy = Error::new(self.0.kind, self.0.message.clone());
                if let Some(inner) = Arc::get_mut(&mut copy.0) {
                    inner.chunk_id = self.0.chunk_id;
                    inner.file.clone_from(&self.0.file);
                    inner.url.clone_from(&self.0.url);
                    inner.cause = Some(anyhow::Error::new(self));
                    change(inner);
                }
                copy
            }
        }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The chunk that failed, where one is concerned.
    pub fn chunk_id(&self) -> Option<[u8; 32]> {
        self.0.chunk_id
    }

    /// The name of the file that failed, where one is concerned.
    pub fn file(&self) -> Option<&str> {
        self.0.file.as_deref()
    }

    /// The URL that failed, without its user info, query and fragment.
    pub fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }
}

/// The kind that stands for an IO error of the local disk.
pub(crate) fn kind_of_io(error: &std::io::Error) -> ErrorKind {
    use std::io::ErrorKind as Os;
    match error.kind() {
        Os::StorageFull | Os::QuotaExceeded => ErrorKind::NoSpace,
        Os::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Io,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut separator = " (";
        if let Some(id) = &self.0.chunk_id {
            write!(f, "{separator}chunk {}", data_encoding::HEXLOWER.encode(id))?;
            separator = ", ";
        }
        if let Some(file) = &self.0.file {
            write!(f, "{separator}file {file:?}")?;
            separator = ", ";
        }
        if let Some(url) = &self.0.url {
            write!(f, "{separator}url {url}")?;
            separator = ", ";
        }
        if separator == ", " {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({}: {self})", self.0.kind)
    }
}

impl serde::Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Error", 5)?;
        fields.serialize_field("kind", &self.0.kind)?;
        fields.serialize_field("message", &self.0.message)?;
        let chunk_id = self
            .0
            .chunk_id
            .as_ref()
            .map(|id| data_encoding::HEXLOWER.encode(id));
        fields.serialize_field("chunk_id", &chunk_id)?;
        fields.serialize_field("file", &self.0.file)?;
        fields.serialize_field("url", &self.0.url)?;
        fields.end()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_chunk_file_and_url() {
        let error = Error::new(ErrorKind::NotFound, "status 404")
            .with_chunk([0xab; 32])
            .with_file("a.parquet")
            .with_url("https://example.com/a".to_owned());
        let text = error.to_string();
        assert!(text.starts_with("status 404 (chunk abab"), "{text}");
        assert!(text.contains("file \"a.parquet\""), "{text}");
        assert!(text.ends_with("url https://example.com/a)"), "{text}");
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Error::io("write", full).kind(), ErrorKind::NoSpace);
        let broken = std::io::Error::from_raw_os_error(5);
        assert_eq!(Error::io("write", broken).kind(), ErrorKind::Io);
    }

    #[test]
    fn decorating_a_shared_error_leaves_the_other_copy_alone() {
        let first = Error::new(ErrorKind::Io, "broken");
        let second = first.clone().with_file("b");
        assert_eq!(first.file(), None);
        assert_eq!(second.file(), Some("b"));
        assert!(std::error::Error::source(&second).is_some());
    }
}

//! A small file that is read whole into memory, again and again: an assignment.

use std::io::Read;
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_64;

use super::rate::RateWatch;
use super::{CancelToken, DataSource, OpenRequest, Opened, RateFloor, SourceError};
use crate::data_chunk::redact_url;
use crate::error::{Error, ErrorKind};

/// Where a document is read from.
pub(crate) struct DocumentReader<'a> {
    pub(crate) source: &'a dyn DataSource,
    pub(crate) url: &'a str,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) rate_floor: RateFloor,
    /// What is longer is refused.
    pub(crate) max_bytes: u64,
}

/// What was read last.
#[derive(Clone, Debug)]
pub(crate) struct DocumentVersion {
    validator: Option<String>,
    len_bytes: u64,
    xxh3: u64,
}

/// The bytes, if they are others than before; and their version, unless nothing was sent.
type News = (Option<Vec<u8>>, Option<DocumentVersion>);

impl DocumentReader<'_> {
    /// The document, if it is not the one of `version`; where the source cannot tell, it is read
    /// again and compared. And the version of what was read, also if that is the same by another
    /// name: the next question is about what the source calls it now.
    ///
    /// # Errors
    /// What the source said, or that the document did not arrive whole.
    pub(crate) fn read_unless(&self, version: Option<&DocumentVersion>) -> Result<News, Error> {
        let mut request = OpenRequest::new(self.url, self.cancel).polled();
        if let Some(validator) = version.and_then(|version| version.validator.as_deref()) {
            request = request.unless(validator);
        }
        let opened = match self.source.open(&request) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::Unchanged => return Ok((None, None)),
            Err(error) => return Err(self.source_failed(error)),
        };
        let validator = opened.validator.clone();
        let bytes = self.read_whole(opened)?;
        let now = DocumentVersion {
            validator,
            len_bytes: bytes.len() as u64,
            xxh3: xxh3_64(&bytes),
        };
        let same = version.is_some_and(|before| before.has_the_bytes_of(&now));
        Ok((Some(bytes).filter(|_| !same), Some(now)))
    }

    fn read_whole(&self, opened: Opened) -> Result<Vec<u8>, Error> {
        let total = opened.total;
        if opened.start != 0 {
            return Err(self.failed(ErrorKind::Protocol, "the source gave a part of it"));
        }
        if total.is_some_and(|total| total > self.max_bytes) {
            return Err(self.too_long());
        }
        if total.is_none() && !opened.self_delimiting {
            let reason = "the body's end cannot be told from a cut";
            return Err(self.failed(ErrorKind::Protocol, reason));
        }
        let mut rate = RateWatch::new(self.rate_floor);
        let mut reader = opened.reader.take(self.max_bytes.saturating_add(1));
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            let asked = Instant::now();
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let reason = format!("the transfer broke off: {error}");
                    return Err(self.failed(ErrorKind::Network, &reason));
                }
            };
            bytes.extend_from_slice(&buffer[..count]);
            if bytes.len() as u64 > self.max_bytes {
                return Err(self.too_long());
            }
            let whole = total == Some(bytes.len() as u64);
            if !rate.keeps_up(asked.elapsed(), count as u64) && !whole {
                return Err(self.failed(ErrorKind::Network, "it arrives too slowly"));
            }
        }
        match total {
            Some(total) if total != bytes.len() as u64 => {
                let reason = format!("it ended after {} of {total} bytes", bytes.len());
                Err(self.failed(ErrorKind::Network, &reason))
            }
            _ => Ok(bytes),
        }
    }

    fn too_long(&self) -> Error {
        let reason = format!("it is longer than {} bytes", self.max_bytes);
        self.failed(ErrorKind::Protocol, &reason)
    }

    fn source_failed(&self, error: SourceError) -> Error {
        let SourceError { kind, cause, .. } = error;
        self.failed(kind, &format!("{cause:#}")).with_cause(cause)
    }

    fn failed(&self, kind: ErrorKind, reason: &str) -> Error {
        Error::new(kind, reason).with_url(redact_url(self.url))
    }
}

impl DocumentVersion {
    fn has_the_bytes_of(&self, other: &DocumentVersion) -> bool {
        (self.len_bytes, self.xxh3) == (other.len_bytes, other.xxh3)
    }
}

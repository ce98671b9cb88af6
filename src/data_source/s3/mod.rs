//! `s3://bucket/key`: objects of S3 and of what speaks its protocol.
//!
//! Requests are signed by `rusty-s3` and sent by [`HttpSource`]. The signature is in the query (a
//! pre-signed URL), which no error, event or log line of this crate shows; it covers the host, and
//! leaves `Range`, `If-Range` and `If-None-Match` free. Each attempt is signed anew, so one that has
//! expired is never tried again as it was.
//!
//! No redirect is followed: a signature is for one host, and a session token would go along in the
//! URL. A service that sends us on is asked at the wrong endpoint or in the wrong region, and the
//! error says so.
//!
//! * `options`: the settings, also out of the environment.
//! * `location`: what an `s3://` URL names.
//! * `service`: whom to ask, and the signature.
//! * `explain`: what the service says where it does not serve.
//! * `list`: the pages of a listing.

mod explain;
mod list;
mod location;
mod options;
mod service;

use anyhow::{anyhow, bail};

#[cfg(fuzzing)]
pub use self::list::page;
use self::location::Location;
pub use self::options::S3Options;
use self::service::Service;
use super::http::{HttpOptions, HttpSource};
use super::{DataSource, ListRequest, OpenRequest, Opened, SourceError};
use crate::data_chunk::DataChunk;
use crate::error::ErrorKind;

/// Fetches objects of S3, and lists buckets that are laid out as a data directory is.
///
/// `s3://bucket/key`, with whatever is special in the key percent-encoded: it is decoded once.
#[derive(Debug)]
pub struct S3Source {
    /// Of the URLs that it serves.
    scheme: String,
    /// What cannot be asked has a reason, for whoever brings a URL.
    service: Result<Service, String>,
    http: HttpSource,
}

impl S3Source {
    /// A source for one service. Options that do not fit are told by
    /// [`check`](DataSource::check).
    pub fn new(options: S3Options, http: HttpOptions) -> Self {
        S3Source {
            scheme: options.scheme.clone(),
            service: Service::new(options),
            http: HttpSource::new(http),
        }
    }

    /// `location`, if it is of a URL of ours.
    fn ours(&self, location: Location) -> anyhow::Result<Location> {
        if !location.scheme.eq_ignore_ascii_case(&self.scheme) {
            bail!("is not {}://", self.scheme);
        }
        Ok(location)
    }

    fn service(&self) -> anyhow::Result<&Service> {
        self.service
            .as_ref()
            .map_err(|reason| anyhow!("is of S3, of which {reason}"))
    }
}

impl DataSource for S3Source {
    fn check(&self, url: &str) -> anyhow::Result<()> {
        let location = self.ours(Location::of_object(url)?)?;
        self.service()?.bucket(&location)?;
        Ok(())
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let location = Location::of_object(request.url());
        let location = location.and_then(|it| self.ours(it));
        let location = location.map_err(SourceError::permanent)?;
        let service = self.service().map_err(SourceError::permanent)?;
        let signed = service.sign_get(&location)?;
        match self.http.open_here(&request.at(&signed)) {
            Ok(opened) => Ok(opened),
            // Some services know no `If-Range`, and go on with whatever is there by now.
            Err(refused) if request.validator().is_some() && is_nonsense(&refused.error) => {
                self.open(&OpenRequest::new(request.url(), request.cancel()))
            }
            Err(refused) => Err(explain::explained(refused)),
        }
    }

    fn list(
        &self,
        request: &ListRequest<'_>,
        found: &mut dyn FnMut(DataChunk),
    ) -> Result<(), SourceError> {
        let location = Location::of_prefix(request.url());
        let location = location.and_then(|it| self.ours(it));
        let location = location.map_err(SourceError::permanent)?;
        let service = self.service().map_err(SourceError::permanent)?;
        let list = list::List {
            service,
            http: &self.http,
            location: &location,
            cancel: request.cancel(),
            page_timeout: list::PAGE_TIMEOUT,
        };
        list.run(found)
    }
}

/// Whether an answer to "the rest of it" is of no use, where one to "all of it" may be.
fn is_nonsense(error: &SourceError) -> bool {
    error.kind() == ErrorKind::Protocol && !error.is_permanent()
}

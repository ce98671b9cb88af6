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

use anyhow::anyhow;

#[cfg(fuzzing)]
pub use self::list::page;
use self::location::Location;
pub use self::options::S3Options;
use self::service::Service;
use super::http::{HttpOptions, HttpSource};
use super::{DataSource, ListRequest, OpenRequest, Opened, SourceError};
use crate::data_chunk::DataChunk;

/// Fetches objects of S3, and lists buckets that are laid out as a data directory is.
///
/// `s3://bucket/key`, with whatever is special in the key percent-encoded: it is decoded once.
#[derive(Debug)]
pub struct S3Source {
    /// What cannot be asked has a reason, for whoever brings a URL.
    service: Result<Service, String>,
    http: HttpSource,
}

impl S3Source {
    /// A source for one service. Options that do not fit are told by
    /// [`check`](DataSource::check).
    pub fn new(options: S3Options, http: HttpOptions) -> Self {
        S3Source {
            service: Service::new(options),
            http: HttpSource::new(http),
        }
    }

    fn service(&self) -> anyhow::Result<&Service> {
        self.service
            .as_ref()
            .map_err(|reason| anyhow!("is of S3, of which {reason}"))
    }
}

impl DataSource for S3Source {
    fn check(&self, url: &str) -> anyhow::Result<()> {
        let location = Location::of_object(url)?;
        self.service()?.bucket(&location)?;
        Ok(())
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let location = Location::of_object(request.url()).map_err(SourceError::permanent)?;
        let service = self.service().map_err(SourceError::permanent)?;
        let signed = service.sign_get(&location)?;
        let opened = self.http.open_here(&request.at(&signed));
        let opened = opened.map_err(explain::explained)?;
        // Some services know no `If-Range`, and go on with whatever is there by now.
        let changed = opened.validator().is_some() && opened.validator() != request.validator();
        if opened.start() > 0 && changed {
            return self.open(&OpenRequest::new(request.url(), request.cancel()));
        }
        Ok(opened)
    }

    fn list(
        &self,
        request: &ListRequest<'_>,
        found: &mut dyn FnMut(DataChunk),
    ) -> Result<(), SourceError> {
        let location = Location::of_prefix(request.url()).map_err(SourceError::permanent)?;
        let service = self.service().map_err(SourceError::permanent)?;
        let list = list::List {
            service,
            http: &self.http,
            location: &location,
            cancel: request.cancel(),
        };
        list.run(found)
    }
}

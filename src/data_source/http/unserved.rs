//! What a server says where it serves no file: for services that explain themselves in the body.

use std::io::Read;

use anyhow::anyhow;
use ureq::Body;
use ureq::http::{Response, StatusCode};

use super::agents::Lease;
use super::{HttpSource, status};
use crate::data_source::{OpenRequest, Opened, SourceError};
use crate::error::ErrorKind;

/// The most that is read of an answer that is no file. An explanation is far shorter.
const MAX_SAID_BYTES: u64 = 64 * 1024;

/// Why there is no file, as [`DataSource::open`](super::DataSource::open) says it, and what the
/// server itself said to that.
#[derive(Debug)]
pub(crate) struct Unserved {
    pub(crate) error: SourceError,
    /// The status, if the server answered.
    pub(crate) status: Option<u16>,
    /// The beginning of the body. It may hold anything, also secrets of the request: it is for
    /// taking apart, not for showing.
    pub(crate) said: Vec<u8>,
}

impl From<SourceError> for Unserved {
    fn from(error: SourceError) -> Self {
        Unserved {
            error,
            status: None,
            said: Vec::new(),
        }
    }
}

impl HttpSource {
    /// As [`DataSource::open`](super::DataSource::open), but no redirect is followed, since what
    /// authorises may be in the URL; and an answer that is no file is heard out, for at most the
    /// time of a stall.
    pub(crate) fn open_here(&self, request: &OpenRequest<'_>) -> Result<Opened, Unserved> {
        let way = self.agents.set_out(request.url())?;
        let (response, lease, hook) = self.ask(&way, request)?;
        let answered = response.status();
        if answered == StatusCode::NOT_MODIFIED && request.unless_validator().is_some() {
            let body = response.into_body().into_reader();
            lease.end_unread(body, hook, request.cancel());
            return Err(SourceError::unchanged().into());
        }
        let checked = if answered.is_redirection() {
            let cause = anyhow!("the server answered {answered}, which is not followed");
            Err(SourceError::permanent(cause).with_kind(ErrorKind::Protocol))
        } else {
            status::check_status(answered, response.headers())
        };
        if let Err(error) = checked {
            return Err(Unserved {
                error,
                status: Some(answered.as_u16()),
                said: self.hear(response, &lease),
            });
        }
        Ok(self.taken(response, request, lease, hook)?)
    }

    /// What there is of the body; where it breaks off or drips, what came until then.
    fn hear(&self, response: Response<Body>, lease: &Lease) -> Vec<u8> {
        let mut said = Vec::new();
        lease.agent.line.limit(self.agents.stall_timeout());
        let body = response.into_body().into_reader();
        let _ = body.take(MAX_SAID_BYTES).read_to_end(&mut said);
        said
    }
}

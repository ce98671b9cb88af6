//! Where a redirect may lead, and what goes along.
//!
//! `ureq` follows none: it would take credentials along that it does not know as such, and go
//! wherever it is sent. What holds here:
//!
//! * 5 redirects at the most, so a loop ends.
//! * `http` and `https` only, and never from `https` to `http`.
//! * From a public host to public addresses only. That is judged by the address that the connection
//!   is made to, so no name can say one thing first and another one then; behind a proxy, by what
//!   the URL says. Once a public host had a say, that stays so, whoever sends us on after it.
//! * To another origin nothing goes along that was meant for this one: neither user info nor a
//!   header that was set for it. What was set for the other one does. User info in a `Location` is
//!   left out: it is nobody's that we know.

use std::time::Instant;

use anyhow::anyhow;
use fluent_uri::{Uri, UriRef};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use ureq::http::{HeaderMap, StatusCode, header};

use super::origin::{Target, Unusable};
use crate::data_source::SourceError;
use crate::error::ErrorKind;

/// The most redirects that one request follows.
const MAX_REDIRECTS: u32 = 5;

/// What servers write into a `Location` although no URL may have it. A backslash is not among it:
/// some take it for a slash.
const STRAY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// How far one request has come.
pub(super) struct Way {
    pub(super) target: Target,
    /// When the headers of the file have to be there, over all redirects.
    pub(super) deadline: Instant,
    /// No address that is not public, from here on.
    pub(super) guarded: bool,
    allow_private: bool,
    redirects: u32,
}

impl Way {
    pub(super) fn begin(
        url: &str,
        deadline: Instant,
        allow_private: bool,
    ) -> Result<Way, SourceError> {
        let target =
            Target::parse(url).map_err(|why| refused(&format!("the URL {}", why.reason())))?;
        Ok(Way {
            target,
            deadline,
            guarded: false,
            allow_private,
            redirects: 0,
        })
    }

    /// Whether the host of the URL answered, by sending us on.
    pub(super) fn was_redirected(&self) -> bool {
        self.redirects > 0
    }

    /// Goes on to where `headers` say; `public` says whether the host that answered is.
    pub(super) fn follow(&mut self, headers: &HeaderMap, public: bool) -> Result<(), SourceError> {
        if self.redirects == MAX_REDIRECTS {
            return Err(refused("too many redirects, or a loop"));
        }
        let mut next = self.next(headers)?;
        if self.target.origin.https && !next.origin.https {
            return Err(refused("the redirect leads from https to http"));
        }
        let same = next.origin == self.target.origin;
        next.credentials = self.target.credentials.take().filter(|_| same);
        self.target = next;
        self.guarded |= public && !self.allow_private;
        self.redirects += 1;
        Ok(())
    }

    fn next(&self, headers: &HeaderMap) -> Result<Target, SourceError> {
        let mut locations = headers.get_all(header::LOCATION).iter();
        let (Some(location), None) = (locations.next(), locations.next()) else {
            return Err(refused(
                "the redirect does not say where to, or says it twice",
            ));
        };
        let location = percent_encode(location.as_bytes(), STRAY).to_string();
        let garbled = || refused("the redirect leads to what is not a valid URL (RFC 3986)");
        let location = UriRef::parse(location.as_str()).map_err(|_| garbled())?;
        let base = Uri::parse(self.target.url.as_str()).map_err(|_| garbled())?;
        let url = location.resolve_against(&base).map_err(|_| garbled())?;
        Target::parse(url.as_str()).map_err(|why| match why {
            Unusable::Scheme => refused("the redirect leads to what is neither http nor https"),
            why => refused(&format!(
                "the redirect leads to a URL that {}",
                why.reason()
            )),
        })
    }
}

/// Whether an answer sends us on. 300 and 304 to 306 do not, whatever else they say.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// No retry can help: it is the server that has to change.
pub(super) fn refused(reason: &str) -> SourceError {
    SourceError::permanent(anyhow!("{reason}")).with_kind(ErrorKind::Protocol)
}

/// The text for an address that a redirect may not lead to.
pub(super) const NOT_PUBLIC: &str = "the redirect leads from a public host to an address that is \
                                     not public";

#[cfg(test)]
mod tests;

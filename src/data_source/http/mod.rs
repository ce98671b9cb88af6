//! `http://` and `https://`, over `ureq`.
//!
//! A blocking client cannot be told to stop while it waits, but what it waits in can be broken off
//! under it. So the sockets and the resolver are our own, behind `ureq`'s interfaces for them, and
//! all of one transfer's are on its [`Line`](line::Line): cancelling breaks that, and whatever the
//! transfer waits in ends at once, be it the name, the connection, TLS, the headers or the body.
//!
//! * `agents`: an agent of `ureq`'s for each transfer, and the connections that are kept.
//! * `body`: long bodies, which are read straight from the socket.
//! * `line`, `resolve`, `connect`: waiting, so that it can be broken off.
//! * `status`, `meaning`: what an answer says, and what of that is believed.

mod agents;
mod body;
mod connect;
mod line;
mod meaning;
mod resolve;
mod status;

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use data_encoding::BASE64;
use fluent_uri::Uri;
use percent_encoding::percent_decode_str;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use self::agents::{AgentPool, LeasedBody};
use self::body::Framing;
use self::meaning::Meaning;
use self::resolve::Names;
use super::{DataSource, OpenRequest, Opened, SourceError};

/// Time limits of [`HttpSource`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpOptions {
    /// The longest that finding the host's addresses may take, and again the longest that a
    /// connection may take, over all of its addresses and with TLS.
    pub connect_timeout: Duration,
    /// The longest a transfer may go without a single byte; also the longest that a server may
    /// take from the end of the request to the end of its headers.
    pub stall_timeout: Duration,
    /// How many idle connections are kept for later transfers, over all hosts.
    pub max_idle_connections: usize,
    /// The certificates (PEM, one or more in each) that a server's has to lead to; where there are
    /// none, Mozilla's, as they were when this crate was built.
    pub root_certificates: Vec<Vec<u8>>,
}

impl HttpOptions {
    /// Refuses what cannot be worked with: the field, and the reason.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        for (field, value) in [
            ("connect_timeout", self.connect_timeout),
            ("stall_timeout", self.stall_timeout),
        ] {
            if value.is_zero() {
                return Err((field, "has to be more than nothing".to_owned()));
            }
        }
        for pem in &self.root_certificates {
            if agents::certificates(pem).is_empty() {
                return Err(("root_certificate", "holds no certificate in PEM".to_owned()));
            }
        }
        Ok(())
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(20),
            max_idle_connections: 16,
            root_certificates: Vec::new(),
        }
    }
}

/// Fetches over HTTP/1.1, with TLS where the URL says so.
#[derive(Debug)]
pub struct HttpSource {
    agents: Arc<AgentPool>,
}

impl HttpSource {
    /// A source with these limits.
    pub fn new(options: HttpOptions) -> Self {
        HttpSource {
            agents: Arc::new(AgentPool::new(options, Names::default())),
        }
    }
}

impl DataSource for HttpSource {
    fn check(&self, url: &str) -> anyhow::Result<()> {
        let uri = url
            .parse::<ureq::http::Uri>()
            .map_err(|error| anyhow!("{error}"))?;
        match (uri.scheme(), uri.host()) {
            (Some(_), Some(host)) if !host.is_empty() => Ok(()),
            _ => Err(anyhow!("names no host")),
        }
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let lease = self.agents.lease(request.url());
        let line = lease.agent.line.clone();
        let hook = request.cancel().on_cancel(move || line.break_off());
        let response = send(&lease.agent.agent, request)
            .map_err(|error| status::classify(&error, lease.agent.line.was_redirected()))?;
        if response.status() == StatusCode::NOT_MODIFIED && request.unless_validator().is_some() {
            return Err(SourceError::unchanged());
        }
        status::check_status(response.status(), response.headers())?;
        let meaning = Meaning::of(&response, request)?;
        let framing = Framing::of(&response);
        let body = response.into_body().into_reader();
        let reader = LeasedBody::new(body, framing, lease, hook, request.cancel().clone());
        let mut opened = Opened::new(reader).starting_at(meaning.start);
        opened.total = meaning.total;
        opened.validator = meaning.validator;
        opened.self_delimiting = meaning.self_delimiting;
        Ok(opened)
    }
}

fn send(agent: &Agent, request: &OpenRequest<'_>) -> Result<Response<Body>, ureq::Error> {
    let (url, credentials) = split_credentials(request.url());
    let mut call = agent.get(url);
    if let Some(credentials) = credentials {
        call = call.header(header::AUTHORIZATION, format!("Basic {credentials}"));
    }
    if let Some(validator) = request.validator() {
        call = call.header(header::RANGE, format!("bytes={}-", request.offset()));
        call = call.header(header::IF_RANGE, validator);
    }
    if let Some(validator) = request.unless_validator() {
        let name = match validator.starts_with('"') {
            true => header::IF_NONE_MATCH,
            false => header::IF_MODIFIED_SINCE,
        };
        call = call.header(name, validator);
    }
    call.call()
}

/// The URL without user info, and the user info as basic credentials.
fn split_credentials(url: &str) -> (String, Option<String>) {
    let user_info = Uri::parse(url).ok().and_then(|uri| {
        let user_info = uri.authority()?.userinfo()?;
        Some(user_info.as_str().to_owned())
    });
    match user_info {
        None => (url.to_owned(), None),
        Some(user_info) => {
            let plain = url.replacen(&format!("//{user_info}@"), "//", 1);
            let decoded: Vec<u8> = percent_decode_str(&user_info).collect();
            (plain, Some(BASE64.encode(&decoded)))
        }
    }
}

#[cfg(test)]
mod tests;

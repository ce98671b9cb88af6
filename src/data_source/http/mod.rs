//! `http://` and `https://`, over `ureq`.
//!
//! A blocking client cannot be told to stop while it waits, but what it waits in can be broken off
//! under it. So the sockets and the resolver are our own, behind `ureq`'s interfaces for them, and
//! all of one transfer's are on its [`Line`](line::Line): cancelling breaks that, and whatever the
//! transfer waits in ends at once, be it the name, the connection, TLS, the headers or the body.
//!
//! Redirects are followed here and not by `ureq`, each as a request of its own.
//!
//! * `options`, `headers`, `proxy`: the settings, and what they mean for one origin.
//! * `origin`, `redirect`, `reach`: whom a URL names, and where one may send us on to.
//! * `agents`: an agent of `ureq`'s for each transfer, and the connections that are kept.
//! * `body`, `splice`: long bodies, straight from the socket: read, or copied by the kernel.
//! * `line`, `resolve`, `connect`: waiting, so that it can be broken off.
//! * `status`, `meaning`: what an answer says, and what of that is believed.

mod agents;
mod body;
mod connect;
mod headers;
mod line;
mod meaning;
mod options;
mod origin;
#[cfg(any(test, fuzzing))]
pub(super) mod properties;
mod proxy;
mod reach;
mod redirect;
mod resolve;
mod splice;
mod status;
#[cfg(feature = "s3")]
mod unserved;

use std::sync::Arc;

use anyhow::anyhow;
use ureq::http::{HeaderValue, Response, StatusCode, header};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

use self::agents::{AgentPool, Lease, LeasedBody};
use self::body::Framing;
use self::headers::HostHeaders;
use self::meaning::Meaning;
pub use self::options::HttpOptions;
use self::origin::Target;
use self::redirect::Way;
use self::resolve::Names;
#[cfg(feature = "s3")]
pub(crate) use self::unserved::Unserved;
use super::cancel::CancelHook;
use super::{DataSource, OpenRequest, Opened, SourceError};

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
        Target::parse(url).map_err(|why| anyhow!("{}", why.reason()))?;
        url.parse::<ureq::http::Uri>()
            .map_err(|error| anyhow!("{error}"))?;
        Ok(())
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let mut way = self.agents.set_out(request.url())?;
        loop {
            let (response, lease, hook) = self.ask(&way, request)?;
            if !redirect::is_redirect(response.status()) {
                return self.opened(response, request, lease, hook);
            }
            way.follow(response.headers(), lease.is_public())?;
            let body = response.into_body().into_reader();
            lease.end_unread(body, hook, request.cancel());
        }
    }
}

impl HttpSource {
    /// One request, to where `way` has come to; redirects are the caller's.
    fn ask(
        &self,
        way: &Way,
        request: &OpenRequest<'_>,
    ) -> Result<(Response<Body>, Lease, CancelHook), SourceError> {
        let lease = self.agents.lease(way)?;
        let line = lease.agent.line.clone();
        let hook = request.cancel().on_cancel(move || line.break_off());
        let call = call_of(
            &lease.agent.agent,
            &way.target,
            &self.agents.headers,
            request,
        );
        let response = call
            .call()
            .map_err(|error| status::classify(&error, way.was_redirected()))?;
        Ok((response, lease, hook))
    }

    fn opened(
        &self,
        response: Response<Body>,
        request: &OpenRequest<'_>,
        lease: Lease,
        hook: CancelHook,
    ) -> Result<Opened, SourceError> {
        if let Err(error) = judge(&response, request) {
            let body = response.into_body().into_reader();
            lease.end_unread(body, hook, request.cancel());
            return Err(error);
        }
        self.taken(response, request, lease, hook)
    }

    /// An answer that has a file in it, if it says nothing about it that cannot be.
    fn taken(
        &self,
        response: Response<Body>,
        request: &OpenRequest<'_>,
        lease: Lease,
        hook: CancelHook,
    ) -> Result<Opened, SourceError> {
        let meaning = Meaning::of(&response, request)?;
        let framing = Framing::of(&response);
        let body = response.into_body().into_reader();
        let reader = LeasedBody::new(body, framing, lease, hook, request.cancel().clone());
        let mut opened = Opened::from_body(reader).starting_at(meaning.start);
        opened.total = meaning.total;
        opened.validator = meaning.validator;
        opened.self_delimiting = meaning.self_delimiting || self.agents.accepts_unframed();
        Ok(opened)
    }
}

/// Lets an answer through that has a file in it.
fn judge(response: &Response<Body>, request: &OpenRequest<'_>) -> Result<(), SourceError> {
    if response.status() == StatusCode::NOT_MODIFIED && request.unless_validator().is_some() {
        return Err(SourceError::unchanged());
    }
    status::check_status(response.status(), response.headers())
}

/// Asks `target`, with what goes along to it and to nobody else.
fn call_of(
    agent: &Agent,
    target: &Target,
    headers: &HostHeaders,
    request: &OpenRequest<'_>,
) -> RequestBuilder<WithoutBody> {
    let mut call = agent.get(&target.url);
    for (name, value) in headers.of(&target.origin) {
        if *name != header::AUTHORIZATION || target.credentials.is_none() {
            call = call.header(name, value);
        }
    }
    if let Some(credentials) = &target.credentials {
        call = call.header(header::AUTHORIZATION, format!("Basic {credentials}"));
    }
    // What no header can carry is another source's, and nothing to go on with.
    let sendable = |validator: &&str| HeaderValue::from_str(validator).is_ok();
    if let Some(validator) = request.validator().filter(sendable) {
        call = call.header(header::RANGE, format!("bytes={}-", request.offset()));
        call = call.header(header::IF_RANGE, validator);
    }
    if let Some(validator) = request.unless_validator().filter(sendable) {
        let name = match validator.starts_with('"') {
            true => header::IF_NONE_MATCH,
            false => header::IF_MODIFIED_SINCE,
        };
        call = call.header(name, validator);
    }
    call
}

#[cfg(test)]
mod tests;

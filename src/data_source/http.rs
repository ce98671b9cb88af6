//! `http://` and `https://`, over `ureq`.
//!
//! A blocking client cannot be told to stop while it waits in a read, but its socket can be closed
//! under it. `ureq` does that for all connections of an [`Agent`] at once, so a transfer has an
//! agent to itself while it runs ([`AgentPool`]); cancelling shuts that agent down, and the read
//! fails at once. An agent that ended well goes back to the pool, with its connection kept alive.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use data_encoding::BASE64;
use fluent_uri::Uri;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::cancel::CancelHook;
use super::{CancelToken, DataSource, OpenRequest, Opened, SourceError};
use crate::error::ErrorKind;

/// Time limits of [`HttpSource`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpOptions {
    /// The longest a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// The longest a transfer may go without a single byte, before the headers or in the body.
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
            if certificates(pem).is_empty() {
                return Err(("root_certificate", "holds no certificate in PEM".to_owned()));
            }
        }
        Ok(())
    }
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    parse_pem(pem).filter_map(certificate).collect()
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

/// The most redirects that one request follows.
const MAX_REDIRECTS: u32 = 5;
/// `ureq`'s own input buffer; the copy loop reads through it.
const INPUT_BUFFER_BYTES: usize = 256 * 1024;
const USER_AGENT: &str = concat!("data_manager/", env!("CARGO_PKG_VERSION"));

/// Fetches over HTTP/1.1, with TLS where the URL says so.
#[derive(Debug)]
pub struct HttpSource {
    agents: Arc<AgentPool>,
}

impl HttpSource {
    /// A source with these limits.
    pub fn new(options: HttpOptions) -> Self {
        let idle = Mutex::new(Vec::new());
        HttpSource {
            agents: Arc::new(AgentPool { options, idle }),
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
        let lease = self.agents.lease(&host_of(request.url()));
        let closer = lease.agent.clone();
        let hook = request.cancel().on_cancel(move || closer.shutdown());
        let response = send(&lease.agent, request).map_err(|error| classify(&error))?;
        check_status(response.status())?;
        let meaning = Meaning::of(&response, request)?;
        let body = response.into_body().into_reader();
        let cancel = request.cancel().clone();
        let reader = LeasedBody {
            body: Box::new(body),
            in_use: Some((lease, hook)),
            cancel,
        };
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

fn check_status(status: StatusCode) -> Result<(), SourceError> {
    let cause = || anyhow!("the server answered {status}");
    match status.as_u16() {
        200 | 206 => Ok(()),
        401 | 403 | 407 => Err(SourceError::permanent(cause()).with_kind(ErrorKind::Denied)),
        404 | 410 => Err(SourceError::permanent(cause())),
        408 | 425 | 429 | 500..=599 => {
            Err(SourceError::transient(cause()).with_kind(ErrorKind::Unavailable))
        }
        // What is on disk is not a part of what the server has: the caller starts again.
        416 => Err(SourceError::transient(cause()).with_kind(ErrorKind::Protocol)),
        _ => Err(SourceError::permanent(cause()).with_kind(ErrorKind::Protocol)),
    }
}

/// What the headers say about the body.
#[derive(Debug)]
struct Meaning {
    start: u64,
    total: Option<u64>,
    validator: Option<String>,
    self_delimiting: bool,
}

impl Meaning {
    fn of(response: &Response<Body>, request: &OpenRequest<'_>) -> Result<Meaning, SourceError> {
        let headers = response.headers();
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
            && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            return Err(distrust("the body is compressed, which nobody asked for"));
        }
        // `ureq` takes an empty body for none, and then knows of no length.
        let empty = headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length == "0");
        let length = response.body().content_length().or(empty.then_some(0));
        let chunked = headers.contains_key(header::TRANSFER_ENCODING);
        let (start, total) = match response.status() {
            StatusCode::PARTIAL_CONTENT => partial_content(headers, request, length)?,
            _ => (0, length),
        };
        Ok(Meaning {
            start,
            total,
            validator: validator_of(headers),
            self_delimiting: length.is_some() || chunked,
        })
    }
}

/// Start and total of a 206: exactly the rest that was asked for, or nothing we take.
fn partial_content(
    headers: &HeaderMap,
    request: &OpenRequest<'_>,
    length: Option<u64>,
) -> Result<(u64, Option<u64>), SourceError> {
    if request.validator().is_none() {
        return Err(distrust(
            "the server answered with a part that nobody asked for",
        ));
    }
    let range = headers
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let Some((start, end, total)) = range.and_then(parse_content_range) else {
        return Err(distrust(
            "the Content-Range of the answer cannot be understood",
        ));
    };
    let whole_rest = total.is_none_or(|total| end + 1 == total);
    let fits = length.is_none_or(|length| length == end - start + 1);
    if start != request.offset() || !whole_rest || !fits {
        return Err(distrust(
            "the server answered with another part than was asked for",
        ));
    }
    Ok((start, Some(end + 1)))
}

/// `bytes FIRST-LAST/TOTAL` (RFC 9110, section 14.4), last byte inclusive.
fn parse_content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (first, last) = (number(first)?, number(last)?);
    let total = if total == "*" {
        None
    } else {
        Some(number(total)?)
    };
    let sound = first <= last && last < u64::MAX && total.is_none_or(|total| last < total);
    sound.then_some((first, last, total))
}

/// What `If-Range` may present (RFC 9110, section 13.1.5): a strong ETag, else the date.
fn validator_of(headers: &HeaderMap) -> Option<String> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let strong = |tag: &String| tag.starts_with('"') && tag.len() >= 2;
    text(header::ETAG)
        .filter(strong)
        .or_else(|| text(header::LAST_MODIFIED))
}

fn distrust(reason: &'static str) -> SourceError {
    SourceError::transient(anyhow!(reason)).with_kind(ErrorKind::Protocol)
}

/// What a failed call means. The text is ours: `ureq`'s may repeat a URL with its secrets.
fn classify(error: &ureq::Error) -> SourceError {
    use ureq::Error as E;
    match error {
        E::Io(cause) if is_bad_certificate(cause) => {
            SourceError::permanent(anyhow!("TLS: {cause}")).with_kind(ErrorKind::Network)
        }
        E::Io(cause) => SourceError::transient(anyhow!("the connection failed: {cause}")),
        E::Timeout(reason) => SourceError::transient(anyhow!("no answer in time ({reason})")),
        E::HostNotFound => SourceError::transient(anyhow!("the host name does not resolve")),
        E::ConnectionFailed => SourceError::transient(anyhow!("the connection failed")),
        E::TooManyRedirects | E::RedirectFailed => {
            SourceError::permanent(anyhow!("the redirects lead nowhere"))
                .with_kind(ErrorKind::Protocol)
        }
        E::Rustls(cause) => {
            SourceError::permanent(anyhow!("TLS: {cause}")).with_kind(ErrorKind::Network)
        }
        E::Tls(reason) => {
            SourceError::permanent(anyhow!("TLS: {reason}")).with_kind(ErrorKind::Network)
        }
        E::BadUri(_) | E::RequireHttpsOnly(_) | E::Http(_) => {
            SourceError::permanent(anyhow!("the URL cannot be requested"))
                .with_kind(ErrorKind::Protocol)
        }
        E::Protocol(cause) => {
            // What follows the colon may be a header of the answer, with a URL in it.
            let text = cause.to_string();
            let category = text.split(':').next().unwrap_or_default();
            SourceError::transient(anyhow!("bad answer: {category}")).with_kind(ErrorKind::Protocol)
        }
        E::LargeResponseHeader(..) => {
            SourceError::transient(anyhow!("the answer's headers are too large"))
                .with_kind(ErrorKind::Protocol)
        }
        _ => SourceError::transient(anyhow!("the request failed")),
    }
}

/// Whether the server showed a certificate that leads to none that is trusted, is for another
/// name, or has expired. `rustls` says so in its text only, as far as `ureq` lets one see.
fn is_bad_certificate(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
        && error.to_string().starts_with("invalid peer certificate")
}

/// Scheme, host and port: connections are kept for the same one only.
fn host_of(url: &str) -> String {
    let Ok(uri) = Uri::parse(url) else {
        return String::new();
    };
    let host = uri.authority().map(|a| {
        (
            a.host().to_ascii_lowercase(),
            a.port().map(fluent_uri::pct_enc::EStr::as_str),
        )
    });
    format!("{}:{host:?}", uri.scheme().as_str())
}

/// Agents that are not in use, each with at most one live connection.
#[derive(Debug)]
struct AgentPool {
    options: HttpOptions,
    /// Host and agent, the longest idle first. Protects the list only; no request is made and no
    /// agent is dropped (which closes sockets) while it is held.
    idle: Mutex<Vec<(String, Agent)>>,
}

impl AgentPool {
    /// An agent for `host` that nobody else uses: the one that came back last, or a new one.
    fn lease(self: &Arc<Self>, host: &str) -> Lease {
        let reused = {
            let mut idle = self.idle.lock();
            let at = idle.iter().rposition(|(idle_host, _)| idle_host == host);
            at.map(|at| idle.remove(at).1)
        };
        let agent = reused.unwrap_or_else(|| new_agent(&self.options));
        Lease {
            pool: self.clone(),
            host: host.to_owned(),
            agent,
        }
    }

    fn give_back(&self, host: String, agent: Agent) {
        let surplus = {
            let mut idle = self.idle.lock();
            idle.push((host, agent));
            let surplus = idle.len().saturating_sub(self.options.max_idle_connections);
            idle.drain(..surplus).collect::<Vec<_>>()
        };
        drop(surplus);
    }
}

fn new_agent(options: &HttpOptions) -> Agent {
    let trusted: Vec<_> = options
        .root_certificates
        .iter()
        .flat_map(|pem| certificates(pem))
        .collect();
    let roots = if trusted.is_empty() {
        RootCerts::WebPki
    } else {
        trusted.into()
    };
    Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .user_agent(USER_AGENT)
        .max_redirects(MAX_REDIRECTS)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .input_buffer_size(INPUT_BUFFER_BYTES)
        .timeout_resolve(Some(options.connect_timeout))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_per_read(Some(options.stall_timeout))
        .timeout_per_write(Some(options.stall_timeout))
        .build()
        .new_agent()
}

/// An agent in use by one transfer.
#[derive(Debug)]
struct Lease {
    pool: Arc<AgentPool>,
    host: String,
    agent: Agent,
}

/// A response's body, which gives its agent back once it was read to the end.
struct LeasedBody {
    /// Replaced before the agent is given back: dropping it is what returns the connection.
    body: Box<dyn Read + Send>,
    /// The agent and the hook that would close it, until the end of the body.
    in_use: Option<(Lease, CancelHook)>,
    cancel: CancelToken,
}

impl LeasedBody {
    fn finish(&mut self) {
        let Some((lease, hook)) = self.in_use.take() else {
            return;
        };
        self.body = Box::new(io::empty());
        drop(hook);
        // A cancellation marks the token before it takes the hooks. So if the token is not marked
        // now that our hook is gone, nobody will close this agent under its next user.
        if !self.cancel.is_cancelled() {
            lease.pool.give_back(lease.host, lease.agent);
        }
    }
}

impl Read for LeasedBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.finish();
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(parse_content_range("bytes 4-9/10"), Some((4, 9, Some(10))));
        assert_eq!(parse_content_range("bytes 4-9/*"), Some((4, 9, None)));
        for bad in [
            "",
            "bytes",
            "bytes */10",
            "bytes 9-4/10",
            "bytes 4-10/10",
            "bytes +4-9/10",
            "bytes 4-9",
            "items 4-9/10",
            "bytes 0-18446744073709551615/*",
            "bytes -9/10",
        ] {
            assert_eq!(parse_content_range(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_strong_validators_resume() {
        let headers = |pairs: &[(header::HeaderName, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.insert(name.clone(), value.parse().unwrap());
            }
            map
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let strong = headers(&[(header::ETAG, "\"a\""), (header::LAST_MODIFIED, date)]);
        assert_eq!(validator_of(&strong).as_deref(), Some("\"a\""));
        let weak = headers(&[(header::ETAG, "W/\"a\"")]);
        assert_eq!(validator_of(&weak), None);
        let dated = headers(&[(header::LAST_MODIFIED, date)]);
        assert_eq!(validator_of(&dated).as_deref(), Some(date));
    }

    #[test]
    fn credentials_leave_the_url() {
        let (url, credentials) = split_credentials("http://user:p%40ss@h:1/a?b");
        assert_eq!(url, "http://h:1/a?b");
        assert_eq!(
            credentials.as_deref(),
            Some(BASE64.encode(b"user:p@ss").as_str())
        );
        assert_eq!(
            split_credentials("http://h/a@b"),
            ("http://h/a@b".to_owned(), None)
        );
    }

    #[test]
    fn what_cannot_be_requested_is_refused_at_the_door() {
        let source = HttpSource::new(HttpOptions::default());
        assert!(source.check("http://example.com/a").is_ok());
        assert!(source.check("http:///a").is_err());
        assert!(source.check("http:a").is_err());
    }
}

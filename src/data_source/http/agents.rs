//! `ureq`'s agents: one for each transfer while it runs, kept with its connection afterwards.
//!
//! What cancels a transfer breaks its agent's [`Line`], so an agent has one transfer at a time.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use fluent_uri::Uri;
use parking_lot::Mutex;
use ureq::Agent;
use ureq::config::Config;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector};

use super::HttpOptions;
use super::body::{Framing, Straight};
use super::connect::{SharedTls, SocketConnector};
use super::line::{Line, cancelled};
use super::resolve::{LineResolver, Names};
use crate::data_source::CancelToken;
use crate::data_source::cancel::CancelHook;

/// The most redirects that one request follows.
const MAX_REDIRECTS: u32 = 5;
/// `ureq`'s own input buffer; the copy loop reads through it.
const INPUT_BUFFER_BYTES: usize = 256 * 1024;
const USER_AGENT: &str = concat!("data_manager/", env!("CARGO_PKG_VERSION"));
/// Time limits beyond this are as good as none; adding them to the time of day must not overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How many stalls one read of the body may take. A single one is the limit for each wait on the
/// socket, but bytes may trickle in that are no content: a record of TLS that is not whole yet
/// (which is fine), or framing without end (which is not).
const STALLS_IN_A_READ: u32 = 4;

/// Agents that are not in use, each with at most one live connection.
#[derive(Debug)]
pub(super) struct AgentPool {
    options: HttpOptions,
    config: Config,
    names: Arc<Names>,
    tls: SharedTls,
    /// Host and agent, the longest idle first. Protects the list only; no request is made and no
    /// agent is dropped (which closes sockets) while it is held.
    idle: Mutex<Vec<(String, LinedAgent)>>,
}

/// An agent, and the line that breaks off whatever it waits in.
#[derive(Debug)]
pub(super) struct LinedAgent {
    pub(super) agent: Agent,
    pub(super) line: Arc<Line>,
}

impl AgentPool {
    pub(super) fn new(mut options: HttpOptions, names: Names) -> Self {
        for timeout in [&mut options.connect_timeout, &mut options.stall_timeout] {
            *timeout = LONGEST_TIMEOUT.min(*timeout);
        }
        AgentPool {
            config: config_of(&options),
            options,
            names: Arc::new(names),
            tls: SharedTls(Arc::new(RustlsConnector::default())),
            idle: Mutex::default(),
        }
    }

    /// An agent for the host of `url` that nobody else uses: the one that came back last, or a new
    /// one.
    pub(super) fn lease(self: &Arc<Self>, url: &str) -> Lease {
        let host = host_of(url);
        let reused = {
            let mut idle = self.idle.lock();
            let at = idle.iter().rposition(|(idle_host, _)| *idle_host == host);
            at.map(|at| idle.remove(at).1)
        };
        let agent = reused.unwrap_or_else(|| self.new_agent());
        agent.line.begin(self.longest_way_to_the_body());
        Lease {
            pool: self.clone(),
            host,
            agent,
        }
    }

    /// Each stage has its own limit, but for the bodies of redirects, which have no use and no end
    /// that one could count on. So all redirects together have the time of one slow request.
    fn longest_way_to_the_body(&self) -> Duration {
        (self.options.connect_timeout + self.options.stall_timeout) * 2
    }

    fn new_agent(&self) -> LinedAgent {
        let line = Arc::<Line>::default();
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(SocketConnector { line: line.clone() })
                .chain(self.tls.clone());
        let resolver = LineResolver {
            names: self.names.clone(),
            line: line.clone(),
        };
        let agent = Agent::with_parts(self.config.clone(), connector, resolver);
        LinedAgent { agent, line }
    }

    fn give_back(&self, host: String, agent: LinedAgent) {
        let surplus = {
            let mut idle = self.idle.lock();
            idle.push((host, agent));
            let surplus = idle.len().saturating_sub(self.options.max_idle_connections);
            idle.drain(..surplus).collect::<Vec<_>>()
        };
        drop(surplus);
    }
}

fn config_of(options: &HttpOptions) -> Config {
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
        // From the end of the request to the end of the headers, however they drip.
        .timeout_recv_response(Some(options.stall_timeout))
        .timeout_per_read(Some(options.stall_timeout))
        .timeout_per_write(Some(options.stall_timeout))
        .build()
}

pub(super) fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    parse_pem(pem).filter_map(certificate).collect()
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

/// An agent in use by one transfer.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<AgentPool>,
    host: String,
    pub(super) agent: LinedAgent,
}

/// A response's body, which gives its agent back once it was read to the end.
pub(super) struct LeasedBody {
    /// Replaced before the agent is given back: dropping it is what returns the connection.
    body: Box<dyn Read + Send>,
    /// How a long body is read, for the most part of it.
    straight: Option<Straight>,
    /// The agent and the hook that would break its line, until the end of the body.
    in_use: Option<(Lease, CancelHook)>,
    cancel: CancelToken,
}

impl LeasedBody {
    pub(super) fn new(
        body: impl Read + Send + 'static,
        framing: Framing,
        lease: Lease,
        hook: CancelHook,
        cancel: CancelToken,
    ) -> Self {
        let stall_timeout = lease.pool.options.stall_timeout;
        LeasedBody {
            body: Box::new(body),
            straight: Straight::new(&lease.agent.line, framing, stall_timeout),
            in_use: Some((lease, hook)),
            cancel,
        }
    }

    fn finish(&mut self) {
        let Some((lease, hook)) = self.in_use.take() else {
            return;
        };
        self.body = Box::new(io::empty());
        if let Some(straight) = self.straight.take() {
            straight.finish(&lease.agent.line);
        }
        drop(hook);
        // A cancellation marks the token before it takes the hooks. So if the token is not marked
        // now that our hook is gone, nobody will break this agent's line under its next user.
        if !self.cancel.is_cancelled() {
            lease.pool.give_back(lease.host, lease.agent);
        }
    }
}

impl Read for LeasedBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some((lease, _)) = &self.in_use {
            let limit = lease.pool.options.stall_timeout * STALLS_IN_A_READ;
            lease.agent.line.limit(limit);
        }
        let count = match &mut self.straight {
            Some(straight) => straight.read(&mut self.body, buffer)?,
            None => self.body.read(buffer)?,
        };
        if count == 0 && !buffer.is_empty() {
            // A line that was broken off looks like the end of a body that has no length.
            if self.cancel.is_cancelled() {
                return Err(cancelled());
            }
            self.finish();
        }
        Ok(count)
    }
}

//! `ureq`'s agents: one for each transfer while it runs, kept with its connection afterwards.
//!
//! What cancels a transfer breaks its agent's [`Line`], so an agent has one transfer at a time.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ureq::config::Config;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector};
use ureq::{Agent, Proxy};

use super::HttpOptions;
use super::body::{Framing, Straight};
use super::connect::{SharedTls, SocketConnector};
use super::headers::HostHeaders;
use super::line::{Line, cancelled};
use super::origin::Origin;
use super::proxy::Proxies;
use super::reach;
use super::redirect::{self, Way};
use super::resolve::{LineResolver, Names};
use crate::data_source::cancel::CancelHook;
use crate::data_source::{CancelToken, Copied, CopiesFrom, SourceError};

/// `ureq`'s own input buffer; the copy loop reads through it.
const INPUT_BUFFER_BYTES: usize = 256 * 1024;
const USER_AGENT: &str = concat!("data_manager/", env!("CARGO_PKG_VERSION"));
/// Time limits beyond this are as good as none; adding them to the time of day must not overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How many stalls one read of the body may take. A single one is the limit for each wait on the
/// socket, but bytes may trickle in that are no content: a record of TLS that is not whole yet
/// (which is fine), or framing without end (which is not).
const STALLS_IN_A_READ: u32 = 4;
/// How much of a body that nobody wants is read, and for how long, so that its connection can be
/// used again. What is longer than that costs more than a new one.
const UNWANTED_BYTES: u64 = 64 * 1024;
const UNWANTED_TIME: Duration = Duration::from_millis(250);

/// Agents that are not in use, each with at most one live connection.
#[derive(Debug)]
pub(super) struct AgentPool {
    options: HttpOptions,
    pub(super) headers: HostHeaders,
    /// An error is why the proxy that was asked for cannot be used. Nobody is asked without it.
    proxies: Result<Proxies, String>,
    roots: RootCerts,
    names: Arc<Names>,
    tls: SharedTls,
    /// What it is good for and the agent, the longest idle first. Protects the list only; no
    /// request is made and no agent is dropped (which closes sockets) while it is held.
    idle: Mutex<Vec<(Use, LinedAgent)>>,
}

/// What an agent's connection is good for. One that was made without a guard may lead to where a
/// redirect must not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Use {
    origin: Origin,
    guarded: bool,
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
            // The builder has refused what does not parse.
            headers: HostHeaders::parse(&options.headers).unwrap_or_default(),
            proxies: options.proxies(),
            roots: roots_of(&options),
            options,
            names: Arc::new(names),
            tls: SharedTls(Arc::new(RustlsConnector::default())),
            idle: Mutex::default(),
        }
    }

    pub(super) fn accepts_unframed(&self) -> bool {
        self.options.accept_unframed
    }

    /// A request sets out for `url`.
    pub(super) fn set_out(&self, url: &str) -> Result<Way, SourceError> {
        let deadline = Instant::now() + self.longest_way_to_the_body();
        Way::begin(url, deadline, self.options.allow_private_redirects)
    }

    /// An agent for where `way` has come to, that nobody else uses: the one that came back last, or
    /// a new one.
    pub(super) fn lease(self: &Arc<Self>, way: &Way) -> Result<Lease, SourceError> {
        let origin = &way.target.origin;
        let proxies = self.proxies.as_ref();
        let proxies = proxies.map_err(|reason| redirect::refused(&format!("proxy: {reason}")))?;
        let proxy = proxies.proxy_for(origin);
        let named_private = || reach::names_private(&origin.host, |ip| self.names.is_public(ip));
        // Where the proxy finds the address, the name is all there is to judge by.
        let public_name = proxy.map(|_| !named_private());
        if way.guarded && public_name == Some(false) {
            return Err(redirect::refused(redirect::NOT_PUBLIC));
        }
        let of = Use {
            origin: origin.clone(),
            guarded: way.guarded && proxy.is_none(),
        };
        let reused = {
            let mut idle = self.idle.lock();
            let at = idle.iter().rposition(|(good_for, _)| *good_for == of);
            at.map(|at| idle.remove(at).1)
        };
        let agent = reused.unwrap_or_else(|| self.new_agent(of.guarded, proxy.cloned()));
        agent
            .line
            .limit(way.deadline.saturating_duration_since(Instant::now()));
        Ok(Lease {
            pool: self.clone(),
            of,
            public_name,
            agent,
        })
    }

    /// Each stage has its own limit, but there may be a redirect behind each redirect. So all of
    /// them together have the time of two slow requests.
    fn longest_way_to_the_body(&self) -> Duration {
        (self.options.connect_timeout + self.options.stall_timeout) * 2
    }

    /// The longest that a body may go without a byte.
    #[cfg(feature = "s3")]
    pub(super) fn stall_timeout(&self) -> Duration {
        self.options.stall_timeout
    }

    fn new_agent(&self, guarded: bool, proxy: Option<Proxy>) -> LinedAgent {
        let line = Arc::<Line>::default();
        let connector = ()
            .chain(ConnectProxyConnector::default())
            .chain(SocketConnector {
                line: line.clone(),
                direct: proxy.is_none(),
            })
            .chain(self.tls.clone());
        let resolver = LineResolver {
            names: self.names.clone(),
            line: line.clone(),
            guarded,
        };
        let config = config_of(&self.options, self.roots.clone(), proxy);
        let agent = Agent::with_parts(config, connector, resolver);
        LinedAgent { agent, line }
    }

    fn give_back(&self, of: Use, agent: LinedAgent) {
        let surplus = {
            let mut idle = self.idle.lock();
            idle.push((of, agent));
            let surplus = idle.len().saturating_sub(self.options.max_idle_connections);
            idle.drain(..surplus).collect::<Vec<_>>()
        };
        drop(surplus);
    }
}

fn config_of(options: &HttpOptions, roots: RootCerts, proxy: Option<Proxy>) -> Config {
    Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .proxy(proxy)
        .http_status_as_error(false)
        .user_agent(USER_AGENT)
        // Without a word, a server may choose any coding.
        .accept_encoding("identity")
        // See `redirect`.
        .max_redirects(0)
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

fn roots_of(options: &HttpOptions) -> RootCerts {
    let trusted: Vec<_> = options
        .root_certificates
        .iter()
        .flat_map(|pem| certificates(pem))
        .collect();
    if trusted.is_empty() {
        RootCerts::WebPki
    } else {
        trusted.into()
    }
}

pub(super) fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    parse_pem(pem).filter_map(certificate).collect()
}

/// An agent in use by one transfer.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<AgentPool>,
    of: Use,
    /// What the name says, where a proxy finds the address.
    public_name: Option<bool>,
    pub(super) agent: LinedAgent,
}

impl Lease {
    /// Whether whoever answered is a public host.
    pub(super) fn is_public(&self) -> bool {
        let by_address = |peer| self.pool.names.is_public(peer);
        // Whoever cannot be judged may have as little as a public host.
        let peer = || self.agent.line.peer().is_none_or(by_address);
        self.public_name.unwrap_or_else(peer)
    }

    /// Nobody reads what a redirect or an error says; its connection is kept if that is over soon.
    pub(super) fn end_unread(self, body: impl Read, hook: CancelHook, cancel: &CancelToken) {
        let line = &self.agent.line;
        line.limit(line.left().unwrap_or_default().min(UNWANTED_TIME));
        let mut body = body.take(UNWANTED_BYTES);
        let whole = io::copy(&mut body, &mut io::sink()).is_ok() && body.limit() > 0;
        // Dropping it is what returns, or closes, the connection.
        drop(body);
        if whole {
            self.end(hook, cancel);
        }
    }

    /// The agent is for others now.
    fn end(self, hook: CancelHook, cancel: &CancelToken) {
        drop(hook);
        // A cancellation marks the token before it takes the hooks. So if the token is not marked
        // now that our hook is gone, nobody will break this agent's line under its next user.
        if !cancel.is_cancelled() {
            self.pool.give_back(self.of, self.agent);
        }
    }
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
        lease.end(hook, &self.cancel);
    }
}

impl crate::data_source::Body for LeasedBody {
    fn copies_from(&self) -> Option<CopiesFrom> {
        let copies = self.straight.as_ref().is_some_and(Straight::copies);
        copies.then_some(CopiesFrom::Socket)
    }

    fn copy_into(&mut self, target: &File, at: u64, len: usize) -> Copied {
        match &mut self.straight {
            Some(straight) => straight.copy_into(target, at, len),
            None => Copied::default(),
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

//! The settings of the HTTP source.

use std::time::Duration;

use super::agents;
use super::headers::{HostHeader, HostHeaders};
use super::proxy::{Proxies, ProxyChoice};

/// Settings of [`HttpSource`](super::HttpSource). `Debug` shows neither headers nor proxies.
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
    /// Whether a public host may redirect to an address that is not public: loopback, private,
    /// link-local, multicast and the like.
    pub allow_private_redirects: bool,
    /// Whether a body that says neither how long it is nor that it is over may be taken for whole
    /// where the connection is closed.
    pub accept_unframed: bool,
    pub(super) headers: Vec<HostHeader>,
    pub(super) proxy: ProxyChoice,
}

impl HttpOptions {
    /// Sends the header to `host` and to nobody else, also when a redirect leads there. `host` is
    /// `HOST[:PORT]`, which stands for `https` alone, or an origin with its scheme, such as
    /// `http://10.0.0.5:8080`. Of two with one name, the later one counts; user info in a URL
    /// comes before an `Authorization` that is set here.
    ///
    /// What the library says by itself cannot be set: `Host`, `User-Agent`, `Range` and other
    /// conditions, `Accept-Encoding`, and what is about the connection.
    pub fn add_header(
        &mut self,
        host: impl Into<String>,
        name: impl Into<String>,
        value: impl Into<String>,
    ) {
        self.headers.push(HostHeader {
            host: host.into(),
            name: name.into(),
            value: value.into(),
        });
    }

    /// Sends all requests through the proxy at `url`, `http[s]://[USER:PASSWORD@]HOST[:PORT]`,
    /// instead of the environment's.
    pub fn set_proxy(&mut self, url: impl Into<String>) {
        self.proxy = ProxyChoice::Url(url.into());
    }

    /// Uses no proxy, whatever the environment says.
    pub fn set_no_proxy(&mut self) {
        self.proxy = ProxyChoice::Direct;
    }

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
        if let Err(reason) = HostHeaders::parse(&self.headers) {
            return Err(("http_header", reason.to_owned()));
        }
        self.proxies().map_err(|reason| ("proxy", reason))?;
        Ok(())
    }

    /// As the environment is now.
    pub(super) fn proxies(&self) -> Result<Proxies, String> {
        Proxies::of(&self.proxy, |name| std::env::var(name).ok())
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(20),
            max_idle_connections: 16,
            root_certificates: Vec::new(),
            allow_private_redirects: false,
            accept_unframed: false,
            headers: Vec::new(),
            proxy: ProxyChoice::Environment,
        }
    }
}

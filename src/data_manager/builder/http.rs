//! The settings of a manager that are about `http://` and `https://`.

use super::DataManagerBuilder;

impl DataManagerBuilder {
    /// How long finding a host's addresses may take, and again how long a connection may take, over
    /// all addresses and with TLS.
    #[must_use]
    pub fn connect_timeout(mut self, connect_timeout: std::time::Duration) -> Self {
        self.http.connect_timeout = connect_timeout;
        self
    }

    /// How long a transfer may go without a byte, and how long a server may take for its headers.
    #[must_use]
    pub fn stall_timeout(mut self, stall_timeout: std::time::Duration) -> Self {
        self.http.stall_timeout = stall_timeout;
        self
    }

    /// Trusts the certificates in `pem` (one or more) for `https://`, and from then on no others
    /// than those that were given this way. May be called several times.
    #[must_use]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.root_certificates.push(pem.into());
        self
    }

    /// Sends a header, such as a token, to one host. `host` is `HOST[:PORT]`, which stands for
    /// `https` alone, or it says the scheme: a secret goes over plain `http` only to where it was
    /// meant to, as in `http://10.0.0.5:8080`. No other host gets it, nor another port of this one;
    /// if a redirect leads to `host`, it goes along. May be called several times; of two headers
    /// with one name, the later one counts. User info in a URL comes before an `Authorization` that
    /// is set here.
    ///
    /// What the library says by itself is refused: `Host`, `User-Agent`, `Range` and other
    /// conditions, `Accept-Encoding`, and what is about the connection.
    #[must_use]
    pub fn http_header(
        mut self,
        host: impl Into<String>,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.http.add_header(host, name, value);
        self
    }

    /// Sends all requests, of either scheme, through the proxy at `url`:
    /// `http[s]://[USER:PASSWORD@]HOST[:PORT]`. It has to make tunnels (`CONNECT`), also to the port
    /// of `http://` URLs.
    ///
    /// Without this, the environment is asked when the manager is opened: `http_proxy` and
    /// `https_proxy` for URLs of that scheme, else `all_proxy`; and `no_proxy`, a list of hosts with
    /// commas between them, each with all domains below it, or `*`; each also in capitals. A proxy
    /// that cannot be used (`socks5://…`) makes `open` fail rather than being passed over.
    ///
    /// The proxy finds the addresses of hosts, so of a redirect one can judge only what its URL says
    /// by itself: see [`allow_private_redirects`](Self::allow_private_redirects).
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.http.set_proxy(url);
        self
    }

    /// Uses no proxy, whatever the environment says.
    #[must_use]
    pub fn no_proxy(mut self) -> Self {
        self.http.set_no_proxy();
        self
    }

    /// Whether a host of the public Internet may redirect to an address that is not: loopback,
    /// private, link-local, shared (CGNAT), multicast, unique local, and their forms in IPv6. Such
    /// addresses are left out after the name is resolved, whatever it is; behind a proxy, names
    /// cannot be resolved, and only addresses and `localhost` in the URL itself are refused. A host
    /// that is not public itself may redirect to any address.
    #[must_use]
    pub fn allow_private_redirects(mut self, allow: bool) -> Self {
        self.http.allow_private_redirects = allow;
        self
    }

    /// Whether to take a body for whole that ends when its connection does, without saying how long
    /// it is, and without a declared digest. A transfer that was cut may look the same, so a file
    /// may lack its end, and nobody would know.
    #[must_use]
    pub fn accept_unframed(mut self, accept: bool) -> Self {
        self.http.accept_unframed = accept;
        self
    }
}

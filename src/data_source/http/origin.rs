//! Which server a URL names. Credentials, connections and settings belong to one origin.

use std::fmt;
use std::net::Ipv6Addr;

use data_encoding::BASE64;
use fluent_uri::Uri;
use percent_encoding::percent_decode_str;

/// Scheme, host and port (RFC 6454). Two that differ in any of them have nothing to do with each
/// other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) https: bool,
    /// In lower case; an IPv6 address in its brackets, written in the one shortest way.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Origin {
    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    fn default_port(&self) -> u16 {
        if self.https { 443 } else { 80 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.host)?;
        if self.port != self.default_port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// A URL taken apart: what is requested, of whom, and as whom.
#[derive(Clone)]
pub(super) struct Target {
    /// Without user info and fragment.
    pub(super) url: String,
    pub(super) origin: Origin,
    /// The URL's user info, as basic credentials take it.
    pub(super) credentials: Option<String>,
}

/// Why a URL cannot be requested; what comes after "the URL". Never repeats any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    Garbled,
    Scheme,
    NoHost,
    Port,
}

impl Unusable {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Unusable::Garbled => "is not a valid URL (RFC 3986)",
            Unusable::Scheme => "is neither http nor https",
            Unusable::NoHost => "names no host",
            Unusable::Port => "names a port that does not exist",
        }
    }
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Target, Unusable> {
        let uri = Uri::parse(url).map_err(|_| Unusable::Garbled)?;
        let scheme = uri.scheme().as_str();
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return Err(Unusable::Scheme);
        }
        let authority = uri
            .authority()
            .filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or(Unusable::NoHost)?;
        let port = authority.port_to_u16().map_err(|_| Unusable::Port)?;
        let credentials = authority.userinfo().map(|user_info| {
            let decoded: Vec<u8> = percent_decode_str(user_info.as_str()).collect();
            BASE64.encode(&decoded)
        });
        let origin = Origin {
            https,
            host: plain_host(authority.host()),
            port: port.unwrap_or(if https { 443 } else { 80 }),
        };
        let path = match uri.path().as_str() {
            "" => "/",
            path => path,
        };
        let mut url = format!("{origin}{path}");
        if let Some(query) = uri.query() {
            url.push('?');
            url.push_str(query.as_str());
        }
        Ok(Target {
            url,
            origin,
            credentials,
        })
    }
}

fn plain_host(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match bare.and_then(|bare| bare.parse::<Ipv6Addr>().ok()) {
        Some(address) => format!("[{address}]"),
        None => host.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> String {
        Target::parse(url).unwrap().origin.to_string()
    }

    #[test]
    fn what_is_requested_has_no_secrets_and_one_spelling() {
        let target = Target::parse("HTTP://user:p%40ss@H:80?b=@#c").unwrap();
        assert_eq!(target.url, "http://h/?b=@");
        assert_eq!(target.credentials, Some(BASE64.encode(b"user:p@ss")));
        let target = Target::parse("https://h:8443/a@b").unwrap();
        assert_eq!(
            (target.url.as_str(), target.credentials),
            ("https://h:8443/a@b", None)
        );
    }

    #[test]
    fn origins_are_told_apart() {
        assert_eq!(origin("https://H:443/a"), origin("https://h/b"));
        assert_eq!(origin("http://[0:0::1]/"), origin("http://[::1]:80/"));
        let all = [
            "http://h",
            "https://h",
            "http://h:443",
            "http://h.",
            "http://g",
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(
                all[n + 1..]
                    .iter()
                    .all(|other| origin(one) != origin(other)),
                "{one}"
            );
        }
    }

    #[test]
    fn what_cannot_be_requested() {
        for (url, why) in [
            ("http://h/a b", Unusable::Garbled),
            ("/a", Unusable::Garbled),
            ("file:///a", Unusable::Scheme),
            ("http:a", Unusable::NoHost),
            ("http:///a", Unusable::NoHost),
            ("http://:80/a", Unusable::NoHost),
            ("http://h:65536/", Unusable::Port),
        ] {
            assert_eq!(Target::parse(url).err(), Some(why), "{url}");
        }
    }
}

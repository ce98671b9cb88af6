//! Headers that go along to one origin, such as tokens.

use std::fmt;

use ureq::http::{HeaderName, HeaderValue, header};

use super::origin::{Origin, Target};

/// A header as it was set, before anybody has looked at it. `Debug` shows nothing of it.
#[derive(Clone)]
pub(super) struct HostHeader {
    pub(super) host: String,
    pub(super) name: String,
    pub(super) value: String,
}

impl fmt::Debug for HostHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostHeader").finish_non_exhaustive()
    }
}

/// The headers of all origins; of two with one name, the later one counts.
#[derive(Default)]
pub(super) struct HostHeaders(Vec<(Origin, HeaderName, HeaderValue)>);

/// What a request has to say for itself. Another value would be another request, or none.
const OURS: [HeaderName; 14] = [
    header::HOST,
    header::USER_AGENT,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::CONNECTION,
    header::UPGRADE,
];

impl HostHeader {
    /// The reason never repeats the header: what is in the wrong place may be the secret.
    fn parse(&self) -> Result<(Origin, HeaderName, HeaderValue), &'static str> {
        let origin = origin_of(&self.host)?;
        let name = HeaderName::from_bytes(self.name.as_bytes())
            .map_err(|_| "the name is none that a header can have")?;
        let fixed = OURS.contains(&name)
            || name.as_str().starts_with("proxy-")
            || name.as_str() == "keep-alive";
        if fixed {
            return Err("the header is one that the library sets by itself");
        }
        let mut value = HeaderValue::from_str(&self.value)
            .map_err(|_| "the value is none that a header can have")?;
        value.set_sensitive(true);
        Ok((origin, name, value))
    }
}

/// `host[:port]`, which is meant for `https`, or an origin with its scheme.
fn origin_of(host: &str) -> Result<Origin, &'static str> {
    let reason = "the host is neither HOST[:PORT] nor SCHEME://HOST[:PORT]";
    let url = if host.contains("://") {
        host.to_owned()
    } else {
        format!("https://{host}")
    };
    let target = Target::parse(&url).map_err(|_| reason)?;
    let authority_only =
        target.credentials.is_none() && !url.contains(['?', '#']) && url.matches('/').count() == 2;
    authority_only.then_some(target.origin).ok_or(reason)
}

impl HostHeaders {
    /// Fails at the first that cannot be sent.
    pub(super) fn parse(headers: &[HostHeader]) -> Result<HostHeaders, &'static str> {
        let mut parsed = HostHeaders::default();
        for header in headers {
            let (origin, name, value) = header.parse()?;
            parsed.0.retain(|(o, n, _)| (o, n) != (&origin, &name));
            parsed.0.push((origin, name, value));
        }
        Ok(parsed)
    }

    pub(super) fn of<'a>(
        &'a self,
        origin: &'a Origin,
    ) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
        let here = self.0.iter().filter(move |(of, ..)| of == origin);
        here.map(|(_, name, value)| (name, value))
    }
}

impl fmt::Debug for HostHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostHeaders").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(host: &str, name: &str, value: &str) -> HostHeader {
        HostHeader {
            host: host.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    fn sent(headers: &HostHeaders, url: &str) -> Vec<String> {
        let origin = Target::parse(url).unwrap().origin;
        let sent = headers.of(&origin);
        sent.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn a_header_goes_to_its_origin_only() {
        let headers = HostHeaders::parse(&[
            header("A.example", "X-Token", "1"),
            header("a.example", "x-token", "2"),
            header("https://a.example:8443", "X-Token", "3"),
            header("http://a.example", "X-Token", "4"),
            header("[::1]:8080", "X-Token", "5"),
        ]);
        let headers = headers.unwrap();
        assert_eq!(sent(&headers, "https://a.example/f"), ["x-token: 2"]);
        assert_eq!(sent(&headers, "https://a.example:8443/f"), ["x-token: 3"]);
        assert_eq!(sent(&headers, "http://a.example/f"), ["x-token: 4"]);
        assert_eq!(sent(&headers, "https://[::1]:8080/f"), ["x-token: 5"]);
        for other in [
            "https://b.example/",
            "https://b.a.example/",
            "http://a.example:8443/",
            "http://[::1]:8080/",
            "https://a.example:80/",
        ] {
            assert!(sent(&headers, other).is_empty(), "{other}");
        }
    }

    #[test]
    fn what_cannot_be_sent() {
        for (host, name, value) in [
            ("", "X-Token", "v"),
            ("a/", "X-Token", "v"),
            ("a?b", "X-Token", "v"),
            ("https://a/path", "X-Token", "v"),
            ("https://user@a", "X-Token", "v"),
            ("ftp://a", "X-Token", "v"),
            ("a", "", "v"),
            ("a", "X Token", "v"),
            ("a", "X-Token", "v\r\nX-Other: w"),
            ("a", "host", "v"),
            ("a", "Range", "bytes=0-"),
            ("a", "Proxy-Authorization", "v"),
        ] {
            assert!(
                header(host, name, value).parse().is_err(),
                "{host} {name} {value}"
            );
        }
    }
}

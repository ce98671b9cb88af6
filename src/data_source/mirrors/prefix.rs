//! Prefixes of URLs, and which URLs are below them.

use fluent_uri::Uri;
use fluent_uri::pct_enc::EStr;
use percent_encoding::percent_decode_str;

/// The beginning of URLs: everything up to a slash.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Prefix {
    /// As it was written, with a slash at its end: what is sent. May hold credentials.
    pub(super) sent: String,
    /// In the form in which URLs are compared, which is fit to be shown.
    pub(super) shown: String,
    /// In lower case.
    pub(super) scheme: String,
    pub(super) has_user_info: bool,
}

impl Prefix {
    /// The error says what is wrong, without repeating the text.
    pub(super) fn parse(text: &str) -> Result<Prefix, &'static str> {
        let uri = Uri::parse(text).map_err(|_| "is not a valid URL (RFC 3986)")?;
        if uri.query().is_some() || uri.fragment().is_some() {
            return Err("has a query or a fragment");
        }
        // What follows the prefix could begin with slashes, and name a host then.
        if uri.authority().is_none() {
            return Err("has no `//` behind its scheme");
        }
        if has_dots(uri.path().as_str()) {
            return Err("has `.` or `..` in its path");
        }
        let slash = |text: &str| match text.ends_with('/') {
            true => text.to_owned(),
            false => format!("{text}/"),
        };
        Ok(Prefix {
            sent: slash(text),
            shown: slash(&comparable(&uri)),
            scheme: uri.scheme().as_str().to_ascii_lowercase(),
            has_user_info: uri.authority().is_some_and(|a| a.has_userinfo()),
        })
    }
}

/// A URL as it is compared with prefixes; `None` if it is asked for where it says and nowhere else.
///
/// That is so if it has a query: it may be a signature, which is for that host only, or say what
/// is meant in a way that another place does not understand. And if there are dots in its path,
/// which could lead out of what the other place gives.
pub(super) fn comparable_url(url: &str) -> Option<String> {
    let uri = Uri::parse(url).ok()?;
    let elsewhere = uri.query().is_none() && !has_dots(uri.path().as_str());
    elsewhere.then(|| comparable(&uri))
}

/// Scheme and host in lower case, without user info, without the port that goes without saying.
fn comparable(uri: &Uri<&str>) -> String {
    let (scheme, path) = (uri.scheme().as_str().to_ascii_lowercase(), uri.path());
    let Some(authority) = uri.authority() else {
        return format!("{scheme}:{path}");
    };
    let host = authority.host().to_ascii_lowercase();
    let port = authority.port().map_or("", EStr::as_str);
    match (scheme.as_str(), port) {
        (_, "") | ("http", "80") | ("https", "443") => format!("{scheme}://{host}{path}"),
        _ => format!("{scheme}://{host}:{port}{path}"),
    }
}

/// Whether a part of the path is `.` or `..` for anybody who reads it, however it is encoded.
fn has_dots(path: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut parts = decoded.split(|byte| b"/\\".contains(byte));
    parts.any(|part| part == b"." || part == b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_below(url: &str, prefix: &str) -> bool {
        let prefix = Prefix::parse(prefix).unwrap();
        comparable_url(url).is_some_and(|url| url.starts_with(&prefix.shown))
    }

    #[test]
    fn scheme_and_host_are_compared_without_case_and_paths_with_it() {
        let prefix = "HTTPS://A.example:443/Data";
        for url in [
            "https://a.example/Data/f",
            "Https://user:pw@a.EXAMPLE:443/Data/x/f",
            "https://a.example:/Data/f",
        ] {
            assert!(is_below(url, prefix), "{url}");
        }
        for url in [
            "https://a.example/data/f",
            "http://a.example/Data/f",
            "https://a.example:444/Data/f",
            "https://b.a.example/Data/f",
            "https://b.example/?https://a.example/Data/f",
        ] {
            assert!(!is_below(url, prefix), "{url}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        assert!(is_below("http://a/data/f", "http://a/data"));
        assert!(!is_below("http://a/database/f", "http://a/data"));
        assert!(!is_below("http://a.evil/f", "http://a"));
        assert!(is_below("s3://bucket/k", "s3://bucket"));
        assert!(!is_below("s3://bucket2/k", "s3://bucket"));
        assert!(is_below("file:///mnt/f", "file:///mnt/"));
        assert!(is_below("mem://a/f", "mem://a"));
    }

    #[test]
    fn what_could_mean_something_else_elsewhere_is_below_nothing() {
        for url in [
            "http://a/data/f?X-Signature=1",
            "http://a/data/../f",
            "http://a/data/%2E%2e/f",
            "http://a/data/..%2ff",
            "http://a/data/x/.",
            "http://a/data/..%5Cf",
        ] {
            assert!(!is_below(url, "http://a/data/"), "{url}");
        }
        assert!(is_below("http://a/data/..f/f..", "http://a/data/"));
    }

    #[test]
    fn bad_prefixes_are_refused() {
        for text in [
            "",
            "data/",
            "mem:a",
            "file:/mnt/",
            "http://a/?q",
            "http://a/#f",
            "http://a/../b",
        ] {
            assert!(Prefix::parse(text).is_err(), "{text:?}");
        }
        let prefix = Prefix::parse("http://u:p@A:80/x").unwrap();
        assert_eq!(prefix.sent, "http://u:p@A:80/x/");
        assert_eq!(
            (&*prefix.shown, prefix.has_user_info),
            ("http://a/x/", true)
        );
    }
}

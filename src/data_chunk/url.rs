//! URLs as this crate sees them: split once at the door, and redacted wherever they are shown.

use std::borrow::Cow;

use fluent_uri::Uri;

use super::digest::{Sha256Digest, parse_sha256};

/// What a file's URL says: where to fetch, and optionally which digest the bytes must have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileUrl<'a> {
    /// The URL without its fragment: what goes to the source.
    pub(super) location: &'a str,
    /// The scheme in lower case.
    pub(super) scheme: Cow<'static, str>,
    pub(super) sha256: Option<Sha256Digest>,
}

/// Splits a file's URL; the error says what is wrong with it without repeating it, since it may
/// hold credentials.
pub(super) fn parse_file_url(text: &str) -> Result<FileUrl<'_>, &'static str> {
    let uri = Uri::parse(text).map_err(|_| "is not a valid URL (RFC 3986)")?;
    let sha256 = match uri.fragment() {
        None => None,
        // An unknown fragment is refused rather than dropped: it is either a digest that is
        // misspelt, which would then never be checked, or a `#` that was meant as part of the path.
        Some(fragment) => Some(
            fragment
                .as_str()
                .strip_prefix("sha256=")
                .and_then(parse_sha256)
                .ok_or("has a fragment that is not sha256=<64 hexadecimal digits>")?,
        ),
    };
    let scheme = lower_case(uri.scheme().as_str());
    // A fragment is the last thing in a URL, and the first `#` begins it.
    let location = text.split_once('#').map_or(text, |(location, _)| location);
    Ok(FileUrl {
        location,
        scheme,
        sha256,
    })
}

/// The scheme, in lower case, of the URL of something that changes: it can declare no digest.
pub(crate) fn check_document_url(text: &str) -> Result<Cow<'static, str>, &'static str> {
    let url = parse_file_url(text)?;
    match url.sha256 {
        None => Ok(url.scheme),
        Some(_) => Err("declares a digest, and what is followed changes"),
    }
}

/// Host and port of a URL that parses, without user info; its scheme if it names no host.
pub(super) fn host_of(url: &str) -> &str {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    let authority = rest.strip_prefix("//").unwrap_or_default();
    let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
    let authority = &authority[..end];
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if host.is_empty() { scheme } else { host }
}

/// The scheme in lower case. A million chunks need not have a million copies of `https`.
fn lower_case(scheme: &str) -> Cow<'static, str> {
    let common = ["https", "http", "s3", "file"];
    let same = common
        .into_iter()
        .find(|common| common.eq_ignore_ascii_case(scheme));
    same.map_or_else(|| scheme.to_ascii_lowercase().into(), Cow::Borrowed)
}

/// `url` as it may be shown: without user info, query and fragment.
///
/// What does not parse is not shown at all. Use it for whatever you log about a chunk's URLs.
///
/// ```
/// use data_manager::data_chunk::redact_url;
///
/// let url = "https://user:secret@example.com/a.parquet?signature=secret#sha256=00";
/// assert_eq!(redact_url(url), "https://example.com/a.parquet");
/// assert_eq!(redact_url("not a url: secret"), "<invalid url>");
/// ```
pub fn redact_url(url: &str) -> String {
    let Ok(uri) = Uri::parse(url) else {
        return "<invalid url>".to_owned();
    };
    let scheme = uri.scheme();
    let path = uri.path();
    match uri.authority() {
        None => format!("{scheme}:{path}"),
        Some(authority) => {
            let host = authority.host();
            match authority.port() {
                Some(port) if !port.is_empty() => format!("{scheme}://{host}:{port}{path}"),
                _ => format!("{scheme}://{host}{path}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_digest_is_split_off() {
        let url = format!("HTTPS://example.com/a?x=1#sha256={}", "0F".repeat(32));
        let parsed = parse_file_url(&url).unwrap();
        assert_eq!(parsed.location, "HTTPS://example.com/a?x=1");
        assert_eq!(parsed.scheme, "https");
        assert_eq!(parsed.sha256, Some([0x0F; 32]));
        let parsed = parse_file_url("Mem:a").unwrap();
        assert_eq!((parsed.location, &*parsed.scheme), ("Mem:a", "mem"));
        assert_eq!(parsed.sha256, None);
    }

    #[test]
    fn hosts_are_told_apart_without_their_secrets() {
        assert_eq!(host_of("http://u:p@h:8080/a@b"), "h:8080");
        assert_eq!(host_of("https://h?x=@y"), "h");
        assert_eq!(host_of("http://[::1]:1/a"), "[::1]:1");
        assert_eq!(host_of("file:///data/a"), "file");
        assert_eq!(host_of("mem:a//b"), "mem");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "a.parquet",
            "//host/a",
            "http://exa mple.com/",
            "http://[::1",
            "http://h/%zz",
        ] {
            assert!(parse_file_url(text).is_err(), "{text:?}");
        }
        for fragment in ["", "sha256=", "sha256=00", "sha512=00", "part"] {
            assert!(
                parse_file_url(&format!("http://h/a#{fragment}")).is_err(),
                "{fragment:?}"
            );
        }
    }

    #[test]
    fn redaction_keeps_what_locates_and_drops_what_authorises() {
        assert_eq!(
            redact_url("http://u:p@h:8080/a/b?q=1#f"),
            "http://h:8080/a/b"
        );
        assert_eq!(redact_url("http://[::1]:1/a"), "http://[::1]:1/a");
        assert_eq!(redact_url("file:///data/a"), "file:///data/a");
        assert_eq!(redact_url("mem:a?key"), "mem:a");
    }
}

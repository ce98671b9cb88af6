//! What an `s3://` URL names.

use anyhow::{Context, anyhow, bail};
use fluent_uri::Uri;
use percent_encoding::{percent_decode_str, utf8_percent_encode};

use crate::data_source::listing::SPECIAL;

/// The longest key that S3 takes.
const MAX_KEY_BYTES: usize = 1024;
/// The longest name that a bucket may have, counting those of old.
const MAX_BUCKET_BYTES: usize = 255;

/// A bucket and a key in it, or the prefix of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// As it was written: whoever registers a source for another scheme gets that one back.
    pub(super) scheme: String,
    pub(super) bucket: String,
    /// Decoded.
    pub(super) key: String,
}

impl Location {
    /// Of a URL that names an object.
    pub(super) fn of_object(url: &str) -> anyhow::Result<Location> {
        let location = Location::parse(url)?;
        if location.key.is_empty() {
            bail!("names no key");
        }
        Ok(location)
    }

    /// Of a URL that names what to list: its key is empty, or ends in a slash.
    pub(super) fn of_prefix(url: &str) -> anyhow::Result<Location> {
        let mut location = Location::parse(url)?;
        if !location.key.is_empty() && !location.key.ends_with('/') {
            location.key.push('/');
        }
        Ok(location)
    }

    fn parse(url: &str) -> anyhow::Result<Location> {
        let uri = Uri::parse(url).map_err(|_| anyhow!("is not a valid URL"))?;
        let authority = uri.authority().context("names no bucket")?;
        if authority.userinfo().is_some() || authority.port().is_some() {
            bail!("has more than a bucket where the bucket is: keys and endpoint are settings");
        }
        if uri.query().is_some() {
            bail!("has a query, which objects do not");
        }
        let bucket = authority.host();
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let sound = bucket.bytes().all(letter) && !bucket.starts_with('.');
        if bucket.is_empty() || bucket.len() > MAX_BUCKET_BYTES || !sound {
            bail!("does not name a bucket");
        }
        let path = uri.path().as_str();
        let key = percent_decode_str(path.strip_prefix('/').unwrap_or(path))
            .decode_utf8()
            .map_err(|_| anyhow!("has a key that is not UTF-8"))?;
        if key.len() > MAX_KEY_BYTES {
            bail!("has a key of more than {MAX_KEY_BYTES} bytes");
        }
        // On the way to the service, these would be taken for steps and lead to another object.
        if key.split('/').any(|part| part == "." || part == "..") {
            bail!("has a key with `.` or `..` in it, which no request can name");
        }
        Ok(Location {
            scheme: uri.scheme().as_str().to_owned(),
            bucket: bucket.to_owned(),
            key: key.into_owned(),
        })
    }

    /// The URL of what is at `path` below this one.
    pub(super) fn url_of(&self, path: &str) -> String {
        let key = format!("{}{path}", self.key);
        let key = utf8_percent_encode(&key, SPECIAL);
        format!("{}://{}/{key}", self.scheme, self.bucket)
    }

    /// The same for a location of its own.
    pub(super) fn below(&self, path: &str) -> Location {
        Location {
            key: format!("{}{path}", self.key),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(url: &str) -> String {
        Location::of_object(url).unwrap().key
    }

    #[test]
    fn keys_are_decoded_exactly_once() {
        assert_eq!(key("s3://b/a"), "a");
        assert_eq!(key("s3://b/a%20b+c"), "a b+c");
        assert_eq!(key("s3://b/%2525"), "%25");
        assert_eq!(key("s3://b/%C3%BC/%F0%9F%90%98"), "ü/🐘");
        // Slashes are as good as letters.
        assert_eq!(key("s3://b//a//b/"), "/a//b/");
        assert_eq!(key("s3://b/a%2Fb"), "a/b");
        assert_eq!(key("s3://b/a...b/..."), "a...b/...");
        assert_eq!(Location::of_object("S3://B_1/a").unwrap().bucket, "B_1");
    }

    #[test]
    fn what_is_refused() {
        for url in [
            "s3:///key",
            "s3://b",
            "s3://b/",
            "s3:key",
            "s3://id:secret@b/key",
            "s3://b:9000/key",
            "s3://b/key?versionId=1",
            "s3://b%2Fc/key",
            "s3://[::1]/key",
            "s3://../key",
            "s3://b/..",
            "s3://b/a/../c",
            "s3://b/a/%2e%2E/c",
            "s3://b/./c",
            "s3://b/%FF",
        ] {
            let error = Location::of_object(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let long = format!("s3://b/{}", "k".repeat(1025));
        assert!(Location::of_object(&long).is_err());
        assert!(Location::of_object(&long[..long.len() - 1]).is_ok());
    }

    #[test]
    fn prefixes() {
        let prefix = |url| Location::of_prefix(url).unwrap().key;
        assert_eq!(prefix("s3://b"), "");
        assert_eq!(prefix("s3://b/"), "");
        assert_eq!(prefix("s3://b/a"), "a/");
        assert_eq!(prefix("s3://b/a/"), "a/");
    }

    proptest! {
        #[test]
        fn urls_read_back(prefix in "[a-z%]{0,3}", path in "\\PC{1,40}") {
            let at = Location::of_prefix(&format!("own+s3://b/{}", prefix.replace('%', "%25"))).unwrap();
            let url = at.url_of(&path);
            match Location::of_object(&url) {
                Ok(read) => prop_assert_eq!(read, at.below(&path)),
                Err(_) => prop_assert!(path.split('/').any(|part| part == "." || part == "..")),
            }
        }
    }
}

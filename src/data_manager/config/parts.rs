//! Settings of a config that are more than one value.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ConfigText;
use crate::data_chunk::redact_url;

/// A header for one host: [`DataManagerBuilder::http_header`](super::DataManagerBuilder::http_header).
///
/// `Debug` shows nothing of it: what is in the wrong place may be the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpHeaderConfig {
    /// `HOST[:PORT]` for `https` alone, or with its scheme: `http://10.0.0.5:8080`.
    pub host: String,
    /// The header's name, such as `Authorization`.
    pub name: String,
    /// What it says.
    pub value: ConfigText,
}

impl HttpHeaderConfig {
    /// The header `name` for `host`.
    pub fn new(
        host: impl Into<String>,
        name: impl Into<String>,
        value: impl Into<ConfigText>,
    ) -> Self {
        HttpHeaderConfig {
            host: host.into(),
            name: name.into(),
            value: value.into(),
        }
    }
}

impl fmt::Debug for HttpHeaderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHeaderConfig").finish_non_exhaustive()
    }
}

/// Where else what is below a URL may be had: [`DataManagerBuilder::mirrors`](super::DataManagerBuilder::mirrors).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MirrorConfig {
    /// The URL that chunks' files are below.
    pub prefix: String,
    /// The other places, 1 to 15, in the order in which they are asked.
    pub alternates: Vec<String>,
}

impl MirrorConfig {
    /// The places `alternates` for what is below `prefix`.
    pub fn new<A: Into<String>>(
        prefix: impl Into<String>,
        alternates: impl IntoIterator<Item = A>,
    ) -> Self {
        MirrorConfig {
            prefix: prefix.into(),
            alternates: alternates.into_iter().map(Into::into).collect(),
        }
    }
}

impl fmt::Debug for MirrorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alternates = self.alternates.iter().map(|url| redact_url(url));
        f.debug_struct("MirrorConfig")
            .field("prefix", &redact_url(&self.prefix))
            .field("alternates", &alternates.collect::<Vec<_>>())
            .finish()
    }
}

/// Whom `s3://` URLs are asked of, and as whom: [`S3Options`](crate::data_source::S3Options), whose
/// settings have the same names.
///
/// What is not said here, the environment says:
/// [`S3Options::from_env`](crate::data_source::S3Options::from_env). Keys go together: where one of
/// `access_key`, `secret_key` and `session_token` is said, none is taken from the environment.
#[cfg(feature = "s3")]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct S3Config {
    /// The URL of the service. Default: `null`, the environment's, else that of AWS in the region.
    pub endpoint: Option<String>,
    /// The region that requests are signed for. Default: `null`, the environment's, else `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket's name is the first part of the path. Default: `null`, where an endpoint is
    /// set.
    pub path_style: Option<bool>,
    /// The id of the key that requests are signed with. Default: `null`, the environment's.
    pub access_key: Option<ConfigText>,
    /// The key itself. Default: `null`, the environment's.
    pub secret_key: Option<ConfigText>,
    /// The token of a key that was given for some hours. Default: `null`, the environment's.
    pub session_token: Option<ConfigText>,
    /// Whether nothing is signed, whatever keys are set. Default: `false`.
    pub anonymous: bool,
    /// How long a signature holds, in ms. Default: `900000`; 1000 to 604800000, 7 days.
    pub expires_in_ms: u64,
    /// What to add to this machine's clock, in seconds. Default: `0`.
    pub clock_offset_secs: i64,
}

#[cfg(feature = "s3")]
impl Default for S3Config {
    fn default() -> Self {
        S3Config {
            endpoint: None,
            region: None,
            path_style: None,
            access_key: None,
            secret_key: None,
            session_token: None,
            anonymous: false,
            expires_in_ms: super::ms(crate::data_source::S3Options::new().lifetime()),
            clock_offset_secs: 0,
        }
    }
}

#[cfg(feature = "s3")]
impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint.as_deref().map(redact_url);
        f.debug_struct("S3Config")
            .field("endpoint", &endpoint)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .field("access_key", &self.access_key)
            .field("secret_key", &self.secret_key)
            .field("session_token", &self.session_token)
            .field("anonymous", &self.anonymous)
            .field("expires_in_ms", &self.expires_in_ms)
            .field("clock_offset_secs", &self.clock_offset_secs)
            .finish()
    }
}

//! The settings of [`S3Source`](super::S3Source).

use std::fmt;
use std::time::Duration;

use crate::data_chunk::redact_url;

/// Whom to ask, and as whom.
///
/// `Debug` shows no key and no token.
///
/// ```
/// use data_manager::data_source::S3Options;
///
/// let options = S3Options::new()
///     .endpoint("https://objects.example.com")
///     .access_key("AKIDEXAMPLE")
///     .secret_key("a secret");
/// assert!(!format!("{options:?}").contains("a secret"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct S3Options {
    pub(super) scheme: String,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) path_style: Option<bool>,
    pub(super) access_key: Option<String>,
    pub(super) secret_key: Option<String>,
    pub(super) session_token: Option<String>,
    pub(super) anonymous: bool,
    pub(super) expires_in: Duration,
    pub(super) clock_offset_secs: i64,
}

impl Default for S3Options {
    fn default() -> Self {
        S3Options {
            scheme: "s3".to_owned(),
            endpoint: None,
            region: None,
            path_style: None,
            access_key: None,
            secret_key: None,
            session_token: None,
            anonymous: false,
            // By as much may our clock be slow; services allow the same where it is fast.
            expires_in: Duration::from_secs(15 * 60),
            clock_offset_secs: 0,
        }
    }
}

impl S3Options {
    /// AWS itself, in `us-east-1`; without keys, so of no use before some are set, or
    /// [`anonymous`](Self::anonymous).
    pub fn new() -> Self {
        Self::default()
    }

    /// What the environment says, in the variables that other tools read, too: `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` or else `AWS_DEFAULT_REGION`,
    /// `AWS_ENDPOINT_URL_S3` or else `AWS_ENDPOINT_URL`. An empty one counts as not set. Profiles,
    /// files and metadata services are not looked at.
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let var = |name| var(name).filter(|value| !value.trim().is_empty());
        S3Options {
            endpoint: var("AWS_ENDPOINT_URL_S3").or_else(|| var("AWS_ENDPOINT_URL")),
            region: var("AWS_REGION").or_else(|| var("AWS_DEFAULT_REGION")),
            access_key: var("AWS_ACCESS_KEY_ID"),
            secret_key: var("AWS_SECRET_ACCESS_KEY"),
            session_token: var("AWS_SESSION_TOKEN"),
            ..Self::default()
        }
    }

    /// The scheme of the URLs, `s3` by default: for a second service, which is registered with
    /// [`DataManagerBuilder::source`](crate::data_manager::DataManagerBuilder::source).
    #[must_use]
    pub fn scheme(mut self, scheme: impl Into<String>) -> Self {
        self.scheme = scheme.into();
        self
    }

    /// The URL of the service, `http` or `https`, perhaps with a path; by default that of AWS in the
    /// region.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// The region that requests are signed for; `us-east-1` by default, which services other than
    /// AWS mostly take, too.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Whether the bucket's name is the first part of the path, rather than of the host. By default
    /// it is where an endpoint is set; with AWS itself only where the name cannot be a part of a host.
    #[must_use]
    pub fn path_style(mut self, path_style: bool) -> Self {
        self.path_style = Some(path_style);
        self
    }

    /// The id of the key that requests are signed with.
    #[must_use]
    pub fn access_key(mut self, access_key: impl Into<String>) -> Self {
        self.access_key = Some(access_key.into());
        self
    }

    /// The key itself.
    #[must_use]
    pub fn secret_key(mut self, secret_key: impl Into<String>) -> Self {
        self.secret_key = Some(secret_key.into());
        self
    }

    /// The token that belongs to a key which was given for some hours only.
    #[must_use]
    pub fn session_token(mut self, session_token: impl Into<String>) -> Self {
        self.session_token = Some(session_token.into());
        self
    }

    /// Signs nothing, whatever keys are set: for what everybody may read. Has to be asked for, so
    /// that a key that was forgotten is told as that.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// How long a signature holds: 15 minutes by default, from one second to seven days. A transfer
    /// that has begun by then goes on.
    #[must_use]
    pub fn expires_in(mut self, expires_in: Duration) -> Self {
        self.expires_in = expires_in;
        self
    }

    /// What to add to this machine's clock, in seconds, where it is known to be wrong.
    #[must_use]
    pub fn clock_offset_secs(mut self, seconds: i64) -> Self {
        self.clock_offset_secs = seconds;
        self
    }

    /// For keys that do not belong to those that are set.
    pub(crate) fn without_keys(mut self) -> Self {
        (self.access_key, self.secret_key, self.session_token) = (None, None, None);
        self
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.expires_in
    }

    /// Refuses what cannot be worked with: the field, and the reason.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        match super::Service::new(self.clone()) {
            Ok(_) => Ok(()),
            Err(reason) => Err(("s3", reason)),
        }
    }
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint.as_deref().map(redact_url);
        f.debug_struct("S3Options")
            .field("scheme", &self.scheme)
            .field("endpoint", &endpoint)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .field("has_keys", &self.secret_key.is_some())
            .field("has_session_token", &self.session_token.is_some())
            .field("anonymous", &self.anonymous)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> S3Options {
        S3Options::from_vars(|name| {
            let found = vars.iter().find(|(var, _)| *var == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_usual_variables() {
        let options = from(&[
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "token"),
            ("AWS_DEFAULT_REGION", "r2"),
            ("AWS_ENDPOINT_URL", "http://e2"),
        ]);
        assert_eq!(options.access_key.as_deref(), Some("id"));
        assert_eq!(options.secret_key.as_deref(), Some("secret"));
        assert_eq!(options.session_token.as_deref(), Some("token"));
        assert_eq!(options.region.as_deref(), Some("r2"));
        assert_eq!(options.endpoint.as_deref(), Some("http://e2"));
        // The more exact one counts, and an empty one does not.
        let options = from(&[
            ("AWS_REGION", "r1"),
            ("AWS_DEFAULT_REGION", "r2"),
            ("AWS_ENDPOINT_URL_S3", "http://e1"),
            ("AWS_ENDPOINT_URL", "http://e2"),
            ("AWS_SESSION_TOKEN", ""),
        ]);
        assert_eq!(options.region.as_deref(), Some("r1"));
        assert_eq!(options.endpoint.as_deref(), Some("http://e1"));
        assert_eq!(options.session_token, None);
    }

    #[test]
    fn no_secret_is_shown() {
        let options = S3Options::new()
            .endpoint("http://user:canary@h/a?canary")
            .access_key("canary")
            .secret_key("canary")
            .session_token("canary");
        let shown = format!("{options:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("http://h/a"), "{shown}");
        let (_, reason) = options.check().unwrap_err();
        assert!(!reason.contains("canary"), "{reason}");
    }
}

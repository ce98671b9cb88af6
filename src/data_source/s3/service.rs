//! Whom requests go to, and their signature.

use std::fmt;
use std::time::{Duration, SystemTime};

use anyhow::{anyhow, bail};
use fluent_uri::Uri;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::S3Options;
use super::location::Location;
use crate::data_chunk::redact_url;
use crate::data_source::SourceError;

const DEFAULT_REGION: &str = "us-east-1";
/// The longest that a service takes a signature for.
const LONGEST_EXPIRY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A service that can be asked: [`S3Options`] that hold together.
pub(super) struct Service {
    endpoint: String,
    region: String,
    path_style: Option<bool>,
    /// `None` for anonymous requests.
    credentials: Option<Credentials>,
    expires_in: Duration,
    clock_offset_secs: i64,
}

impl Service {
    /// The error says what is missing, after "of which".
    pub(super) fn new(options: S3Options) -> Result<Service, String> {
        let expiry = Duration::from_secs(1)..=LONGEST_EXPIRY;
        if !expiry.contains(&options.expires_in) {
            return Err("expires_in is not between a second and seven days".to_owned());
        }
        let credentials = credentials_of(&options)?;
        let region = options.region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if region.is_empty() || !region.bytes().all(letter) {
            return Err("the region is not a region's name".to_owned());
        }
        let (endpoint, path_style) = match options.endpoint {
            Some(endpoint) => (
                checked_endpoint(endpoint)?,
                options.path_style.or(Some(true)),
            ),
            None => (aws_endpoint(&region), options.path_style),
        };
        Ok(Service {
            endpoint,
            region,
            path_style,
            credentials,
            expires_in: options.expires_in,
            clock_offset_secs: options.clock_offset_secs,
        })
    }

    /// The bucket, as the signature needs it; the error comes after "the URL".
    pub(super) fn bucket(&self, location: &Location) -> anyhow::Result<Bucket> {
        let build = |style| {
            let endpoint = self
                .endpoint
                .parse()
                .map_err(|_| anyhow!("is of S3, of which the endpoint is no URL"))?;
            Bucket::new(
                endpoint,
                style,
                location.bucket.clone(),
                self.region.clone(),
            )
            .map_err(|_| anyhow!("names a bucket that cannot be a part of a host's name"))
        };
        match self.path_style {
            Some(true) => build(UrlStyle::Path),
            Some(false) => build(UrlStyle::VirtualHost),
            // No certificate is for a name with another dot in it.
            None if location.bucket.contains('.') => build(UrlStyle::Path),
            None => build(UrlStyle::VirtualHost).or_else(|_| build(UrlStyle::Path)),
        }
    }

    /// A URL that gets the object, from now on and not for long.
    pub(super) fn sign_get(&self, location: &Location) -> Result<String, SourceError> {
        let bucket = self.bucket(location).map_err(SourceError::permanent)?;
        let action = bucket.get_object(self.credentials.as_ref(), &location.key);
        self.sign(&action)
    }

    /// A URL that gets a page of the keys that begin with `prefix`.
    pub(super) fn sign_list(
        &self,
        location: &Location,
        prefix: &str,
        token: Option<&str>,
    ) -> Result<String, SourceError> {
        let bucket = self.bucket(location).map_err(SourceError::permanent)?;
        let mut action = ListObjectsV2::new(&bucket, self.credentials.as_ref());
        action.with_prefix(prefix);
        if let Some(token) = token {
            action.with_continuation_token(token);
        }
        self.sign(&action)
    }

    fn sign<'a>(&self, action: &impl S3Action<'a>) -> Result<String, SourceError> {
        let now = self.now().and_then(|now| now.try_into().ok());
        let now = now.ok_or_else(|| SourceError::transient(anyhow!("the clock is far off")))?;
        let signed = action.sign_with_time(self.expires_in, &now);
        Ok(signed.into())
    }

    fn now(&self) -> Option<SystemTime> {
        let offset = Duration::from_secs(self.clock_offset_secs.unsigned_abs());
        match self.clock_offset_secs {
            0.. => SystemTime::now().checked_add(offset),
            _ => SystemTime::now().checked_sub(offset),
        }
    }
}

fn credentials_of(options: &S3Options) -> Result<Option<Credentials>, String> {
    if options.anonymous {
        return Ok(None);
    }
    let (key, secret) = match (&options.access_key, &options.secret_key) {
        (Some(key), Some(secret)) if !key.is_empty() && !secret.is_empty() => (key, secret),
        (None, None) => {
            let reason = "no keys are set, nor that access is anonymous: see S3Options";
            return Err(reason.to_owned());
        }
        _ => return Err("one of access key and secret key is missing".to_owned()),
    };
    Ok(Some(match &options.session_token {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    }))
}

fn aws_endpoint(region: &str) -> String {
    let domain = match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    };
    format!("https://s3.{region}.{domain}")
}

fn checked_endpoint(endpoint: String) -> Result<String, String> {
    let check = || {
        let uri = Uri::parse(endpoint.as_str()).map_err(|_| anyhow!("is no URL"))?;
        let scheme = uri.scheme().as_str();
        if !["http", "https"]
            .iter()
            .any(|s| s.eq_ignore_ascii_case(scheme))
        {
            bail!("is neither http nor https");
        }
        let authority = uri.authority().filter(|a| !a.host().is_empty());
        let Some(authority) = authority else {
            bail!("names no host");
        };
        if authority.userinfo().is_some() {
            bail!("has user info: keys are settings of their own");
        }
        if uri.query().is_some() || uri.fragment().is_some() {
            bail!("has a query or a fragment");
        }
        Ok(())
    };
    match check() {
        Ok(()) => Ok(endpoint),
        Err(reason) => Err(format!("the endpoint {reason}")),
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("endpoint", &redact_url(&self.endpoint))
            .field("region", &self.region)
            .field("anonymous", &self.credentials.is_none())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> S3Options {
        S3Options::new().access_key("id").secret_key("canary")
    }

    fn signed(options: S3Options, url: &str) -> String {
        let location = Location::of_object(url).unwrap();
        Service::new(options).unwrap().sign_get(&location).unwrap()
    }

    #[test]
    fn where_requests_go() {
        let at = |options: S3Options, url: &str| {
            let signed = signed(options.anonymous(), url);
            signed.split('?').next().unwrap_or_default().to_owned()
        };
        let (aws, own) = (keys, || keys().endpoint("http://h:1/base"));
        assert_eq!(
            at(aws(), "s3://b/k"),
            "https://b.s3.us-east-1.amazonaws.com/k"
        );
        assert_eq!(
            at(aws().region("cn-north-1"), "s3://b/k"),
            "https://b.s3.cn-north-1.amazonaws.com.cn/k"
        );
        // What cannot be a host's name.
        for bucket in ["b.c", "B_c"] {
            assert_eq!(
                at(aws(), &format!("s3://{bucket}/k")),
                format!("https://s3.us-east-1.amazonaws.com/{bucket}/k")
            );
        }
        assert_eq!(at(own(), "s3://b/k"), "http://h:1/base/b/k");
        assert_eq!(
            at(own().path_style(false), "s3://b/k"),
            "http://b.h:1/base/k"
        );
        assert_eq!(
            at(own(), "s3://b//a%20b+%C3%BC//%25"),
            "http://h:1/base/b//a%20b%2B%C3%BC//%25"
        );
    }

    #[test]
    fn each_signature_is_of_its_time() {
        let url = "s3://b/k";
        let early = signed(keys().clock_offset_secs(-1000), url);
        let late = signed(keys().clock_offset_secs(1000), url);
        assert_ne!(early, late);
        for text in [
            "X-Amz-Signature=",
            "X-Amz-Expires=900",
            "SignedHeaders=host",
        ] {
            assert!(late.contains(text), "{text}");
        }
        assert!(!late.contains("canary"));
        let token = signed(keys().session_token("a/b"), url);
        assert!(token.contains("X-Amz-Security-Token=a%2Fb"));
        assert!(!signed(keys().session_token("t").anonymous(), url).contains('?'));
    }

    #[test]
    fn options_that_do_not_hold_together() {
        for options in [
            S3Options::new(),
            S3Options::new().access_key("id"),
            S3Options::new().secret_key("canary"),
            keys().access_key(""),
            keys().endpoint("canary"),
            keys().endpoint("ftp://canary"),
            keys().endpoint("http://u:canary@h"),
            keys().endpoint("http://h?canary"),
            keys().endpoint("http:///canary"),
            keys().region("canary/"),
            keys().region(""),
            keys().expires_in(Duration::ZERO),
            keys().expires_in(LONGEST_EXPIRY + Duration::from_secs(1)),
        ] {
            let reason = Service::new(options).unwrap_err();
            assert!(!reason.contains("canary"), "{reason}");
        }
        assert!(Service::new(S3Options::new().anonymous()).is_ok());
        let shown = format!("{:?}", Service::new(keys().endpoint("http://h")).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
        let addressed = Service::new(keys().endpoint("http://127.0.0.1").path_style(false));
        let location = Location::of_object("s3://b/k").unwrap();
        assert!(addressed.unwrap().bucket(&location).is_err());
    }
}

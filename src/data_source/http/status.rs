//! What an answer that is no file, or the lack of an answer, means: whether trying again can help,
//! when, and whether it is the host's failure or this file's.
//!
//! | what happened | trying again | the host |
//! | --- | --- | --- |
//! | the name, the connection, TLS: refused, broken off, out of time | can help | failed |
//! | broken off or out of time before the end of the headers | can help | failed |
//! | a certificate that leads to none that is trusted | cannot help | failed |
//! | 408, 425, 429, 5xx, after `Retry-After` if there is one | can help | answered |
//! | 416, an answer that makes no sense | can help | answered |
//! | 401, 403, 404, 407, 410, other statuses, redirects that lead nowhere | cannot help | answered |
//!
//! What comes after a redirect is never held against the host of the URL, which did answer.

use std::io;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use ureq::http::{HeaderMap, StatusCode, header};

use super::redirect;
use super::resolve::{NotPublic, Unresolved};
use crate::data_source::SourceError;
use crate::error::ErrorKind;

/// The most that is read out of a `Retry-After`. What is more than a day is a mistake.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Lets an answer through that has a file in it.
pub(super) fn check_status(status: StatusCode, headers: &HeaderMap) -> Result<(), SourceError> {
    let cause = || anyhow!("the server answered {status}");
    match status.as_u16() {
        200 | 206 => Ok(()),
        401 | 403 | 407 => Err(SourceError::permanent(cause()).with_kind(ErrorKind::Denied)),
        404 | 410 => Err(SourceError::permanent(cause())),
        408 | 425 | 429 | 500..=599 => {
            let error = SourceError::transient(cause()).with_kind(ErrorKind::Unavailable);
            Err(match retry_after(headers, SystemTime::now()) {
                Some(delay) => error.with_retry_after(delay),
                None => error,
            })
        }
        // What is on disk is not a part of what the server has: the caller starts again.
        416 => Err(SourceError::transient(cause()).with_kind(ErrorKind::Protocol)),
        _ => Err(SourceError::permanent(cause()).with_kind(ErrorKind::Protocol)),
    }
}

/// `Retry-After` (RFC 9110, section 10.2.3): a number of seconds, or a date. A date is taken
/// relative to the server's own clock, if it says what that shows.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let delay = if digits {
        // What has too many digits for a number is a very long time.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let then = httpdate::parse_http_date(value).ok()?;
        then.duration_since(date_of(headers).unwrap_or(now)).ok()?
    };
    (!delay.is_zero()).then_some(delay.min(LONGEST_RETRY_AFTER))
}

fn date_of(headers: &HeaderMap) -> Option<SystemTime> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok()
}

/// The answer contradicts itself or the request.
pub(super) fn distrust(reason: &'static str) -> SourceError {
    SourceError::transient(anyhow!(reason)).with_kind(ErrorKind::Protocol)
}

/// What a failed call means; `redirected` says that the URL's host answered, by sending us on.
pub(super) fn classify(error: &ureq::Error, redirected: bool) -> SourceError {
    let (error, of_the_host) = meaning_of(error);
    if of_the_host && !redirected {
        error.host_wide()
    } else {
        error
    }
}

/// The error, and whether every other file would have met it, too. The text is ours: `ureq`'s may
/// repeat a URL with its secrets.
fn meaning_of(error: &ureq::Error) -> (SourceError, bool) {
    use ureq::Error as E;
    let lost = |text: String| (SourceError::transient(anyhow!(text)), true);
    let bad_tls = |text: String| {
        let error = SourceError::permanent(anyhow!("TLS: {text}"));
        (error.with_kind(ErrorKind::Network), true)
    };
    let bad_url = |text: &'static str| {
        let error = SourceError::permanent(anyhow!(text));
        (error.with_kind(ErrorKind::Protocol), false)
    };
    let bad_answer = |text: String| {
        let error = SourceError::transient(anyhow!(text));
        (error.with_kind(ErrorKind::Protocol), false)
    };
    match error {
        E::Io(cause) if is_bad_certificate(cause) => bad_tls(cause.to_string()),
        E::Io(cause) => lost(format!("the connection failed: {cause}")),
        E::Timeout(reason) => lost(format!("no answer in time ({reason})")),
        E::Other(cause) if cause.is::<Unresolved>() => lost(cause.to_string()),
        E::Other(cause) if cause.is::<NotPublic>() => {
            (redirect::refused(redirect::NOT_PUBLIC), false)
        }
        E::HostNotFound => lost("the host name does not resolve".to_owned()),
        E::ConnectionFailed => lost("the connection failed".to_owned()),
        E::ConnectProxyFailed(_) => lost("the proxy does not connect".to_owned()),
        E::TooManyRedirects | E::RedirectFailed => bad_url("the redirects lead nowhere"),
        E::Rustls(cause) => bad_tls(cause.to_string()),
        E::Tls(reason) => bad_tls((*reason).to_owned()),
        E::BadUri(_) | E::RequireHttpsOnly(_) | E::Http(_) => {
            bad_url("the URL cannot be requested")
        }
        E::Protocol(cause) => {
            // What follows the colon may be a header of the answer, with a URL in it.
            let text = cause.to_string();
            let category = text.split(':').next().unwrap_or_default();
            bad_answer(format!("bad answer: {category}"))
        }
        E::LargeResponseHeader(..) => bad_answer("the answer's headers are too large".to_owned()),
        _ => (SourceError::transient(anyhow!("the request failed")), false),
    }
}

/// Whether the server showed a certificate that leads to none that is trusted, is for another
/// name, or has expired. `rustls` says so in its text only, as far as `ureq` lets one see.
fn is_bad_certificate(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
        && error.to_string().starts_with("invalid peer certificate")
}

#[cfg(test)]
mod tests;

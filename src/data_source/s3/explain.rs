//! What a service says where it does not serve, and what that means.
//!
//! | status and code | meaning | trying again |
//! | --- | --- | --- |
//! | 404 `NoSuchKey`, `NoSuchBucket` | not found | cannot help |
//! | 403 `AccessDenied`, `SignatureDoesNotMatch`, `InvalidAccessKeyId` | denied | cannot help |
//! | `ExpiredToken`, `RequestTimeTooSkewed`, "Request has expired" | denied | can: it is signed anew |
//! | 503 `SlowDown` and other statuses that pass | unavailable | can help |
//! | another region or endpoint, with or without a redirect | a setting is wrong | cannot help |
//!
//! Codes are only listened to where the status alone would say "cannot help", so a body can make
//! nothing permanent that is not. Of the body, nothing is shown but a code and a region's name.

use anyhow::anyhow;

use crate::data_source::SourceError;
use crate::data_source::http::Unserved;
use crate::error::ErrorKind;

/// The longest code or region that is believed to be one.
const MAX_WORD_BYTES: usize = 64;

/// The error, as far as the service explains it.
pub(super) fn explained(unserved: Unserved) -> SourceError {
    let Unserved {
        error,
        status,
        said,
    } = unserved;
    let (Some(status), true) = (status, error.is_permanent()) else {
        return error;
    };
    let said = String::from_utf8_lossy(&said);
    let Some(code) = word(&said, "Code") else {
        return redirected(status, &said).unwrap_or(error);
    };
    let cause = |reason: &str| anyhow!("the service answered {status} {code}{reason}");
    match code {
        "ExpiredToken" | "RequestTimeTooSkewed" | "RequestExpired" | "RequestTimeout" => {
            SourceError::transient(cause("")).with_kind(ErrorKind::Denied)
        }
        "AccessDenied" if said.contains("Request has expired") => {
            SourceError::transient(cause(": the signature has expired"))
                .with_kind(ErrorKind::Denied)
        }
        "NoSuchKey" | "NoSuchBucket" => SourceError::permanent(cause("")),
        _ if let Some(region) = other_region(&said, code) => {
            let reason = format!(": the bucket is in the region {region}");
            SourceError::permanent(cause(&reason)).with_kind(ErrorKind::Protocol)
        }
        _ if (300..400).contains(&status) => {
            SourceError::permanent(cause(": the bucket is at another endpoint"))
                .with_kind(ErrorKind::Protocol)
        }
        // Without these, 400 would be a mistake in the protocol.
        "InvalidToken" | "AuthorizationQueryParametersError" | "AuthorizationHeaderMalformed" => {
            SourceError::permanent(cause("")).with_kind(ErrorKind::Denied)
        }
        _ => SourceError::permanent(cause("")).with_kind(error.kind()),
    }
}

fn redirected(status: u16, said: &str) -> Option<SourceError> {
    (300..400).contains(&status).then(|| {
        let region = word(said, "Region").map_or_else(String::new, |region| format!(" ({region})"));
        let cause = anyhow!("the service sends us on{region}: endpoint or region are wrong");
        SourceError::permanent(cause).with_kind(ErrorKind::Protocol)
    })
}

/// The region that the service says it had to be, where it says that it is the wrong one.
fn other_region<'a>(said: &'a str, code: &str) -> Option<&'a str> {
    let wrong = [
        "AuthorizationQueryParametersError",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
    ];
    wrong.contains(&code).then(|| word(said, "Region"))?
}

/// The first element of that name, if it holds what could be a code or a region.
fn word<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (word, _) = rest.split_once(&format!("</{name}>"))?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let sound = !word.is_empty() && word.len() <= MAX_WORD_BYTES && word.bytes().all(letters);
    sound.then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, said: &str) -> SourceError {
        let (permanent, kind) = match status {
            403 => (true, ErrorKind::Denied),
            404 => (true, ErrorKind::NotFound),
            503 => (false, ErrorKind::Unavailable),
            _ => (true, ErrorKind::Protocol),
        };
        let error = match permanent {
            true => SourceError::permanent(anyhow!("the status")),
            false => SourceError::transient(anyhow!("the status")),
        };
        explained(Unserved {
            error: error.with_kind(kind),
            status: Some(status),
            said: said.as_bytes().to_vec(),
        })
    }

    fn error(code: &str, rest: &str) -> String {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code>{rest}</Error>")
    }

    #[test]
    fn codes_mean_what_the_table_says() {
        use ErrorKind::{Denied, NotFound, Protocol, Unavailable};
        let expired = "<Message>Request has expired</Message>";
        let region = "<Region>eu-west-1</Region>";
        for (status, code, rest, kind, permanent) in [
            (404, "NoSuchKey", "", NotFound, true),
            (404, "NoSuchBucket", "", NotFound, true),
            (403, "AccessDenied", "", Denied, true),
            (403, "SignatureDoesNotMatch", "", Denied, true),
            (403, "InvalidAccessKeyId", "", Denied, true),
            (403, "AccessDenied", expired, Denied, false),
            (403, "RequestTimeTooSkewed", "", Denied, false),
            (403, "ExpiredToken", "", Denied, false),
            (400, "ExpiredToken", "", Denied, false),
            (400, "InvalidToken", "", Denied, true),
            (400, "AuthorizationQueryParametersError", "", Denied, true),
            (400, "AuthorizationHeaderMalformed", region, Protocol, true),
            (301, "PermanentRedirect", "", Protocol, true),
            (307, "TemporaryRedirect", "", Protocol, true),
            (503, "SlowDown", "", Unavailable, false),
            (400, "Whatever", "", Protocol, true),
        ] {
            let error = answer(status, &error(code, rest));
            assert_eq!(
                (error.kind(), error.is_permanent()),
                (kind, permanent),
                "{code}"
            );
        }
        let error = answer(400, &error("AuthorizationHeaderMalformed", region));
        assert!(error.to_string().contains("eu-west-1"), "{error}");
    }

    #[test]
    fn nothing_else_of_a_body_is_shown() {
        let long = "x".repeat(65);
        for code in ["canary!", "<b>canary</b>", "", "canary canary", &long] {
            let error = answer(403, &error(code, "<Message>canary</Message>"));
            assert_eq!(error.to_string(), "the status", "{code:?}");
        }
        for said in ["", "canary", "<Code>", "</Code><Code>", "\u{0}\u{fffd}"] {
            assert_eq!(answer(404, said).to_string(), "the status");
        }
        let error = answer(301, "<Region>canary!</Region>");
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    /// A body makes nothing of what may pass, and cannot bring back what is not there.
    #[test]
    fn a_body_has_no_say_over_what_may_pass() {
        let error = answer(503, &error("NoSuchKey", ""));
        assert!(!error.is_permanent() && error.kind() == ErrorKind::Unavailable);
    }
}

//! What is not there, what is cut off, what is refused, and what errors must not repeat.

use std::fmt::Debug;

use super::versions::is_not_found;
use super::{ALL, Bench, Stop, able, compare, content, ensure, failed};
use crate::data_source::conformance::client::{Client, End};
use crate::data_source::{CancelToken, OpenRequest};

/// Stands for a credential.
const CANARY: &str = "canary5e1f";
/// A scheme that no source serves.
const FOREIGN: &str = "conformance-foreign";

pub(super) fn missing(bench: &Bench) -> Result<(), Stop> {
    let url = bench.origin.put("missing", &content(21, 10));
    bench.origin.remove("missing");
    match bench
        .source
        .open(&OpenRequest::new(&url, &CancelToken::new()))
    {
        Ok(_) => failed("it opens what is not there"),
        Err(error) => is_not_found(&error),
    }
}

pub(super) fn cut(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(22, 300_001);
    for after in [0, 1, 150_000, 262_144, 300_000] {
        let url = able(
            bench.origin.put_cut(&format!("cut-{after}"), &bytes, after),
            "cut a transfer",
        )?;
        let mut client = Client::default();
        match client.attempt(bench, &url, ALL)? {
            End::Broken => {}
            End::Refused(error) => ensure(!error.is_permanent(), || {
                format!("cut off after {after} bytes, which is a permanent failure: {error}")
            })?,
            End::Whole | End::Enough => {
                return failed(format!(
                    "cut off after {after} bytes, it is taken for whole"
                ));
            }
        }
        let arrived = client.bytes.len();
        ensure(arrived <= after, || {
            format!("cut off after {after} bytes, {arrived} came")
        })?;
        compare(&client.bytes, &bytes[..arrived])?;
    }
    Ok(())
}

/// Called while a caller waits, so it looks at the text alone.
pub(super) fn check(bench: &Bench) -> Result<(), Stop> {
    let url = bench.origin.put("check", &content(23, 10));
    for there in [true, false] {
        if let Err(reason) = bench.source.check(&url) {
            return failed(format!(
                "it refuses a URL that {}: {reason}",
                if there {
                    "it serves"
                } else {
                    "it may serve again"
                }
            ));
        }
        bench.origin.remove("check");
    }
    for foreign in [rescheme(&url), format!("{FOREIGN}://localhost/x")] {
        ensure(bench.source.check(&foreign).is_err(), || {
            format!("it accepts a foreign scheme: {foreign}")
        })?;
    }
    Ok(())
}

/// Each failure that is easily had, with secrets in the URL.
pub(super) fn secrets(bench: &Bench) -> Result<(), Stop> {
    let url = bench.origin.put("secrets", &content(24, 10));
    bench.origin.remove("secrets");
    let query = format!("?X-Signature={CANARY}");
    let user = url.replacen("://", &format!("://user:{CANARY}@"), 1);
    let urls = [
        format!("{url}{query}"),
        format!("{user}{query}"),
        rescheme(&format!("{user}{query}")),
        format!("{FOREIGN}://user:{CANARY}@host/{query}"),
        // Text that does not parse is repeated the most readily.
        format!("{user}{query} \u{7f}%zz"),
        user,
    ];
    let cancel = CancelToken::new();
    for url in urls {
        if let Err(error) = bench.source.check(&url) {
            is_silent("check", &format!("{error:#}"), &error)?;
        }
        if let Err(error) = bench.source.open(&OpenRequest::new(&url, &cancel)) {
            is_silent("open", &error.to_string(), &error)?;
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                is_silent("a cause", &error.to_string(), error)?;
                cause = error.source();
            }
        }
    }
    is_silent("the source itself", "", &bench.source)
}

fn is_silent(who: &str, text: &str, debug: &(impl Debug + ?Sized)) -> Result<(), Stop> {
    for shown in [text.to_owned(), format!("{debug:?}"), format!("{debug:#?}")] {
        ensure(!shown.contains(CANARY), || {
            format!("{who} repeats user info or a query of the URL: {shown}")
        })?;
    }
    Ok(())
}

fn rescheme(url: &str) -> String {
    let rest = url.split_once(':').map_or(url, |(_, rest)| rest);
    format!("{FOREIGN}:{rest}")
}

//! The hosts that are given a rest.

use std::time::Duration;

use serde::Serialize;

use crate::error::Error;

/// A host that failed for everybody: it could not be reached, or hung up before it said anything,
/// several times in a row. No file is asked of it until its rest is over; then one is.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RestingHost {
    /// Host and port as the URLs write them, or a scheme where they name no host.
    pub host: String,
    /// How many ms until it is tried again; absent while it is being tried.
    pub next_try_in_ms: Option<u64>,
    /// How it failed last.
    pub last_error: Option<Error>,
}

impl RestingHost {
    pub(in crate::data_manager) fn new(
        host: String,
        rest: Option<Duration>,
        last_error: Option<Error>,
    ) -> Self {
        let millis = |rest: Duration| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        RestingHost {
            host,
            next_try_in_ms: rest.map(millis),
            last_error,
        }
    }
}

//! Settings that nothing could be done with are refused before anything is touched.

use std::num::NonZeroU64;

use super::DataManagerBuilder;
#[cfg(feature = "s3")]
use crate::data_source::S3Options;
use crate::error::Error;

/// The setting that is out of its range, by its name in the builder, and why.
pub(in crate::data_manager) type Unfit = (&'static str, String);

impl DataManagerBuilder {
    pub(in crate::data_manager) fn check(&self) -> Result<(), Unfit> {
        self.check_values()?;
        self.http.check()?;
        #[cfg(feature = "s3")]
        self.s3.as_ref().map_or(Ok(()), S3Options::check)?;
        for (scheme, _) in &self.custom {
            let letters = scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
            if !letters || !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return Err(("source", format!("{scheme:?} is not a URL scheme")));
            }
        }
        Ok(())
    }

    /// What can be told without a look at the environment or at a file.
    pub(in crate::data_manager) fn check_values(&self) -> Result<(), Unfit> {
        let at_least_one = [
            ("slots", self.slots),
            ("slots_per_host", self.slots_per_host.unwrap_or(1)),
            ("threads", self.threads),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                return Err((field, LEAST.to_owned()));
            }
        }
        let limits = [
            ("bandwidth_limit", self.bandwidth_limit),
            ("scrub_rate", self.scrub_rate),
            ("max_file_bytes", Some(self.fetch_limits.max_file_bytes)),
        ];
        for (field, limit) in limits {
            if limit == Some(0) {
                return Err((field, LEAST.to_owned()));
            }
        }
        self.store
            .check()
            .map_err(|(field, reason)| (field, reason.to_owned()))?;
        let more_than_nothing = [
            ("first_backoff", self.first_backoff),
            ("rate_window", self.fetch_limits.rate_floor.window),
            ("connect_timeout", self.http.connect_timeout),
            ("stall_timeout", self.http.stall_timeout),
        ];
        for (field, value) in more_than_nothing {
            if value.is_zero() {
                return Err((field, "has to be more than nothing".to_owned()));
            }
        }
        if self.longest_backoff < self.first_backoff {
            return Err((
                "longest_backoff",
                "is shorter than first_backoff".to_owned(),
            ));
        }
        Ok(())
    }
}

const LEAST: &str = "has to be at least 1";

/// A limit of nothing would be a way to stop that nobody is told of.
pub(in crate::data_manager) fn checked_limit(
    field: &str,
    bytes_per_second: Option<u64>,
) -> Result<Option<NonZeroU64>, Error> {
    let checked = |limit| NonZeroU64::new(limit).ok_or_else(|| Error::refused(field, LEAST));
    bytes_per_second.map(checked).transpose()
}

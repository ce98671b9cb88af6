//! A config becomes a builder.

use std::time::Duration;

#[cfg(feature = "s3")]
use super::S3Config;
use super::{Config, ConfigText, DataManagerBuilder};
use crate::data_manager::DataManagerImpl;
use crate::data_manager::builder::Unfit;
#[cfg(feature = "s3")]
use crate::data_source::S3Options;
use crate::error::Error;

impl Config {
    /// A builder with these settings, for what cannot be said here: a
    /// [source](DataManagerBuilder::source) of your own, say. Reads the files and variables that
    /// texts are in.
    ///
    /// # Errors
    /// [`Refused`](crate::ErrorKind::Refused), with the field, if a setting is out of its range or a
    /// text cannot be had.
    pub fn into_builder(self) -> Result<DataManagerBuilder, Error> {
        self.check_values()?;
        let mut builder = self.with_values();
        if self.no_proxy && self.proxy.is_some() {
            return Err(Error::refused("no_proxy", "is set beside proxy"));
        }
        if self.no_proxy {
            builder = builder.no_proxy();
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(read("proxy", proxy)?);
        }
        for (index, pem) in self.root_certificates.iter().enumerate() {
            let pem = read(&format!("root_certificates[{index}]"), pem)?;
            builder = builder.root_certificate(pem);
        }
        for (index, header) in self.http_headers.into_iter().enumerate() {
            let value = read(&format!("http_headers[{index}].value"), &header.value)?;
            builder = builder.http_header(header.host, header.name, value);
        }
        for mirror in self.mirrors {
            builder = builder.mirrors(mirror.prefix, mirror.alternates);
        }
        for directory in self.serve_files_from {
            builder = builder.serve_files_from(directory);
        }
        #[cfg(feature = "s3")]
        if let Some(s3) = self.s3 {
            builder = builder.s3(s3_options(s3)?);
        }
        builder.check().map_err(refused)?;
        Ok(builder)
    }

    /// Opens the data directory and starts the manager.
    ///
    /// # Errors
    /// As [`into_builder`](Self::into_builder) and [`DataManagerBuilder::open`].
    pub fn open(self) -> Result<DataManagerImpl, Error> {
        self.into_builder()?.open()
    }

    /// What can be told without a look at the environment or at a file.
    pub(super) fn check_values(&self) -> Result<(), Error> {
        self.with_values().check_values().map_err(refused)
    }

    /// A builder with all that is a plain value.
    fn with_values(&self) -> DataManagerBuilder {
        let time = Duration::from_millis;
        let mut builder = DataManagerBuilder::default()
            .data_dir(&self.data_dir)
            .slots(self.slots)
            .first_backoff(time(self.first_backoff_ms))
            .longest_backoff(time(self.longest_backoff_ms))
            .connect_timeout(time(self.connect_timeout_ms))
            .stall_timeout(time(self.stall_timeout_ms))
            .min_rate(self.min_rate)
            .rate_window(time(self.rate_window_ms))
            .allow_private_redirects(self.allow_private_redirects)
            .accept_unframed(self.accept_unframed)
            .max_file_bytes(self.max_file_bytes)
            .event_queue(self.event_queue)
            .shutdown_timeout(time(self.shutdown_timeout_ms))
            .partials_max_bytes(self.partials_max_bytes)
            .partials_max_age(time(self.partials_max_age_ms))
            .min_free_bytes(self.min_free_bytes)
            .durability(self.durability);
        builder.slots_per_host = self.slots_per_host;
        builder.threads = self.threads.unwrap_or(builder.threads);
        builder.space.max_bytes = self.max_bytes;
        builder.store.dir_mode = self.dir_mode;
        builder.store.file_mode = self.file_mode;
        builder.bandwidth_limit = self.bandwidth_limit;
        builder.scrub_rate = self.scrub_rate;
        builder
    }
}

fn read(field: &str, text: &ConfigText) -> Result<String, Error> {
    text.read().map_err(|reason| Error::refused(field, reason))
}

/// What the builder refuses, by its name in a config.
fn refused((setting, reason): Unfit) -> Error {
    Error::refused(key_of(setting), reason)
}

/// The key of a builder's setting: the two rules that the docs of [`Config`] state.
pub(super) fn key_of(setting: &str) -> &str {
    match setting {
        "first_backoff" => "first_backoff_ms",
        "longest_backoff" => "longest_backoff_ms",
        "connect_timeout" => "connect_timeout_ms",
        "stall_timeout" => "stall_timeout_ms",
        "rate_window" => "rate_window_ms",
        "shutdown_timeout" => "shutdown_timeout_ms",
        "partials_max_age" => "partials_max_age_ms",
        "root_certificate" => "root_certificates",
        "http_header" => "http_headers",
        same => same,
    }
}

#[cfg(feature = "s3")]
fn s3_options(config: S3Config) -> Result<S3Options, Error> {
    let mut options = S3Options::from_env();
    let keys = [
        &config.access_key,
        &config.secret_key,
        &config.session_token,
    ];
    if keys.iter().any(|key| key.is_some()) {
        options = options.without_keys();
    }
    if let Some(endpoint) = config.endpoint {
        options = options.endpoint(endpoint);
    }
    if let Some(region) = config.region {
        options = options.region(region);
    }
    if let Some(path_style) = config.path_style {
        options = options.path_style(path_style);
    }
    if let Some(key) = &config.access_key {
        options = options.access_key(read("s3.access_key", key)?);
    }
    if let Some(key) = &config.secret_key {
        options = options.secret_key(read("s3.secret_key", key)?);
    }
    if let Some(token) = &config.session_token {
        options = options.session_token(read("s3.session_token", token)?);
    }
    if config.anonymous {
        options = options.anonymous();
    }
    Ok(options
        .expires_in(Duration::from_millis(config.expires_in_ms))
        .clock_offset_secs(config.clock_offset_secs))
}

//! The settings of a manager as plain values, for a file in JSON.
//!
//! A [`Config`] says what a [`DataManagerBuilder`] says, by the same names, and becomes one. It decides
//! nothing: defaults and ranges are the builder's.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `json.rs` | text to [`Config`], and errors that say where without saying what |
//! | `text.rs` | texts that may stand elsewhere, such as tokens |
//! | `parts.rs` | what is more than one value |
//! | `into_builder.rs` | [`Config`] to builder, and the names of one in the other |

mod into_builder;
mod json;
mod parts;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "s3")]
pub use self::parts::S3Config;
pub use self::parts::{HttpHeaderConfig, MirrorConfig};
pub use self::text::ConfigText;
use super::DataManagerBuilder;
use super::builder::Durability;

/// The settings of a manager as plain values: what a JSON file says.
///
/// Every key may be missing, and has its default then; a key that is unknown is refused. A key is
/// called as the builder's method is, but for two rules: a length of time is in milliseconds and its key
/// ends in `_ms`; what the builder may be told several times is a list, in the plural. The table of
/// [`DataManagerBuilder`] has both names of each setting, with default and range. What cannot be said in JSON, a
/// [source](DataManagerBuilder::source) of your own, is said to the builder that a config
/// [becomes](Self::into_builder).
///
/// ```
/// use data_manager::data_manager::Config;
///
/// let config = Config::from_json(r#"{
///     "data_dir": "/var/lib/worker",
///     "slots": 16,
///     "stall_timeout_ms": 10000,
///     "max_bytes": 1000000000000,
///     "dir_mode": "0750",
///     "http_headers": [{
///         "host": "data.example.com",
///         "name": "Authorization",
///         "value": {"file": "/run/secrets/token", "prefix": "Bearer "}
///     }]
/// }"#)?;
/// assert_eq!(config.slots, 16);
/// assert_eq!(config.connect_timeout_ms, 5000, "the default");
///
/// let error = Config::from_json(r#"{"slots": 16, "stall_timeout_ms": "10s"}"#).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "stall_timeout_ms: has to be a whole number, 0 or more (line 1, column 39)"
/// );
/// # Ok::<(), data_manager::Error>(())
/// ```
///
/// Relative paths are taken from the current directory of the process, as the builder's are. A text
/// that may be secret (a header's value, a key of S3, the proxy) may be said in place, or a file or a
/// variable of the environment be named that holds it: [`ConfigText`]. `Debug` shows none of them, nor user info and
/// queries of URLs. `Serialize` writes what the config says, so a token that stands in it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The directory that chunks are kept in. Default: `"local_data_dir"`.
    pub data_dir: PathBuf,
    /// Files in flight at the most, over all chunks. Default: `8`; 1 or more.
    pub slots: usize,
    /// The same for each host. Default: `null`, as many as slots; 1 or more.
    pub slots_per_host: Option<usize>,
    /// Threads that poll tasks. Default: `null`, one for each CPU; 1 or more.
    pub threads: Option<usize>,
    /// The longest wait before the second attempt, in ms; doubles with each failure. Default: `500`;
    /// 1 or more.
    pub first_backoff_ms: u64,
    /// The longest wait between two attempts, in ms. Default: `60000`; `first_backoff_ms` or more.
    pub longest_backoff_ms: u64,
    /// For a host's name, and again for the connection to it, in ms. Default: `5000`; 1 or more, and
    /// beyond a year as a year.
    pub connect_timeout_ms: u64,
    /// How long a transfer may go without a byte, and a server take for its headers, in ms.
    /// Default: `20000`; 1 or more, and beyond a year as a year.
    pub stall_timeout_ms: u64,
    /// Bytes per second that an attempt has to bring. Default: `1024`; 0 accepts any rate.
    pub min_rate: u64,
    /// What `min_rate` is taken over: ms of waiting for bytes. Default: `30000`; 1 or more.
    pub rate_window_ms: u64,
    /// The certificates in PEM that `https://` servers' have to lead to, instead of Mozilla's; mostly
    /// `{"file": PATH}`. Default: `[]`.
    pub root_certificates: Vec<ConfigText>,
    /// Headers for one host each, such as tokens. Default: `[]`.
    pub http_headers: Vec<HttpHeaderConfig>,
    /// The proxy's URL. Default: `null`, what the environment says.
    pub proxy: Option<ConfigText>,
    /// Whether to use no proxy, whatever the environment says. Default: `false`; not beside `proxy`.
    pub no_proxy: bool,
    /// Whether a public host may redirect to an address that is not. Default: `false`.
    pub allow_private_redirects: bool,
    /// Whether a body may end where its connection does, without a length or a digest.
    /// Default: `false`.
    pub accept_unframed: bool,
    /// Bytes of one file at the most. Default: `1099511627776`; 1 or more.
    pub max_file_bytes: u64,
    /// Events that wait for each subscriber at the most. Default: `1024`; 0 counts as 1.
    pub event_queue: usize,
    /// How long `Drop` waits for what is under way, in ms. Default: `5000`; 0 or more.
    pub shutdown_timeout_ms: u64,
    /// Bytes that are kept of attempts that did not end well. Default: `10737418240`; 0 or more.
    pub partials_max_bytes: u64,
    /// For how long they are kept, in ms. Default: `604800000`, 7 days; 0 or more.
    pub partials_max_age_ms: u64,
    /// Bytes of contents in the data directory at the most. Default: `null`, no limit; 0 or more.
    pub max_bytes: Option<u64>,
    /// Bytes that are left free on the file system. Default: `0`; 0 or more.
    pub min_free_bytes: u64,
    /// What survives a power cut: `"full"`, `"ordered"` or `"none"`. Default: `"full"`.
    pub durability: Durability,
    /// The mode of new directories, in octal, as a string: `"0750"`. Default: `null`, 0700 less
    /// the umask; `"0700"` to `"7777"`, with all that the owner needs.
    #[serde(with = "octal")]
    pub dir_mode: Option<u32>,
    /// The mode of new files, in octal, as a string: `"0640"`. Default: `null`, 0600 less the umask;
    /// `"0600"` to `"0777"`, with all that the owner needs.
    #[serde(with = "octal")]
    pub file_mode: Option<u32>,
    /// The directories that `file://` URLs may name. Default: `[]`.
    pub serve_files_from: Vec<PathBuf>,
    /// Whom `s3://` URLs are asked of, and as whom. Default: `null`, what the environment says.
    #[cfg(feature = "s3")]
    pub s3: Option<S3Config>,
    /// Where else what is below a URL may be had. Default: `[]`.
    pub mirrors: Vec<MirrorConfig>,
    /// Bytes per second over all transfers at the most. Default: `null`, no limit; 1 or more.
    pub bandwidth_limit: Option<u64>,
    /// Bytes per second that are read again and verified. Default: `null`, off; 1 or more.
    pub scrub_rate: Option<u64>,
}

/// The builder's defaults: there is one place that has them.
impl Default for Config {
    fn default() -> Self {
        let builder = DataManagerBuilder::default();
        Config {
            data_dir: builder.data_dir,
            slots: builder.slots,
            slots_per_host: builder.slots_per_host,
            // A config may be written on one machine for another.
            threads: None,
            first_backoff_ms: ms(builder.first_backoff),
            longest_backoff_ms: ms(builder.longest_backoff),
            connect_timeout_ms: ms(builder.http.connect_timeout),
            stall_timeout_ms: ms(builder.http.stall_timeout),
            min_rate: builder.fetch_limits.rate_floor.min_rate,
            rate_window_ms: ms(builder.fetch_limits.rate_floor.window),
            root_certificates: Vec::new(),
            http_headers: Vec::new(),
            proxy: None,
            no_proxy: false,
            allow_private_redirects: builder.http.allow_private_redirects,
            accept_unframed: builder.http.accept_unframed,
            max_file_bytes: builder.fetch_limits.max_file_bytes,
            event_queue: builder.event_queue,
            shutdown_timeout_ms: ms(builder.shutdown_timeout),
            partials_max_bytes: builder.partials.bytes,
            partials_max_age_ms: ms(builder.partials.age),
            max_bytes: builder.space.max_bytes,
            min_free_bytes: builder.space.min_free_bytes,
            durability: builder.store.durability,
            dir_mode: builder.store.dir_mode,
            file_mode: builder.store.file_mode,
            serve_files_from: builder.file_roots,
            #[cfg(feature = "s3")]
            s3: None,
            mirrors: Vec::new(),
            bandwidth_limit: builder.bandwidth_limit,
            scrub_rate: builder.scrub_rate,
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Modes as everybody writes them. A number is refused: 750 would be taken for what it is not.
mod octal {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(
        mode: &Option<u32>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match mode {
            None => serializer.serialize_none(),
            Some(mode) => serializer.collect_str(&format_args!("{mode:04o}")),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u32>, D::Error> {
        let reason = || D::Error::custom("has to be a mode in octal, as a string such as \"0750\"");
        let said = Option::<String>::deserialize(deserializer).map_err(|_| reason())?;
        let Some(text) = said else {
            return Ok(None);
        };
        let digits = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let mode = digits.then(|| u32::from_str_radix(&text, 8).ok()).flatten();
        mode.map(Some).ok_or_else(reason)
    }
}

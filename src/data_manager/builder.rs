//! The settings of a manager, each with a default that a worker can run on.

mod check;
mod disk;
mod http;
mod sources;
mod transfers;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::check::{Unfit, checked_limit};
use super::DataManagerImpl;
use super::planner::PartialLimits;
pub use crate::data_source::Durability;
#[cfg(feature = "s3")]
use crate::data_source::S3Options;
use crate::data_source::{
    DataSource, FetchLimits, HttpOptions, MirrorSetting, RateFloor, SpaceLimits, StoreOptions,
};
use crate::error::Error;

/// Sets up a [`DataManagerImpl`]; made by [`DataManagerImpl::builder`], or by a
/// [`Config`](super::Config), which says the same in JSON.
///
/// ```
/// use std::time::Duration;
/// use data_manager::data_manager::DataManagerImpl;
///
/// # let dir = tempfile::tempdir()?;
/// # let data_dir = dir.path().join("chunks");
/// let manager = DataManagerImpl::builder()
///     .data_dir(&data_dir)
///     .slots(16)
///     .max_bytes(1_000_000_000_000)
///     .stall_timeout(Duration::from_secs(10))
///     .open()?;
/// assert!(manager.list_chunks().is_empty());
///
/// let error = DataManagerImpl::builder().slots(0).open().unwrap_err();
/// assert_eq!(error.to_string(), "slots: has to be at least 1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// | setting | in a [`Config`](super::Config) | default | range | meaning |
/// | --- | --- | --- | --- | --- |
/// | [`data_dir`](Self::data_dir) | `data_dir` | `local_data_dir` | a path | the data directory |
/// | [`slots`](Self::slots) | `slots` | 8 files | 1 or more | files in flight at the most |
/// | [`slots_per_host`](Self::slots_per_host) | `slots_per_host` | as many as slots | 1 or more | the same for each host |
/// | [`threads`](Self::threads) | `threads` | one for each CPU | 1 or more | threads that poll tasks |
/// | [`first_backoff`](Self::first_backoff) | `first_backoff_ms` | 500 ms | more than 0 | the longest wait before the second attempt; doubles with each failure |
/// | [`longest_backoff`](Self::longest_backoff) | `longest_backoff_ms` | 60 s | `first_backoff` or more | the longest wait between two attempts; also the wait after a failure that no retry can mend |
/// | [`connect_timeout`](Self::connect_timeout) | `connect_timeout_ms` | 5 s | more than 0; beyond a year as a year | for the name; and again for the connection, over all addresses and with TLS |
/// | [`stall_timeout`](Self::stall_timeout) | `stall_timeout_ms` | 20 s | more than 0; beyond a year as a year | without a byte; also for all of the headers |
/// | [`min_rate`](Self::min_rate) | `min_rate` | 1024 bytes/s | 0 or more; 0 accepts any | an attempt whose bytes arrive more slowly has failed |
/// | [`rate_window`](Self::rate_window) | `rate_window_ms` | 30 s | more than 0 | of waiting for bytes, over which that rate is taken |
/// | [`root_certificate`](Self::root_certificate) | `root_certificates` | Mozilla's | PEM | what the certificates of `https://` servers have to lead to |
/// | [`http_header`](Self::http_header) | `http_headers` | none | any but the library's own | a header for one host, such as a token |
/// | [`proxy`](Self::proxy), [`no_proxy`](Self::no_proxy) | `proxy`, `no_proxy` | the environment's | `http[s]://…`; one of both | for `http://` and `https://` |
/// | [`allow_private_redirects`](Self::allow_private_redirects) | `allow_private_redirects` | false | true, false | whether a public host may redirect to an address that is not public |
/// | [`accept_unframed`](Self::accept_unframed) | `accept_unframed` | false | true, false | whether a body may end where its connection does, without a length or a digest |
/// | [`max_file_bytes`](Self::max_file_bytes) | `max_file_bytes` | 1 TiB | 1 or more | of one file, whatever its source says |
/// | [`event_queue`](Self::event_queue) | `event_queue` | 1024 events | 0 counts as 1 | for each subscriber; the oldest are dropped beyond that |
/// | [`shutdown_timeout`](Self::shutdown_timeout) | `shutdown_timeout_ms` | 5 s | 0 or more | how long `Drop` waits for what is under way |
/// | [`partials_max_bytes`](Self::partials_max_bytes) | `partials_max_bytes` | 10 GiB | 0 or more | what is kept of attempts that did not end well |
/// | [`partials_max_age`](Self::partials_max_age) | `partials_max_age_ms` | 7 days | 0 or more | for how long |
/// | [`max_bytes`](Self::max_bytes) | `max_bytes` | no limit | 0 or more | of contents in the data directory, of whatever kind |
/// | [`min_free_bytes`](Self::min_free_bytes) | `min_free_bytes` | 0 | 0 or more | left free on the file system |
/// | [`durability`](Self::durability) | `durability` | [`Durability::Full`] | `Full`, `Ordered`, `None` | what survives a power cut |
/// | [`dir_mode`](Self::dir_mode) | `dir_mode` | 0700 | 0700 to 7777, with all of the first | the mode of new directories |
/// | [`file_mode`](Self::file_mode) | `file_mode` | 0600 | 0600 to 0777, with all of the first | the mode of new files |
/// | [`serve_files_from`](Self::serve_files_from) | `serve_files_from` | nothing | paths | the directories that `file://` URLs may name |
/// | `s3` (feature `s3`) | `s3` | the environment's | keys, or anonymous | whom `s3://` URLs are asked of, and as whom |
/// | [`mirrors`](Self::mirrors) | `mirrors` | none | 1 to 15 alternates | where else what is below a URL may be had |
/// | [`bandwidth_limit`](Self::bandwidth_limit) | `bandwidth_limit` | no limit | 1 or more | bytes per second over all transfers |
/// | [`scrub_rate`](Self::scrub_rate) | `scrub_rate` | off | 1 or more | bytes per second that are read again and verified |
///
/// Fixed: 8 threads of the blocking pool beyond the slots, for commits, deletes and checks; one progress
/// event in 200 ms for each chunk; 2 idle connections kept for each slot, over all hosts; 5 redirects; 15 alternates for a prefix; 2 removals and 2
/// verifications at a time; 3 tries to verify a chunk that was not synced before a reboot; 30 s until what could
/// not be checked is looked at again; 10 audits, 10 s apart, until nothing moved meanwhile; 16 refusals for want of
/// room before a rest; 128 small files that wait open for their commit; 8 MiB that wait to be written; a host is given a rest after 5 failures in a row that it would have had for everybody;
/// `Retry-After` is honoured up to the longest backoff; an hour, or more, from the beginning of one
/// round of the scrub to that of the next.
#[derive(Debug)]
pub struct DataManagerBuilder {
    pub(super) data_dir: PathBuf,
    pub(super) slots: usize,
    pub(super) slots_per_host: Option<usize>,
    pub(super) partials: PartialLimits,
    pub(super) space: SpaceLimits,
    pub(super) threads: usize,
    pub(super) first_backoff: Duration,
    pub(super) longest_backoff: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) event_queue: usize,
    pub(super) store: StoreOptions,
    pub(super) bandwidth_limit: Option<u64>,
    pub(super) scrub_rate: Option<u64>,
    pub(super) fetch_limits: FetchLimits,
    pub(super) http: HttpOptions,
    pub(super) file_roots: Vec<PathBuf>,
    #[cfg(feature = "s3")]
    s3: Option<S3Options>,
    mirrors: Vec<MirrorSetting>,
    custom: Vec<(String, Arc<dyn DataSource>)>,
}

impl Default for DataManagerBuilder {
    fn default() -> Self {
        DataManagerBuilder {
            data_dir: PathBuf::from("local_data_dir"),
            slots: 8,
            slots_per_host: None,
            partials: PartialLimits {
                bytes: 10 << 30,
                age: Duration::from_secs(7 * 24 * 3600),
            },
            space: SpaceLimits {
                max_bytes: None,
                // Whose disk it is else, and what they need of it, cannot be guessed: any other
                // number would leave a small disk unused or mean nothing on a large one.
                min_free_bytes: 0,
            },
            threads: num_cpus::get(),
            first_backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(5),
            event_queue: 1024,
            store: StoreOptions::default(),
            bandwidth_limit: None,
            scrub_rate: None,
            fetch_limits: FetchLimits {
                rate_floor: RateFloor {
                    min_rate: 1024,
                    window: Duration::from_secs(30),
                },
                max_file_bytes: 1 << 40,
            },
            http: HttpOptions::default(),
            file_roots: Vec::new(),
            #[cfg(feature = "s3")]
            s3: None,
            mirrors: Vec::new(),
            custom: Vec::new(),
        }
    }
}

impl DataManagerBuilder {
    /// Opens the data directory and starts the manager.
    ///
    /// # Errors
    /// Of kind [`Locked`](crate::ErrorKind::Locked), at once, if another owner holds the
    /// directory; [`Refused`](crate::ErrorKind::Refused) if a setting is out of its range;
    /// otherwise what the file system said.
    pub fn open(self) -> Result<DataManagerImpl, Error> {
        let refused = |(field, reason): Unfit| Error::refused(field, reason);
        self.check().map_err(refused)?;
        DataManagerImpl::start(&self)
    }
}

//! The settings of a manager, each with a default that a worker can run on.

mod http;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::DataManagerImpl;
use super::planner::PartialLimits;
use super::sources::Sources;
pub use crate::data_source::Durability;
use crate::data_source::{
    DataSource, FetchLimits, FileSource, HttpOptions, HttpSource, MirrorSetting, RateFloor, Rests,
    SpaceLimits, StoreOptions,
};
#[cfg(feature = "s3")]
use crate::data_source::{S3Options, S3Source};
use crate::error::Error;

/// Sets up a [`DataManagerImpl`]; made by [`DataManagerImpl::builder`].
///
/// | setting | default | meaning |
/// | --- | --- | --- |
/// | [`data_dir`](Self::data_dir) | `local_data_dir` | the data directory |
/// | [`slots`](Self::slots) | 8 files | files in flight at the most; 1 or more |
/// | [`slots_per_host`](Self::slots_per_host) | as many as slots | the same for each host; 1 or more |
/// | [`threads`](Self::threads) | one for each CPU | threads that poll tasks; 1 or more |
/// | [`first_backoff`](Self::first_backoff) | 500 ms | the longest wait before the second attempt; doubles with each failure |
/// | [`longest_backoff`](Self::longest_backoff) | 60 s | the longest wait between two attempts; also the wait after a failure that no retry can mend |
/// | [`connect_timeout`](Self::connect_timeout) | 5 s | for the name; and again for the connection, over all addresses and with TLS |
/// | [`stall_timeout`](Self::stall_timeout) | 20 s | without a byte; also for all of the headers |
/// | [`min_rate`](Self::min_rate) | 1024 bytes/s | an attempt whose bytes arrive more slowly has failed; 0 for any rate |
/// | [`rate_window`](Self::rate_window) | 30 s | of waiting for bytes, over which that rate is taken |
/// | [`root_certificate`](Self::root_certificate) | Mozilla's | what the certificates of `https://` servers have to lead to |
/// | [`http_header`](Self::http_header) | none | a header for one host, such as a token |
/// | [`proxy`](Self::proxy), [`no_proxy`](Self::no_proxy) | the environment's | for `http://` and `https://` |
/// | [`allow_private_redirects`](Self::allow_private_redirects) | false | whether a public host may redirect to an address that is not public |
/// | [`accept_unframed`](Self::accept_unframed) | false | whether a body may end where its connection does, without a length or a digest |
/// | [`max_file_bytes`](Self::max_file_bytes) | 1 TiB | of one file, whatever its source says |
/// | [`event_queue`](Self::event_queue) | 1024 events | for each subscriber; the oldest are dropped beyond that |
/// | [`shutdown_timeout`](Self::shutdown_timeout) | 5 s | how long `Drop` waits for what is under way |
/// | [`partials_max_bytes`](Self::partials_max_bytes) | 10 GiB | what is kept of attempts that did not end well |
/// | [`partials_max_age`](Self::partials_max_age) | 7 days | for how long |
/// | [`max_bytes`](Self::max_bytes) | no limit | of contents in the data directory, of whatever kind |
/// | [`min_free_bytes`](Self::min_free_bytes) | 0 | left free on the file system |
/// | [`durability`](Self::durability) | [`Durability::Full`] | what survives a power cut |
/// | [`dir_mode`](Self::dir_mode) | 0700 | the mode of new directories |
/// | [`file_mode`](Self::file_mode) | 0600 | the mode of new files |
/// | [`serve_files_from`](Self::serve_files_from) | nothing | the directories that `file://` URLs may name |
/// | `s3` (feature `s3`) | the environment's | whom `s3://` URLs are asked of, and as whom |
/// | [`mirrors`](Self::mirrors) | none | where else what is below a URL may be had |
/// | [`bandwidth_limit`](Self::bandwidth_limit) | no limit | bytes per second over all transfers; 1 or more |
/// | [`scrub_rate`](Self::scrub_rate) | off | bytes per second that are read again and verified; 1 or more |
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
    http: HttpOptions,
    file_roots: Vec<PathBuf>,
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
    /// The directory that chunks are kept in; created if need be. A relative path is taken from
    /// the directory that is current when the manager is opened.
    #[must_use]
    pub fn data_dir(mut self, data_dir: impl Into<PathBuf>) -> Self {
        self.data_dir = data_dir.into();
        self
    }

    /// How many files are fetched at a time, over all chunks.
    #[must_use]
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// How many files of one host are fetched at a time. Files whose URLs name no host count as of
    /// one host for each scheme.
    #[must_use]
    pub fn slots_per_host(mut self, slots: usize) -> Self {
        self.slots_per_host = Some(slots);
        self
    }

    /// How much is kept on disk of downloads that were broken off, for when the same is asked for
    /// again; beyond it the oldest go. What is being fetched does not count.
    #[must_use]
    pub fn partials_max_bytes(mut self, len_bytes: u64) -> Self {
        self.partials.bytes = len_bytes;
        self
    }

    /// For how long that is kept, also across restarts.
    #[must_use]
    pub fn partials_max_age(mut self, age: Duration) -> Self {
        self.partials.age = age;
        self
    }

    /// How many bytes the data directory may hold: chunks, also those on their way out, what arrives
    /// and what is kept of downloads that broke off, trash and quarantine. Contents count; what the
    /// library writes for itself (a manifest of some hundred bytes for each chunk, directories) comes
    /// on top.
    ///
    /// A file has its room before its first byte is asked for, so the limit holds at every moment.
    /// What does not fit waits: deletes run, what is kept of other downloads goes, and nothing
    /// visible ever does. Downloads go on by themselves when there is room. A chunk that alone is
    /// larger than that can never fit: its task ends in [`NoSpace`](crate::ErrorKind::NoSpace), the
    /// others go on, and it is tried again at the longest backoff as whatever no retry can mend. How
    /// large a chunk is, its sources say, file by file; what they said is believed for 10 minutes,
    /// before they are asked again.
    ///
    /// A directory that holds more when it is opened stays as it is; nothing is fetched until enough
    /// is deleted.
    #[must_use]
    pub fn max_bytes(mut self, len_bytes: u64) -> Self {
        self.space.max_bytes = Some(len_bytes);
        self
    }

    /// How many bytes of its file system the library leaves free for others, as far as it depends on
    /// the library: what others write meanwhile is theirs. 0 means that it may fill the disk, so
    /// where logs or a database share it, say how much they need. Behaves as
    /// [`max_bytes`](Self::max_bytes) where it is reached.
    #[must_use]
    pub fn min_free_bytes(mut self, len_bytes: u64) -> Self {
        self.space.min_free_bytes = len_bytes;
        self
    }

    /// How many threads poll tasks.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The longest wait before the second attempt. The wait is drawn between nothing and this,
    /// which doubles with every failure in a row, up to the longest backoff.
    #[must_use]
    pub fn first_backoff(mut self, first_backoff: Duration) -> Self {
        self.first_backoff = first_backoff;
        self
    }

    /// The longest wait between two attempts.
    #[must_use]
    pub fn longest_backoff(mut self, longest_backoff: Duration) -> Self {
        self.longest_backoff = longest_backoff;
        self
    }

    /// The least bytes per second that an attempt has to bring, else it has failed and is tried
    /// again, from where it stopped if the source can; 0 accepts any rate. It is taken over
    /// [`rate_window`](Self::rate_window).
    #[must_use]
    pub fn min_rate(mut self, bytes_per_second: u64) -> Self {
        self.fetch_limits.rate_floor.min_rate = bytes_per_second;
        self
    }

    /// What [`min_rate`](Self::min_rate) is taken over: the time spent waiting for bytes. What the
    /// disk takes does not count.
    #[must_use]
    pub fn rate_window(mut self, rate_window: Duration) -> Self {
        self.fetch_limits.rate_floor.window = rate_window;
        self
    }

    /// How many bytes a file may have at the most, by what its source says or by what arrives. Beyond
    /// it, what arrived of the file is thrown away, and no retry can help
    /// ([`Protocol`](crate::ErrorKind::Protocol)).
    #[must_use]
    pub fn max_file_bytes(mut self, len_bytes: u64) -> Self {
        self.fetch_limits.max_file_bytes = len_bytes;
        self
    }

    /// How many events wait for each subscriber at the most.
    #[must_use]
    pub fn event_queue(mut self, event_queue: usize) -> Self {
        self.event_queue = event_queue;
        self
    }

    /// How long dropping the manager waits for what is under way.
    #[must_use]
    pub fn shutdown_timeout(mut self, shutdown_timeout: Duration) -> Self {
        self.shutdown_timeout = shutdown_timeout;
        self
    }

    /// What of the data directory survives a power cut.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.store.durability = durability;
        self
    }

    /// The mode of every directory that is created, exactly so, whatever the umask: for readers
    /// that are other users. The data directory itself gets it too, if it is created. The owner has
    /// to be able to read, write and enter (`0o700`).
    #[must_use]
    pub fn dir_mode(mut self, mode: u32) -> Self {
        self.store.dir_mode = Some(mode);
        self
    }

    /// The mode of every file that is created, exactly so, whatever the umask. The owner has to be
    /// able to read and write (`0o600`).
    #[must_use]
    pub fn file_mode(mut self, mode: u32) -> Self {
        self.store.file_mode = Some(mode);
        self
    }

    /// How many bytes per second all transfers together take from their sources at the most. May
    /// be changed later: [`DataManagerImpl::set_bandwidth_limit`].
    #[must_use]
    pub fn bandwidth_limit(mut self, bytes_per_second: u64) -> Self {
        self.bandwidth_limit = Some(bytes_per_second);
        self
    }

    /// Reads visible chunks again in the background, round after round, and holds every byte against
    /// what was committed; so many bytes per second. May be changed later:
    /// [`DataManagerImpl::set_scrub_rate`].
    #[must_use]
    pub fn scrub_rate(mut self, bytes_per_second: u64) -> Self {
        self.scrub_rate = Some(bytes_per_second);
        self
    }

    /// Lets `file://` URLs name files below `directory`. May be called several times.
    #[must_use]
    pub fn serve_files_from(mut self, directory: impl Into<PathBuf>) -> Self {
        self.file_roots.push(directory.into());
        self
    }

    /// Whom `s3://` URLs are asked of, and as whom. Without it, what the environment says when the
    /// manager is opened: [`S3Options::from_env`](crate::data_source::S3Options::from_env).
    /// They count for `s3://`, whatever their [`scheme`](S3Options::scheme).
    #[cfg(feature = "s3")]
    #[must_use]
    pub fn s3(mut self, options: S3Options) -> Self {
        self.s3 = Some(options);
        self
    }

    /// What is below `prefix` may also be had below each of `alternates`, in this order: all of them
    /// have to serve the same content, which never changes. May be called once for each prefix; the
    /// longest that fits counts. [`mirrors`](crate::data_source::mirrors) says who is asked when.
    #[must_use]
    pub fn mirrors<A: Into<String>>(
        mut self,
        prefix: impl Into<String>,
        alternates: impl IntoIterator<Item = A>,
    ) -> Self {
        let alternates = alternates.into_iter().map(Into::into).collect();
        let setting = MirrorSetting::new(prefix.into(), alternates);
        self.mirrors.push(setting);
        self
    }

    /// Serves URLs of `scheme` from `source`, in place of a built-in source if there is one.
    #[must_use]
    pub fn source(mut self, scheme: &str, source: impl DataSource + 'static) -> Self {
        self.custom.push((scheme.to_owned(), Arc::new(source)));
        self
    }

    /// Opens the data directory and starts the manager.
    ///
    /// # Errors
    /// Of kind [`Locked`](crate::ErrorKind::Locked), at once, if another owner holds the
    /// directory; [`Refused`](crate::ErrorKind::Refused) if a setting is out of its range;
    /// otherwise what the file system said.
    pub fn open(self) -> Result<DataManagerImpl, Error> {
        self.check()?;
        DataManagerImpl::start(&self)
    }

    fn check(&self) -> Result<(), Error> {
        let at_least_one = [
            ("slots", self.slots),
            ("slots_per_host", self.slots_per_host.unwrap_or(1)),
            ("threads", self.threads),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                return Err(Error::refused(field, "has to be at least 1"));
            }
        }
        checked_limit("bandwidth_limit", self.bandwidth_limit)?;
        checked_limit("scrub_rate", self.scrub_rate)?;
        checked_limit("max_file_bytes", Some(self.fetch_limits.max_file_bytes))?;
        self.store
            .check()
            .map_err(|(field, reason)| Error::refused(field, reason))?;
        let more_than_nothing = [
            ("first_backoff", self.first_backoff),
            ("rate_window", self.fetch_limits.rate_floor.window),
        ];
        for (field, value) in more_than_nothing {
            if value.is_zero() {
                return Err(Error::refused(field, "has to be more than nothing"));
            }
        }
        self.http
            .check()
            .map_err(|(field, reason)| Error::refused(field, reason))?;
        #[cfg(feature = "s3")]
        self.s3
            .as_ref()
            .map_or(Ok(()), S3Options::check)
            .map_err(|(field, reason)| Error::refused(field, reason))?;
        if self.longest_backoff < self.first_backoff {
            return Err(Error::refused(
                "longest_backoff",
                "is shorter than first_backoff",
            ));
        }
        for (scheme, _) in &self.custom {
            let letters = scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
            if !letters || !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return Err(Error::refused(
                    "source",
                    format!("{scheme:?} is not a URL scheme"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn sources(&self) -> Result<Sources, Error> {
        let mut sources = Sources::default();
        let mut http = self.http.clone();
        // A transfer has one with the host that it asks and one with whom that redirects it to.
        http.max_idle_connections = self.slots.saturating_mul(2);
        let web: Arc<dyn DataSource> = Arc::new(HttpSource::new(http.clone()));
        sources.insert("http", web.clone());
        sources.insert("https", web);
        sources.insert(
            "file",
            Arc::new(FileSource::new(self.file_roots.iter().cloned())),
        );
        #[cfg(feature = "s3")]
        {
            let options = self
                .s3
                .clone()
                .unwrap_or_else(S3Options::from_env)
                .scheme("s3");
            let source = S3Source::new(options, http);
            sources.insert("s3", Arc::new(source));
        }
        for (scheme, source) in &self.custom {
            sources.insert(scheme, source.clone());
        }
        let (first, longest) = (self.first_backoff, self.longest_backoff);
        sources.put_mirrors(&self.mirrors, Rests { first, longest })?;
        Ok(sources)
    }
}

/// A limit of nothing would be a way to stop that nobody is told of.
pub(super) fn checked_limit(
    field: &str,
    bytes_per_second: Option<u64>,
) -> Result<Option<NonZeroU64>, Error> {
    let checked =
        |limit| NonZeroU64::new(limit).ok_or_else(|| Error::refused(field, "has to be at least 1"));
    bytes_per_second.map(checked).transpose()
}

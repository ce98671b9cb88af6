//! The settings of a manager that are about what is fetched, and when, and about its threads.

use std::time::Duration;

use super::DataManagerBuilder;

impl DataManagerBuilder {
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

    /// How many bytes per second all transfers together take from their sources at the most. May
    /// be changed later: [`set_bandwidth_limit`](crate::data_manager::DataManagerImpl::set_bandwidth_limit).
    #[must_use]
    pub fn bandwidth_limit(mut self, bytes_per_second: u64) -> Self {
        self.bandwidth_limit = Some(bytes_per_second);
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

    /// How many threads poll tasks.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
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
}

//! The settings of a manager that are about its data directory.

use std::path::PathBuf;
use std::time::Duration;

use super::{DataManagerBuilder, Durability};

impl DataManagerBuilder {
    /// The directory that chunks are kept in; created if need be. A relative path is taken from
    /// the directory that is current when the manager is opened.
    #[must_use]
    pub fn data_dir(mut self, data_dir: impl Into<PathBuf>) -> Self {
        self.data_dir = data_dir.into();
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

    /// Reads visible chunks again in the background, round after round, and holds every byte against
    /// what was committed; so many bytes per second. May be changed later:
    /// [`set_scrub_rate`](crate::data_manager::DataManagerImpl::set_scrub_rate).
    #[must_use]
    pub fn scrub_rate(mut self, bytes_per_second: u64) -> Self {
        self.scrub_rate = Some(bytes_per_second);
        self
    }
}

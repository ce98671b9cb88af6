//! The checksums of a file while it arrives, and of those that broke off, so that going on does not
//! begin with reading what is there.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;

use crate::data_chunk::Sha256Digest;

/// How many broken files' checksums are kept, at less than 1 KiB each. The oldest go first: their
/// files are read back once if they are gone on with.
const KEPT_MAX: usize = 1024;

/// The checksums of what has arrived of a file.
#[derive(Clone)]
pub(super) struct Checksums {
    len_bytes: u64,
    xxh3: Xxh3,
    /// Only where the description declares a digest.
    sha256: Option<Sha256>,
}

impl Checksums {
    /// Of no bytes.
    pub(super) fn new(with_sha256: bool) -> Self {
        Checksums {
            len_bytes: 0,
            xxh3: Xxh3::new(),
            sha256: with_sha256.then(Sha256::new),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.len_bytes += bytes.len() as u64;
        self.xxh3.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    /// Of how many bytes they are.
    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// XXH3-64, and the SHA-256 if it was asked for.
    pub(super) fn finish(self) -> (u64, Option<Sha256Digest>) {
        let digest = self.sha256.map(|sha256| sha256.finalize().into());
        (self.xxh3.digest(), digest)
    }
}

/// The checksums of files that broke off in this run, by path.
///
/// They are taken out by whoever goes on with the file, put back by whoever leaves it broken, and
/// forgotten when the file starts from nothing, also since it was removed in between. So what is
/// here is of the bytes that are there, unless a write failed half way: then the length differs.
#[derive(Default)]
pub(super) struct KeptChecksums(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_path: HashMap<PathBuf, Checksums>,
    /// The oldest first; may name paths that are gone.
    order: VecDeque<PathBuf>,
}

impl KeptChecksums {
    /// What was kept for the file, if it was of `len_bytes` bytes; nothing is kept for it any more.
    pub(super) fn take(&self, path: &Path, len_bytes: u64) -> Option<Checksums> {
        let kept = self.0.lock().by_path.remove(path)?;
        Some(kept).filter(|kept| kept.len_bytes == len_bytes && len_bytes > 0)
    }

    /// The file starts from nothing.
    pub(super) fn forget(&self, path: &Path) {
        self.0.lock().by_path.remove(path);
    }

    pub(super) fn keep(&self, path: &Path, sums: Checksums) {
        let mut kept = self.0.lock();
        if kept.by_path.insert(path.to_owned(), sums).is_none() {
            kept.order.push_back(path.to_owned());
        }
        while kept.by_path.len() > KEPT_MAX || kept.order.len() > 2 * KEPT_MAX {
            let Some(oldest) = kept.order.pop_front() else {
                return;
            };
            kept.by_path.remove(&oldest);
        }
    }
}

impl std::fmt::Debug for KeptChecksums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptChecksums").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Checksums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checksums")
            .field("len_bytes", &self.len_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums_of(bytes: &[u8]) -> Checksums {
        let mut sums = Checksums::new(true);
        sums.update(bytes);
        sums
    }

    #[test]
    fn what_was_kept_goes_on_as_if_nothing_had_happened() {
        let (kept, path) = (KeptChecksums::default(), Path::new("a"));
        kept.keep(path, sums_of(b"abc"));
        let mut sums = kept.take(path, 3).unwrap();
        sums.update(b"def");
        assert_eq!(sums.finish(), sums_of(b"abcdef").finish());
        assert!(kept.take(path, 3).is_none(), "taken once");
        kept.keep(path, sums_of(b"abc"));
        assert!(kept.take(path, 4).is_none(), "of another length");
        assert!(kept.take(path, 3).is_none(), "and not kept for later");
    }

    #[test]
    fn the_number_kept_is_bounded() {
        let kept = KeptChecksums::default();
        let path = |n: usize| PathBuf::from(n.to_string());
        for n in 0..3 * KEPT_MAX {
            kept.keep(&path(n), sums_of(b"a"));
            kept.keep(&path(n), sums_of(b"b"));
        }
        let inner = kept.0.lock();
        assert!(inner.by_path.len() <= KEPT_MAX && inner.order.len() <= 2 * KEPT_MAX);
        assert!(inner.by_path.contains_key(&path(3 * KEPT_MAX - 1)));
    }
}

//! What the staging directories of one store share.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::DirLock;
use super::late::Held;
use super::layout::StagingKey;
use crate::data_source::checksums::KeptChecksums;

/// What the staging directories of one store share.
#[derive(Debug)]
pub(super) struct StagingArea {
    /// Nobody else may open the data directory while a job could still write into it.
    pub(super) lock: Arc<DirLock>,
    pub(super) checksums: KeptChecksums,
    /// Small files that are open until their chunk is committed.
    pub(super) held: Arc<Held>,
    /// The staging directories whose content is worth nothing, since a sync failed or something
    /// strange lies in them. They are cleared before they are used again; what is here is what
    /// could not be cleared at once. No IO under the lock.
    distrusted: Mutex<BTreeSet<StagingKey>>,
}

impl StagingArea {
    pub(super) fn new(lock: Arc<DirLock>) -> Self {
        StagingArea {
            lock,
            checksums: KeptChecksums::default(),
            held: Arc::default(),
            distrusted: Mutex::default(),
        }
    }

    pub(super) fn distrusts(&self, key: &StagingKey) -> bool {
        self.distrusted.lock().contains(key)
    }

    /// The directory is gone, or somewhere else.
    pub(super) fn cleared(&self, key: &StagingKey) {
        self.distrusted.lock().remove(key);
    }

    pub(super) fn distrust(&self, key: StagingKey) {
        self.distrusted.lock().insert(key);
    }
}

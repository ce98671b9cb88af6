//! What the staging directories of one store share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::late::{Held, LateSyncs};
use super::layout::StagingKey;
use super::{DirLock, Ledger};
use crate::data_source::checksums::KeptChecksums;

/// What the staging directories of one store share.
#[derive(Debug)]
pub(super) struct StagingArea {
    /// Nobody else may open the data directory while a job could still write into it.
    pub(super) lock: Arc<DirLock>,
    pub(super) checksums: KeptChecksums,
    /// Of the bytes in the data directory.
    pub(super) ledger: Arc<Ledger>,
    /// How many small files are open until their chunk is committed.
    held: Arc<Held>,
    /// Which: of a staging directory, over all attempts, since a later one goes on with the files that
    /// an earlier one brought. Until the commit, or until what was staged goes. No IO under the lock.
    late: Mutex<BTreeMap<StagingKey, Arc<LateSyncs>>>,
    /// The staging directories whose content is worth nothing, since a sync failed or something
    /// strange lies in them. They are cleared before they are used again; what is here is what
    /// could not be cleared at once. No IO under the lock.
    distrusted: Mutex<BTreeSet<StagingKey>>,
}

impl StagingArea {
    pub(super) fn new(lock: Arc<DirLock>, ledger: Arc<Ledger>) -> Self {
        StagingArea {
            lock,
            checksums: KeptChecksums::default(),
            ledger,
            held: Arc::default(),
            late: Mutex::default(),
            distrusted: Mutex::default(),
        }
    }

    pub(super) fn distrusts(&self, key: &StagingKey) -> bool {
        self.distrusted.lock().contains(key)
    }

    /// The directory is gone, or somewhere else.
    pub(super) fn cleared(&self, key: &StagingKey) {
        self.distrusted.lock().remove(key);
        let late = self.late.lock().remove(key);
        // It closes what is still open.
        drop(late);
    }

    /// What of this staging directory is to be synced at the commit; nothing yet if it is a new one.
    pub(super) fn late(&self, key: StagingKey, fresh: bool) -> Arc<LateSyncs> {
        let new = Arc::new(LateSyncs::new(&self.held));
        let mut late = self.late.lock();
        let replaced = if fresh { late.remove(&key) } else { None };
        let known = late.entry(key).or_insert(new).clone();
        drop(late);
        drop(replaced);
        known
    }

    pub(super) fn distrust(&self, key: StagingKey) {
        self.distrusted.lock().insert(key);
    }
}

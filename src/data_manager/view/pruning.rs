//! What may go of what is left over, and its removal.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::DirectoryView;
use crate::data_chunk::ChunkId;
use crate::data_source::{self, LeftOverKind, LocalDataSource, StoreOptions};
use crate::error::Error;

/// Something in a data directory that is no chunk any more, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeftOver {
    /// Why it is there.
    pub kind: LeftOverKind,
    /// Its directory.
    #[serde(serialize_with = "super::shown_path")]
    pub path: PathBuf,
    /// The chunk that it is of, or was.
    #[serde(serialize_with = "crate::data_chunk::hex_optional_chunk_id::serialize")]
    pub chunk_id: Option<ChunkId>,
    /// The blocks of that, half-open, where its name says.
    pub block_range: Option<Range<u64>>,
    /// The bytes of contents in it.
    pub len_bytes: u64,
    /// How long ago something was last written in it; of partials only.
    pub age_ms: Option<u64>,
}

/// What [`prune`] removes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneOptions {
    /// Whether what waits to be removed goes: the trash, and what was deleted while somebody referred
    /// to it.
    pub deleted: bool,
    /// Whether what did not add up goes.
    pub quarantine: bool,
    /// How long ago something was last written to a partial download that goes; `None` keeps all.
    pub partials_min_age: Option<Duration>,
}

/// All, and of partials what a manager with default settings keeps no longer: 7 days.
impl Default for PruneOptions {
    fn default() -> Self {
        PruneOptions {
            deleted: true,
            quarantine: true,
            partials_min_age: Some(Duration::from_secs(7 * 24 * 3600)),
        }
    }
}

/// What became of what was to be pruned.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Pruned {
    /// What is gone.
    pub removed: Vec<LeftOver>,
    /// What is there still.
    pub kept: Vec<KeptLeftOver>,
}

/// Something that could not be removed, or not all of it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct KeptLeftOver {
    /// What it is.
    pub left_over: LeftOver,
    /// Why.
    pub error: Error,
}

impl LeftOver {
    pub(super) fn new(left: data_source::LeftOver) -> Self {
        let ms = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        LeftOver {
            kind: left.kind,
            path: left.path,
            chunk_id: left.chunk_id,
            block_range: left.block_range,
            len_bytes: left.len_bytes,
            age_ms: left.age.map(ms),
        }
    }
}

impl PruneOptions {
    fn include(&self, left: &data_source::LeftOver) -> bool {
        match left.kind {
            LeftOverKind::Deleted | LeftOverKind::Trash => self.deleted,
            LeftOverKind::Quarantined => self.quarantine,
            LeftOverKind::Partial => left
                .age
                .zip(self.partials_min_age)
                .is_some_and(|(age, min)| age >= min),
        }
    }
}

impl DirectoryView {
    /// What [`prune`] would remove now. Changes nothing.
    ///
    /// # Errors
    /// What the file system said.
    pub fn prunable(&self, options: &PruneOptions) -> Result<Vec<LeftOver>, Error> {
        let leaving: Vec<_> = self
            .leaving
            .iter()
            .map(|chunk| chunk.stored.clone())
            .collect();
        let left = self.outside.left_over(&leaving)?.into_iter();
        let left = left.filter(|left| options.include(left));
        Ok(left.map(LeftOver::new).collect())
    }
}

/// Removes what is left over in a data directory: what waits to be removed, what is in quarantine, old
/// partial downloads. Holds the directory meanwhile, as a manager does.
///
/// What a stranger put there stays, also in the middle of something of ours: that is in
/// [`Pruned::kept`] then. Where no owner ever was, nothing is touched.
///
/// # Errors
/// [`Locked`](crate::ErrorKind::Locked), with who it is, if somebody holds the directory;
/// [`NotFound`](crate::ErrorKind::NotFound) if it is not there; else what the file system said.
pub fn prune(data_dir: impl AsRef<Path>, options: &PruneOptions) -> Result<Pruned, Error> {
    let mut pruned = Pruned::default();
    let outside = data_source::OutsideView::open(data_dir.as_ref())?;
    if !outside.is_used()? {
        return Ok(pruned);
    }
    let (store, scan) = LocalDataSource::open(data_dir.as_ref(), StoreOptions::default())?;
    for left in store.left_over(&scan.doomed)? {
        if !options.include(&left) {
            continue;
        }
        let cleared = store.clear(&left, &scan.doomed);
        let left_over = LeftOver::new(left);
        match cleared {
            Ok(()) => pruned.removed.push(left_over),
            Err(error) => pruned.kept.push(KeptLeftOver { left_over, error }),
        }
    }
    Ok(pruned)
}

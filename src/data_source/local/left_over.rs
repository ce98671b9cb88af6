//! What lies in a data directory and is no use any more, or may be of none: what is left of downloads that
//! broke off, what was deleted and waits to be removed, and what did not add up.
//!
//! Listing changes nothing. Clearing is for the owner, at a person's word. Either way only what carries
//! a name of ours, and in it the files that are ours; what a stranger put there stays.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::disk::{Dir, is_no_dir};
use super::layout::{ChunkName, StagingKey};
use super::manifest::Manifest;
use super::own::{OwnDir, OwnDirs};
use super::stored::StoredChunk;
use super::{LocalDataSource, Removed, audit, removal, scan};
use crate::data_chunk::{ChunkId, MANIFEST_NAME, PARTS_NAME};
use crate::error::{Error, ErrorKind};

/// Why something that is left over is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeftOverKind {
    /// What a download that did not end well has brought; it is gone on with if the same is asked for
    /// again.
    Partial,
    /// It was deleted, or replaced, while somebody referred to it.
    Deleted,
    /// It was about to be removed.
    Trash,
    /// It did not add up, and was kept for a person to look at.
    Quarantined,
}

/// A directory in a data directory that is no chunk any more, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOver {
    pub(crate) kind: LeftOverKind,
    pub(crate) path: PathBuf,
    pub(crate) chunk_id: Option<ChunkId>,
    pub(crate) block_range: Option<Range<u64>>,
    pub(crate) len_bytes: u64,
    /// Since something was last written in it; of partials only.
    pub(crate) age: Option<Duration>,
}

/// All of it, by kind and then by path.
pub(super) fn list(own: &OwnDirs, leaving: &[StoredChunk]) -> Result<Vec<LeftOver>, Error> {
    let mut found = partials(&own.staging)?;
    found.extend(leaving.iter().map(|chunk| LeftOver {
        kind: LeftOverKind::Deleted,
        path: chunk.path().to_owned(),
        chunk_id: Some(chunk.spec.id),
        block_range: Some(chunk.spec.block_range.clone()),
        len_bytes: chunk.len_bytes(),
        age: None,
    }));
    found.extend(named(LeftOverKind::Trash, &own.trash)?);
    found.extend(named(LeftOverKind::Quarantined, &own.quarantine)?);
    Ok(found)
}

fn partials(staging: &OwnDir) -> Result<Vec<LeftOver>, Error> {
    let mut found = Vec::new();
    for (name, path) in entries(staging)? {
        let Some(key) = StagingKey::parse(&name) else {
            continue;
        };
        let (_, age) = scan::measure(&path.join(PARTS_NAME));
        found.push(LeftOver {
            kind: LeftOverKind::Partial,
            chunk_id: Some(key.id),
            block_range: None,
            len_bytes: measure(&path)?,
            age: Some(age),
            path,
        });
    }
    Ok(found)
}

/// What is in the trash or in quarantine under a name of ours.
fn named(kind: LeftOverKind, own: &OwnDir) -> Result<Vec<LeftOver>, Error> {
    let mut found = Vec::new();
    for (name, path) in entries(own)? {
        let plain = match name.rsplit_once('.') {
            // What is set aside has a number where its name was taken.
            Some((plain, number))
                if kind == LeftOverKind::Quarantined
                    && number.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                plain
            }
            _ => &name,
        };
        let Some((chunk_id, block_range)) = of_name(plain) else {
            continue;
        };
        found.push(LeftOver {
            kind,
            chunk_id: Some(chunk_id),
            block_range,
            len_bytes: measure(&path)?,
            age: None,
            path,
        });
    }
    Ok(found)
}

fn of_name(name: &str) -> Option<(ChunkId, Option<Range<u64>>)> {
    let chunk = ChunkName::parse(name).map(|name| (name.id, Some(name.block_range)));
    chunk.or_else(|| StagingKey::parse(name).map(|key| (key.id, None)))
}

/// The directories in it, in the order of their names.
fn entries(own: &OwnDir) -> Result<Vec<(String, PathBuf)>, Error> {
    let entries = audit::entries_of(own);
    let mut entries = entries.map_err(|error| Error::io("read what is left over", error))?;
    let is_dir = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    entries.retain(|(_, path)| is_dir(path));
    entries.sort();
    Ok(entries)
}

fn measure(path: &Path) -> Result<u64, Error> {
    audit::measure(path).map_err(|error| Error::io("measure what is left over", error))
}

impl LocalDataSource {
    /// What is left over, for whoever is going to clear it; `leaving` is what opening found.
    pub(crate) fn left_over(&self, leaving: &[StoredChunk]) -> Result<Vec<LeftOver>, Error> {
        list(&self.own, leaving)
    }

    /// Removes one of them. Where a stranger's things are in it these stay, and that is the error. The
    /// ledger learns of it at the next start: whoever clears has nothing else to do with the store.
    pub(crate) fn clear(&self, left: &LeftOver, leaving: &[StoredChunk]) -> Result<(), Error> {
        let removed = match left.kind {
            LeftOverKind::Deleted => {
                let chunk = leaving.iter().find(|chunk| chunk.path() == left.path);
                chunk.map_or(Ok(Removed::Gone), |chunk| self.remove(chunk))?
            }
            LeftOverKind::Quarantined => self.clear_quarantined(&left.path)?,
            LeftOverKind::Partial | LeftOverKind::Trash => {
                let (dir, name) = self.place_of(&left.path)?;
                removal::empty_trash_entry(&self.own, self.ledger(), &dir, &name)?
            }
        };
        match removed {
            Removed::Gone => Ok(()),
            Removed::KeptForeign(path) => {
                let message = format!(
                    "something in it is not of this library: it is kept in {}",
                    path.display()
                );
                Err(Error::new(ErrorKind::Refused, message))
            }
        }
    }

    /// The directory of ours that `path` is in, and its name there.
    fn place_of(&self, path: &Path) -> Result<(std::sync::Arc<Dir>, String), Error> {
        let own = [&self.own.staging, &self.own.trash, &self.own.quarantine];
        let parent = path.parent().unwrap_or(path);
        let mut dirs = own.iter().flat_map(|own| own.all());
        let dir = dirs.find(|dir| dir.path() == parent);
        let name = path.file_name().and_then(|name| name.to_str());
        dir.zip(name.map(str::to_owned)).ok_or_else(|| {
            let message = format!("{} is not a place of this library", path.display());
            Error::new(ErrorKind::Internal, message)
        })
    }

    fn clear_quarantined(&self, path: &Path) -> Result<Removed, Error> {
        let (quarantine, name) = self.place_of(path)?;
        let failed = |error| Error::io("clear the quarantine", error);
        let dir = match quarantine.open(&name) {
            Err(error) if is_no_dir(&error) => return Ok(Removed::Gone),
            opened => opened.map_err(failed)?,
        };
        let names = Manifest::names_in(&quarantine, &name)?;
        for entry in dir.entries().map_err(failed)? {
            let parts = entry.name == PARTS_NAME && entry.is_dir();
            let removed = match entry.text() {
                Some(_) if parts => removal::clear_parts(&dir),
                Some(file) if entry.is_file() && is_ours(file, &names) => dir.remove_file(file),
                _ => Ok(()),
            };
            removed.map_err(failed)?;
        }
        match quarantine.remove_dir(&name) {
            Ok(()) => Ok(Removed::Gone),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                Ok(Removed::KeptForeign(path.to_owned()))
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Whether a file in quarantine was the chunk's. Where no manifest says which ones were, all are that
/// have the names that the quarantine gives.
fn is_ours(file: &str, listed: &[String]) -> bool {
    let plain = file.strip_suffix(removal::DISGUISED);
    let is_listed = |name: &str| listed.iter().any(|listed| listed == name);
    // Of a name that was too long to be made longer, a number is left.
    let number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    file == MANIFEST_NAME
        || is_listed(file)
        || plain.is_some_and(|plain| listed.is_empty() || is_listed(plain) || number(plain))
}

//! What opening finds, and how leftovers are cleared.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::StoredChunk;
use super::disk::{AGAIN, is_no_dir};
use super::layout::{self, ChunkName, Generation, StagingKey};
use super::names::{self, Dataset, Named};
use super::own::{OwnDir, OwnDirs};
use super::staging::PART_EXTENSION;
use crate::data_chunk::{ChunkId, DatasetId, PARTS_NAME};
use crate::error::Error;

/// What a data directory held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Chunks, at most one for each id, ascending by that.
    pub(crate) chunks: Vec<StoredChunk>,
    /// The same, not synced before the machine was started anew: to be verified before anybody sees
    /// them.
    pub(crate) unverified: Vec<StoredChunk>,
    /// Deleted, or replaced by a later generation, when the last owner ended: to be removed.
    pub(crate) doomed: Vec<StoredChunk>,
    /// What earlier runs staged, for when the same is asked for again.
    pub(crate) partials: Vec<FoundPartial>,
    /// The datasets whose directories were read.
    pub(crate) datasets: Vec<DatasetId>,
    /// What a person may want to know about.
    pub(crate) findings: Vec<Finding>,
}

/// A staging directory that an earlier run left.
#[derive(Debug)]
pub(crate) struct FoundPartial {
    pub(crate) key: StagingKey,
    pub(crate) len_bytes: u64,
    /// Since something was last written to it.
    pub(crate) age: Duration,
}

/// Something in a data directory that is not a whole chunk.
#[derive(Debug)]
pub(crate) enum Finding {
    /// Not ours; it was left alone.
    Foreign(PathBuf),
    /// A directory of ours that could not be read; it was left alone.
    Unreadable { path: PathBuf, error: Error },
}

/// Reads the directory; returns what is there and the next free generation.
///
/// Of a chunk, only the name of its directory: it got that in the one rename that its commit is,
/// when all else was there, so it says what is in it. Whether that is still true is looked at behind
/// the start.
pub(super) fn scan(
    root: &Arc<Path>,
    own: &OwnDirs,
    findings: Vec<Finding>,
) -> Result<(Scan, Generation), Error> {
    let mut scanner = Scanner::new(root, own, findings);
    scanner.chunks()?;
    scanner.count_generations(&own.trash)?;
    scanner.count_generations(&own.quarantine)?;
    scanner.forget_stale_tombstones();
    scanner.staging()?;
    let next = scanner.next_generation();
    Ok((scanner.scan, next))
}

/// Reads a directory in which its owner may be at work, and changes nothing: its chunks, and what is not
/// ours. What comes or goes meanwhile is there or not; what is gone by the end is no finding.
pub(super) fn look(root: &Arc<Path>, own: &OwnDirs, findings: Vec<Finding>) -> Result<Scan, Error> {
    let mut scanner = Scanner::new(root, own, findings);
    scanner.chunks()?;
    scanner.scan.findings.retain(|finding| {
        let (Finding::Foreign(path) | Finding::Unreadable { path, .. }) = finding;
        let again = |name: &OsStr| name.as_bytes().starts_with(AGAIN.as_bytes());
        let gone = fs::symlink_metadata(path).is_err_and(|error| is_no_dir(&error));
        !gone && !path.file_name().is_some_and(again)
    });
    Ok(scanner.scan)
}

struct Scanner<'a> {
    root: &'a Arc<Path>,
    own: &'a OwnDirs,
    tombstones: HashSet<(Generation, ChunkId)>,
    scan: Scan,
    next: Generation,
}

impl<'a> Scanner<'a> {
    fn new(root: &'a Arc<Path>, own: &'a OwnDirs, findings: Vec<Finding>) -> Self {
        Scanner {
            root,
            own,
            tombstones: HashSet::new(),
            scan: Scan {
                findings,
                ..Scan::default()
            },
            next: 1,
        }
    }

    /// Tombstones come first: whoever removes a chunk takes its directory away before its tombstone.
    fn chunks(&mut self) -> Result<(), Error> {
        self.tombstones()?;
        let datasets = self.datasets()?;
        self.scan.datasets = datasets.iter().map(|(_, id)| *id).collect();
        let names = names::read(&datasets)?;
        self.scan.findings.extend(names.findings);
        let count = names.groups.iter().map(Vec::len).sum();
        self.scan.chunks.reserve_exact(count);
        for group in names.groups {
            self.sort_out(&datasets, &group);
        }
        Ok(())
    }

    fn tombstones(&mut self) -> Result<(), Error> {
        for dir in self.own.tombstones.all() {
            for entry in entries(dir.path())? {
                let name = entry.file_name();
                match name.to_str().and_then(layout::parse_tombstone) {
                    None => self.foreign(&entry),
                    Some((generation, id)) => {
                        self.next = self.next.max(generation.saturating_add(1));
                        self.tombstones.insert((generation, id));
                    }
                }
            }
        }
        Ok(())
    }

    fn datasets(&mut self) -> Result<Vec<Dataset>, Error> {
        let mut datasets = Vec::new();
        for entry in entries(self.root)? {
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                self.foreign(&entry);
                continue;
            };
            match layout::parse_dataset_dir(name) {
                Some(dataset_id) if is_dir(&entry) => datasets.push((entry.path(), dataset_id)),
                _ if self.own.is_own(name) || name.starts_with(AGAIN) => {}
                _ => self.foreign(&entry),
            }
        }
        Ok(datasets)
    }

    /// One generation of an id is wanted, the one that was committed last and not deleted. Called for one
    /// group of ids after the other.
    fn sort_out(&mut self, datasets: &[Dataset], names: &[Named]) {
        let dataset_of = |named: &Named| datasets[named.dataset as usize].1;
        let mut doomed = Vec::new();
        let mut wanted = Vec::with_capacity(names.len());
        let mut of_id = None;
        for &at in in_order(datasets, names).iter().rev() {
            let ChunkName { id, generation, .. } = &names[at].name;
            self.next = self.next.max(generation.saturating_add(1));
            let buried = !self.tombstones.is_empty() && self.tombstones.remove(&(*generation, *id));
            if buried || of_id == Some(id) {
                doomed.push(at);
            } else {
                of_id = Some(id);
                wanted.push(at);
            }
        }
        // Made in the order in which the catalogue and the planner go through them: in any other, each
        // of a million would be waited for, since they lie all over the memory.
        let stored = |at: usize| {
            let named = &names[at];
            StoredChunk::found(self.root.clone(), dataset_of(named), named.name.clone())
        };
        for stored in wanted.into_iter().rev().map(stored) {
            match stored.is_unverified() {
                true => self.scan.unverified.push(stored),
                false => self.scan.chunks.push(stored),
            }
        }
        self.scan.doomed.extend(doomed.into_iter().map(stored));
    }

    fn count_generations(&mut self, own: &OwnDir) -> Result<(), Error> {
        for dir in own.all() {
            for entry in entries(dir.path())? {
                if let Some(name) = entry.file_name().to_str().and_then(ChunkName::parse) {
                    self.next = self.next.max(name.generation.saturating_add(1));
                }
            }
        }
        Ok(())
    }

    /// A tombstone whose chunk is gone has done its work. Where something could not be read, its
    /// chunk may be in there: then all are kept.
    fn forget_stale_tombstones(&mut self) {
        if self.saw_unreadable() {
            return;
        }
        for (generation, id) in std::mem::take(&mut self.tombstones) {
            let name = layout::tombstone(generation, &id);
            for dir in self.own.tombstones.all() {
                // If it cannot be removed it says the same thing at the next start.
                let _ = dir.remove_file(&name);
            }
        }
    }

    fn saw_unreadable(&self) -> bool {
        let unreadable = |finding: &Finding| matches!(finding, Finding::Unreadable { .. });
        self.scan.findings.iter().any(unreadable)
    }

    /// The next free generation. Where something could not be read, its generations are not known:
    /// the time in µs is beyond whatever was counted up to.
    fn next_generation(&self) -> Generation {
        if !self.saw_unreadable() {
            return self.next;
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0));
        self.next.max(now)
    }

    fn staging(&mut self) -> Result<(), Error> {
        let all = self.own.staging.all();
        for (index, dir) in all.iter().enumerate() {
            let in_use = index + 1 == all.len();
            for entry in entries(dir.path())? {
                let name = entry.file_name();
                let key = name.to_str().filter(|_| is_dir(&entry));
                let Some(key) = key.and_then(StagingKey::parse) else {
                    self.foreign(&entry);
                    continue;
                };
                // A crash in the middle of a commit leaves files under their own names, which
                // readers may find. It takes a start to be here, so whoever wrote them is gone.
                let inner = entries(&entry.path()).unwrap_or_default();
                if !in_use || inner.iter().any(|inner| inner.file_name() != PARTS_NAME) {
                    // Into the trash, which is emptied behind the start. If that fails it is tried
                    // again at the next start.
                    let trash = self.own.trash.get().ok();
                    let _ = trash.map(|trash| dir.rename(&name, &trash, &name));
                    continue;
                }
                let (len_bytes, age) = measure(&entry.path().join(PARTS_NAME));
                let found = FoundPartial {
                    key,
                    len_bytes,
                    age,
                };
                self.scan.partials.push(found);
            }
        }
        Ok(())
    }

    fn foreign(&mut self, entry: &DirEntry) {
        self.scan.findings.push(Finding::Foreign(entry.path()));
    }
}

/// Where the names are, by id and then by generation.
fn in_order(datasets: &[Dataset], names: &[Named]) -> Vec<usize> {
    let head = |named: &Named| {
        named
            .name
            .id
            .first_chunk()
            .map_or(0, |head| u64::from_be_bytes(*head))
    };
    // Two that differ in nothing else but their dataset are no work of ours; which of them is taken
    // must not depend on the order in which the disk names them.
    let rest = |at: usize| {
        let Named { name, dataset } = &names[at];
        (name.id, name.generation, datasets[*dataset as usize].1)
    };
    let mut order: Vec<(u64, usize)> = names.iter().map(head).zip(0..).collect();
    // The head of the id is at hand, and nearly always enough.
    order.sort_unstable_by(|a, b| (a.0.cmp(&b.0)).then_with(|| rest(a.1).cmp(&rest(b.1))));
    order.into_iter().map(|(_, at)| at).collect()
}

/// The bytes of the partial files in a directory, and how long ago something was written there.
pub(super) fn measure(dir: &Path) -> (u64, Duration) {
    let mut len_bytes = 0;
    let mut written = SystemTime::UNIX_EPOCH;
    let inner = entries(dir).unwrap_or_default();
    for entry in inner {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if entry
            .path()
            .extension()
            .is_some_and(|kind| kind == PART_EXTENSION)
        {
            len_bytes += metadata.len();
        }
        written = written.max(metadata.modified().unwrap_or(written));
    }
    let age = SystemTime::now().duration_since(written);
    (len_bytes, age.unwrap_or_default())
}

/// What is in `dir`, in the order of names, so that a start does the same thing every time.
fn entries(dir: &Path) -> Result<Vec<DirEntry>, Error> {
    let read = || -> io::Result<Vec<DirEntry>> { fs::read_dir(dir)?.collect() };
    let mut found =
        read().map_err(|error| Error::io(format_args!("read {}", dir.display()), error))?;
    found.sort_by_key(DirEntry::file_name);
    Ok(found)
}

/// Whether it is a directory itself, not a link to one.
pub(super) fn is_dir(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

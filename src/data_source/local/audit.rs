//! Holds the ledger against the disk, behind the start.
//!
//! The chunks' names are read in steps, so that no job is long; that the files are what the names
//! say, the check has seen by then. What is staged, in the trash and in quarantine is little, and
//! measured. A look counts only if nothing moved meanwhile, so it may have to be repeated.

use std::collections::BTreeSet;
use std::fs::{self, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use super::layout::{self, ChunkName, StagingKey};
use super::ledger::{Correction, Mark};
use super::own::{OwnDir, OwnDirs};
use super::{Ledger, LocalDataSource};
use crate::data_chunk::{MANIFEST_NAME, PARTS_NAME};
use crate::error::Error;

/// How many names are read in a step.
const NAMES: usize = 4096;
/// How deep a directory is looked into. Ours are not that deep.
const DEPTH: usize = 16;

/// A place in the data directory whose bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpaceArea {
    /// Chunks in their places.
    Committed,
    /// What arrives, and what is left of downloads that broke off.
    Staged,
    /// What is about to be removed.
    Trash,
    /// What did not add up.
    Quarantine,
}

/// An audit under way.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// When the names began to be read.
    mark: Option<Mark>,
    /// Datasets to be read still.
    datasets: Vec<PathBuf>,
    open: Option<ReadDir>,
    seen: u64,
    corrections: Vec<Correction>,
    names_done: bool,
}

/// How far an audit is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Audited {
    /// There is more to do.
    NotYet,
    /// Something moved: it has to begin again. What was off before that, and is right now.
    Moved(Vec<Correction>),
    /// What was off, and is right now.
    Done(Vec<Correction>),
}

impl LocalDataSource {
    /// Does a part of an audit.
    pub(crate) fn audit(&self, audit: &mut Audit) -> Result<Audited, Error> {
        let failed = |error| Error::io("hold the ledger against the disk", error);
        let ledger = self.ledger();
        let done = if audit.names_done {
            audit.small_places(ledger, &self.own)
        } else {
            audit.names(ledger, self.path())
        };
        Ok(match done.map_err(failed)? {
            None => Audited::Moved(std::mem::take(&mut audit.corrections)),
            Some(false) => Audited::NotYet,
            Some(true) => {
                ledger.audited();
                Audited::Done(std::mem::take(&mut audit.corrections))
            }
        })
    }

    /// Measures the quarantine, of which opening could only guess how large it is.
    pub(crate) fn measure_quarantine(&self) -> Result<(), Error> {
        for (path, guess) in self.ledger().take_guessed() {
            // What cannot be measured stays guessed until the audit comes to it.
            let len = measure(&path).map_err(|error| Error::io("measure the quarantine", error))?;
            self.ledger().guessed_wrongly(guess, len);
        }
        Ok(())
    }
}

/// Steps return whether that was all; `None` if something moved.
impl Audit {
    fn names(&mut self, ledger: &Ledger, root: &Path) -> io::Result<Option<bool>> {
        let mark = match self.mark {
            Some(mark) => mark,
            None => {
                let Some(mark) = ledger.mark() else {
                    return Ok(None);
                };
                let datasets = entries(root)?.into_iter();
                // As the scan has it: a link to a directory is a stranger's.
                let is_dir =
                    |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_dir());
                let ours = |name: &str| layout::parse_dataset_dir(name).is_some();
                let datasets = datasets.filter(|(name, path)| ours(name) && is_dir(path));
                self.datasets = datasets.map(|(_, path)| path).collect();
                *self.mark.insert(mark)
            }
        };
        for _ in 0..NAMES {
            let Some(names) = &mut self.open else {
                match self.datasets.pop() {
                    Some(dataset) => self.open = open(&dataset)?,
                    None => {
                        let compared = ledger.compare(mark, SpaceArea::Committed, self.seen);
                        self.names_done = true;
                        return Ok(self.note(compared).then_some(false));
                    }
                }
                continue;
            };
            match names.next().transpose()? {
                None => self.open = None,
                Some(entry) if entry.file_type().is_ok_and(|kind| kind.is_dir()) => {
                    let name = entry.file_name();
                    let name = name.to_str().and_then(ChunkName::parse);
                    self.seen = (self.seen).saturating_add(name.map_or(0, |name| name.len_bytes));
                }
                Some(_) => {}
            }
        }
        Ok(Some(false))
    }

    fn small_places(&mut self, ledger: &Ledger, own: &OwnDirs) -> io::Result<Option<bool>> {
        let Some(mark) = ledger.mark() else {
            return Ok(None);
        };
        let there = entries_of(&own.staging)?.into_iter();
        let mut keys: BTreeSet<StagingKey> = there
            .filter_map(|(name, _)| StagingKey::parse(&name))
            .collect();
        keys.extend(ledger.staged_keys());
        for key in keys {
            let places = own.staging.all();
            let places = places.iter().map(|dir| dir.path().join(key.dir()));
            let found = places.map(|path| measure(&path)).sum::<io::Result<u64>>()?;
            // What somebody works on is counted by them, and is looked at another time.
            let compared = ledger.compare_staged(mark, key, found);
            self.corrections.extend(compared.flatten());
        }
        for (area, dir) in [
            (SpaceArea::Trash, &own.trash),
            (SpaceArea::Quarantine, &own.quarantine),
        ] {
            let found = measure_all(dir)?;
            if !self.note(ledger.compare(mark, area, found)) {
                return Ok(None);
            }
        }
        Ok(Some(true))
    }

    /// False if something moved.
    fn note(&mut self, compared: Option<Option<Correction>>) -> bool {
        let counts = compared.is_some();
        self.corrections.extend(compared.flatten());
        counts
    }
}

/// What is in `dir` under a name that can be one of ours; nothing if it is not there.
fn entries(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in open(dir)?.into_iter().flatten() {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// The same of all the directories that stand for one of ours.
pub(super) fn entries_of(own: &OwnDir) -> io::Result<Vec<(String, PathBuf)>> {
    let read = own.all().into_iter().map(|dir| entries(dir.path()));
    Ok(read.collect::<io::Result<Vec<_>>>()?.concat())
}

fn measure_all(own: &OwnDir) -> io::Result<u64> {
    own.all().iter().map(|dir| measure(dir.path())).sum()
}

/// `None` if it is gone, or in the place of a directory there is something else.
fn open(dir: &Path) -> io::Result<Option<ReadDir>> {
    match fs::read_dir(dir) {
        Ok(read) => Ok(Some(read)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

/// The bytes of the regular files that are `path` or below it, without what the library writes for
/// itself. Links are not followed.
pub(super) fn measure(path: &Path) -> io::Result<u64> {
    let mut sum = 0;
    let mut left = vec![(path.to_owned(), 0)];
    while let Some((path, depth)) = left.pop() {
        let metadata = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_file() && !is_own(&path) {
            sum += metadata.len();
        }
        if metadata.is_dir() && depth < DEPTH {
            for entry in open(&path)?.into_iter().flatten() {
                left.push((entry?.path(), depth + 1));
            }
        }
    }
    Ok(sum)
}

/// A manifest, or a record of how far a file is.
fn is_own(path: &Path) -> bool {
    let named = |path: &Path, name: &str| path.file_name().is_some_and(|other| other == name);
    let record = |extension: &std::ffi::OsStr| extension == "json";
    let in_parts = path
        .parent()
        .is_some_and(|parent| named(parent, PARTS_NAME));
    named(path, MANIFEST_NAME) || in_parts && path.extension().is_some_and(record)
}

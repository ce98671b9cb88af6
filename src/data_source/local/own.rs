//! The directories that the library keeps for itself beside the datasets.
//!
//! A stranger may have put something else in the place of one: that stays where it is, and the
//! directory is called `_trash-2` then, up to `-9`. The one in use is the highest-numbered that is
//! there, so that all starts agree, whatever comes and goes below it; what the others hold is read
//! and cleared as well. Where none is there and none can be made, as on a read-only disk, it is made
//! when somebody needs it, or the error is theirs.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Dir, is_read_only};
use super::layout;
use super::scan::Finding;
use crate::error::Error;

/// How many names there are for each, the first without a number.
const NAMES: u32 = 9;

/// All of them.
#[derive(Debug)]
pub(super) struct OwnDirs {
    pub(super) staging: OwnDir,
    pub(super) tombstones: OwnDir,
    pub(super) trash: OwnDir,
    pub(super) quarantine: OwnDir,
    /// Names of ours that were there at the start.
    names: Vec<String>,
}

impl OwnDirs {
    /// Finds them, and makes what is missing if that is possible. `lock` says whether `_lock` is
    /// ours. What cannot be read is told; that it is there is all that is known of it then.
    pub(super) fn find(root: &Arc<Dir>, lock: bool) -> Result<(OwnDirs, Vec<Finding>), Error> {
        let (mut own, findings) = OwnDirs::look(root, lock)?;
        let all = [&own.staging, &own.tombstones, &own.trash, &own.quarantine];
        let made = all.map(OwnDir::make_if_possible).into_iter();
        let made: Vec<Option<String>> = made.collect::<Result<_, Error>>()?;
        own.names.extend(made.into_iter().flatten());
        Ok((own, findings))
    }

    /// Finds those that are there, and makes nothing.
    pub(super) fn look(root: &Arc<Dir>, lock: bool) -> Result<(OwnDirs, Vec<Finding>), Error> {
        let mut findings = Vec::new();
        let mut names = Vec::from_iter(lock.then(|| layout::LOCK.to_owned()));
        let mut look = |base| OwnDir::look(root, base, (&mut names, &mut findings));
        let own = OwnDirs {
            staging: look(layout::STAGING)?,
            tombstones: look(layout::TOMBSTONES)?,
            trash: look(layout::TRASH)?,
            quarantine: look(layout::QUARANTINE)?,
            names,
        };
        Ok((own, findings))
    }

    /// Whether a name in the data directory is one of ours, and stands for what it should.
    pub(super) fn is_own(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct OwnDir {
    base: &'static str,
    root: Arc<Dir>,
    /// Those that are there; the last is in use. No IO under the lock.
    open: Mutex<Vec<Arc<Dir>>>,
}

impl OwnDir {
    fn look(
        root: &Arc<Dir>,
        base: &'static str,
        (names, findings): (&mut Vec<String>, &mut Vec<Finding>),
    ) -> Result<OwnDir, Error> {
        let mut open = Vec::new();
        for name in numbered(base) {
            match root.open(&name) {
                Ok(dir) => open.push(Arc::new(dir)),
                Err(error) if super::disk::is_no_dir(&error) => continue,
                // Whether a chunk is deleted must not depend on who may read what.
                Err(error) if is_read_only(&error) && base != layout::TOMBSTONES => {
                    let error = Error::io(format_args!("open {name}"), error);
                    let path = root.path().join(&name);
                    findings.push(Finding::Unreadable { path, error });
                }
                Err(error) => return Err(Error::io(format_args!("open {name}"), error)),
            }
            names.push(name);
        }
        Ok(OwnDir {
            base,
            root: root.clone(),
            open: Mutex::new(open),
        })
    }

    /// Makes one, unless there is one or none can be made; its name if it did.
    fn make_if_possible(&self) -> Result<Option<String>, Error> {
        match self.make_first() {
            Err(error) if is_read_only(&error) || is_full(&error) => Ok(None),
            made => made.map_err(|error| self.not_made(error)),
        }
    }

    /// The one in use, which is made if there is none.
    pub(super) fn get(&self) -> Result<Arc<Dir>, Error> {
        let in_use = || self.open.lock().last().cloned();
        if let Some(dir) = in_use() {
            return Ok(dir);
        }
        let before = self.root.before_change();
        let made = self.make_first().map_err(|error| self.not_made(error))?;
        if made.is_some() {
            self.root.sync_change(before)?;
        }
        in_use().ok_or_else(|| self.not_made(io::ErrorKind::AlreadyExists.into()))
    }

    /// All that are there, the one in use last.
    pub(super) fn all(&self) -> Vec<Arc<Dir>> {
        self.open.lock().clone()
    }

    /// Makes one, unless there is one; its name if it did.
    fn make_first(&self) -> io::Result<Option<String>> {
        if !self.open.lock().is_empty() {
            return Ok(None);
        }
        for name in numbered(self.base) {
            match self.root.make(&name) {
                Ok((dir, _)) => {
                    let mut open = self.open.lock();
                    // Another thread may have been as quick.
                    if open.is_empty() {
                        open.push(Arc::new(dir));
                    }
                    return Ok(Some(name));
                }
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
                // There is one that may not be read.
                Err(error) if is_read_only(&error) && self.root.stat(&name).is_ok() => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn not_made(&self, error: io::Error) -> Error {
        Error::io(format_args!("create the directory {}", self.base), error)
    }
}

/// Where tombstones may lie.
pub(in crate::data_source) fn tombstone_dirs() -> impl Iterator<Item = String> {
    numbered(layout::TOMBSTONES)
}

pub(super) fn numbered(base: &'static str) -> impl Iterator<Item = String> {
    (1..=NAMES).map(move |number| match number {
        1 => base.to_owned(),
        _ => format!("{base}-{number}"),
    })
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::AlreadyExists
    )
}

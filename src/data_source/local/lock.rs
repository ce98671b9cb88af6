//! One owner at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::disk::{Dir, FileId};
use super::holder::DirectoryHolder;
use super::layout::LOCK;
use super::options::StoreOptions;
use crate::error::{Error, ErrorKind};

/// So many bytes stand in the lock file, so that it is written in one piece and never cut.
const LINE_BYTES: usize = 20;

/// Holds the data directory until it is dropped.
///
/// The locks are the kernel's, on open files: they end with their process, however that ends, so a
/// lock file that a crash left behind means nothing. There are two: of the directory itself, which
/// can be had where nothing can be written, and of `_lock`, for file systems that lock files only.
#[derive(Debug)]
pub(crate) struct DirLock {
    root: Dir,
    /// Whether the directory itself is locked.
    whole: bool,
    /// `_lock`, if it is ours. Only put in and taken out under the lock.
    file: Mutex<Option<LockFile>>,
    /// Somebody [looks](Self::look).
    looked_at: AtomicBool,
    /// Whether trouble was told that is not over.
    in_trouble: AtomicBool,
}

/// `_lock`, open and locked.
#[derive(Debug)]
struct LockFile {
    /// Keeps the lock.
    _file: File,
    id: FileId,
}

/// What became of the lock behind our back.
#[derive(Debug)]
pub(crate) enum LockNews {
    /// The file that we hold is not at its place, or the directory is not.
    Trouble(Error),
    /// All is in its place again.
    Back,
}

impl DirLock {
    pub(super) fn take(path: &Path, options: StoreOptions) -> Result<DirLock, Error> {
        // A handle of its own: a guard that outlives its manager keeps the lock and nothing else.
        let root = Dir::open_root(path, options)
            .map_err(|error| Error::io(format_args!("open {}", path.display()), error))?;
        let whole = match root.lock() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(locked(&root));
            }
            locked => locked.is_ok(),
        };
        let file = match lock_file(&root) {
            Ok(file) => Some(file),
            Err(TryLockError::WouldBlock) => return Err(locked(&root)),
            // It is a stranger's, or nothing can be written here; the directory's own lock will do.
            Err(TryLockError::Error(_)) if whole => None,
            Err(TryLockError::Error(error)) => {
                return Err(Error::io(format_args!("lock {}", path.display()), error));
            }
        };
        Ok(DirLock {
            root,
            whole,
            file: Mutex::new(file),
            looked_at: AtomicBool::new(false),
            in_trouble: AtomicBool::new(false),
        })
    }

    /// The directory that is locked.
    pub(super) fn root(&self) -> &Dir {
        &self.root
    }

    /// Whether the file `_lock` is ours.
    pub(super) fn has_file(&self) -> bool {
        self.file.lock().is_some()
    }

    /// Looks whether the lock file and the directory are still where they were, and tells what is new
    /// about that. A lock file that is gone, or was replaced by one that nobody holds, is locked again:
    /// whoever came in between would hold it.
    pub(super) fn look(&self, mut tell: impl FnMut(LockNews)) {
        // Two that mend it at the same time would take each other for strangers.
        if self.looked_at.swap(true, Ordering::Acquire) {
            return;
        }
        let trouble = self.trouble();
        let mended = trouble.as_ref().is_some_and(|(_, mended)| *mended);
        let lasts = trouble.is_some() && !mended;
        let was = self.in_trouble.swap(lasts, Ordering::Relaxed);
        if let Some((error, _)) = trouble
            && !was
        {
            tell(LockNews::Trouble(error));
        }
        if mended || was && !lasts {
            tell(LockNews::Back);
        }
        self.looked_at.store(false, Ordering::Release);
    }

    /// What is wrong, and whether it is mended.
    fn trouble(&self) -> Option<(Error, bool)> {
        let ours = self.file.lock().as_ref().map(|file| file.id)?;
        match self.root.stat(LOCK) {
            Ok(found) if found.id == ours => self.moved().map(|error| (error, false)),
            Ok(_) => Some(self.lock_again("was replaced")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(self.lock_again("was removed"))
            }
            Err(error) => Some((Error::io("look at the lock file", error), false)),
        }
    }

    /// Takes the lock on what is called `_lock` now; says what happened, and whether that mended it.
    fn lock_again(&self, what: &str) -> (Error, bool) {
        let path = self.root.path().display();
        let (kind, outcome, mended) = match lock_file(&self.root) {
            Ok(file) => {
                let before = self.file.lock().replace(file);
                drop(before);
                (ErrorKind::Io, "is locked anew", true)
            }
            // Also where somebody holds it: no other manager got past the directory's lock.
            Err(_) if self.whole => {
                let outcome = "cannot be locked anew; the lock on the directory itself holds";
                (ErrorKind::Io, outcome, false)
            }
            Err(TryLockError::WouldBlock) => {
                let outcome = "is held by another owner: stop one of the two";
                (ErrorKind::Locked, outcome, false)
            }
            Err(TryLockError::Error(_)) => {
                let outcome = "cannot be locked anew: another process could open the directory";
                (ErrorKind::Io, outcome, false)
            }
        };
        let message = format!("the lock file {LOCK} in {path} {what} and {outcome}");
        (Error::new(kind, message), mended)
    }

    /// Says so if the path of the directory does not lead to it any more.
    fn moved(&self) -> Option<Error> {
        let path = self.root.path();
        let there = FileId::at(path);
        let here = self.root.stat_self().map(|found| found.id);
        match (there, here) {
            (Ok(there), Ok(here)) if there == here => None,
            // Nobody can tell.
            (_, Err(_)) => None,
            (Err(error), _) if error.kind() != io::ErrorKind::NotFound => None,
            _ => {
                let message = format!(
                    "the data directory is not at {} any more: another process could open what is",
                    path.display()
                );
                Some(Error::new(ErrorKind::Io, message))
            }
        }
    }
}

/// Opens and locks `_lock`, if it is there and a file, or can be made.
fn lock_file(root: &Dir) -> Result<LockFile, TryLockError> {
    // Not to append, so that the line is replaced.
    let file = match root.create_new(LOCK) {
        Ok(file) => {
            drop(file);
            root.open_to_replace(LOCK)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => root.open_to_replace(LOCK),
        Err(error) => Err(error),
    };
    // One that may only be read can be locked all the same.
    let file = file
        .or_else(|_| root.open_file(LOCK))
        .map_err(TryLockError::Error)?;
    file.try_lock()?;
    // For a person who wonders who holds it. Nobody decides anything by it.
    let line = format!("{:<1$}\n", std::process::id(), LINE_BYTES - 1);
    let _ = file.write_all_at(line.as_bytes(), 0);
    let id = FileId::of(&file).map_err(TryLockError::Error)?;
    Ok(LockFile { _file: file, id })
}

fn locked(root: &Dir) -> Error {
    let holder = match DirectoryHolder::of(root) {
        DirectoryHolder::Process { pid, .. } if pid == std::process::id() => {
            "another manager, or a guard that outlived one, in this process".to_owned()
        }
        // It may have been given back since.
        DirectoryHolder::Nobody | DirectoryHolder::Unknown { last_pid: None } => {
            "another owner".to_owned()
        }
        holder => holder.to_string(),
    };
    let message = format!(
        "the data directory {} is held by {holder}",
        root.path().display()
    );
    Error::new(ErrorKind::Locked, message)
}

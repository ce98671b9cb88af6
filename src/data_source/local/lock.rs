//! One owner at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::disk::Dir;
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
    file: Option<File>,
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
            locked => locked,
        };
        let file = match lock_file(&root) {
            Ok(file) => Some(file),
            Err(TryLockError::WouldBlock) => return Err(locked(&root)),
            // It is a stranger's, or nothing can be written here; the directory's own lock will do.
            Err(TryLockError::Error(_)) if whole.is_ok() => None,
            Err(TryLockError::Error(error)) => {
                return Err(Error::io(format_args!("lock {}", path.display()), error));
            }
        };
        if let Some(file) = &file {
            // For a person who wonders who holds it. Nobody decides anything by it.
            let line = format!("{:<1$}\n", std::process::id(), LINE_BYTES - 1);
            let _ = file.write_all_at(line.as_bytes(), 0);
        }
        Ok(DirLock { root, file })
    }

    /// The directory that is locked.
    pub(super) fn root(&self) -> &Dir {
        &self.root
    }

    /// Whether the file `_lock` is ours.
    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }
}

/// Opens and locks `_lock`, if it is there and a file, or can be made.
fn lock_file(root: &Dir) -> Result<File, TryLockError> {
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
    Ok(file)
}

fn locked(root: &Dir) -> Error {
    let holder = match DirectoryHolder::of(root) {
        DirectoryHolder::Process { pid, .. } if pid == std::process::id() => {
            "another manager, or a guard that outlived one, in this process".to_owned()
        }
        // It may have been given back since.
        DirectoryHolder::Nobody => "another owner".to_owned(),
        holder => holder.to_string(),
    };
    let message = format!(
        "the data directory {} is held by {holder}",
        root.path().display()
    );
    Error::new(ErrorKind::Locked, message)
}

//! One owner at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::layout::LOCK;
use crate::error::{Error, ErrorKind};

/// Holds the data directory until it is dropped.
///
/// The lock is the kernel's, on an open file: it ends with its process, however that ends, so a
/// lock file that a crash left behind means nothing.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    pub(super) fn take(root: &Path) -> Result<DirLock, Error> {
        // Its content is replaced below: a link that somebody planted must not aim that elsewhere.
        if root.join(LOCK).is_symlink() {
            let error = std::io::Error::other("it is a symbolic link");
            return Err(Error::io(
                format_args!("open the lock of {}", root.display()),
                error,
            ));
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(root.join(LOCK))
            .map_err(|error| {
                Error::io(format_args!("open the lock of {}", root.display()), error)
            })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(root)),
            Err(TryLockError::Error(error)) => {
                return Err(Error::io(format_args!("lock {}", root.display()), error));
            }
        }
        // For a person who wonders who holds it. Nobody decides anything by it.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(&file, "{}", std::process::id()));
        Ok(DirLock { _file: file })
    }
}

fn locked(root: &Path) -> Error {
    let holder = std::fs::read_to_string(root.join(LOCK)).unwrap_or_default();
    let holder = match holder.trim() {
        "" => "another owner".to_owned(),
        pid if pid == std::process::id().to_string() => {
            "another manager, or a guard that outlived one, in this process".to_owned()
        }
        pid => format!("process {pid}"),
    };
    let message = format!("the data directory {} is held by {holder}", root.display());
    Error::new(ErrorKind::Locked, message)
}

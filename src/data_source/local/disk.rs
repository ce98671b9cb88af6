//! The few operations on the file system that the store is made of, each with the syncs that make
//! it hold, so that no call site can forget one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::Error;

/// How much of what is visible survives a power cut.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Durability {
    /// All of it: files, manifest and directories are synced before a chunk becomes visible, and
    /// a delete is synced before its task ends.
    #[default]
    Full,
    /// Nothing is synced: fast, for data that can be fetched again. A kill of the process loses
    /// nothing; after a power cut any chunk may be damaged or gone, and a deleted one may be back.
    None,
}

/// The file system, with a durability.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disk {
    durability: Durability,
}

impl Disk {
    pub(super) fn new(durability: Durability) -> Self {
        Disk { durability }
    }

    /// Whether nothing is synced.
    pub(super) fn is_lazy(self) -> bool {
        self.durability == Durability::None
    }

    /// Creates these directories in `parent` unless they are there, and makes their entries last.
    pub(super) fn make_dirs(self, parent: &Path, names: &[&str]) -> Result<(), Error> {
        for name in names {
            match new_dir(&parent.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::io(
                        format_args!("create the directory {name}"),
                        error,
                    ));
                }
                _ => {}
            }
        }
        // Also if they were all there: whoever created them may not have got to the sync.
        self.sync_dir(parent)
    }

    /// Makes the data of `file` last. After an error the file is worth nothing: the kernel may
    /// have dropped what it could not write, and a second sync would report success.
    pub(super) fn sync_file(self, file: &File, what: &str) -> Result<(), Error> {
        match self.durability {
            Durability::None => Ok(()),
            Durability::Full => file
                .sync_all()
                .map_err(|error| Error::io(format_args!("sync {what}"), error)),
        }
    }

    /// Makes the entries of `dir` last.
    pub(super) fn sync_dir(self, dir: &Path) -> Result<(), Error> {
        match self.durability {
            Durability::None => Ok(()),
            Durability::Full => File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(|error| Error::io("sync a directory", error)),
        }
    }

    /// Makes the entries of `dir` last, unless there is no such directory.
    pub(super) fn sync_dir_if_there(self, dir: &Path) -> Result<(), Error> {
        if dir.is_dir() {
            self.sync_dir(dir)
        } else {
            Ok(())
        }
    }

    /// Writes a new file and makes its content last; its entry lasts once its directory is synced.
    pub(super) fn write_new(self, path: &Path, content: &[u8], what: &str) -> Result<(), Error> {
        let action = format!("write {what}");
        let mut file = new_file(path).map_err(|error| Error::io(&action, error))?;
        file.write_all(content)
            .map_err(|error| Error::io(&action, error))?;
        self.sync_file(&file, what)
    }

    /// Renames `from_dir/from` to `to_dir/to`, and makes both changes last.
    pub(super) fn rename(
        self,
        (from_dir, from): (&Path, &str),
        (to_dir, to): (&Path, &str),
    ) -> Result<(), Error> {
        fs::rename(from_dir.join(from), to_dir.join(to))
            .map_err(|error| Error::io(format_args!("rename {from}"), error))?;
        // The new entry first: between the two syncs there may be both names or the new one after
        // a power cut, never none.
        self.sync_dir(to_dir)?;
        self.sync_dir(from_dir)
    }

    /// Removes `dir/name`, which may be gone already, and makes that last.
    pub(super) fn remove_file(self, dir: &Path, name: &str) -> Result<(), Error> {
        match fs::remove_file(dir.join(name)) {
            Ok(()) => self.sync_dir(dir),
            // An earlier attempt may have removed it and then failed to sync.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.sync_dir(dir),
            Err(error) => Err(Error::io(format_args!("remove {name}"), error)),
        }
    }
}

/// Creates a directory that only its owner can enter.
pub(super) fn new_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Creates a file that only its owner can read; fails if there is one.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Turns "it is not there" into success: what was to be removed is gone.
pub(super) fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

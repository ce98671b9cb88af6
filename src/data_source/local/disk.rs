//! Directories as handles, and the few operations on them that the store is made of.
//!
//! Nothing below the data directory is created, changed or removed by a path: each operation goes from the
//! handle of a directory to one name in it, and never through a symbolic link. Whoever plants a link
//! there, also while the store works, gains nothing by it. (Names and sizes are listed by path.)

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fd::OwnedFd;
use rustix::fs::{Advice, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::options::{Durability, StoreOptions};
use super::sync_group::{Before, SyncGroup};
use crate::error::Error;

/// An open directory. What it is moves with it when it is renamed.
#[derive(Debug)]
pub(super) struct Dir {
    handle: OwnedFd,
    /// Where it was when it was opened: for messages, never to reach it.
    path: PathBuf,
    options: StoreOptions,
    /// Whoever changed something in it through this handle syncs it together with all others that did.
    changes: SyncGroup,
}

/// What a name stands for; a link is a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    kind: FileType,
    pub(super) id: FileId,
    pub(super) len_bytes: u64,
    /// It has other names too: somebody made a hard link.
    shared: bool,
}

/// Which file it is, whatever it is called: for as long as somebody has it open, no other is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(file: &File) -> io::Result<FileId> {
        file.metadata().map(FileId::from)
    }

    /// Of what a path leads to, through links too.
    pub(super) fn at(path: &Path) -> io::Result<FileId> {
        std::fs::metadata(path).map(FileId::from)
    }
}

impl From<Metadata> for FileId {
    fn from(found: Metadata) -> FileId {
        FileId {
            device: found.dev(),
            inode: found.ino(),
        }
    }
}

impl Found {
    pub(super) fn is_file(self) -> bool {
        self.kind == FileType::RegularFile
    }
}

/// A name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: OsString,
    kind: FileType,
}

impl Entry {
    /// Whether it is a directory itself, not a link to one.
    pub(super) fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    pub(super) fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    /// The name, if a formatter of ours can have written it.
    pub(super) fn text(&self) -> Option<&str> {
        self.name.to_str()
    }
}

/// How a directory is called that is made and removed at once, so that the one that it is in is written
/// again. A number follows.
pub(super) const AGAIN: &str = "_again-";

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
/// A FIFO would keep the caller waiting for its other end without `NONBLOCK`.
const FILE: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens the data directory itself. Its path was chosen by the caller and may contain links.
    pub(super) fn open_root(path: &Path, options: StoreOptions) -> io::Result<Dir> {
        let handle = retry_on_intr(|| rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()))?;
        Ok(Dir {
            handle,
            path: path.to_owned(),
            options,
            changes: SyncGroup::default(),
        })
    }

    /// The same, called by this path.
    pub(super) fn at(self, path: &Path) -> Dir {
        Dir {
            path: path.to_owned(),
            ..self
        }
    }

    /// Where it was when it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory `name`. Of kind `NotADirectory` if it is anything else, also a link to
    /// one.
    pub(super) fn open(&self, name: impl AsRef<OsStr>) -> io::Result<Dir> {
        let name = single(name.as_ref())?;
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let handle =
            match retry_on_intr(|| rustix::fs::openat(&self.handle, name, flags, Mode::empty())) {
                Err(Errno::LOOP) => return Err(io::ErrorKind::NotADirectory.into()),
                opened => opened?,
            };
        Ok(Dir {
            handle,
            path: self.path.join(name),
            options: self.options,
            changes: SyncGroup::default(),
        })
    }

    /// Opens the directory `name`, which is created if there is nothing of that name; says whether
    /// it was.
    pub(super) fn make(&self, name: impl AsRef<OsStr>) -> io::Result<(Dir, bool)> {
        let name = single(name.as_ref())?;
        let mode = Mode::from_raw_mode(self.options.dir_mode.unwrap_or(0o700));
        let made = match rustix::fs::mkdirat(&self.handle, name, mode) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error.into()),
        };
        let dir = self.open(name)?;
        // The umask may have taken bits of what somebody asked for.
        if made && self.options.dir_mode.is_some() {
            rustix::fs::fchmod(&dir.handle, mode)?;
        }
        Ok((dir, made))
    }

    /// Creates a file, to be written at its end and read; fails if there is anything of that name.
    pub(super) fn create_new(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let name = single(name.as_ref())?;
        let flags = FILE | OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(self.options.file_mode.unwrap_or(0o600));
        let file = retry_on_intr(|| rustix::fs::openat(&self.handle, name, flags, mode))?;
        if self.options.file_mode.is_some() {
            rustix::fs::fchmod(&file, mode)?;
        }
        Ok(file.into())
    }

    /// Opens the file `name` to be written at its end and read; creates it if it is not there. Of
    /// kind `InvalidData` if it is no file of ours: no regular file, or one with other names,
    /// through which somebody else's would be written.
    pub(super) fn append(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let name = name.as_ref();
        match self.create_new(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
        let (file, found) = self.open_regular(name, OFlags::RDWR | OFlags::APPEND)?;
        if found.shared {
            return Err(odd());
        }
        Ok(file)
    }

    /// Opens the file `name`, which is ours as in [`append`](Self::append), to write anywhere in it.
    pub(super) fn open_to_replace(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let (file, found) = self.open_regular(name.as_ref(), OFlags::RDWR)?;
        if found.shared { Err(odd()) } else { Ok(file) }
    }

    /// Opens the file `name` to be read. Of kind `InvalidData` if it is no regular file.
    pub(super) fn open_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let (file, _) = self.open_regular(name.as_ref(), OFlags::RDONLY)?;
        Ok(file)
    }

    /// Looks before it opens, since to open a device may do something, and after it, since it may
    /// have been replaced in between.
    fn open_regular(&self, name: &OsStr, access: OFlags) -> io::Result<(File, Found)> {
        if !self.stat(name)?.is_file() {
            return Err(odd());
        }
        let open = || rustix::fs::openat(&self.handle, name, FILE | access, Mode::empty());
        let file = match retry_on_intr(open) {
            Err(Errno::LOOP | Errno::NXIO) => return Err(odd()),
            opened => opened?,
        };
        let found = found(&rustix::fs::fstat(&file)?);
        if !found.is_file() {
            return Err(odd());
        }
        Ok((file.into(), found))
    }

    /// The content of the file `name`, or the beginning of it if it is longer.
    pub(super) fn read_bounded(&self, name: impl AsRef<OsStr>, max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(name)?.take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn stat(&self, name: impl AsRef<OsStr>) -> io::Result<Found> {
        let name = single(name.as_ref())?;
        let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(found(&stat))
    }

    /// Of the directory itself.
    pub(super) fn stat_self(&self) -> io::Result<Found> {
        Ok(found(&rustix::fs::fstat(&self.handle)?))
    }

    /// Removes the name; a link goes, what it points to stays. Fine if it is gone already.
    pub(super) fn remove_file(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        self.unlink(name.as_ref(), AtFlags::empty())
    }

    /// Removes an empty directory. Fine if it is gone already.
    pub(super) fn remove_dir(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        self.unlink(name.as_ref(), AtFlags::REMOVEDIR)
    }

    fn unlink(&self, name: &OsStr, flags: AtFlags) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.handle, single(name)?, flags) {
            Err(Errno::NOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// What is in it, in the order of names, so that the same thing is done every time.
    pub(super) fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.handle)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            // Not every file system says with the name what it is.
            let kind = match entry.file_type() {
                FileType::Unknown => self
                    .stat(name)
                    .map_or(FileType::Unknown, |found| found.kind),
                kind => kind,
            };
            let name = name.to_owned();
            found.push(Entry { name, kind });
        }
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Renames `from` to `to` in another directory, or the same; a link is renamed itself.
    pub(super) fn rename(
        &self,
        from: impl AsRef<OsStr>,
        to_dir: &Dir,
        to: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        let (from, to) = (single(from.as_ref())?, single(to.as_ref())?);
        Ok(rustix::fs::renameat(
            &self.handle,
            from,
            &to_dir.handle,
            to,
        )?)
    }

    /// The same, and makes both changes last.
    pub(super) fn rename_for_good(&self, from: &str, to_dir: &Dir, to: &str) -> Result<(), Error> {
        let (before_from, before_to) = (self.changes.look(), to_dir.changes.look());
        self.rename(from, to_dir, to)
            .map_err(|error| Error::io(format_args!("rename {from}"), error))?;
        if self.options.durability != Durability::Full {
            return Ok(());
        }
        // The new entry first: between the two syncs there may be both names or the new one after
        // a power cut, never none.
        to_dir.changes.sync(before_to, || to_dir.sync())?;
        self.changes.sync(before_from, || self.sync())
    }

    /// Writes a new file, which lasts once it and its entry are synced.
    pub(super) fn write_new(&self, name: impl AsRef<OsStr>, content: &[u8]) -> io::Result<File> {
        let mut file = self.create_new(name)?;
        file.write_all(content)?;
        Ok(file)
    }

    /// Makes the entries last that a rename is going to publish, together with what they stand for.
    pub(super) fn sync_contents(&self) -> Result<(), Error> {
        if self.options.durability == Durability::None {
            return Ok(());
        }
        self.sync()
    }

    /// The moment before a change that [`sync_change`](Self::sync_change) is to make last.
    pub(super) fn before_change(&self) -> Before {
        self.changes.look()
    }

    /// Makes a change last that was made since `before`: a tombstone, a removal, a new directory.
    pub(super) fn sync_change(&self, before: Before) -> Result<(), Error> {
        if self.options.durability != Durability::Full {
            return Ok(());
        }
        self.changes.sync(before, || self.sync())
    }

    /// Makes last what an earlier call changed and perhaps could not sync: that sync may have dropped
    /// it, and the next one by itself would say that it lasts. So the directory is changed again first.
    pub(super) fn sync_again(&self) -> Result<(), Error> {
        if self.options.durability != Durability::Full {
            return Ok(());
        }
        // Each caller makes one of its own: several may be here at a time.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("{AGAIN}{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let before = self.before_change();
        let changed = self.make(&name).and_then(|_| self.remove_dir(&name));
        changed.map_err(|error| Error::io("change a directory again", error))?;
        self.changes.sync(before, || self.sync())
    }

    /// Makes the data of a file in it last that a rename is going to publish. After an error the
    /// file is worth nothing: the kernel may have dropped what it could not write, and a second
    /// sync would report success.
    pub(super) fn sync_contents_of(&self, file: &File, what: &str) -> Result<(), Error> {
        if self.options.durability == Durability::None {
            return Ok(());
        }
        sync_file(file, what)
    }

    /// Makes a file last that is a change by being there.
    pub(super) fn sync_change_of(&self, file: &File, what: &str) -> Result<(), Error> {
        if self.options.durability != Durability::Full {
            return Ok(());
        }
        sync_file(file, what)
    }

    /// Makes the entries last, whatever the durability.
    pub(super) fn sync(&self) -> Result<(), Error> {
        retry_on_intr(|| rustix::fs::fsync(&self.handle))
            .map_err(|error| Error::io("sync a directory", error.into()))
    }

    /// As [`sync_change`](Self::sync_change), where there may be nothing to sync: a disk that can
    /// only be read has no changes.
    pub(super) fn sync_if_writable(&self) -> Result<(), Error> {
        if self.options.durability != Durability::Full {
            return Ok(());
        }
        match retry_on_intr(|| rustix::fs::fsync(&self.handle)).map_err(io::Error::from) {
            Err(error) if !is_read_only(&error) => Err(Error::io("sync a directory", error)),
            _ => Ok(()),
        }
    }

    pub(super) fn durability(&self) -> Durability {
        self.options.durability
    }

    /// Takes the lock of the directory itself, which another process or handle may hold.
    pub(super) fn lock(&self) -> io::Result<()> {
        let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        Ok(rustix::fs::flock(&self.handle, operation)?)
    }
}

/// Lets the file system begin to write what was appended from `offset` on, so that the sync waits for less.
/// The interface for that waits for nothing but room in the disk's queue; it also lets go of what is written
/// already, which is read from the disk then. Whether it does anything is its own affair: the sync is what counts.
pub(super) fn begin_writing(file: &File, offset: u64, len: Option<NonZero<u64>>) {
    let _ = rustix::fs::fadvise(file, offset, len, Advice::DontNeed);
}

fn sync_file(file: &File, what: &str) -> Result<(), Error> {
    file.sync_all()
        .map_err(|error| Error::io(format_args!("sync {what}"), error))
}

/// A name has one part: no operation may leave its directory, whatever a file on disk says.
fn single(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    if bytes.contains(&b'/') || bytes == b".." || bytes.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(name)
}

fn found(stat: &rustix::fs::Stat) -> Found {
    Found {
        kind: FileType::from_raw_mode(stat.st_mode),
        id: FileId {
            device: stat.st_dev,
            inode: stat.st_ino,
        },
        len_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        shared: stat.st_nlink > 1,
    }
}

fn odd() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file")
}

/// Whether that much is to be expected of a directory that may only be read.
pub(super) fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    )
}

/// Whether there is nothing, or no directory, where a directory was looked for.
pub(super) fn is_no_dir(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

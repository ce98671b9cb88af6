//! How directories of ours are removed, and how what is not ours in them is kept.
//!
//! What is ours has a known shape: a chunk is the files that its manifest lists, a staging directory
//! is files and `_parts` with files in it. Whatever else lies there belongs to somebody: the rest of
//! the directory goes to quarantine then. No link is followed; one that lies in place of a file of
//! ours is removed itself.

use std::io;

use super::disk::{Dir, is_no_dir};
use super::layout::{ChunkName, StagingKey};
use super::manifest::Manifest;
use super::own::OwnDirs;
use super::{Ledger, Removed};
use crate::data_chunk::{MANIFEST_NAME, PARTS_NAME};
use crate::error::Error;

/// What the files of a quarantined chunk are called, after their names.
const DISGUISE: &str = "quarantined";
/// The same, with its dot.
pub(super) const DISGUISED: &str = ".quarantined";

/// Renames the files of a quarantined chunk, so that no reader that looks for `**/*.parquet` takes
/// them for data.
pub(super) fn disguise(dir: &Dir) -> Result<(), Error> {
    let entries = dir.entries().map_err(|error| failed("read", dir, error))?;
    for (index, entry) in entries.iter().enumerate() {
        let name = std::path::Path::new(&entry.name);
        let disguised = name
            .extension()
            .is_some_and(|extension| extension == DISGUISE);
        if !entry.is_file() || disguised || entry.name == MANIFEST_NAME {
            continue;
        }
        let mut longer = entry.name.clone();
        longer.push(".");
        longer.push(DISGUISE);
        // Names may be as long as the file system takes; then the number has to do.
        let to = if longer.len() <= 255 {
            longer
        } else {
            format!("{index}.{DISGUISE}").into()
        };
        dir.rename(&entry.name, dir, to)
            .map_err(|error| Error::io("rename a file", error))?;
    }
    Ok(())
}

/// Removes what is in the trash and is ours, and finishes what was begun in the quarantine. Goes on
/// after an error, and returns the first.
pub(super) fn empty_trash(own: &OwnDirs, ledger: &Ledger) -> Result<(), Error> {
    let mut outcome = Ok(());
    for quarantine in own.quarantine.all() {
        outcome = outcome.and(finish_quarantine(&quarantine));
    }
    for trash in own.trash.all() {
        let entries = trash.entries();
        let entries = entries.map_err(|error| failed("read", &trash, error));
        match entries {
            Err(error) => outcome = outcome.and(Err(error)),
            Ok(entries) => {
                for entry in entries.iter().filter(|entry| entry.is_dir()) {
                    let emptied = entry.text().map_or(Ok(()), |name| {
                        empty_trash_entry(own, ledger, &trash, name).map(drop)
                    });
                    outcome = outcome.and(emptied);
                }
            }
        }
    }
    outcome
}

fn finish_quarantine(quarantine: &Dir) -> Result<(), Error> {
    let entries = quarantine.entries();
    let entries = entries.map_err(|error| failed("read", quarantine, error))?;
    let mut outcome = Ok(());
    for entry in entries.iter().filter(|entry| entry.is_dir()) {
        let ours = entry.text().and_then(ChunkName::parse).is_some();
        if let (true, Ok(dir)) = (ours, quarantine.open(&entry.name))
            && dir.stat(MANIFEST_NAME).is_ok()
        {
            outcome = outcome.and(disguise(&dir));
        }
    }
    outcome
}

/// Removes what is called `name`, if that is a name of ours.
pub(super) fn empty_trash_entry(
    own: &OwnDirs,
    ledger: &Ledger,
    trash: &Dir,
    name: &str,
) -> Result<Removed, Error> {
    let moving = ledger.moving();
    let removed = if StagingKey::parse(name).is_some() {
        remove_staged(own, trash, name)?
    } else if ChunkName::parse(name).is_some() {
        let names = Manifest::names_in(trash, name)?;
        remove_listed(own, trash, name, &names)?
    } else {
        return Ok(Removed::Gone);
    };
    moving.removed(name, &removed);
    Ok(removed)
}

/// Removes the directory `name` from the trash: the files that are ours, the manifest last, since
/// it is what names them after a crash. What else is in it belongs to somebody: then the rest of
/// the directory goes to quarantine.
pub(super) fn remove_listed(
    own: &OwnDirs,
    trash: &Dir,
    name: &str,
    files: &[String],
) -> Result<Removed, Error> {
    let dir = match trash.open(name) {
        Ok(dir) => Some(dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removed::Gone),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
        Err(error) => return Err(Error::io("open a directory", error)),
    };
    let mut foreign = dir.is_none();
    if let Some(dir) = dir {
        for file in files.iter().map(String::as_str).chain([MANIFEST_NAME]) {
            match dir.remove_file(file) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => foreign = true,
                Err(error) => return Err(Error::io("remove a file", error).with_file(file)),
            }
        }
    }
    if !foreign {
        match trash.remove_dir(name) {
            Ok(()) => return Ok(Removed::Gone),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) => return Err(Error::io("remove a directory", error)),
        }
    }
    let quarantine = own.quarantine.get()?;
    trash.rename_for_good(name, &quarantine, name)?;
    Ok(Removed::KeptForeign(quarantine.path().join(name)))
}

/// Removes the staging directory `name` from `parent`. What is not ours is set aside: a directory
/// deeper than ours go, or whatever is in the place of the whole.
pub(super) fn remove_staged(own: &OwnDirs, parent: &Dir, name: &str) -> Result<Removed, Error> {
    let removed = match parent.open(name) {
        Ok(dir) => clear(&dir, Some(PARTS_NAME)).and_then(|()| parent.remove_dir(name)),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(Removed::Gone),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Removed::Gone),
        Err(error) if is_foreign(&error) => set_aside(own, parent, name),
        Err(error) => Err(Error::io("remove a staging directory", error)),
    }
}

/// Removes the parts in `dir`.
pub(super) fn clear_parts(dir: &Dir) -> io::Result<()> {
    clear(&dir.open(PARTS_NAME)?, None)?;
    dir.remove_dir(PARTS_NAME)
}

/// Removes the files in `dir`, and in the one directory in it that is ours too.
fn clear(dir: &Dir, ours: Option<&str>) -> io::Result<()> {
    let mut outcome = Ok(());
    for entry in dir.entries()? {
        let removed = match ours {
            Some(ours) if entry.is_dir() && entry.name == ours => dir
                .open(ours)
                .and_then(|inner| clear(&inner, None))
                .and_then(|()| dir.remove_dir(ours)),
            _ if entry.is_dir() => dir.remove_dir(&entry.name),
            _ => dir.remove_file(&entry.name),
        };
        // What is ours goes, whatever lies between.
        outcome = outcome.and(removed);
    }
    outcome
}

/// Moves something that is not ours to the quarantine, under a name that is free there.
fn set_aside(own: &OwnDirs, parent: &Dir, name: &str) -> Result<Removed, Error> {
    let quarantine = own.quarantine.get()?;
    let free = |name: &String| quarantine.stat(name).is_err_and(|error| is_no_dir(&error));
    let free = (1..=1000).map(|n| format!("{name}.{n}")).find(free);
    let to = free.unwrap_or_else(|| name.to_owned());
    parent.rename_for_good(name, &quarantine, &to)?;
    Ok(Removed::KeptForeign(quarantine.path().join(to)))
}

fn is_foreign(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
    )
}

fn failed(action: &str, dir: &Dir, error: io::Error) -> Error {
    Error::io(format_args!("{action} {}", dir.path().display()), error)
}

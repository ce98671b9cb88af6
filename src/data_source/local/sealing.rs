//! How a staging directory is made whole, before it is renamed to its place.

use std::io;

use super::disk::Dir;
use super::staging::Staging;
use crate::data_chunk::{MANIFEST_NAME, PARTS_NAME};
use crate::error::Error;

/// A staging directory while its chunk is committed.
#[derive(Debug)]
pub(super) struct OpenStaging<'a> {
    pub(super) staging: &'a Staging,
    pub(super) dir: Dir,
    /// Where files arrive.
    pub(super) parts: Dir,
}

impl OpenStaging<'_> {
    /// Writes the manifest, in place of one that an earlier attempt may have left, and makes it and all
    /// files last that were not synced yet.
    pub(super) fn write_manifest(&self, manifest: &[u8]) -> Result<(), Error> {
        if !self.staging.fresh {
            (self.dir.remove_file(MANIFEST_NAME))
                .map_err(|error| Error::io("clear the staging directory", error))?;
        }
        let file = (self.dir.write_new(MANIFEST_NAME, manifest))
            .map_err(|error| Error::io("write the manifest", error))?;
        let late = &self.staging.late;
        let added = late.add(&self.dir, file, "the manifest");
        self.trusted(added.and_then(|()| late.sync(&self.dir)))
    }

    /// Makes the names of the files and of the manifest last.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.trusted(self.dir.sync_contents())
    }

    /// After a sync that failed nothing that is here may be synced again: it would be said to last.
    fn trusted(&self, synced: Result<(), Error>) -> Result<(), Error> {
        if synced.is_err() {
            self.staging.distrust();
        }
        synced
    }

    /// Removes what is left beside the files that got their names.
    pub(super) fn clear_parts(&self) -> Result<(), Error> {
        // Mostly it is empty: to look what is in it would take seven calls for this one.
        let removed = match self.dir.remove_dir(PARTS_NAME) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => self.remove_parts(),
            removed => removed,
        };
        removed.map_err(|error| Error::io("clear the staging directory", error))
    }

    fn remove_parts(&self) -> io::Result<()> {
        for entry in self.parts.entries()? {
            self.parts.remove_file(&entry.name)?;
        }
        self.dir.remove_dir(PARTS_NAME)
    }
}

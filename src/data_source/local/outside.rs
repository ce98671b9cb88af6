//! A data directory as somebody sees it who does not own it: takes no lock, writes nothing, and takes it
//! that its owner is at work.
//!
//! What is read is what a start would read, by the same code ([`scan`]). A chunk that is gone when
//! somebody comes to it was removed: that is [`NotFound`](ErrorKind::NotFound) and no damage.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Dir, Found, is_no_dir};
use super::holder::DirectoryHolder;
use super::left_over::{self, LeftOver};
use super::manifest::Manifest;
use super::options::StoreOptions;
use super::own::{OwnDir, OwnDirs};
use super::scan::{self, Finding, Scan};
use super::space::FreeSpace;
use super::stored::{Contents, StoredChunk};
use super::verification::Verification;
use super::{audit, check_file, layout};
use crate::data_chunk::hex_encode;
use crate::error::{Error, ErrorKind};

/// How much of a chunk is read before its reader is told.
const STEP_BYTES: u64 = 1 << 20;

/// A data directory, held by somebody else or by nobody.
#[derive(Debug)]
pub(crate) struct OutsideView {
    /// Absolute.
    path: Arc<Path>,
    root: Arc<Dir>,
}

/// How many bytes are in a data directory beside its chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) staged_bytes: u64,
    pub(crate) trash_bytes: u64,
    pub(crate) quarantine_bytes: u64,
}

impl OutsideView {
    /// Opens a directory that is there.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let path: Arc<Path> = std::path::absolute(path)
            .map_err(|error| Error::io("find the data directory", error))?
            .into();
        let root = Dir::open_root(&path, StoreOptions::default()).map_err(|error| {
            if is_no_dir(&error) {
                let message = format!("there is no directory {}", path.display());
                return Error::new(ErrorKind::NotFound, message);
            }
            Error::io(format_args!("open {}", path.display()), error)
        })?;
        let root = Arc::new(root);
        Ok(OutsideView { path, root })
    }

    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    fn own(&self) -> Result<(OwnDirs, Vec<Finding>), Error> {
        let lock = self.root.stat(layout::LOCK);
        OwnDirs::look(&self.root, lock.is_ok_and(Found::is_file))
    }

    /// The names of all chunks, and what is not ours.
    pub(crate) fn look(&self) -> Result<Scan, Error> {
        let (own, findings) = self.own()?;
        scan::look(&self.path, &own, findings)
    }

    /// What the manifest says of the chunk's files.
    pub(crate) fn contents(&self, chunk: &StoredChunk) -> Result<Contents, Error> {
        let read = || {
            let dir = chunk.open_dir(&self.root)?;
            Manifest::read(&dir, chunk.spec.dataset_id, &chunk.name())
        };
        read().map_err(|error| self.unless_gone(chunk, error))
    }

    /// The same, if the files are there with their sizes.
    pub(crate) fn check(&self, chunk: &StoredChunk) -> Result<Contents, Error> {
        let check = || {
            let dir = chunk.open_dir(&self.root)?;
            let contents = Manifest::read(&dir, chunk.spec.dataset_id, &chunk.name())?;
            for file in &contents.files {
                check_file(&dir, &file.name, file.len_bytes)
                    .map_err(|error| error.with_chunk(chunk.spec.id).with_file(&file.name))?;
            }
            Ok(contents)
        };
        check().map_err(|error| self.unless_gone(chunk, error))
    }

    /// Reads every byte of the chunk and holds it against the manifest; `read` is told how many more
    /// bytes were read, and again.
    pub(crate) fn verify(
        &self,
        chunk: &StoredChunk,
        read: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let mut verification = Verification::new(chunk.clone());
        loop {
            let step = verification.step_below(&self.root, STEP_BYTES);
            let step = step.map_err(|error| self.unless_gone(chunk, error))?;
            read(step.bytes);
            if step.whole {
                return Ok(());
            }
        }
    }

    /// Damage is none if the chunk was removed, or renamed, under the reader.
    fn unless_gone(&self, chunk: &StoredChunk, error: Error) -> Error {
        let in_place = (self.root.open(layout::dataset_dir(&chunk.spec.dataset_id)))
            .and_then(|dataset| dataset.stat(chunk.dir()));
        let gone = in_place.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if error.kind() != ErrorKind::Damaged || !gone {
            return error;
        }
        let id = chunk.spec.id;
        let message = format!("the chunk {} is gone by now", hex_encode(&id));
        Error::new(ErrorKind::NotFound, message)
    }

    /// Who holds the directory now.
    pub(crate) fn holder(&self) -> DirectoryHolder {
        DirectoryHolder::of(&self.root)
    }

    /// Whether an owner was ever here.
    pub(crate) fn is_used(&self) -> Result<bool, Error> {
        let own = self.own()?.0;
        let places = [&own.staging, &own.tombstones, &own.trash, &own.quarantine];
        Ok(places.iter().any(|place| !place.all().is_empty()))
    }

    /// What is there and is no use any more, or may be of none. `leaving` is what the look found.
    pub(crate) fn left_over(&self, leaving: &[StoredChunk]) -> Result<Vec<LeftOver>, Error> {
        left_over::list(&self.own()?.0, leaving)
    }

    /// How many bytes are in the places beside the chunks.
    pub(crate) fn places(&self) -> Result<Places, Error> {
        let own = self.own()?.0;
        let measure = |own: &OwnDir| {
            let bytes = own.all().into_iter().map(|dir| audit::measure(dir.path()));
            let sum = bytes.sum::<io::Result<u64>>();
            sum.map_err(|error| Error::io("measure what is in the data directory", error))
        };
        Ok(Places {
            staged_bytes: measure(&own.staging)?,
            trash_bytes: measure(&own.trash)?,
            quarantine_bytes: measure(&own.quarantine)?,
        })
    }

    /// What its file system has left for an ordinary user, and could ever hold, in bytes.
    pub(crate) fn free_of_capacity(&self) -> Option<(u64, u64)> {
        FreeSpace::of(&self.path).map(|free| (free.bytes, free.capacity))
    }
}

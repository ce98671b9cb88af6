//! A chunk that is on disk, as the rest of the crate knows it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use super::disk::Dir;
use super::is_this_boot;
use super::layout::{self, BootTag, ChunkName, Generation};
use super::manifest::{Manifest, damaged};
use super::options::StoreOptions;
use crate::data_chunk::{ChunkFile, ChunkSpec, DatasetId, Sha256Digest};
use crate::data_source::FetchedFile;
use crate::error::Error;

/// A chunk on disk. Clones are the same one, and share what was read of it.
#[derive(Clone, Debug)]
pub(crate) struct StoredChunk {
    /// What it is; without files where it was found on disk.
    pub(crate) spec: Arc<ChunkSpec>,
    pub(crate) generation: Generation,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The data directory.
    root: Arc<Path>,
    len_bytes: u64,
    /// When it was committed, if it was not synced then.
    unsynced: Option<BootTag>,
    /// Its directory; put together when somebody asks.
    path: OnceLock<Box<Path>>,
    /// What the manifest says; read when somebody asks, or by the check behind the start.
    contents: OnceLock<Contents>,
    /// How far the check behind the start is with it: one of the constants below.
    check: AtomicU8,
    /// It was renamed away, and the ledger knows.
    left: AtomicBool,
}

/// Not checked, and nobody found it.
const UNCHECKED: u8 = 0;
/// Somebody found it, so it goes to the front.
const ASKED_FOR: u8 = 1;
/// It is what it says, or was committed in this run.
const CHECKED: u8 = 2;

/// What a manifest says of a chunk's files, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Names and sizes.
    pub(crate) files: Box<[ChunkFile]>,
    /// What the bytes of each have to be.
    pub(crate) sums: Box<[FileSums]>,
}

/// The checksums of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileSums {
    /// XXH3-64 of the content.
    pub(crate) xxh3: u64,
    /// The digest that the description declared.
    pub(crate) sha256: Option<Sha256Digest>,
}

impl StoredChunk {
    /// One whose files are known, since they were just fetched: `fetched` is in the order of
    /// `spec.files`.
    pub(crate) fn new(
        root: Arc<Path>,
        spec: Arc<ChunkSpec>,
        fetched: &[FetchedFile],
        generation: Generation,
        unsynced: Option<BootTag>,
    ) -> Self {
        let files = spec.files.iter().zip(fetched);
        let contents = Contents {
            files: files
                .clone()
                .map(|(file, fetched)| ChunkFile::new(file.name.clone(), fetched.len_bytes))
                .collect(),
            sums: files
                .map(|(file, fetched)| FileSums {
                    xxh3: fetched.xxh3,
                    sha256: file.sha256,
                })
                .collect(),
        };
        let shared = Shared {
            root,
            len_bytes: contents.len_bytes().unwrap_or(u64::MAX),
            unsynced,
            path: OnceLock::new(),
            contents: contents.into(),
            check: AtomicU8::new(CHECKED),
            left: AtomicBool::new(false),
        };
        StoredChunk {
            spec,
            generation,
            shared: Arc::new(shared),
        }
    }

    /// One whose directory's name was found.
    pub(super) fn found(root: Arc<Path>, dataset_id: DatasetId, name: ChunkName) -> Self {
        let ids = (name.id, dataset_id);
        let shared = Shared {
            root,
            len_bytes: name.len_bytes,
            unsynced: name.unsynced,
            path: OnceLock::new(),
            contents: OnceLock::new(),
            check: AtomicU8::new(UNCHECKED),
            left: AtomicBool::new(false),
        };
        StoredChunk {
            spec: Arc::new(ChunkSpec::found(ids, name.block_range, name.fingerprint)),
            generation: name.generation,
            shared: Arc::new(shared),
        }
    }

    /// The same one, as the next start finds it.
    #[cfg(test)]
    pub(crate) fn as_found(&self) -> Self {
        let root = self.shared.root.clone();
        StoredChunk::found(root, self.spec.dataset_id, self.name())
    }

    /// The bytes of its files.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.shared.len_bytes
    }

    /// Its directory, absolute.
    pub(crate) fn path(&self) -> &Path {
        let path = || {
            let place = layout::dataset_dir(&self.spec.dataset_id);
            let path: PathBuf = [&*self.shared.root, place.as_ref(), self.dir().as_ref()]
                .iter()
                .collect();
            path.into_boxed_path()
        };
        self.shared.path.get_or_init(path)
    }

    /// The name of its directory.
    pub(super) fn dir(&self) -> String {
        self.name().format()
    }

    pub(super) fn name(&self) -> ChunkName {
        ChunkName {
            block_range: self.spec.block_range.clone(),
            id: self.spec.id,
            len_bytes: self.shared.len_bytes,
            generation: self.generation,
            fingerprint: self.spec.fingerprint,
            unsynced: self.shared.unsynced,
        }
    }

    /// What its manifest says, if that was read.
    pub(crate) fn contents(&self) -> Option<&Contents> {
        self.shared.contents.get()
    }

    /// What its manifest says, which is read from disk the first time.
    pub(crate) fn read_contents(&self) -> Result<&Contents, Error> {
        if let Some(contents) = self.contents() {
            return Ok(contents);
        }
        let root = Dir::open_root(&self.shared.root, StoreOptions::default());
        let root = root.map_err(|error| Error::io("open the data directory", error))?;
        self.read_contents_in(&self.open_dir(&root)?)
    }

    /// The same, from its directory.
    pub(super) fn read_contents_in(&self, dir: &Dir) -> Result<&Contents, Error> {
        if let Some(contents) = self.contents() {
            return Ok(contents);
        }
        let read = Manifest::read(dir, self.spec.dataset_id, &self.name())?;
        Ok(self.shared.contents.get_or_init(|| read))
    }

    /// Its directory, below that of the store. One that is not there is damage, and so is anything
    /// else in its place.
    pub(super) fn open_dir(&self, root: &Dir) -> Result<Dir, Error> {
        let dataset = layout::dataset_dir(&self.spec.dataset_id);
        let opened = root.open(dataset).and_then(|dir| dir.open(self.dir()));
        opened.map_err(|error| {
            let error = match error.kind() {
                io::ErrorKind::NotFound => damaged("the chunk's directory is missing"),
                io::ErrorKind::NotADirectory => damaged("something else is in the chunk's place"),
                // Too many open files, no permission: that says nothing about the chunk.
                _ => Error::io("open the chunk's directory", error),
            };
            error.with_chunk(self.spec.id)
        })
    }

    /// What its manifest says on disk now, which has to be what was read of it before.
    pub(super) fn reread_contents(&self, dir: &Dir) -> Result<Contents, Error> {
        let read = Manifest::read(dir, self.spec.dataset_id, &self.name())?;
        if self.contents().is_some_and(|known| *known != read) {
            return Err(damaged("the manifest is not the one that was committed"));
        }
        Ok(read)
    }

    /// Whether it was not synced when it was committed, and the machine was started anew since.
    pub(super) fn is_unverified(&self) -> bool {
        self.shared.unsynced.is_some_and(|boot| !is_this_boot(boot))
    }

    /// The same one, under the name that it has once it was synced.
    pub(super) fn as_synced(&self) -> Self {
        let shared = Shared {
            root: self.shared.root.clone(),
            len_bytes: self.shared.len_bytes,
            unsynced: None,
            path: OnceLock::new(),
            contents: self.shared.contents.clone(),
            check: AtomicU8::new(CHECKED),
            left: AtomicBool::new(false),
        };
        StoredChunk {
            spec: self.spec.clone(),
            generation: self.generation,
            shared: Arc::new(shared),
        }
    }

    /// Whether this is the first time that somebody finds it, and it is not checked yet.
    pub(crate) fn is_first_look(&self) -> bool {
        let check = &self.shared.check;
        let asks =
            || check.compare_exchange(UNCHECKED, ASKED_FOR, Ordering::Relaxed, Ordering::Relaxed);
        // The look comes first: once all are checked, a find writes nothing here.
        check.load(Ordering::Relaxed) == UNCHECKED && asks().is_ok()
    }

    /// Says that it was renamed away; true the first time.
    pub(super) fn leaves_its_place(&self) -> bool {
        !self.shared.left.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_checked(&self) -> bool {
        self.shared.check.load(Ordering::Relaxed) == CHECKED
    }

    pub(crate) fn set_checked(&self) {
        self.shared.check.store(CHECKED, Ordering::Relaxed);
    }
}

impl Contents {
    /// The bytes of all files, if that is a number.
    pub(super) fn len_bytes(&self) -> Option<u64> {
        let mut files = self.files.iter();
        files.try_fold(0u64, |sum, file| sum.checked_add(file.len_bytes))
    }
}

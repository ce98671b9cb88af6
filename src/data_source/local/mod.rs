//! The data directory: downloads chunks into it, deletes them from it, reads what is in it.
//!
//! Every operation here blocks, does one thing, and can be cut off by a crash at any system call:
//!
//! * a chunk appears in one rename, after its files, its manifest and its directory are synced;
//! * a chunk disappears in one rename, into the trash, which is emptied afterwards;
//! * a chunk that is deleted while somebody reads it gets a tombstone first, outside its directory.
//!
//! What opening finds is therefore one of: a whole chunk, a whole chunk with a tombstone, or
//! something in a folder whose name starts with `_`, which nobody takes for a chunk.
//!
//! Called by the Data Manager's jobs on the blocking pool, and by `open`.

mod audit;
mod disk;
mod layout;
mod ledger;
mod lock;
mod manifest;
mod scan;
mod space;
mod staging;
mod stored;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

pub use audit::SpaceArea;
pub(crate) use audit::{Audit, Audited};
pub use disk::Durability;
use disk::{Disk, gone_is_fine};
pub(crate) use layout::{Generation, StagingKey};
pub(crate) use ledger::{Balance, Ledger, Refusal, SpaceLimits};
pub(crate) use lock::DirLock;
use manifest::{Manifest, damaged};
pub(crate) use scan::{Finding, FoundPartial, Scan};
pub use space::SpaceShortage;
pub(crate) use staging::{Part, Progress, Staging, Version};
pub(crate) use stored::StoredChunk;

use parking_lot::Mutex;

use super::FetchedFile;
use super::checksums::KeptChecksums;
use crate::data_chunk::{ChunkSpec, MANIFEST_NAME};
use crate::error::Error;

/// A data directory, held by this process alone.
#[derive(Debug)]
pub struct LocalDataSource {
    /// Absolute: what a guard shows must not change with the current directory.
    root: Arc<Path>,
    disk: Disk,
    lock: Arc<DirLock>,
    /// Of staged files that broke off.
    checksums: Arc<KeptChecksums>,
    /// Of the bytes in it.
    ledger: Arc<Ledger>,
    /// The next generation to commit; greater than any that is on disk.
    next_generation: AtomicU64,
    /// The dataset directories whose entries are known to last. No IO under the lock.
    lasting_datasets: Mutex<HashSet<String>>,
}

/// A commit that failed.
#[derive(Debug)]
pub(crate) struct CommitError {
    pub(crate) error: Error,
    /// The chunk, if it is in its place all the same: it has to be removed.
    pub(crate) left_behind: Option<StoredChunk>,
}

impl CommitError {
    pub(crate) fn not_there(error: Error) -> Self {
        CommitError {
            error,
            left_behind: None,
        }
    }

    /// Says what there is too little of where the disk is full.
    pub(crate) fn explained(mut self, ledger: &Ledger) -> Self {
        self.error = ledger.explain(self.error);
        self
    }
}

/// What became of a directory that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It is gone.
    Gone,
    /// It held something that is not ours and was moved to quarantine instead.
    KeptForeign(PathBuf),
}

impl LocalDataSource {
    /// Takes the directory, creating it if need be, and reads what is in it.
    ///
    /// # Errors
    /// [`Locked`](crate::ErrorKind::Locked) at once if another owner holds it; otherwise what the
    /// file system said. What is in the directory never makes it fail.
    pub(crate) fn open(root: &Path, durability: Durability) -> Result<(Self, Scan), Error> {
        let root: Arc<Path> = std::path::absolute(root)
            .map_err(|error| Error::io("find the data directory", error))?
            .into();
        let disk = Disk::new(durability);
        make_root(&root)?;
        let lock = Arc::new(DirLock::take(&root)?);
        let own = [
            layout::STAGING,
            layout::TOMBSTONES,
            layout::TRASH,
            layout::QUARANTINE,
        ];
        disk.make_dirs(&root, &own)?;
        let (scan, next) = scan::scan(&root)?;
        let next_generation = AtomicU64::new(next);
        let ledger = Ledger::open(&root, &scan);
        Ok((
            LocalDataSource {
                root,
                disk,
                lock,
                checksums: Arc::default(),
                ledger,
                next_generation,
                lasting_datasets: Mutex::default(),
            },
            scan,
        ))
    }

    /// The directory, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// What keeps the directory ours; a guard holds it, so that no other process can remove what
    /// the guard protects.
    pub(crate) fn lock(&self) -> Arc<DirLock> {
        self.lock.clone()
    }

    /// How many bytes are in it, and how many may be.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The staging directory of `spec`, with what an earlier attempt left in it.
    pub(crate) fn stage(&self, spec: &ChunkSpec) -> Result<Staging, Error> {
        let key = StagingKey::of(spec);
        let (path, space) = (self.staging_path(&key), self.ledger.stage(key));
        Staging::prepare(path, self.disk, (&self.lock, &self.checksums), space)
    }

    /// Makes a staged chunk whole and lets it appear. `fetched` is in the order of `spec.files`;
    /// the files' own bytes were made to last when they were complete.
    pub(crate) fn commit(
        &self,
        staging: &Staging,
        spec: &Arc<ChunkSpec>,
        fetched: &[FetchedFile],
    ) -> Result<StoredChunk, CommitError> {
        let stored = self
            .seal(staging, spec, fetched)
            .map_err(CommitError::not_there)?;
        let (parent, name) = place(&stored);
        let staging = (self.root.join(layout::STAGING), StagingKey::of(spec).dir());
        let moving = self.ledger.moving();
        match self.disk.rename((&staging.0, &staging.1), (parent, &name)) {
            Ok(()) => {
                moving.committed(StagingKey::of(spec), &stored);
                Ok(stored)
            }
            Err(error) if stored.path().symlink_metadata().is_err() => {
                Err(CommitError::not_there(error))
            }
            // It is in its place, but would perhaps not be after a power cut.
            Err(error) => {
                moving.committed(StagingKey::of(spec), &stored);
                Err(CommitError {
                    error,
                    left_behind: Some(stored),
                })
            }
        }
    }

    /// Everything of a commit but the rename.
    fn seal(
        &self,
        staging: &Staging,
        spec: &Arc<ChunkSpec>,
        fetched: &[FetchedFile],
    ) -> Result<StoredChunk, Error> {
        let at = staging.path();
        let in_order = || spec.files.iter().zip(fetched).enumerate();
        for (index, (file, fetched)) in in_order() {
            check_file(&staging.part_path(index), fetched.len_bytes)
                .map_err(|error| error.with_file(&file.name))?;
        }
        if !staging.is_fresh() {
            gone_is_fine(fs::remove_file(at.join(MANIFEST_NAME)))
                .map_err(|error| Error::io("clear the staging directory", error))?;
        }
        let manifest = Manifest::new(spec, fetched).to_json();
        self.disk
            .write_new(&at.join(MANIFEST_NAME), &manifest, "the manifest")?;
        for (index, (file, _)) in in_order() {
            fs::rename(staging.part_path(index), at.join(&file.name))
                .map_err(|error| Error::io("name a file", error).with_file(&file.name))?;
        }
        staging.clear_parts()?;
        self.disk.sync_dir(at)?;

        let generation = self.next_generation.fetch_add(1, Ordering::SeqCst);
        let dataset = layout::dataset_dir(&spec.dataset_id);
        self.make_dataset_dir(&dataset)?;
        let root = self.root.clone();
        Ok(StoredChunk::new(
            root,
            spec.clone(),
            fetched,
            generation,
            None,
        ))
    }

    /// Creates a dataset's directory and makes its entry last, once in this store's life: that it
    /// is there says nothing about whether it would be after a power cut.
    fn make_dataset_dir(&self, name: &str) -> Result<(), Error> {
        if self.lasting_datasets.lock().contains(name) {
            return Ok(());
        }
        self.disk.make_dirs(&self.root, &[name])?;
        self.lasting_datasets.lock().insert(name.to_owned());
        Ok(())
    }

    fn staging_path(&self, key: &StagingKey) -> PathBuf {
        self.root.join(layout::STAGING).join(key.dir())
    }

    /// Throws away what was staged.
    pub(crate) fn abandon(&self, key: &StagingKey) -> Result<(), Error> {
        let moving = self.ledger.moving();
        gone_is_fine(fs::remove_dir_all(self.staging_path(key)))
            .map_err(|error| Error::io("remove a staging directory", error).with_chunk(key.id))?;
        moving.abandoned(*key);
        Ok(())
    }

    /// Makes it last that `chunk` is deleted, while its directory has to stay.
    pub(crate) fn bury(&self, chunk: &StoredChunk) -> Result<(), Error> {
        let dir = self.root.join(layout::TOMBSTONES);
        let path = dir.join(layout::tombstone(chunk.generation, &chunk.spec.id));
        match self.disk.write_new(&path, b"", "a tombstone") {
            Err(_) if path.exists() => {}
            result => result?,
        }
        self.disk.sync_dir(&dir)
    }

    /// Makes it last that `chunk` is not deleted after all.
    pub(crate) fn exhume(&self, chunk: &StoredChunk) -> Result<(), Error> {
        let name = layout::tombstone(chunk.generation, &chunk.spec.id);
        self.disk
            .remove_file(&self.root.join(layout::TOMBSTONES), &name)
    }

    /// Removes a chunk that nobody refers to any more. May be called again after an error.
    pub(crate) fn remove(&self, chunk: &StoredChunk) -> Result<Removed, Error> {
        let trash = self.root.join(layout::TRASH);
        let (parent, name) = place(chunk);
        let moving = self.ledger.moving();
        if chunk.path().symlink_metadata().is_ok() {
            self.disk.rename((parent, &name), (&trash, &name))?;
        } else {
            // An earlier call got as far as the rename, or somebody removed the directory, perhaps
            // with all of its dataset.
            self.disk.sync_dir_if_there(parent)?;
        }
        moving.trashed(chunk, &name);
        let names = match chunk.contents() {
            Some(contents) => contents
                .files
                .iter()
                .map(|file| file.name.clone())
                .collect(),
            None => Manifest::names(&trash.join(&name)),
        };
        let removed = scan::remove_listed(&self.root, self.disk, &name, &names)?;
        moving.removed(&name, &removed);
        self.exhume(chunk)?;
        Ok(removed)
    }

    /// Moves a chunk that does not add up, and that nobody refers to any more, out of the way.
    pub(crate) fn quarantine(&self, chunk: &StoredChunk) -> Result<PathBuf, Error> {
        let quarantine = self.root.join(layout::QUARANTINE);
        let (parent, name) = place(chunk);
        let moving = self.ledger.moving();
        if chunk.path().symlink_metadata().is_ok() {
            self.disk.rename((parent, &name), (&quarantine, &name))?;
        }
        let kept = quarantine.join(name);
        moving.quarantined(chunk, &kept);
        self.exhume(chunk)?;
        if kept.is_dir() {
            scan::disguise(&kept)?;
        }
        Ok(kept)
    }

    /// Whether the chunk's manifest says what its directory's name says, and its files are there
    /// with their sizes.
    pub(crate) fn check(&self, chunk: &StoredChunk) -> Result<(), Error> {
        for file in &chunk.read_contents()?.files {
            check_file(&chunk.path().join(&file.name), file.len_bytes)
                .map_err(|error| error.with_chunk(chunk.spec.id).with_file(&file.name))?;
        }
        chunk.set_checked();
        Ok(())
    }

    /// Removes what earlier runs left in the trash.
    pub(crate) fn empty_trash(&self) -> Result<(), Error> {
        scan::empty_trash(&self.root, self.disk, &self.ledger)
    }
}

/// The dataset's directory, and the name of the chunk's directory in it.
fn place(chunk: &StoredChunk) -> (&Path, String) {
    let path = chunk.path();
    (path.parent().unwrap_or(path), chunk.dir())
}

/// Creates the directory and its parents, and makes the new entries last.
fn make_root(root: &Path) -> Result<(), Error> {
    let missing: Vec<&Path> = root.ancestors().take_while(|dir| !dir.is_dir()).collect();
    fs::create_dir_all(root)
        .map_err(|error| Error::io(format_args!("create {}", root.display()), error))?;
    for parent in missing.iter().filter_map(|dir| dir.parent()) {
        Disk::new(Durability::Full).sync_dir(parent)?;
    }
    Ok(())
}

/// Whether `path` is a regular file of `len_bytes` bytes.
fn check_file(path: &Path, len_bytes: u64) -> Result<(), Error> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged("a file is missing")),
        Err(error) => Err(Error::io("look at a file", error)),
        Ok(metadata) if !metadata.is_file() => Err(damaged("a file is not a regular file")),
        Ok(metadata) if metadata.len() != len_bytes => {
            let found = metadata.len();
            Err(damaged(&format!(
                "a file has {found} bytes instead of {len_bytes}"
            )))
        }
        Ok(_) => Ok(()),
    }
}

/// Changes with every start of the machine; empty where the system does not say.
fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    })
}

#[cfg(test)]
mod tests;

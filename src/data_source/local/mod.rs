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

mod area;
mod audit;
mod disk;
mod late;
mod layout;
mod ledger;
mod lock;
mod manifest;
mod names;
mod options;
mod own;
#[cfg(any(test, fuzzing))]
pub(super) mod properties;
mod removal;
mod scan;
mod sealing;
mod space;
mod staging;
mod stored;
mod sync_group;
mod verification;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use area::StagingArea;
pub use audit::SpaceArea;
pub(crate) use audit::{Audit, Audited};
use disk::{Dir, is_no_dir};
use layout::BootTag;
pub(super) use layout::{ChunkName, parse_dataset_dir, parse_tombstone};
pub(crate) use layout::{Generation, StagingKey};
pub(crate) use ledger::Correction;
pub(crate) use ledger::{Balance, Ledger, Refusal, SpaceLimits};
pub(crate) use lock::{DirLock, LockNews};
pub(super) use manifest::declared_digests;
use manifest::{Manifest, damaged};
pub use options::Durability;
pub(crate) use options::StoreOptions;
use own::OwnDirs;
pub(super) use own::tombstone_dirs;
pub(crate) use scan::{Finding, FoundPartial, Scan};
pub use space::SpaceShortage;
pub(crate) use staging::{Part, Progress, Staging, Version};
pub(crate) use stored::StoredChunk;
pub(crate) use verification::Verification;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::FetchedFile;
use crate::data_chunk::ChunkSpec;
use crate::error::Error;

/// A data directory, held by this process alone.
#[derive(Debug)]
pub struct LocalDataSource {
    /// Absolute: what a guard shows must not change with the current directory.
    path: Arc<Path>,
    /// What everything below is reached from.
    root: Arc<Dir>,
    own: OwnDirs,
    area: Arc<StagingArea>,
    /// The next generation to commit; greater than any that is on disk.
    next_generation: AtomicU64,
    /// The dataset directories whose entries are known to last; chunks that are committed at the same
    /// time share the handle, and with it the sync. No IO under the lock.
    lasting_datasets: Mutex<HashMap<String, Weak<Dir>>>,
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
    pub(crate) fn open(
        path: &Path,
        options: impl Into<StoreOptions>,
    ) -> Result<(Self, Scan), Error> {
        let options = options.into();
        let path: Arc<Path> = std::path::absolute(path)
            .map_err(|error| Error::io("find the data directory", error))?
            .into();
        make_root(&path, options)?;
        let lock = DirLock::take(&path, options)?;
        // Not by its path: that may be another directory by now.
        let root = (lock.root().open("."))
            .map_err(|error| Error::io(format_args!("open {}", path.display()), error))?;
        let root = Arc::new(root.at(&path));
        let (own, findings) = OwnDirs::find(&root, lock.has_file())?;
        // Also if they were all there: whoever created them may not have got to the sync.
        root.sync_if_writable()?;
        let (mut scan, next) = scan::scan(&path, &own, findings)?;
        let unsure = make_last(&root, &own, &scan);
        scan.findings.extend(unsure);
        let ledger = Ledger::open(&path, &own, &scan);
        let store = LocalDataSource {
            path,
            root,
            own,
            area: Arc::new(StagingArea::new(Arc::new(lock), ledger)),
            next_generation: AtomicU64::new(next),
            lasting_datasets: Mutex::default(),
        };
        Ok((store, scan))
    }

    /// The directory, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What keeps the directory ours; a guard holds it, so that no other process can remove what
    /// the guard protects.
    pub(crate) fn lock(&self) -> Arc<DirLock> {
        self.area.lock.clone()
    }

    /// Looks whether what keeps it ours is still in its place. A lookup or two.
    pub(crate) fn look_at_lock(&self, tell: impl FnMut(LockNews)) {
        self.area.lock.look(tell);
    }

    /// How many bytes are in it, and how many may be.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.area.ledger
    }

    /// The staging directory of `spec`, with what an earlier attempt left in it.
    pub(crate) fn stage(&self, spec: &ChunkSpec) -> Result<Staging, Error> {
        let key = StagingKey::of(spec);
        if self.area.distrusts(&key) {
            self.abandon(&key)?;
        }
        let staging = self.own.staging.get()?;
        let prepared = match Staging::prepare(&staging, key, &self.area) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                self.abandon(&key)?;
                Staging::prepare(&staging, key, &self.area)
            }
            prepared => prepared,
        };
        prepared.map_err(|error| Error::io("create a staging directory", error))
    }

    /// Makes a staged chunk whole and lets it appear. `fetched` is in the order of `spec.files`;
    /// the bytes of large files were made to last when they were complete.
    pub(crate) fn commit(
        &self,
        staging: &Staging,
        spec: &Arc<ChunkSpec>,
        fetched: &[FetchedFile],
    ) -> Result<StoredChunk, CommitError> {
        let key = StagingKey::of(spec);
        let sealed = self.seal(staging, spec, fetched);
        let (stored, dataset) = sealed.map_err(|error| {
            if self.area.distrusts(&key) {
                // If it cannot be removed now it is before it is used again.
                let _ = self.abandon(&key);
            }
            CommitError::not_there(error)
        })?;
        let name = stored.dir();
        let moving = self.ledger().moving();
        let renamed = (self.own.staging.get())
            .and_then(|staging| staging.rename_for_good(&key.dir(), &dataset, &name));
        match renamed {
            Ok(()) => {
                moving.committed(key, &stored);
                self.area.cleared(&key);
                Ok(stored)
            }
            Err(error) if dataset.stat(&name).is_err_and(|error| is_no_dir(&error)) => {
                drop(moving);
                self.area.distrust(key);
                let _ = self.abandon(&key);
                Err(CommitError::not_there(error))
            }
            // It is in its place, or may be, but would perhaps not be after a power cut.
            Err(error) => {
                moving.committed(key, &stored);
                self.area.cleared(&key);
                Err(CommitError {
                    error,
                    left_behind: Some(stored),
                })
            }
        }
    }

    /// Everything of a commit but the rename; returns what it is going to be, and where.
    fn seal(
        &self,
        staging: &Staging,
        spec: &Arc<ChunkSpec>,
        fetched: &[FetchedFile],
    ) -> Result<(StoredChunk, Arc<Dir>), Error> {
        let open = staging.open()?;
        let (dir, parts) = (&open.dir, &open.parts);
        let in_order = || spec.files.iter().zip(fetched).enumerate();
        for (index, (file, fetched)) in in_order() {
            check_file(parts, &Staging::part_name(index), fetched.len_bytes)
                .map_err(|error| error.with_file(&file.name))?;
        }
        // What fails most easily comes before the files have their names.
        let dataset = self.make_dataset_dir(&layout::dataset_dir(&spec.dataset_id))?;
        open.write_manifest(&Manifest::new(spec, fetched).to_json())?;
        // From here on the next attempt would not find its files: should this one fail, they go.
        staging.distrust();
        for (index, (file, _)) in in_order() {
            parts
                .rename(Staging::part_name(index), dir, &file.name)
                .map_err(|error| Error::io("name a file", error).with_file(&file.name))?;
        }
        open.clear_parts()?;
        open.sync()?;

        let generation = self.next_generation.fetch_add(1, Ordering::SeqCst);
        let unsynced = (self.root.durability() == Durability::None).then(boot_tag);
        let (root, spec) = (self.path.clone(), spec.clone());
        let stored = StoredChunk::new(root, spec, fetched, generation, unsynced);
        Ok((stored, dataset))
    }

    /// Creates a dataset's directory and makes its entry last, once in this store's life: that it
    /// is there says nothing about whether it would be after a power cut.
    fn make_dataset_dir(&self, name: &str) -> Result<Arc<Dir>, Error> {
        let shared = self.lasting_datasets.lock().get(name).map(Weak::upgrade);
        if let Some(Some(dir)) = shared {
            return Ok(dir);
        }
        let before = self.root.before_change();
        let (dir, made) = (self.root.make(name))
            .map_err(|error| Error::io(format_args!("create the directory {name}"), error))?;
        if made || shared.is_none() {
            let lasts = match made {
                true => self.root.sync_change(before),
                // Whoever made it may not have got to the sync, or that may have failed.
                false => self.root.sync_again(),
            };
            lasts?;
        }
        let dir = Arc::new(dir);
        let mut lasting = self.lasting_datasets.lock();
        lasting.insert(name.to_owned(), Arc::downgrade(&dir));
        Ok(dir)
    }

    /// Throws away what was staged.
    pub(crate) fn abandon(&self, key: &StagingKey) -> Result<(), Error> {
        let moving = self.ledger().moving();
        for staging in self.own.staging.all() {
            let removed = removal::remove_staged(&self.own, &staging, &key.dir())
                .map_err(|error| error.with_chunk(key.id))?;
            moving.abandoned(*key, &removed);
        }
        self.area.cleared(key);
        Ok(())
    }

    /// Makes it last that `chunk` is deleted, while its directory has to stay.
    pub(crate) fn bury(&self, chunk: &StoredChunk) -> Result<(), Error> {
        let tombstones = self.own.tombstones.get()?;
        let name = layout::tombstone(chunk.generation, &chunk.spec.id);
        let before = tombstones.before_change();
        let written = match tombstones.write_new(&name, b"") {
            Ok(file) => tombstones.sync_change_of(&file, "a tombstone"),
            Err(_) if tombstones.stat(&name).is_ok() => Ok(()),
            Err(error) => return Err(Error::io("write a tombstone", error)),
        };
        let lasts = written.and_then(|()| tombstones.sync_change(before));
        if lasts.is_err() {
            // Another sync would say that it lasts: the next attempt writes another one.
            let _ = tombstones.remove_file(&name);
        }
        lasts
    }

    /// Makes it last that `chunk` is not deleted after all.
    pub(crate) fn exhume(&self, chunk: &StoredChunk) -> Result<(), Error> {
        let name = layout::tombstone(chunk.generation, &chunk.spec.id);
        for tombstones in self.own.tombstones.all() {
            let before = tombstones.before_change();
            (tombstones.remove_file(&name))
                .map_err(|error| Error::io(format_args!("remove {name}"), error))?;
            if let Err(error) = tombstones.sync_change(before) {
                // The next attempt would find nothing to remove, and its sync would say that it
                // lasts: there has to be one to remove.
                let _ = tombstones.write_new(&name, b"");
                return Err(error);
            }
        }
        Ok(())
    }

    /// Removes a chunk that nobody refers to any more. May be called again after an error.
    pub(crate) fn remove(&self, chunk: &StoredChunk) -> Result<Removed, Error> {
        let (trash, name) = (self.own.trash.get()?, chunk.dir());
        let moving = self.ledger().moving();
        self.move_out(chunk, &trash)?;
        moving.trashed(chunk, &name);
        let names = match chunk.contents() {
            Some(contents) => contents
                .files
                .iter()
                .map(|file| file.name.clone())
                .collect(),
            None => Manifest::names_in(&trash, &name)?,
        };
        let removed = removal::remove_listed(&self.own, &trash, &name, &names)?;
        moving.removed(&name, &removed);
        self.exhume(chunk)?;
        Ok(removed)
    }

    /// Moves a chunk that does not add up, and that nobody refers to any more, out of the way.
    pub(crate) fn quarantine(&self, chunk: &StoredChunk) -> Result<PathBuf, Error> {
        let (quarantine, name) = (self.own.quarantine.get()?, chunk.dir());
        let moving = self.ledger().moving();
        self.move_out(chunk, &quarantine)?;
        moving.quarantined(chunk, &quarantine.path().join(&name));
        self.exhume(chunk)?;
        if let Ok(dir) = quarantine.open(&name) {
            removal::disguise(&dir)?;
        }
        Ok(quarantine.path().join(name))
    }

    /// Renames a chunk's directory out of its dataset, and makes that last.
    fn move_out(&self, chunk: &StoredChunk, to: &Dir) -> Result<(), Error> {
        let name = chunk.dir();
        let dataset = match self.root.open(layout::dataset_dir(&chunk.spec.dataset_id)) {
            Ok(dataset) => dataset,
            // Somebody removed it with all that was in it, or put something else in its place.
            Err(error) if is_no_dir(&error) => return Ok(()),
            Err(error) => return Err(Error::io("open a dataset's directory", error)),
        };
        match dataset.stat(&name) {
            Ok(_) => dataset.rename_for_good(&name, to, &name),
            // An earlier call got as far as the rename, or somebody removed the directory.
            Err(error) if is_no_dir(&error) => {
                to.sync_again()?;
                dataset.sync_again()
            }
            Err(error) => Err(Error::io("look at a chunk's directory", error)),
        }
    }

    /// Whether the chunk's manifest says what its directory's name says, and its files are there
    /// with their sizes.
    pub(crate) fn check(&self, chunk: &StoredChunk) -> Result<(), Error> {
        let dir = chunk.open_dir(&self.root)?;
        for file in &chunk.read_contents_in(&dir)?.files {
            check_file(&dir, &file.name, file.len_bytes)
                .map_err(|error| error.with_chunk(chunk.spec.id).with_file(&file.name))?;
        }
        chunk.set_checked();
        Ok(())
    }

    /// Removes what earlier runs left in the trash.
    pub(crate) fn empty_trash(&self) -> Result<(), Error> {
        removal::empty_trash(&self.own, self.ledger())
    }
}

/// Creates the directory and its parents, and makes the new entries last.
fn make_root(root: &Path, options: StoreOptions) -> Result<(), Error> {
    let missing: Vec<&Path> = root.ancestors().take_while(|dir| !dir.is_dir()).collect();
    let failed = |error| Error::io(format_args!("create {}", root.display()), error);
    // What is above it is made as anybody would make it; the directory itself as all in it is.
    for (index, dir) in missing.iter().enumerate().rev() {
        let made = match (index, dir.parent(), dir.file_name()) {
            (0, Some(parent), Some(name)) => {
                Dir::open_root(parent, options).and_then(|parent| parent.make(name).map(drop))
            }
            _ => fs::create_dir_all(dir),
        };
        made.map_err(failed)?;
    }
    for parent in missing.iter().filter_map(|dir| dir.parent()) {
        let parent = Dir::open_root(parent, options).map_err(failed)?;
        parent.sync()?;
    }
    Ok(())
}

/// Makes last what opening believes. Whoever renamed a chunk into its place, or out of it, or removed a
/// tombstone, may have been killed before the sync: it is there for every process, and would not be
/// after a power cut. What cannot be synced is told.
fn make_last(root: &Dir, own: &OwnDirs, scan: &Scan) -> Vec<Finding> {
    let lasts = |dir: &Dir| {
        let synced = dir.sync_if_writable();
        synced.err().map(|error| Finding::Unreadable {
            path: dir.path().to_owned(),
            error,
        })
    };
    let mut own: Vec<Arc<Dir>> = [&own.tombstones, &own.trash, &own.quarantine, &own.staging]
        .iter()
        .flat_map(|own| own.all())
        .collect();
    let datasets = scan.datasets.iter().map(layout::dataset_dir);
    own.extend(datasets.filter_map(|name| root.open(name).ok().map(Arc::new)));
    own.iter().filter_map(|dir| lasts(dir)).collect()
}

/// Whether `name` is a regular file of `len_bytes` bytes.
fn check_file(dir: &Dir, name: &str, len_bytes: u64) -> Result<(), Error> {
    match dir.stat(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged("a file is missing")),
        Err(error) => Err(Error::io("look at a file", error)),
        Ok(found) if !found.is_file() => Err(damaged("a file is not a regular file")),
        Ok(found) if found.len_bytes != len_bytes => {
            let found = found.len_bytes;
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

/// The same in short, for names; 0 where the system does not say. Never mind two boots that have
/// the same one: a chunk that was not synced is not read then, as after no reboot at all.
pub(crate) fn boot_tag() -> BootTag {
    match boot_id() {
        "" => 0,
        id => (xxh3_64(id.as_bytes()) & u64::from(BootTag::MAX)) as BootTag,
    }
}

/// Whether the machine is still in the boot of that tag. One that does not say is in none.
pub(crate) fn is_this_boot(tag: BootTag) -> bool {
    tag != 0 && tag == boot_tag()
}

#[cfg(test)]
mod tests;

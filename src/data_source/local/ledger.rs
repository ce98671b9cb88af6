//! What the bytes in the data directory are, kept with each operation and never by walking, and
//! what is promised to transfers that have begun.
//!
//! | counted as | while a file is | until |
//! | --- | --- | --- |
//! | reserved | about to arrive | it does |
//! | staged | below `_staging`, whoever works on it | it is committed, or thrown away |
//! | committed | listed by the manifest of a chunk in its place | the chunk is renamed away |
//! | trash | in `_trash` | it is removed |
//! | quarantine | in `_quarantine` | somebody takes it away |
//!
//! It is contents that count: what the library writes for itself (`*.json`, tombstones, the lock)
//! does not. A byte is in one place at a time: what goes from one to another does so under the one
//! lock, so whoever adds the places up misses none and counts none twice. Nothing is done under the
//! lock but arithmetic.
//!
//! An operation that moves something is [`Moving`] meanwhile, since the disk and the ledger do not
//! change at the same time; the audit (`audit.rs`) trusts no look at which anything was.

mod reservation;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
pub(in crate::data_source) use reservation::StagedSpace;
pub(crate) use reservation::{PartSpace, Refusal};

use super::audit::{self, SpaceArea};
use super::layout::{self, ChunkName, StagingKey};
use super::own::{self, OwnDirs};
use super::space;
use super::{Removed, Scan, StoredChunk};
use crate::error::Error;

/// How much of the disk may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpaceLimits {
    /// For contents in the data directory, of whatever kind.
    pub(crate) max_bytes: Option<u64>,
    /// To be left on the file system.
    pub(crate) min_free_bytes: u64,
}

/// The ledger at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) committed: u64,
    pub(crate) staged: u64,
    pub(crate) trash: u64,
    pub(crate) quarantine: u64,
    pub(crate) reserved: u64,
    /// Of the file system, when somebody last looked.
    pub(crate) free: Option<u64>,
    pub(crate) limits: SpaceLimits,
    /// How often it was held against the disk.
    pub(crate) audits: u64,
    /// By how much it was off, in all.
    pub(crate) corrected: u64,
}

impl Balance {
    /// What counts against `max_bytes`.
    pub(super) fn used(&self) -> u64 {
        let parts = [self.committed, self.staged, self.trash, self.quarantine];
        let parts = parts.into_iter().chain([self.reserved]);
        parts.fold(0, u64::saturating_add)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Ledger {
    root: Arc<Path>,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// See [`Ledger::take_guessed`].
    guessed: Vec<(PathBuf, u64)>,
    balance: Balance,
    /// What is staged of each description, and promised to it.
    staged: BTreeMap<StagingKey, Staged>,
    /// What is in the trash: what waits to be removed there, a few at a time.
    trash: HashMap<String, u64>,
    /// How large chunks are, at least, that found no room.
    known: BTreeMap<StagingKey, Known>,
    /// Bytes that were written since the start.
    written: u64,
    /// Operations that move something now.
    moving: usize,
    /// How many did.
    moved: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Staged {
    bytes: u64,
    reserved: u64,
    /// How many work on it.
    users: usize,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    len_bytes: u64,
    until: Instant,
}

/// What [`Ledger::compare`] needs to know that nothing moved meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

/// A number of the ledger that was off; it is right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Correction {
    pub(crate) area: SpaceArea,
    pub(crate) counted: u64,
    pub(crate) found: u64,
}

impl Ledger {
    /// What opening found: names say how large chunks are, in whatever place.
    pub(super) fn open(root: &Arc<Path>, own: &OwnDirs, scan: &Scan) -> Arc<Ledger> {
        let chunks = (scan.chunks.iter())
            .chain(&scan.unverified)
            .chain(&scan.doomed);
        let mut books = Books::default();
        // Whoever plants names may plant large ones.
        let lens = chunks.map(StoredChunk::len_bytes);
        books.balance.committed = lens.fold(0, u64::saturating_add);
        for partial in &scan.partials {
            books.stage(partial.key).bytes += partial.len_bytes;
            books.balance.staged += partial.len_bytes;
        }
        for (name, path) in audit::entries_of(&own.trash).unwrap_or_default() {
            // A chunk's name says it; what a crash left of a commit is small, and looked at.
            let len = ChunkName::parse(&name).map(|name| name.len_bytes);
            let len = len.unwrap_or_else(|| audit::measure(&path).unwrap_or(0));
            books.balance.trash += len;
            books.trash.insert(name, len);
        }
        // A guess until it is measured, behind the start: what is damaged may be of any size.
        for (name, path) in audit::entries_of(&own.quarantine).unwrap_or_default() {
            let guess = ChunkName::parse(&name).map_or(0, |name| name.len_bytes);
            books.balance.quarantine += guess;
            books.guessed.push((path, guess));
        }
        Arc::new(Ledger {
            root: root.clone(),
            books: Mutex::new(books),
        })
    }

    pub(crate) fn set_limits(&self, limits: SpaceLimits) {
        self.books.lock().balance.limits = limits;
    }

    pub(crate) fn balance(&self) -> Balance {
        self.books.lock().balance
    }

    /// Names what an error of a full disk is about, as far as the disk says.
    pub(crate) fn explain(&self, error: Error) -> Error {
        space::explain(error, &self.root)
    }

    /// Something is being moved, until the guard is dropped.
    pub(super) fn moving(&self) -> Moving<'_> {
        self.books.lock().moving += 1;
        Moving(self)
    }

    /// Somebody works on what is staged of a description.
    pub(super) fn stage(self: &Arc<Self>, key: StagingKey) -> Arc<StagedSpace> {
        self.books.lock().stage(key).users += 1;
        Arc::new(StagedSpace {
            ledger: self.clone(),
            key,
        })
    }

    /// What [`compare`](Self::compare) wants to see; `None` while something moves.
    pub(super) fn mark(&self) -> Option<Mark> {
        let books = self.books.lock();
        (books.moving == 0).then_some(Mark(books.moved))
    }

    /// Holds one number against what was found on disk since `mark`, and corrects it. `None` if
    /// something moved: then the look was worth nothing.
    pub(super) fn compare(
        &self,
        mark: Mark,
        area: SpaceArea,
        found: u64,
    ) -> Option<Option<Correction>> {
        let mut books = self.books.lock();
        if books.moving > 0 || books.moved != mark.0 {
            return None;
        }
        let balance = &mut books.balance;
        let place = match area {
            SpaceArea::Committed => &mut balance.committed,
            SpaceArea::Trash => &mut balance.trash,
            SpaceArea::Quarantine => &mut balance.quarantine,
            SpaceArea::Staged => return Some(None),
        };
        let counted = std::mem::replace(place, found);
        Some(books.note_correction(area, counted, found))
    }

    /// The same of what is staged of one description; `None` also while somebody works on it.
    pub(super) fn compare_staged(
        &self,
        mark: Mark,
        key: StagingKey,
        found: u64,
    ) -> Option<Option<Correction>> {
        let mut books = self.books.lock();
        let staged = books.staged.get(&key).copied().unwrap_or_default();
        if books.moving > 0 || books.moved != mark.0 || staged.users > 0 {
            return None;
        }
        let counted = staged.bytes;
        books.balance.staged = books.balance.staged.saturating_sub(counted) + found;
        books.stage(key).bytes = found;
        books.forget_if_unused(key);
        Some(books.note_correction(SpaceArea::Staged, counted, found))
    }

    /// The descriptions of which something is staged.
    pub(super) fn staged_keys(&self) -> Vec<StagingKey> {
        self.books.lock().staged.keys().copied().collect()
    }

    /// It was held against the disk, all of it.
    pub(super) fn audited(&self) {
        self.books.lock().balance.audits += 1;
    }

    /// What opening found in the quarantine, and guessed the size of. Nothing of ours changes it any
    /// more; what comes there meanwhile is counted as it comes.
    pub(super) fn take_guessed(&self) -> Vec<(PathBuf, u64)> {
        std::mem::take(&mut self.books.lock().guessed)
    }

    /// Looks whether there is less in the quarantine than was counted, and counts that.
    pub(super) fn measure_quarantine_again(&self) -> bool {
        let Some(mark) = self.mark().filter(|_| self.balance().quarantine > 0) else {
            return false;
        };
        let places = own::numbered(layout::QUARANTINE).map(|name| self.root.join(name));
        let measured = places
            .map(|path| audit::measure(&path))
            .sum::<std::io::Result<u64>>();
        let Ok(found) = measured else { return false };
        let mut books = self.books.lock();
        let less = found < books.balance.quarantine;
        if less && books.moving == 0 && books.moved == mark.0 {
            books.balance.quarantine = found;
            books.guessed.clear();
            return true;
        }
        false
    }

    /// One of them was measured.
    pub(super) fn guessed_wrongly(&self, guess: u64, len_bytes: u64) {
        let balance = &mut self.books.lock().balance;
        balance.quarantine = balance.quarantine.saturating_sub(guess) + len_bytes;
    }
}

impl Books {
    fn stage(&mut self, key: StagingKey) -> &mut Staged {
        self.staged.entry(key).or_default()
    }

    fn forget_if_unused(&mut self, key: StagingKey) {
        let unused = |staged: &Staged| staged.users == 0 && staged.bytes == 0;
        if self.staged.get(&key).is_some_and(unused) {
            self.staged.remove(&key);
        }
    }

    fn note_correction(&mut self, area: SpaceArea, counted: u64, found: u64) -> Option<Correction> {
        self.balance.corrected += counted.abs_diff(found);
        (counted != found).then_some(Correction {
            area,
            counted,
            found,
        })
    }
}

/// An operation that moves bytes from one place to another, or away.
#[derive(Debug)]
pub(super) struct Moving<'a>(&'a Ledger);

impl Moving<'_> {
    /// What was staged of a description is a chunk now.
    pub(super) fn committed(&self, key: StagingKey, chunk: &StoredChunk) {
        let mut books = self.0.books.lock();
        books.unstage(key);
        books.known.remove(&key);
        books.balance.committed += chunk.len_bytes();
    }

    /// What was staged of a description is gone, or moved on.
    pub(super) fn abandoned(&self, key: StagingKey, removed: &Removed) {
        let kept = kept(removed);
        let mut books = self.0.books.lock();
        books.unstage(key);
        books.balance.quarantine += kept;
    }

    /// The chunk is not in its place any more, but in the trash under `name`. May be said again.
    pub(super) fn trashed(&self, chunk: &StoredChunk, name: &str) {
        let mut books = self.0.books.lock();
        if books.withdraw(chunk) {
            books.balance.trash += chunk.len_bytes();
            books.trash.insert(name.to_owned(), chunk.len_bytes());
        }
    }

    /// What was in the trash under `name` is gone, or moved on. May be said again.
    pub(super) fn removed(&self, name: &str, removed: &Removed) {
        let kept = kept(removed);
        let mut books = self.0.books.lock();
        let len = books.trash.remove(name);
        let balance = &mut books.balance;
        balance.trash = balance.trash.saturating_sub(len.unwrap_or(0));
        balance.quarantine += kept;
    }

    /// The chunk is not in its place any more, but at `kept`, such as it is. May be said again.
    pub(super) fn quarantined(&self, chunk: &StoredChunk, kept: &Path) {
        // Its files are few, and need not be what its name says.
        let len = audit::measure(kept).unwrap_or(0);
        let mut books = self.0.books.lock();
        if books.withdraw(chunk) {
            books.balance.quarantine += len;
        }
    }
}

/// What of it went to quarantine: mostly nothing.
fn kept(removed: &Removed) -> u64 {
    match removed {
        Removed::Gone => 0,
        Removed::KeptForeign(kept) => audit::measure(kept).unwrap_or(0),
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        let mut books = self.0.books.lock();
        books.moving -= 1;
        books.moved += 1;
    }
}

impl Books {
    /// True the first time.
    fn withdraw(&mut self, chunk: &StoredChunk) -> bool {
        let first = chunk.leaves_its_place();
        if first {
            let balance = &mut self.balance;
            balance.committed = balance.committed.saturating_sub(chunk.len_bytes());
        }
        first
    }

    fn unstage(&mut self, key: StagingKey) {
        let staged = self.stage(key);
        let bytes = std::mem::take(&mut staged.bytes);
        self.balance.staged = self.balance.staged.saturating_sub(bytes);
        self.forget_if_unused(key);
    }
}

#[cfg(test)]
mod tests;

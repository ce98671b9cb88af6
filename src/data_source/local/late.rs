//! Small files that are whole, and are synced together when their chunk is committed.
//!
//! A file that is synced by itself waits for the file system to write its journal, and so does the
//! next one. So the writing of a small file is begun when it is whole, without waiting, and it is
//! synced with all others of its chunk: the first of them waits for the journal, which has all of them
//! in it by then, and the others wait for next to nothing.
//!
//! The files stay open until then. What goes wrong with the writing in between is told to whoever had
//! the file open, and may be told to nobody else.

use std::fs::File;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::disk::{Dir, begin_writing};
use super::options::Durability;
use crate::error::Error;

/// How many files of a store are kept open for that; those beyond it are synced when they are whole.
const HELD_MAX: usize = 128;

/// How many files are kept open, of all chunks of a store.
#[derive(Debug, Default)]
pub(super) struct Held(AtomicUsize);

impl Held {
    fn take(&self) -> bool {
        let one_more = |held| (held < HELD_MAX).then_some(held + 1);
        (self.0)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_ok()
    }

    fn give_back(&self, count: usize) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }
}

/// The files of one staging directory. What is not synced when it goes was given up.
#[derive(Debug)]
pub(super) struct LateSyncs {
    /// No IO under the lock.
    files: Mutex<Vec<File>>,
    held: Arc<Held>,
}

impl LateSyncs {
    pub(super) fn new(held: &Arc<Held>) -> Self {
        LateSyncs {
            files: Mutex::default(),
            held: held.clone(),
        }
    }

    /// Sees to it that `file`, which is whole and lies in `dir`, is synced before its chunk is committed:
    /// later with the others, or now.
    ///
    /// # Errors
    /// Of the sync. The file is worth nothing then.
    pub(super) fn add(&self, dir: &Dir, file: File, what: &str) -> Result<(), Error> {
        if dir.durability() == Durability::None {
            return Ok(());
        }
        if !self.held.take() {
            return dir.sync_contents_of(&file, what);
        }
        begin_writing(&file, 0, None);
        self.files.lock().push(file);
        Ok(())
    }

    /// Syncs them all.
    ///
    /// # Errors
    /// Of the first sync that fails. None of them is worth anything then.
    pub(super) fn sync(&self, dir: &Dir) -> Result<(), Error> {
        let files = mem::take(&mut *self.files.lock());
        let mut synced = files
            .iter()
            .map(|file| dir.sync_contents_of(file, "a small file"));
        let outcome = synced.find(Result::is_err).unwrap_or(Ok(()));
        self.held.give_back(files.len());
        outcome
    }
}

#[cfg(test)]
impl LateSyncs {
    /// How many files wait.
    pub(super) fn waiting(&self) -> usize {
        self.files.lock().len()
    }
}

impl Drop for LateSyncs {
    fn drop(&mut self) {
        self.held.give_back(self.files.get_mut().len());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn add(late: &LateSyncs, at: &Path, durability: Durability, name: &str) {
        let dir = Dir::open_root(at, durability.into()).unwrap();
        let file = dir.write_new(name, b"content").unwrap();
        late.add(&dir, file, "a file").unwrap();
    }

    #[test]
    fn files_wait_for_the_commit_unless_nothing_is_synced() {
        let (temp, held) = (tempfile::tempdir().unwrap(), Arc::<Held>::default());
        let late = LateSyncs::new(&held);
        add(&late, temp.path(), Durability::None, "a");
        assert_eq!(late.waiting(), 0);
        add(&late, temp.path(), Durability::Full, "b");
        add(&late, temp.path(), Durability::Ordered, "c");
        assert_eq!(late.waiting(), 2);
        let dir = Dir::open_root(temp.path(), Durability::Full.into()).unwrap();
        late.sync(&dir).unwrap();
        assert_eq!(late.waiting(), 0);
        assert_eq!(held.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_number_that_is_kept_open_is_bounded_for_all_chunks_together() {
        let (temp, held) = (tempfile::tempdir().unwrap(), Arc::<Held>::default());
        let [one, other] = [(); 2].map(|()| LateSyncs::new(&held));
        for n in 0..HELD_MAX {
            let late = if n % 2 == 0 { &one } else { &other };
            add(late, temp.path(), Durability::Full, &n.to_string());
        }
        add(&one, temp.path(), Durability::Full, "one too many");
        assert_eq!(one.waiting() + other.waiting(), HELD_MAX);
        // An attempt that is given up.
        drop(other);
        assert_eq!(held.0.load(Ordering::Relaxed), HELD_MAX / 2);
        add(&one, temp.path(), Durability::Full, "room again");
        assert_eq!(one.waiting(), HELD_MAX / 2 + 1);
    }
}

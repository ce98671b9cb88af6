//! A guard against a delete, under loom: every order of a lookup, a delete, and a call that takes the chunk
//! back.
//!
//! The catalogue is the real one. Beside it stands what the manager does with it, made small: one lock orders
//! the calls, what is visible changes under it, what the catalogue let go of is dropped behind it, and the
//! directory is removed once every reference of it has said that it is gone.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use super::{DataCatalogue, Held};
use crate::data_chunk::{ChunkFile, ChunkId, DatasetId};
use crate::tasks_manager::models::{Bound, explore};

const ID: ChunkId = [1; 32];
const DATASET: DatasetId = [2; 32];
const BLOCKS: Range<u64> = 0..10;

/// What a manager has beside its catalogue.
#[derive(Default)]
struct Manager {
    catalogue: DataCatalogue,
    plan: Mutex<Plan>,
    disk: Arc<Disk>,
    /// Last references that were dropped, and that nobody looked at yet.
    releases: Arc<Mutex<VecDeque<()>>>,
}

#[derive(Default)]
struct Plan {
    wanted: bool,
    /// References that were handed to the catalogue and have not said that they are gone.
    holds: usize,
    removed: bool,
}

/// The chunk's directory.
#[derive(Default)]
struct Disk {
    is_there: AtomicBool,
    removals: AtomicUsize,
}

struct Chunk {
    id: ChunkId,
    dataset_id: DatasetId,
    blocks: Range<u64>,
    releases: Arc<Mutex<VecDeque<()>>>,
}

impl Held for Chunk {
    fn id(&self) -> &ChunkId {
        &self.id
    }

    fn dataset_id(&self) -> &DatasetId {
        &self.dataset_id
    }

    fn block_range(&self) -> &Range<u64> {
        &self.blocks
    }

    fn path(&self) -> &Path {
        Path::new("/")
    }

    fn files(&self) -> &[ChunkFile] {
        &[]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.releases.lock().expect("no poison").push_back(());
    }
}

impl Manager {
    /// With the chunk on disk, and visible.
    fn with_chunk() -> Arc<Self> {
        let manager = Manager::default();
        manager.disk.is_there.store(true, Ordering::Relaxed);
        manager.want();
        Arc::new(manager)
    }

    /// True if the chunk is visible afterwards; otherwise it is gone from the disk, and to be fetched.
    fn want(&self) -> bool {
        let mut plan = self.plan.lock().expect("no poison");
        if plan.removed || plan.wanted {
            return plan.wanted;
        }
        plan.wanted = true;
        plan.holds += 1;
        let replaced = self.catalogue.publish(Arc::new(Chunk {
            id: ID,
            dataset_id: DATASET,
            blocks: BLOCKS,
            releases: self.releases.clone(),
        }));
        drop(plan);
        assert!(replaced.is_none(), "it was not visible");
        true
    }

    fn delete(&self) {
        let held = {
            let mut plan = self.plan.lock().expect("no poison");
            plan.wanted = false;
            self.catalogue.retract(&ID)
        };
        drop(held);
        self.hear_releases();
    }

    /// What every drop of a guard leads to, sooner or later.
    fn hear_releases(&self) {
        let mut plan = self.plan.lock().expect("no poison");
        while let Some(()) = self.releases.lock().expect("no poison").pop_front() {
            plan.holds -= 1;
        }
        if plan.holds == 0 && !plan.wanted && !plan.removed {
            plan.removed = true;
            self.disk.is_there.store(false, Ordering::Relaxed);
            self.disk.removals.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A query: what it holds stays until it lets go.
    fn query(&self) -> bool {
        let Some(guard) = self.catalogue.find(&DATASET, 5) else {
            return false;
        };
        let is_there = || self.disk.is_there.load(Ordering::Relaxed);
        assert!(is_there(), "found, and not there");
        let copy = guard.clone();
        drop(guard);
        assert!(is_there(), "held by a clone, and not there");
        drop(copy);
        self.hear_releases();
        true
    }

    /// When everybody is done.
    fn check(&self, wanted: bool) {
        self.hear_releases();
        let is_there = self.disk.is_there.load(Ordering::Relaxed);
        assert_eq!(self.catalogue.find(&DATASET, 5).is_some(), wanted);
        assert_eq!(is_there, wanted);
        let removals = self.disk.removals.load(Ordering::Relaxed);
        assert_eq!(removals, usize::from(!wanted));
    }
}

/// However a lookup and a delete meet, what was found is there until it is let go of, and is gone then.
#[test]
fn a_delete_meets_a_query() {
    explore(Bound::None, || {
        let manager = Manager::with_chunk();
        let query = {
            let manager = manager.clone();
            thread::spawn(move || manager.query())
        };
        manager.delete();
        query.join().expect("it ends");
        manager.check(false);
    });
}

/// A lookup that began after the delete had returned finds nothing.
#[test]
fn nothing_is_found_after_a_delete() {
    explore(Bound::None, || {
        let manager = Manager::with_chunk();
        let deleted = Arc::new(AtomicBool::new(false));
        let query = {
            let (manager, deleted) = (manager.clone(), deleted.clone());
            thread::spawn(move || {
                let was_deleted = deleted.load(Ordering::Acquire);
                let found = manager.query();
                assert!(!(was_deleted && found), "deleted, and found");
            })
        };
        manager.delete();
        deleted.store(true, Ordering::Release);
        query.join().expect("it ends");
        manager.check(false);
    });
}

/// A delete, somebody who takes the chunk back, and a query that may hold either's reference.
#[test]
fn a_chunk_is_taken_back_while_a_query_holds_it() {
    explore(Bound::None, || {
        let manager = Manager::with_chunk();
        let query = {
            let manager = manager.clone();
            thread::spawn(move || manager.query())
        };
        let back = {
            let manager = manager.clone();
            thread::spawn(move || {
                manager.delete();
                manager.want()
            })
        };
        let is_back = back.join().expect("it ends");
        query.join().expect("it ends");
        manager.check(is_back);
    });
}

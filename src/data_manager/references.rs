//! How many refer to what was deleted or replaced: for people, nothing is decided by it.
//!
//! What is visible is in the catalogue, and its references can be counted there. What left is not, so
//! whoever takes it out leaves a weak reference here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::data_catalogue::Held;
use crate::data_chunk::ChunkId;

/// What left the catalogue and was referred to then. At most what the planner counts holds of.
#[derive(Default)]
pub(super) struct References {
    /// Held for a moment. Never under it: the drop of a chunk's last reference.
    left: Mutex<HashMap<ChunkId, Vec<Weak<dyn Held>>>>,
}

impl References {
    /// It was taken out of the catalogue; `held` is what the catalogue had of it.
    pub(super) fn left(&self, held: &Arc<dyn Held>) {
        // Nobody can come to refer to it any more, so whoever is the only one stays so.
        if Arc::strong_count(held) > 1 {
            let mut left = self.left.lock();
            left.entry(*held.id())
                .or_default()
                .push(Arc::downgrade(held));
        }
    }

    /// The last reference to something of this id was dropped.
    pub(super) fn released(&self, id: ChunkId) {
        if let Entry::Occupied(mut of_id) = self.left.lock().entry(id) {
            of_id.get_mut().retain(|held| held.strong_count() > 0);
            if of_id.get().is_empty() {
                of_id.remove();
            }
        }
    }

    /// How many refer to what left of this id.
    pub(super) fn count(&self, id: &ChunkId) -> usize {
        let left = self.left.lock();
        let of_id = left.get(id).into_iter().flatten();
        of_id.map(Weak::strong_count).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::path::Path;

    use super::*;
    use crate::data_chunk::{ChunkFile, DatasetId};

    #[derive(Debug)]
    struct Chunk(ChunkId, Range<u64>);

    impl Held for Chunk {
        fn id(&self) -> &ChunkId {
            &self.0
        }
        fn dataset_id(&self) -> &DatasetId {
            &self.0
        }
        fn block_range(&self) -> &Range<u64> {
            &self.1
        }
        fn path(&self) -> &Path {
            Path::new("/nowhere")
        }
        fn files(&self) -> &[ChunkFile] {
            &[]
        }
        fn found(&self) {}
    }

    #[test]
    fn what_nobody_refers_to_any_more_is_forgotten() {
        let references = References::default();
        let held: Arc<dyn Held> = Arc::new(Chunk([1; 32], 0..1));
        references.left(&held);
        assert!(references.left.lock().is_empty(), "nobody else had it");
        let guards = [held.clone(), held.clone()];
        references.left(&held);
        drop(held);
        assert_eq!(references.count(&[1; 32]), 2);
        assert_eq!(references.count(&[2; 32]), 0);
        references.released([1; 32]);
        assert_eq!(references.count(&[1; 32]), 2, "another one was released");
        drop(guards);
        assert_eq!(references.count(&[1; 32]), 0);
        references.released([1; 32]);
        assert!(references.left.lock().is_empty());
    }
}

//! The invariants of the nodes, checked the slow way.

use std::ops::Range;

use super::{MIN, Node, Rows, WIDTH};
use crate::data_chunk::ChunkId;

/// What a checked subtree holds.
pub(in super::super) struct Subtree {
    /// Every entry below, in order.
    entries: Vec<(Range<u64>, ChunkId)>,
    pub(in super::super) depth: usize,
}

impl Subtree {
    pub(in super::super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn first_key(&self) -> (u64, &ChunkId) {
        let (range, id) = &self.entries[0];
        (range.start, id)
    }

    fn last_key(&self) -> (u64, &ChunkId) {
        let (range, id) = &self.entries[self.len() - 1];
        (range.start, id)
    }

    /// Where the last gap among the entries ends, or else where the first starts.
    fn solid_from(&self) -> u64 {
        let mut solid_from = self.entries[0].0.start;
        let mut reach = solid_from;
        for (range, _) in &self.entries {
            if range.start > reach {
                solid_from = range.start;
            }
            reach = reach.max(range.end);
        }
        solid_from
    }
}

impl<V> Node<V> {
    /// Panics unless every invariant of the module holds in this subtree.
    pub(in super::super) fn check(&self, is_root: bool) -> Subtree {
        match self {
            Self::Leaf(rows) => {
                rows.check(if is_root { 0 } else { MIN });
                let keys = (0..self.len()).map(|row| (rows.range(row), *rows.id(row)));
                let entries: Vec<_> = keys.collect();
                assert!(entries.iter().all(|(range, _)| !range.is_empty()));
                Subtree { entries, depth: 1 }
            }
            Self::Inner(rows) => {
                rows.check(if is_root { 2 } else { MIN });
                let children: Vec<_> = (0..self.len())
                    .map(|row| rows.item(row).node.check(false))
                    .collect();
                for (row, child) in children.iter().enumerate() {
                    let greatest_end = child.entries.iter().map(|(range, _)| range.end).max();
                    assert_eq!((rows.range(row).start, rows.id(row)), child.first_key());
                    assert_eq!(Some(rows.range(row).end), greatest_end);
                    assert_eq!(rows.item(row).solid_from, child.solid_from());
                    assert_eq!(child.depth, children[0].depth, "leaves equally deep");
                }
                assert!(children.is_sorted_by(|child, next| child.last_key() < next.first_key()));
                Subtree {
                    depth: children[0].depth + 1,
                    entries: children
                        .into_iter()
                        .flat_map(|child| child.entries)
                        .collect(),
                }
            }
        }
    }
}

impl<T> Rows<T> {
    fn check(&self, min: usize) {
        let len = self.len();
        assert!((min..WIDTH).contains(&len), "{len} rows");
        assert_eq!((self.ids.len(), self.items.len()), (len, len));
        assert!(self.ranges.capacity() <= WIDTH);
        assert!(self.ids.capacity() <= WIDTH);
        assert!(self.items.capacity() <= WIDTH);
        let keys = (0..len).map(|row| (self.range(row).start, self.id(row)));
        assert!(keys.is_sorted_by(|key, next| key < next), "keys ascend");
    }
}

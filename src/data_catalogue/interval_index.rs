//! Which chunks of one dataset hold a block: an index over block ranges that may overlap, nest or
//! be equal in any way.
//!
//! It is a B+-tree over `(start, id)` in which every row of an inner node also knows two things
//! about what lies below it: the greatest end, and where the last gap ends (see [`node`]). Each
//! query reads the tree from these two alone and enters a subtree only if an answer is in it, so
//! the worst set of ranges costs what the usual one does.
//!
//! A pure data structure: no lock, no clock, no IO. The catalogue owns one per dataset and is its
//! only caller.

use std::fmt;
use std::ops::Range;

use self::node::Node;
use crate::data_chunk::ChunkId;

mod node;
#[cfg(not(loom))]
#[cfg(test)]
mod tests;

/// A map from `(start, id)` to a value, each with the half-open block range `start..end`.
///
/// With `n` entries, `insert`, `remove`, `get` and `find` are O(log n) each time, not on average,
/// and whatever the ranges are: a change touches one path of nodes and their neighbours, and no
/// allocation is larger than a node.
pub(crate) struct IntervalIndex<V> {
    root: Node<V>,
    /// Entries in the tree.
    len: usize,
}

impl<V> IntervalIndex<V> {
    /// An index without entries; allocates nothing.
    pub(crate) const fn new() -> Self {
        Self {
            root: Node::new(),
            len: 0,
        }
    }

    /// An index of these entries, which ascend strictly by start and then by id: O(n).
    ///
    /// # Panics
    /// If they do not, or if a range is empty or inverted.
    pub(crate) fn from_sorted(entries: Vec<(Range<u64>, ChunkId, V)>) -> Self {
        let ascend = |entry: &(Range<u64>, ChunkId, V), next: &(Range<u64>, ChunkId, V)| {
            (entry.0.start, &entry.1) < (next.0.start, &next.1)
        };
        assert!(entries.is_sorted_by(ascend), "keys ascend");
        let holds_a_block = |(range, _, _): &(Range<u64>, ChunkId, V)| !range.is_empty();
        assert!(entries.iter().all(holds_a_block), "a chunk covers a block");
        Self {
            len: entries.len(),
            root: Node::from_sorted(entries.into_iter()),
        }
    }

    /// The number of entries.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts an entry in. One that has the same start and id gives way, also if its end differs,
    /// and its value is returned.
    ///
    /// # Panics
    /// If `range` is empty or inverted, before anything is changed: such a range would be no
    /// block's, yet would break the gaps that `missing` reports.
    pub(crate) fn insert(&mut self, range: Range<u64>, id: ChunkId, value: V) -> Option<V> {
        assert!(!range.is_empty(), "a chunk covers at least one block");
        let start = range.start;
        let replaced = self.root.insert(range, &id, value);
        self.root.grow_if_full(start, &id);
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Takes the entry with this start and id out.
    pub(crate) fn remove(&mut self, start: u64, id: &ChunkId) -> Option<V> {
        let removed = self.root.remove(start, id)?;
        self.root.shrink_if_single();
        self.len -= 1;
        Some(removed)
    }

    /// The value of the entry with this start and id.
    #[cfg(not(loom))]
    #[cfg(test)]
    pub(crate) fn get(&self, start: u64, id: &ChunkId) -> Option<&V> {
        self.root.get(start, id)
    }

    /// The chunk to read `block` from: of the entries that cover it the one with the greatest
    /// start, and of those the one with the smallest id.
    pub(crate) fn find(&self, block: u64) -> Option<&V> {
        let (leaf, row) = self.root.last_covering(block, &self.bounds()?)?;
        let start = leaf.range(row).start;
        // Of those that cover the block with this start, the last has the greatest id. The row
        // before tells that there is no other; before row 0 lies another leaf, which may have one.
        if row > 0 && leaf.range(row - 1).start < start {
            return Some(leaf.item(row));
        }
        let (leaf, row) = self.root.first_reaching(start, block)?;
        Some(leaf.item(row))
    }

    /// Every entry that overlaps `blocks`, in block order: by start, then by id. None if `blocks`
    /// is empty or inverted.
    ///
    /// Costs O(log n) and, for each entry found, one row of its leaf; at worst, if no two of them
    /// share a leaf, one path of nodes each.
    pub(crate) fn covering(&self, blocks: Range<u64>) -> Covering<'_, V> {
        let path = if blocks.is_empty() {
            Vec::new()
        } else {
            vec![(&self.root, 0)]
        };
        Covering { blocks, path }
    }

    /// The same, from the first entry behind this key on, whether or not there is one with it: how a
    /// long answer is taken in parts, none of which passes what was taken before.
    pub(crate) fn covering_after(
        &self,
        blocks: Range<u64>,
        (start, id): (u64, &ChunkId),
    ) -> Covering<'_, V> {
        let path = if blocks.is_empty() {
            Vec::new()
        } else {
            self.root.path_behind(start, id)
        };
        Covering { blocks, path }
    }

    /// The parts of `blocks` that no entry covers, in order, each as long as it can be; at most `limit`
    /// of them, which is at least one. If there may be more, also the block from which to ask for them.
    ///
    /// Costs O(log n) a part, however many entries lie between two parts.
    pub(crate) fn missing(
        &self,
        blocks: Range<u64>,
        limit: usize,
    ) -> (Vec<Range<u64>>, Option<u64>) {
        let mut sweep = Sweep {
            reach: blocks.start,
            end: blocks.end,
            limit,
            missing: Vec::new(),
        };
        sweep.visit(&self.root);
        sweep.finish()
    }

    /// Reads what a change at this key is about to read: in memory that the processor has at hand, the
    /// change itself takes a fraction of the time.
    pub(crate) fn warm_up(&self, start: u64, id: &ChunkId) {
        self.root.warm_up(start, id);
    }

    /// From the first block that an entry covers to the greatest end.
    pub(crate) fn bounds(&self) -> Option<Range<u64>> {
        let ranges = self.root.ranges();
        let start = ranges.first()?.start;
        let end = ranges.iter().map(|range| range.end).max()?;
        Some(start..end)
    }

    /// All entries in block order.
    #[cfg(not(loom))]
    #[cfg(test)]
    pub(crate) fn iter(&self) -> Covering<'_, V> {
        // Every range has a block, and the greatest block that one can have is `u64::MAX - 1`.
        self.covering(0..u64::MAX)
    }
}

impl<V> Default for IntervalIndex<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> fmt::Debug for IntervalIndex<V> {
    /// The size and the bounds: a million entries are of no use in a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IntervalIndex")
            .field("len", &self.len)
            .field("bounds", &self.bounds())
            .finish_non_exhaustive()
    }
}

/// The entries that overlap a range of blocks; see [`IntervalIndex::covering`].
#[derive(Debug)]
pub(crate) struct Covering<'a, V> {
    blocks: Range<u64>,
    /// From the root to the node being read, each with the first row not looked at yet.
    path: Vec<(&'a Node<V>, usize)>,
}

impl<'a, V> Iterator for Covering<'a, V> {
    type Item = (Range<u64>, &'a ChunkId, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (node, unread) = self.path.last_mut()?;
            let Some(row) = node.next_overlapping(*unread, &self.blocks) else {
                self.path.pop();
                continue;
            };
            *unread = row + 1;
            match node {
                Node::Leaf(rows) => return Some((rows.range(row), rows.id(row), rows.item(row))),
                Node::Inner(rows) => self.path.push((&rows.item(row).node, 0)),
            }
        }
    }
}

/// One pass over the entries by start that notes where their coverage is interrupted.
struct Sweep {
    /// Every block before this one is outside the question, covered, or in `missing`.
    reach: u64,
    /// Where the question ends.
    end: u64,
    /// How many parts are enough.
    limit: usize,
    missing: Vec<Range<u64>>,
}

impl Sweep {
    /// Reads a node that lies behind everything read so far.
    ///
    /// A child is entered only if its last gap ends behind `reach`. That gap is then missing: what
    /// lies before the child ends at `reach`, and what lies behind it starts after the gap. The one
    /// exception on each level is the child that the end of the question cuts.
    fn visit<V>(&mut self, node: &Node<V>) {
        for (row, range) in node.ranges().iter().enumerate() {
            if range.start >= self.end || self.is_enough() {
                break;
            }
            match node {
                Node::Inner(rows) if rows.item(row).solid_from > self.reach => {
                    self.visit(&rows.item(row).node);
                }
                _ => self.cover(range),
            }
        }
    }

    /// Goes on to the end of a range that has no gap behind `reach`, noting the one before it.
    fn cover(&mut self, range: &Range<u64>) {
        if range.start > self.reach {
            self.missing.push(self.reach..range.start);
        }
        self.reach = self.reach.max(range.end);
    }

    fn is_enough(&self) -> bool {
        self.missing.len() >= self.limit
    }

    fn finish(mut self) -> (Vec<Range<u64>>, Option<u64>) {
        if self.reach < self.end {
            if self.is_enough() {
                return (self.missing, Some(self.reach));
            }
            self.missing.push(self.reach..self.end);
        }
        (self.missing, None)
    }
}

//! The nodes of the interval index: rows side by side, and the tree of them.
//!
//! Invariants, for every node between two calls (`check_invariants` in the tests holds them):
//! 1. Rows ascend strictly by `(start, id)`; all leaves are equally deep.
//! 2. A node has `MIN..WIDTH` rows. The root may have fewer: as a leaf none, else two.
//! 3. A row of an inner node has the least key and the greatest end of its child, exactly.
//! 4. Its `solid_from` is the least block from which on the ranges below cover every block up to
//!    their greatest end: where the last gap among them ends, or, without a gap, the first start.
//!
//! 3 gives the queries for a block their worst case, 4 that of `missing`: in a subtree whose
//! starts all qualify, a greatest end behind the block is proof of an entry there, not a hint.

use std::mem;
use std::ops::Range;

use crate::data_chunk::ChunkId;

#[cfg(test)]
mod check;

/// A node that reaches this many rows is split. 64 starts are eight cache lines, of which a search
/// reads three or so; three levels hold 100,000 entries. Small in tests, to have deep trees soon.
const WIDTH: usize = if cfg!(test) { 8 } else { 32 };

/// A node, other than the root, with fewer rows is joined with a neighbour. A quarter, not half, so
/// that a node just split is far from both limits, and one may be split near its edge.
const MIN: usize = WIDTH / 4;

/// A node: the root's depth, and so every recursion, is below 16 for any number of entries that
/// fits in memory.
#[derive(Debug)]
pub(super) enum Node<V> {
    Leaf(Rows<V>),
    Inner(Rows<Child<V>>),
}

/// What a row of an inner node leads to.
#[derive(Debug)]
pub(super) struct Child<V> {
    /// See invariant 4.
    pub(super) solid_from: u64,
    pub(super) node: Node<V>,
}

/// Rows `(start, end, id, item)` in the order of `(start, id)`, column by column.
///
/// A query reads starts, then ends, and goes to one item. Apart from each other, they share no
/// cache line with what is not read.
#[derive(Debug)]
pub(super) struct Rows<T> {
    starts: Vec<u64>,
    ends: Vec<u64>,
    /// Ids are compared among equal starts only, so they need no column of their own.
    items: Vec<(ChunkId, T)>,
}

/// What a row of an inner node says about its child.
struct Summary {
    range: Range<u64>,
    id: ChunkId,
    solid_from: u64,
}

impl<V> Node<V> {
    /// A leaf without rows.
    pub(super) const fn new() -> Self {
        Self::Leaf(Rows::new())
    }

    /// The number of rows in this node itself.
    pub(super) fn len(&self) -> usize {
        self.starts().len()
    }

    /// A row's range: of one entry in a leaf, of all entries below in an inner node.
    pub(super) fn range(&self, row: usize) -> Range<u64> {
        self.starts()[row]..self.ends()[row]
    }

    /// From the first start to the greatest end of a node with rows.
    pub(super) fn bounds(&self) -> Range<u64> {
        self.starts()[0]..self.ends().iter().copied().fold(0, u64::max)
    }

    pub(super) fn get(&self, start: u64, id: &ChunkId) -> Option<&V> {
        match self {
            Self::Leaf(rows) => Some(rows.item(rows.search(start, id).ok()?)),
            Self::Inner(rows) => rows.item(rows.row_of(start, id)).node.get(start, id),
        }
    }

    /// The last entry, by `(start, id)`, that covers `block`, as its leaf and row.
    ///
    /// Children are tried from the last that starts at or before `block`. Only that first one can
    /// disappoint, since some of its starts may be behind `block`: two paths are read at the most.
    pub(super) fn last_covering(&self, block: u64) -> Option<(&Rows<V>, usize)> {
        let started = self.starts().partition_point(|&start| start <= block);
        let mut rows_reaching = (0..started).rev().filter(|&row| self.ends()[row] > block);
        match self {
            Self::Leaf(rows) => rows_reaching.next().map(|row| (rows, row)),
            Self::Inner(rows) => {
                rows_reaching.find_map(|row| rows.item(row).node.last_covering(block))
            }
        }
    }

    /// The first entry, by `(start, id)`, that starts at or behind `from` and ends behind `block`.
    ///
    /// The mirror of [`Node::last_covering`]: here the first child may hold starts before `from`.
    pub(super) fn first_covering(&self, from: u64, block: u64) -> Option<(&Rows<V>, usize)> {
        let before = self.starts().partition_point(|&start| start < from);
        let reaching = |&row: &usize| self.ends()[row] > block;
        match self {
            Self::Leaf(rows) => (before..self.len()).find(reaching).map(|row| (rows, row)),
            Self::Inner(rows) => (before.saturating_sub(1)..self.len())
                .filter(reaching)
                .find_map(|row| rows.item(row).node.first_covering(from, block)),
        }
    }

    /// The first row from `from` on whose range overlaps `blocks`.
    pub(super) fn next_overlapping(&self, from: usize, blocks: &Range<u64>) -> Option<usize> {
        (from..self.len())
            .take_while(|&row| self.starts()[row] < blocks.end)
            .find(|&row| self.ends()[row] > blocks.start)
    }

    /// Puts an entry in; the caller splits this node if it is full then.
    pub(super) fn insert(&mut self, range: &Range<u64>, id: &ChunkId, value: V) -> Option<V> {
        match self {
            Self::Leaf(rows) => match rows.search(range.start, id) {
                Ok(row) => Some(rows.replace(row, range.end, value)),
                Err(row) => {
                    rows.insert(row, range.clone(), *id, value);
                    None
                }
            },
            Self::Inner(rows) => {
                let row = rows.row_of(range.start, id);
                let child = &mut rows.item_mut(row).node;
                let replaced = child.insert(range, id, value);
                if child.is_full() {
                    rows.split_child(row, range.start, id);
                } else {
                    rows.refresh(row);
                }
                replaced
            }
        }
    }

    /// Takes an entry out; the caller joins this node with a neighbour if it is too small then.
    pub(super) fn remove(&mut self, start: u64, id: &ChunkId) -> Option<V> {
        match self {
            Self::Leaf(rows) => Some(rows.remove(rows.search(start, id).ok()?)),
            Self::Inner(rows) => {
                let row = rows.row_of(start, id);
                let child = &mut rows.item_mut(row).node;
                let removed = child.remove(start, id)?;
                if child.len() < MIN {
                    rows.join_child(row);
                } else {
                    rows.refresh(row);
                }
                Some(removed)
            }
        }
    }

    /// Of a root that is full makes the two children of a new root. The key is the one that filled
    /// it.
    pub(super) fn grow_if_full(&mut self, start: u64, id: &ChunkId) {
        if self.is_full() {
            let mut rows = Rows::new();
            rows.insert_child(0, mem::replace(self, Self::new()));
            rows.split_child(0, start, id);
            *self = Self::Inner(rows);
        }
    }

    /// Puts an only child in the place of its root.
    pub(super) fn shrink_if_single(&mut self) {
        if let Self::Inner(rows) = self
            && rows.starts.len() == 1
        {
            *self = rows.remove(0).node;
        }
    }

    fn is_full(&self) -> bool {
        self.len() >= WIDTH
    }

    fn starts(&self) -> &[u64] {
        match self {
            Self::Leaf(rows) => &rows.starts,
            Self::Inner(rows) => &rows.starts,
        }
    }

    fn ends(&self) -> &[u64] {
        match self {
            Self::Leaf(rows) => &rows.ends,
            Self::Inner(rows) => &rows.ends,
        }
    }

    /// Moves the rows behind a full node's split point into a new node of the same kind.
    fn split(&mut self, start: u64, id: &ChunkId) -> Self {
        match self {
            Self::Leaf(rows) => Self::Leaf(rows.split_off(rows.split_point(start, id))),
            Self::Inner(rows) => Self::Inner(rows.split_off(rows.split_point(start, id))),
        }
    }

    /// Takes the rows of the next node in, or, if they are too many for one, half of all.
    /// Returns what is left of the next node.
    fn join(&mut self, next: Self) -> Option<Self> {
        match (self, next) {
            (Self::Leaf(rows), Self::Leaf(next)) => rows.join(next).map(Self::Leaf),
            (Self::Inner(rows), Self::Inner(next)) => rows.join(next).map(Self::Inner),
            _ => unreachable!("all leaves are equally deep"),
        }
    }

    fn summary(&self) -> Summary {
        match self {
            Self::Leaf(rows) => rows.summary(|row| rows.starts[row]),
            Self::Inner(rows) => rows.summary(|row| rows.item(row).solid_from),
        }
    }
}

impl<V> Rows<Child<V>> {
    fn insert_child(&mut self, row: usize, node: Node<V>) {
        let Summary {
            range,
            id,
            solid_from,
        } = node.summary();
        self.insert(row, range, id, Child { solid_from, node });
    }

    /// Reads again what a row says about its child, after the child has changed.
    fn refresh(&mut self, row: usize) {
        let summary = self.item(row).node.summary();
        self.starts[row] = summary.range.start;
        self.ends[row] = summary.range.end;
        self.items[row].0 = summary.id;
        self.items[row].1.solid_from = summary.solid_from;
    }

    /// Splits a full child; the key is the one that filled it.
    fn split_child(&mut self, row: usize, start: u64, id: &ChunkId) {
        let next = self.item_mut(row).node.split(start, id);
        self.refresh(row);
        self.insert_child(row + 1, next);
    }

    /// Joins a child that is too small with the one before it, or the first with the second.
    fn join_child(&mut self, row: usize) {
        let row = row.saturating_sub(1);
        let next = self.remove(row + 1).node;
        let rest = self.item_mut(row).node.join(next);
        self.refresh(row);
        if let Some(rest) = rest {
            self.insert_child(row + 1, rest);
        }
    }
}

impl<T> Rows<T> {
    pub(super) fn start(&self, row: usize) -> u64 {
        self.starts[row]
    }

    pub(super) fn range(&self, row: usize) -> Range<u64> {
        self.starts[row]..self.ends[row]
    }

    pub(super) fn id(&self, row: usize) -> &ChunkId {
        &self.items[row].0
    }

    pub(super) fn item(&self, row: usize) -> &T {
        &self.items[row].1
    }

    const fn new() -> Self {
        Self {
            starts: Vec::new(),
            ends: Vec::new(),
            items: Vec::new(),
        }
    }

    fn item_mut(&mut self, row: usize) -> &mut T {
        &mut self.items[row].1
    }

    /// The row of a key, or, as an error, the row that it would get.
    fn search(&self, start: u64, id: &ChunkId) -> Result<usize, usize> {
        let first = self.starts.partition_point(|&other| other < start);
        let equal = self.starts[first..].partition_point(|&other| other == start);
        self.items[first..first + equal]
            .binary_search_by(|(other, _)| other.cmp(id))
            .map(|row| first + row)
            .map_err(|row| first + row)
    }

    /// The last row whose key is not greater, or row 0: the child that a key belongs to.
    fn row_of(&self, start: u64, id: &ChunkId) -> usize {
        self.search(start, id)
            .unwrap_or_else(|row| row.saturating_sub(1))
    }

    fn insert(&mut self, row: usize, range: Range<u64>, id: ChunkId, item: T) {
        self.starts.insert(row, range.start);
        self.ends.insert(row, range.end);
        self.items.insert(row, (id, item));
    }

    fn replace(&mut self, row: usize, end: u64, item: T) -> T {
        self.ends[row] = end;
        mem::replace(self.item_mut(row), item)
    }

    fn remove(&mut self, row: usize) -> T {
        self.starts.remove(row);
        self.ends.remove(row);
        self.items.remove(row).1
    }

    /// Where to split full rows that this key has filled: in the middle, but a quarter from the
    /// edge if the key came in there. Entries that arrive in block order, or in reverse, then leave
    /// nodes three quarters full behind them, not half.
    fn split_point(&self, start: u64, id: &ChunkId) -> usize {
        let row = self.row_of(start, id);
        if row == 0 {
            MIN
        } else if row + 1 == self.starts.len() {
            row + 1 - MIN
        } else {
            WIDTH / 2
        }
    }

    fn split_off(&mut self, row: usize) -> Self {
        Self {
            starts: split_off(&mut self.starts, row),
            ends: split_off(&mut self.ends, row),
            items: split_off(&mut self.items, row),
        }
    }

    fn append(&mut self, mut next: Self) {
        self.starts.append(&mut next.starts);
        self.ends.append(&mut next.ends);
        self.items.append(&mut next.items);
    }

    /// See [`Node::join`].
    fn join(&mut self, mut next: Self) -> Option<Self> {
        let len = self.starts.len();
        let total = len + next.starts.len();
        if total < WIDTH {
            self.append(next);
            return None;
        }
        let half = total / 2;
        let rest = if len < half {
            let rest = next.split_off(half - len);
            self.append(next);
            rest
        } else {
            let mut rest = self.split_off(half);
            rest.append(next);
            rest
        };
        Some(rest)
    }

    /// Sums rows up, of which there is at least one, given `solid_from` of each.
    fn summary(&self, solid_from: impl Fn(usize) -> u64) -> Summary {
        let mut solid = solid_from(0);
        let mut reach = self.ends[0];
        for row in 1..self.starts.len() {
            // A gap that ends at or before `reach` is covered by an earlier row.
            if solid_from(row) > reach {
                solid = solid_from(row);
            }
            reach = reach.max(self.ends[row]);
        }
        Summary {
            range: self.starts[0]..reach,
            id: self.items[0].0,
            solid_from: solid,
        }
    }
}

/// `Vec::split_off`, but with room up to `WIDTH`: growing by doubling would overshoot it.
fn split_off<T>(column: &mut Vec<T>, row: usize) -> Vec<T> {
    let mut tail = Vec::with_capacity(WIDTH);
    tail.extend(column.drain(row..));
    tail
}

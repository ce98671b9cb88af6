//! The nodes of the interval index: rows side by side, and the tree of them.
//!
//! Invariants, for every node between two calls (`check` holds them in tests):
//! 1. Rows ascend strictly by `(start, id)`, and so do the entries below from row to row. All
//!    leaves are equally deep.
//! 2. A node has at least `MIN` and fewer than `WIDTH` rows. The root may have fewer than `MIN`:
//!    none if it is a leaf, two if not.
//! 3. A row of an inner node has the least key of its child, and the greatest end below it.
//! 4. Its `solid_from` is where the last gap below it ends: the least start from which on the
//!    ranges below cover every block up to their greatest end.
//!
//! 3 holds exactly, not as a bound. So where all starts below a row are known to be at or before a
//! block, an end behind the block proves that an entry below covers it: a query never searches a
//! subtree in vain, but for the one subtree on each level that the block itself cuts. 4 does the
//! same for gaps.

use std::hint::black_box;
use std::mem;
use std::ops::Range;

use crate::data_chunk::ChunkId;

#[cfg(not(loom))]
#[cfg(test)]
mod check;

/// A node that reaches this many rows is split. Of 16, 32, 64 and 128, 64 was the fastest at a
/// million entries: five levels at the most. Small in tests, for deep trees of few entries.
const WIDTH: usize = if cfg!(test) { 16 } else { 64 };

/// The fewest rows of a node other than the root: what a split near the edge puts into a node.
const MIN: usize = WIDTH / 4;

/// A node that a removal leaves with fewer rows is joined with a neighbour. Just under half: what
/// comes out of a join, or of a split in the middle, can lose some rows before the next join. The
/// lower this is, the emptier a long life of changes leaves the nodes.
const LOW: usize = WIDTH * 7 / 16;

/// How many rows each node gets of a tree that is built as a whole: as many as entries in block order
/// leave behind them, so that what comes in later does not split nodes at once.
const FILL: usize = WIDTH - MIN;

/// How many rows a guess may be off by: with the rows around them, two or three lines of memory.
const GUESS_MARGIN: usize = 2;

/// A tree of rows. With at least `MIN` children a node, no recursion goes deeper than 16.
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

/// Rows `(range, id, item)` in the order of `(start, id)`, column by column: a query reads many
/// ranges, hardly an id, and one item, and should not fetch the rest with them.
#[derive(Debug)]
pub(super) struct Rows<T> {
    ranges: Vec<Range<u64>>,
    ids: Vec<ChunkId>,
    items: Vec<T>,
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

    /// The tree of these entries, which ascend strictly by `(start, id)`: O(n), without a search.
    pub(super) fn from_sorted(
        entries: impl ExactSizeIterator<Item = (Range<u64>, ChunkId, V)>,
    ) -> Self {
        let mut nodes: Vec<Self> = Rows::pack(entries).map(Self::Leaf).collect();
        while nodes.len() > 1 {
            nodes = Rows::pack(nodes.into_iter().map(Self::into_row))
                .map(Self::Inner)
                .collect();
        }
        nodes.pop().unwrap_or_else(Self::new)
    }

    /// What a row of an inner node holds of it.
    fn into_row(self) -> (Range<u64>, ChunkId, Child<V>) {
        let Summary {
            range,
            id,
            solid_from,
        } = self.summary();
        let node = self;
        (range, id, Child { solid_from, node })
    }

    /// The range of each row: of an entry in a leaf, from the first start to the greatest end of
    /// the entries below in an inner node.
    pub(super) fn ranges(&self) -> &[Range<u64>] {
        match self {
            Self::Leaf(rows) => &rows.ranges,
            Self::Inner(rows) => &rows.ranges,
        }
    }

    #[cfg(not(loom))]
    #[cfg(test)]
    pub(super) fn get(&self, start: u64, id: &ChunkId) -> Option<&V> {
        match self {
            Self::Leaf(rows) => Some(rows.item(rows.search(start, id).ok()?)),
            Self::Inner(rows) => rows.item(rows.row_of(start, id)).node.get(start, id),
        }
    }

    /// Reads what a change at this key will: in each node of its path what its row above is summed up from,
    /// and the columns of the leaf, which move.
    pub(super) fn warm_up(&self, start: u64, id: &ChunkId) {
        let mut node = self;
        while node.len() > 0 {
            black_box(node.summary().solid_from);
            match node {
                Self::Leaf(rows) => {
                    black_box(rows.ids.iter().fold(0, |all, id| all ^ id[0]));
                    return;
                }
                Self::Inner(rows) => node = &rows.item(rows.row_of(start, id)).node,
            }
        }
    }

    /// The nodes from this one to the leaf that a key belongs to, each with the first row behind it.
    pub(super) fn path_behind(&self, start: u64, id: &ChunkId) -> Vec<(&Self, usize)> {
        let mut path = Vec::new();
        let mut node = self;
        loop {
            match node {
                Self::Leaf(rows) => {
                    let row = rows.search(start, id).map_or_else(|row| row, |row| row + 1);
                    path.push((node, row));
                    return path;
                }
                Self::Inner(rows) => {
                    let row = rows.row_of(start, id);
                    path.push((node, row + 1));
                    node = &rows.item(row).node;
                }
            }
        }
    }

    /// The last entry, by `(start, id)`, that covers `block`, as its leaf and row. `within`: about where
    /// the blocks of this node are; what it is only makes a difference to the time.
    ///
    /// The only child that may contain the block and yet disappoint is the last one that starts at
    /// or before it, since some starts in there may be behind it. So two paths are read at most.
    pub(super) fn last_covering(
        &self,
        block: u64,
        within: &Range<u64>,
    ) -> Option<(&Rows<V>, usize)> {
        let ranges = self.ranges();
        let before = started(ranges, block, within);
        let mut candidates = (0..before).rev().filter(|row| ranges[*row].end > block);
        match self {
            Self::Leaf(rows) => candidates.next().map(|row| (rows, row)),
            Self::Inner(rows) => {
                candidates.find_map(|row| rows.item(row).node.last_covering(block, &ranges[row]))
            }
        }
    }

    /// The first entry, by `(start, id)`, that starts at or behind `from` and ends behind `block`.
    ///
    /// The mirror of [`Node::last_covering`]: here the first child may hold starts before `from`.
    pub(super) fn first_reaching(&self, from: u64, block: u64) -> Option<(&Rows<V>, usize)> {
        let before = self.ranges().partition_point(|range| range.start < from);
        let reaches = |row: &usize| self.ranges()[*row].end > block;
        match self {
            Self::Leaf(rows) => {
                let row = (before..self.len()).find(reaches)?;
                Some((rows, row))
            }
            Self::Inner(rows) => (before.saturating_sub(1)..self.len())
                .filter(reaches)
                .find_map(|row| rows.item(row).node.first_reaching(from, block)),
        }
    }

    /// The first row at or behind `from` whose range overlaps `blocks`, which are not empty.
    pub(super) fn next_overlapping(&self, from: usize, blocks: &Range<u64>) -> Option<usize> {
        self.ranges()[from..]
            .iter()
            .take_while(|range| range.start < blocks.end)
            .position(|range| range.end > blocks.start)
            .map(|behind| from + behind)
    }

    /// Puts an entry in. The node may be full then, and is for its owner to split.
    pub(super) fn insert(&mut self, range: Range<u64>, id: &ChunkId, value: V) -> Option<V> {
        match self {
            Self::Leaf(rows) => match rows.search(range.start, id) {
                Ok(row) => {
                    rows.ranges[row] = range;
                    Some(mem::replace(&mut rows.items[row], value))
                }
                Err(row) => {
                    rows.insert(row, range, *id, value);
                    None
                }
            },
            Self::Inner(rows) => {
                let start = range.start;
                let row = rows.row_of(start, id);
                let child = &mut rows.items[row].node;
                let replaced = child.insert(range, id, value);
                if child.is_full() {
                    rows.split_child(row, start, id);
                } else {
                    rows.refresh(row);
                }
                replaced
            }
        }
    }

    /// Takes an entry out. The node may be too small then, and is for its owner to join.
    pub(super) fn remove(&mut self, start: u64, id: &ChunkId) -> Option<V> {
        match self {
            Self::Leaf(rows) => {
                let row = rows.search(start, id).ok()?;
                Some(rows.remove(row))
            }
            Self::Inner(rows) => {
                let row = rows.row_of(start, id);
                let child = &mut rows.items[row].node;
                let removed = child.remove(start, id)?;
                if child.len() < LOW {
                    rows.join_child(row);
                } else {
                    rows.refresh(row);
                }
                Some(removed)
            }
        }
    }

    /// Gives a full root a new root above it. The key is the one that filled it.
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
            && rows.len() == 1
        {
            *self = rows.remove(0).node;
        }
    }

    fn len(&self) -> usize {
        self.ranges().len()
    }

    fn is_full(&self) -> bool {
        self.len() >= WIDTH
    }

    /// Moves the rows behind the split point of a full node into a new one.
    fn split(&mut self, start: u64, id: &ChunkId) -> Self {
        match self {
            Self::Leaf(rows) => Self::Leaf(rows.split_off(rows.split_point(start, id))),
            Self::Inner(rows) => Self::Inner(rows.split_off(rows.split_point(start, id))),
        }
    }

    /// See [`Rows::join`].
    fn join(&mut self, next: Self) -> Option<Self> {
        match (self, next) {
            (Self::Leaf(rows), Self::Leaf(next)) => rows.join(next).map(Self::Leaf),
            (Self::Inner(rows), Self::Inner(next)) => rows.join(next).map(Self::Inner),
            _ => unreachable!("neighbours are equally deep"),
        }
    }

    fn summary(&self) -> Summary {
        match self {
            Self::Leaf(rows) => rows.summary(|row| rows.ranges[row].start),
            Self::Inner(rows) => rows.summary(|row| rows.items[row].solid_from),
        }
    }
}

impl<V> Rows<Child<V>> {
    fn insert_child(&mut self, row: usize, node: Node<V>) {
        let (range, id, child) = node.into_row();
        self.insert(row, range, id, child);
    }

    /// Brings a row up to date with its child.
    fn refresh(&mut self, row: usize) {
        let summary = self.items[row].node.summary();
        self.ranges[row] = summary.range;
        self.ids[row] = summary.id;
        self.items[row].solid_from = summary.solid_from;
    }

    /// Splits a full child. The key is the one that filled it.
    fn split_child(&mut self, row: usize, start: u64, id: &ChunkId) {
        let next = self.items[row].node.split(start, id);
        self.refresh(row);
        self.insert_child(row + 1, next);
    }

    /// Joins a child that is too small with the one before it, or the first with the second.
    fn join_child(&mut self, row: usize) {
        let row = row.saturating_sub(1);
        let next = self.remove(row + 1).node;
        let rest = self.items[row].node.join(next);
        self.refresh(row);
        if let Some(rest) = rest {
            self.insert_child(row + 1, rest);
        }
    }
}

impl<T> Rows<T> {
    pub(super) fn range(&self, row: usize) -> Range<u64> {
        self.ranges[row].clone()
    }

    pub(super) fn id(&self, row: usize) -> &ChunkId {
        &self.ids[row]
    }

    pub(super) fn item(&self, row: usize) -> &T {
        &self.items[row]
    }

    const fn new() -> Self {
        Self {
            ranges: Vec::new(),
            ids: Vec::new(),
            items: Vec::new(),
        }
    }

    /// Puts rows into as few nodes as `FILL` allows, each of which gets as many as the others, or one
    /// more. Where there are two nodes or more, each has at least half of `FILL`, which is `MIN` and more.
    fn pack(
        mut rows: impl ExactSizeIterator<Item = (Range<u64>, ChunkId, T)>,
    ) -> impl Iterator<Item = Self> {
        let len = rows.len();
        let nodes = len.div_ceil(FILL);
        (0..nodes).map(move |node| {
            let count = len * (node + 1) / nodes - len * node / nodes;
            let mut packed = Self {
                ranges: Vec::with_capacity(WIDTH),
                ids: Vec::with_capacity(WIDTH),
                items: Vec::with_capacity(WIDTH),
            };
            for (range, id, item) in rows.by_ref().take(count) {
                packed.ranges.push(range);
                packed.ids.push(id);
                packed.items.push(item);
            }
            packed
        })
    }

    fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The row of a key, or, as an error, the row that it would get. Ids are compared only among
    /// equal starts.
    fn search(&self, start: u64, id: &ChunkId) -> Result<usize, usize> {
        let first = self.ranges.partition_point(|range| range.start < start);
        let equal = self.ranges[first..].partition_point(|range| range.start == start);
        self.ids[first..first + equal]
            .binary_search(id)
            .map(|row| first + row)
            .map_err(|row| first + row)
    }

    /// The last row whose key is not greater, or else row 0: the child that a key belongs to.
    fn row_of(&self, start: u64, id: &ChunkId) -> usize {
        self.search(start, id)
            .unwrap_or_else(|row| row.saturating_sub(1))
    }

    fn insert(&mut self, row: usize, range: Range<u64>, id: ChunkId, item: T) {
        self.ranges.insert(row, range);
        self.ids.insert(row, id);
        self.items.insert(row, item);
    }

    fn remove(&mut self, row: usize) -> T {
        self.ranges.remove(row);
        self.ids.remove(row);
        self.items.remove(row)
    }

    /// Where to split rows that this key has filled: in the middle, but `MIN` from the edge if the
    /// key came in there. Entries that arrive in block order, or in reverse, so leave nodes three
    /// quarters full behind them, not half.
    fn split_point(&self, start: u64, id: &ChunkId) -> usize {
        match self.row_of(start, id) {
            0 => MIN,
            row if row + 1 == self.len() => self.len() - MIN,
            _ => self.len() / 2,
        }
    }

    fn split_off(&mut self, row: usize) -> Self {
        Self {
            ranges: split_off(&mut self.ranges, row),
            ids: split_off(&mut self.ids, row),
            items: split_off(&mut self.items, row),
        }
    }

    fn append(&mut self, mut next: Self) {
        self.ranges.append(&mut next.ranges);
        self.ids.append(&mut next.ids);
        self.items.append(&mut next.items);
    }

    /// Takes in all rows of the next node, or, if both have too many for one, half of what both
    /// have. Returns the rows that stay behind.
    fn join(&mut self, mut next: Self) -> Option<Self> {
        let total = self.len() + next.len();
        let half = total / 2;
        if total < WIDTH {
            self.append(next);
            None
        } else if self.len() < half {
            let rest = next.split_off(half - self.len());
            self.append(next);
            Some(rest)
        } else {
            let mut rest = self.split_off(half);
            rest.append(next);
            Some(rest)
        }
    }

    /// Sums up the rows, of which there is at least one. `solid_from` is asked for each row's.
    fn summary(&self, solid_from: impl Fn(usize) -> u64) -> Summary {
        let mut solid = solid_from(0);
        let mut reach = self.ranges[0].end;
        for (row, range) in self.ranges.iter().enumerate().skip(1) {
            // A gap that ends at or before `reach` is covered by an earlier row.
            if solid_from(row) > reach {
                solid = solid_from(row);
            }
            reach = reach.max(range.end);
        }
        Summary {
            range: self.ranges[0].start..reach,
            id: self.ids[0],
            solid_from: solid,
        }
    }
}

/// How many of the ranges, which are in the order of their starts, start at or before `block`.
///
/// The place is guessed from where the block lies in `within`: chunks of one dataset mostly have about as many
/// blocks each, and then the first look finds it, in a line of memory that was known before any other of
/// the node was read. A search by halves, whose every step waits for the memory that the step before chose,
/// comes where the guess was wrong.
fn started(ranges: &[Range<u64>], block: u64, within: &Range<u64>) -> usize {
    let len = ranges.len();
    let share = block.saturating_sub(within.start) as f64 / (within.end - within.start) as f64;
    let guess = ((share * len as f64) as usize).min(len.saturating_sub(1));
    let near = guess.saturating_sub(GUESS_MARGIN)..(guess + GUESS_MARGIN + 1).min(len);
    let is_behind = |row: usize| ranges[row].start > block;
    if near.start > 0 && is_behind(near.start - 1) {
        return ranges[..near.start - 1].partition_point(|range| range.start <= block);
    }
    if near.end < len && !is_behind(near.end) {
        let rest = &ranges[near.end + 1..];
        return near.end + 1 + rest.partition_point(|range| range.start <= block);
    }
    let mut before = near.end;
    while before > near.start && is_behind(before - 1) {
        before -= 1;
    }
    before
}

/// `Vec::split_off` with room for `WIDTH` in the tail, past which growing by doubling would go.
fn split_off<T>(column: &mut Vec<T>, row: usize) -> Vec<T> {
    let mut tail = Vec::with_capacity(WIDTH);
    tail.extend(column.drain(row..));
    tail
}

//! The index against a brute-force model, its invariants after every step, and its worst cases.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::IntervalIndex;
use crate::data_chunk::ChunkId;

/// An id that differs from others in its first or in its last bytes.
fn id(number: u64) -> ChunkId {
    let mut id = [7; 32];
    id[0] = u8::try_from(number % 3).unwrap();
    id[24..].copy_from_slice(&number.to_be_bytes());
    id
}

/// The same map, sorted but without any shortcut.
#[derive(Default)]
struct Model(BTreeMap<(u64, ChunkId), (u64, u32)>);

impl Model {
    fn entries(&self) -> impl Iterator<Item = (Range<u64>, &ChunkId, &u32)> {
        let entries = self.0.iter();
        entries.map(|((start, id), (end, value))| (*start..*end, id, value))
    }

    fn covering(&self, blocks: &Range<u64>) -> Vec<(Range<u64>, &ChunkId, &u32)> {
        let overlaps = |range: &Range<u64>| {
            range.start.max(blocks.start) < range.end.min(blocks.end) && !blocks.is_empty()
        };
        self.entries().filter(|entry| overlaps(&entry.0)).collect()
    }

    fn find(&self, block: u64) -> Option<&u32> {
        let covering: Vec<_> = self
            .entries()
            .filter(|(range, ..)| range.contains(&block))
            .collect();
        let start = covering.iter().map(|(range, ..)| range.start).max()?;
        let mut best = covering.iter().filter(|(range, ..)| range.start == start);
        best.next().map(|(_, _, value)| *value)
    }

    fn missing(&self, blocks: &Range<u64>) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut rest = blocks.clone();
        for (range, ..) in self.covering(blocks) {
            if rest.start < range.start {
                missing.push(rest.start..range.start);
            }
            rest.start = rest.start.max(range.end);
        }
        if !rest.is_empty() {
            missing.push(rest);
        }
        missing
    }
}

fn covering_in_parts<'a>(
    index: &'a IntervalIndex<u32>,
    blocks: &Range<u64>,
    size: usize,
) -> Vec<(Range<u64>, &'a ChunkId, &'a u32)> {
    let mut all: Vec<_> = index.covering(blocks.clone()).take(size).collect();
    while let Some((range, id, _)) = all.last().cloned() {
        let rest = index.covering_after(blocks.clone(), (range.start, id));
        let before = all.len();
        all.extend(rest.take(size));
        if all.len() == before {
            break;
        }
    }
    all
}

fn missing_in_parts<V>(
    index: &IntervalIndex<V>,
    blocks: &Range<u64>,
    size: usize,
) -> Vec<Range<u64>> {
    let (mut all, mut more) = index.missing(blocks.clone(), size);
    while let Some(from) = more {
        let (part, next) = index.missing(from..blocks.end, size);
        assert!(part.len() <= size);
        all.extend(part);
        more = next;
    }
    all
}

fn all_missing<V>(index: &IntervalIndex<V>, blocks: Range<u64>) -> Vec<Range<u64>> {
    missing_in_parts(index, &blocks, usize::MAX)
}

/// The index and the model side by side.
#[derive(Default)]
struct Pair {
    index: IntervalIndex<u32>,
    model: Model,
    inserted: u32,
}

impl Pair {
    fn insert(&mut self, range: Range<u64>, id: ChunkId) {
        self.inserted += 1;
        let value = self.inserted;
        let expected = self.model.0.insert((range.start, id), (range.end, value));
        let replaced = self.index.insert(range, id, value);
        assert_eq!(replaced, expected.map(|(_, value)| value));
    }

    fn remove(&mut self, start: u64, id: &ChunkId) {
        let expected = self.model.0.remove(&(start, *id));
        let removed = self.index.remove(start, id);
        assert_eq!(removed, expected.map(|(_, value)| value));
    }

    /// The same entries, as an index that is built as a whole.
    fn rebuilt(self) -> Pair {
        let entries = self
            .model
            .entries()
            .map(|(range, id, value)| (range, *id, *value));
        Pair {
            index: IntervalIndex::from_sorted(entries.collect()),
            ..self
        }
    }

    /// The key at a position in block order.
    fn key(&self, at: usize) -> Option<(u64, ChunkId)> {
        self.model.0.keys().nth(at).copied()
    }

    /// Everything that can be compared without asking about particular blocks.
    fn check(&self) {
        self.index.check_invariants();
        assert_eq!(self.index.len(), self.model.0.len());
        assert_eq!(self.index.is_empty(), self.model.0.is_empty());
        assert!(self.index.iter().eq(self.model.entries()));
        let start = self.model.entries().map(|(range, ..)| range.start).min();
        let end = self.model.entries().map(|(range, ..)| range.end).max();
        assert_eq!(
            self.index.bounds(),
            start.zip(end).map(|(start, end)| start..end)
        );
    }

    /// Every query about blocks, at the given ones and, for ranges, between any two in a row.
    fn check_blocks(&self, blocks: &[u64]) {
        for &block in blocks {
            let found = self.index.find(block);
            assert_eq!(found, self.model.find(block), "find({block})");
        }
        for pair in blocks.windows(2) {
            let range = pair[0]..pair[1];
            let covering: Vec<_> = self.index.covering(range.clone()).collect();
            assert_eq!(covering, self.model.covering(&range), "covering({range:?})");
            // In parts of any size, what is left out is nothing, and nothing comes twice.
            for size in [1, 3, usize::MAX] {
                let in_parts = covering_in_parts(&self.index, &range, size);
                assert_eq!(in_parts, covering, "covering({range:?}), {size} at a time");
                let missing = missing_in_parts(&self.index, &range, size);
                assert_eq!(missing, self.model.missing(&range), "missing({range:?})");
            }
        }
    }

    /// The blocks where the answers change, each with its neighbours.
    fn edges(&self) -> Vec<u64> {
        let edges = self.model.entries().flat_map(|(range, ..)| {
            [
                range.start.saturating_sub(1),
                range.start,
                range.start + 1,
                range.end - 1,
                range.end,
            ]
        });
        edges.chain([0, 1, u64::MAX - 1, u64::MAX]).collect()
    }
}

impl IntervalIndex<u32> {
    /// Panics unless every invariant of `node` holds.
    fn check_invariants(&self) {
        assert_eq!(self.root.check(true).len(), self.len);
    }
}

/// How entries that come together lie to each other.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Touching,
    WithGaps,
    Overlapping,
    /// Each in the one before, with room on both sides.
    Nested,
    /// All start together and end one after the other.
    SameStart,
    Identical,
    /// The first covers all, the others are one block long and lie apart.
    UnderOne,
}

impl Shape {
    fn range(self, base: u64, number: u64, count: u64) -> Range<u64> {
        let (from, len) = match self {
            Self::Touching => (number * 3, 3),
            Self::WithGaps => (number * 3, 2),
            Self::Overlapping => (number * 2, 5),
            Self::Nested => (number, 2 * (count - number)),
            Self::SameStart => (0, number + 1),
            Self::Identical => (0, 4),
            Self::UnderOne if number == 0 => (0, u64::MAX),
            Self::UnderOne => (number * 2, 1),
        };
        let start = base.saturating_add(from).min(u64::MAX - 1);
        start..start.saturating_add(len)
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Insert(Range<u64>, u64),
    InsertMany {
        shape: Shape,
        base: u64,
        count: u64,
        reversed: bool,
    },
    /// Gives the entry at a position another end.
    Resize(Index, u64),
    Remove(Index),
    RemoveUnknown(u64, u64),
    /// Takes out what follows a position, or what precedes it.
    RemoveMany {
        at: Index,
        count: usize,
        reversed: bool,
    },
}

impl Operation {
    fn apply(&self, pair: &mut Pair) {
        let len = pair.model.0.len();
        match self {
            Self::Insert(range, number) => pair.insert(range.clone(), id(*number)),
            Self::InsertMany {
                shape,
                base,
                count,
                reversed,
            } => {
                for step in 0..*count {
                    let number = if *reversed { count - 1 - step } else { step };
                    pair.insert(shape.range(*base, number, *count), id(number));
                }
            }
            Self::RemoveUnknown(start, number) => pair.remove(*start, &id(*number)),
            _ if len == 0 => {}
            Self::Resize(at, len_blocks) => {
                let (start, id) = pair.key(at.index(len)).unwrap();
                pair.insert(start..start.saturating_add(*len_blocks), id);
            }
            Self::Remove(at) => {
                let (start, id) = pair.key(at.index(len)).unwrap();
                pair.remove(start, &id);
            }
            Self::RemoveMany {
                at,
                count,
                reversed,
            } => {
                let mut at = at.index(len);
                for _ in 0..*count {
                    let Some((start, id)) = pair.key(at) else {
                        break;
                    };
                    pair.remove(start, &id);
                    at = at.saturating_sub(usize::from(*reversed));
                }
            }
        }
    }
}

fn block() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..60u64,
        2 => 0..2000u64,
        1 => (0..4u64).prop_map(|back| u64::MAX - back),
        1 => any::<u64>(),
    ]
}

fn range() -> impl Strategy<Value = Range<u64>> {
    let any_two = (block(), block()).prop_map(|(one, other)| {
        let start = one.min(other).min(u64::MAX - 1);
        start..one.max(other).max(start + 1)
    });
    prop_oneof![
        6 => (block(), 1..12u64).prop_map(|(start, len)| {
            let start = start.min(u64::MAX - 1);
            start..start.saturating_add(len)
        }),
        3 => any_two,
        1 => Just(0..u64::MAX),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Touching),
        Just(Shape::WithGaps),
        Just(Shape::Overlapping),
        Just(Shape::Nested),
        Just(Shape::SameStart),
        Just(Shape::Identical),
        Just(Shape::UnderOne),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let len_blocks = prop_oneof![4 => 1..12u64, 1 => 1..=u64::MAX];
    prop_oneof![
        8 => (range(), 0..9u64).prop_map(|(range, number)| Operation::Insert(range, number)),
        2 => (shape(), block(), 1..80u64, any::<bool>()).prop_map(
            |(shape, base, count, reversed)| Operation::InsertMany { shape, base, count, reversed }
        ),
        2 => (any::<Index>(), len_blocks).prop_map(|(at, len)| Operation::Resize(at, len)),
        4 => any::<Index>().prop_map(Operation::Remove),
        1 => (block(), 0..9u64).prop_map(|(start, number)| Operation::RemoveUnknown(start, number)),
        2 => (any::<Index>(), 1..100usize, any::<bool>()).prop_map(
            |(at, count, reversed)| Operation::RemoveMany { at, count, reversed }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_the_model_does_after_every_operation(
        steps in vec((operation(), vec(block(), 6), vec(any::<Index>(), 12)), 1..50)
    ) {
        let mut pair = Pair::default();
        for (operation, mut blocks, edges) in steps {
            operation.apply(&mut pair);
            pair.check();
            let all_edges = pair.edges();
            blocks.extend(edges.iter().map(|at| *at.get(&all_edges)));
            pair.check_blocks(&blocks);
        }
        for (range, id, value) in pair.model.entries() {
            prop_assert_eq!(pair.index.get(range.start, id), Some(value));
        }
    }

    #[test]
    fn what_is_built_as_a_whole_is_as_if_it_had_come_one_by_one(
        ranges in vec((range(), 0..3u64), 0..400),
        steps in vec((operation(), vec(any::<Index>(), 12)), 1..30)
    ) {
        let mut pair = Pair::default();
        for (range, number) in ranges {
            pair.insert(range, id(number));
        }
        let mut pair = pair.rebuilt();
        pair.check();
        pair.check_blocks(&pair.edges());
        for (operation, edges) in steps {
            operation.apply(&mut pair);
            pair.check();
            let all_edges = pair.edges();
            let blocks: Vec<u64> = edges.iter().map(|at| *at.get(&all_edges)).collect();
            pair.check_blocks(&blocks);
        }
    }

    #[test]
    fn missing_is_what_find_does_not_find(
        ranges in vec((range(), 0..3u64), 0..60), blocks in range()
    ) {
        let mut pair = Pair::default();
        for (range, number) in ranges {
            pair.insert(range, id(number));
        }
        let missing = all_missing(&pair.index, blocks.clone());
        prop_assert!(missing.iter().all(|part| !part.is_empty()));
        prop_assert!(missing.is_sorted_by(|part, next| part.end < next.start));
        for block in pair.edges().into_iter().filter(|block| blocks.contains(block)) {
            let is_missing = missing.iter().any(|part| part.contains(&block));
            prop_assert_eq!(is_missing, pair.index.find(block).is_none(), "block {}", block);
        }
    }
}

const SHAPES: [Shape; 7] = [
    Shape::Touching,
    Shape::WithGaps,
    Shape::Overlapping,
    Shape::Nested,
    Shape::SameStart,
    Shape::Identical,
    Shape::UnderOne,
];

/// 700 entries of one shape: three levels and more.
fn deep(shape: Shape, order: fn(u64) -> u64) -> Pair {
    let mut pair = Pair::default();
    for step in 0..700 {
        let number = order(step);
        pair.insert(shape.range(1000, number, 700), id(number));
    }
    pair.check();
    pair
}

/// Every number once in an order without a pattern: 289 and 700 have no common divisor.
fn mixed(step: u64) -> u64 {
    step * 289 % 700
}

#[test]
fn every_shape_answers_rightly_in_every_order_of_arrival() {
    for shape in SHAPES {
        for order in [|step| step, |step| 699 - step, mixed] {
            let pair = deep(shape, order);
            let edges: Vec<_> = pair.edges().into_iter().step_by(13).collect();
            pair.check_blocks(&edges);
        }
    }
}

#[test]
fn removing_to_empty_keeps_the_invariants_in_every_order() {
    for shape in SHAPES {
        let ways: [fn(usize) -> usize; 4] = [
            |_| 0,
            |len| len - 1,
            |len| len / 2,
            |len| len * 7 % 11 % len,
        ];
        for way in ways {
            let mut pair = deep(shape, mixed);
            while !pair.index.is_empty() {
                let len = pair.index.len();
                let (start, id) = pair.key(way(len)).unwrap();
                pair.remove(start, &id);
                pair.index.check_invariants();
                if len.is_multiple_of(50) {
                    pair.check();
                    let edges: Vec<_> = pair.edges().into_iter().step_by(97).collect();
                    pair.check_blocks(&edges);
                }
            }
            assert_eq!(pair.index.bounds(), None);
            assert_eq!(pair.index.root.check(true).depth, 1);
            // It is as good as new.
            pair.insert(3..5, id(1));
            pair.check();
        }
    }
}

#[test]
fn growing_and_shrinking_around_one_size_keeps_the_invariants() {
    let mut pair = deep(Shape::Touching, mixed);
    for step in 0..3000u64 {
        let number = step * 31 % 700;
        let range = Shape::Touching.range(1000, number, 700);
        if step % 3 == 0 {
            pair.insert(range, id(number));
        } else {
            pair.remove(range.start, &id(number));
        }
        pair.index.check_invariants();
    }
    pair.check();
}

#[test]
fn every_size_and_shape_can_be_built_as_a_whole() {
    for shape in SHAPES {
        for count in (0..300).chain([700]) {
            let mut pair = Pair::default();
            for number in 0..count {
                pair.insert(shape.range(1000, number, count), id(number));
            }
            pair.rebuilt().check();
        }
    }
}

#[test]
#[should_panic(expected = "keys ascend")]
fn what_does_not_ascend_is_not_built() {
    IntervalIndex::from_sorted(vec![(0..1, id(3), 0), (0..1, id(0), 1)]);
}

#[test]
fn an_empty_index_has_nothing() {
    let index = IntervalIndex::<u32>::new();
    index.check_invariants();
    assert!(index.is_empty());
    assert_eq!(index.find(0), None);
    assert_eq!(index.find(u64::MAX), None);
    assert_eq!(index.get(0, &id(0)), None);
    assert_eq!(index.bounds(), None);
    assert_eq!(index.iter().count(), 0);
    assert_eq!(all_missing(&index, 3..9), vec![3..9]);
    assert_eq!(all_missing(&index, 0..u64::MAX), vec![0..u64::MAX]);
}

#[test]
fn ranges_are_half_open_on_both_sides() {
    let mut index = IntervalIndex::new();
    index.insert(10..20, id(0), 'a');
    index.insert(20..30, id(0), 'b');
    let found: Vec<_> = [9, 10, 19, 20, 29, 30]
        .map(|block| index.find(block).copied())
        .into();
    assert_eq!(
        found,
        [None, Some('a'), Some('a'), Some('b'), Some('b'), None]
    );
    let covering = |blocks| {
        index
            .covering(blocks)
            .map(|(_, _, value)| *value)
            .collect::<String>()
    };
    assert_eq!(covering(0..10), "");
    assert_eq!(covering(0..11), "a");
    assert_eq!(covering(19..20), "a");
    assert_eq!(covering(19..21), "ab");
    assert_eq!(covering(20..25), "b");
    assert_eq!(covering(30..40), "");
    assert_eq!(all_missing(&index, 0..40), vec![0..10, 30..40]);
    assert_eq!(all_missing(&index, 10..30), vec![]);
}

#[test]
#[allow(clippy::reversed_empty_ranges)] // they are the question
fn an_empty_or_inverted_question_finds_nothing() {
    let mut index = IntervalIndex::new();
    index.insert(0..u64::MAX, id(0), ());
    for blocks in [5..5, 9..3, 0..0, u64::MAX..0, u64::MAX..u64::MAX] {
        assert_eq!(index.covering(blocks.clone()).count(), 0);
        assert_eq!(all_missing(&index, blocks.clone()), vec![]);
        assert_eq!(all_missing(&IntervalIndex::<()>::new(), blocks), vec![]);
    }
}

#[test]
fn a_part_goes_on_behind_a_key_that_has_gone() {
    let mut index = IntervalIndex::new();
    for n in 0..200 {
        index.insert(n * 10..10_000, id(n), n);
    }
    index.remove(500, &id(50));
    let rest = index.covering_after(0..u64::MAX, (500, &id(50)));
    let rest: Vec<u64> = rest.map(|(_, _, n)| *n).collect();
    assert_eq!(rest, (51..200).collect::<Vec<u64>>());
}

#[test]
#[should_panic(expected = "at least one block")]
fn a_range_without_blocks_is_refused() {
    IntervalIndex::new().insert(5..5, id(0), ());
}

#[test]
fn the_last_block_of_all_belongs_to_no_range() {
    let mut index = IntervalIndex::new();
    index.insert(u64::MAX - 1..u64::MAX, id(0), ());
    assert_eq!(index.find(u64::MAX - 1), Some(&()));
    assert_eq!(index.find(u64::MAX), None);
    assert_eq!(index.bounds(), Some(u64::MAX - 1..u64::MAX));
    assert_eq!(all_missing(&index, 0..u64::MAX), vec![0..u64::MAX - 1]);
}

#[test]
fn the_greatest_start_wins_then_the_smallest_id() {
    let mut index = IntervalIndex::new();
    index.insert(0..100, id(0), "first");
    index.insert(10..50, [1; 32], "small id, short");
    index.insert(10..80, [2; 32], "middle id");
    index.insert(10..90, [3; 32], "great id, long");
    assert_eq!(index.find(40), Some(&"small id, short"));
    assert_eq!(index.find(50), Some(&"middle id"));
    assert_eq!(index.find(85), Some(&"great id, long"));
    assert_eq!(index.find(95), Some(&"first"));
}

#[test]
fn the_same_start_in_many_leaves_gives_the_smallest_id_that_covers() {
    let mut index = IntervalIndex::new();
    // The greater the id, the longer the range.
    for number in 0..200u8 {
        index.insert(5..u64::from(number) + 6, [number; 32], number);
    }
    for block in 5..205 {
        assert_eq!(index.find(block).copied().map(u64::from), Some(block - 5));
    }
}

#[test]
fn insert_replaces_the_same_start_and_id_only() {
    let mut index = IntervalIndex::new();
    assert_eq!(index.insert(5..10, id(1), 'a'), None);
    assert_eq!(index.insert(5..10, id(2), 'b'), None);
    assert_eq!(index.insert(6..10, id(1), 'c'), None);
    assert_eq!(index.insert(5..90, id(1), 'd'), Some('a'));
    assert_eq!(index.len(), 3);
    assert_eq!(index.bounds(), Some(5..90));
    assert_eq!(index.find(50), Some(&'d'));
    // A shorter range takes the greatest end back with it.
    assert_eq!(index.insert(5..7, id(1), 'e'), Some('d'));
    assert_eq!(index.bounds(), Some(5..10));
    assert_eq!(index.remove(5, &id(3)), None);
    assert_eq!(index.remove(5, &id(1)), Some('e'));
    assert_eq!(index.remove(5, &id(1)), None);
    assert_eq!(index.get(5, &id(2)), Some(&'b'));
    assert_eq!(index.len(), 2);
}

#[test]
fn values_are_dropped_once_and_with_their_entry() {
    let value = std::sync::Arc::new(());
    let mut index = IntervalIndex::new();
    for number in 0..500 {
        index.insert(number..number + 1, id(0), value.clone());
    }
    for number in 0..250 {
        index.remove(number, &id(0));
    }
    index.insert(400..500, id(0), value.clone());
    assert_eq!(std::sync::Arc::strong_count(&value), 251);
    drop(index);
    assert_eq!(std::sync::Arc::strong_count(&value), 1);
}

/// The time of some questions, the shortest of a few runs.
fn time(index: &IntervalIndex<u32>, ask: impl Fn(&IntervalIndex<u32>, u64)) -> Duration {
    let run = || {
        let started = Instant::now();
        (0..500).for_each(|question| ask(black_box(index), question));
        started.elapsed()
    };
    (0..5).map(|_| run()).min().unwrap()
}

/// Answers stay right if a query reads too much, so their cost is held apart: against that of the
/// usual ranges, with room for noise, since reading everything costs a thousand times as much.
#[test]
fn the_worst_ranges_cost_about_what_the_usual_ones_do() {
    const COUNT: u64 = 50_000;
    let build = |range: fn(u64) -> Range<u64>| {
        let mut index = IntervalIndex::new();
        for number in 0..COUNT {
            index.insert(range(number), id(number), 0);
        }
        index
    };
    let usual = build(|number| 4 * number..4 * number + 4);
    let find = |index: &_, question| {
        black_box(IntervalIndex::find(index, 4 * COUNT - 1 - question));
    };
    let missing = |index: &_, question| {
        black_box(IntervalIndex::missing(
            index,
            question..8 * COUNT,
            usize::MAX,
        ));
    };
    let covering = |index: &_, question| {
        black_box(IntervalIndex::covering(index, 4 * COUNT + question..8 * COUNT).count());
    };

    // One long range, and behind its start only short ones that end before the block.
    let under_one = build(|number| number..if number == 0 { u64::MAX } else { number + 1 });
    assert!(time(&under_one, find) < 50 * time(&usual, find));
    assert!(time(&under_one, covering) < 50 * time(&usual, find));
    assert!(time(&under_one, missing) < 50 * time(&usual, find));
    // Each in the one before it; the block is in the first few only.
    let nested = build(|number| number..8 * COUNT - 4 * number);
    let edge = |index: &_, question| {
        black_box(IntervalIndex::find(index, 8 * COUNT - 1 - question % 8));
    };
    assert!(time(&nested, edge) < 50 * time(&usual, find));
    // Touching: nothing is missing but the end. Gaps that a neighbour covers are no gaps.
    assert!(time(&usual, missing) < 50 * time(&usual, find));
    let bridged = build(|number| 4 * number..4 * number + if number % 5 == 0 { 24 } else { 1 });
    assert!(time(&bridged, missing) < 50 * time(&usual, find));
    let same_start = build(|number| 0..number + 1);
    assert!(time(&same_start, find) < 50 * time(&usual, find));
}

//! Which chunk each block is read from.
//!
//! Chunks may overlap: forks, and data that was cut anew. A block is then read from the chunk that
//! `find_chunk` would give: the one with the greatest first block, and of those the one with the smallest
//! id. So no row comes twice.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use data_manager::data_chunk::ChunkId;

/// Blocks that are read from one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<C> {
    pub(super) blocks: Range<u64>,
    pub(super) chunk: C,
}

/// Cuts `blocks` into parts, in block order. O(n log n) in the number of chunks.
pub(super) fn plan<C: Clone>(
    chunks: impl Iterator<Item = ((Range<u64>, ChunkId), C)>,
    blocks: &Range<u64>,
) -> Vec<Part<C>> {
    let mut chunks: Vec<_> = chunks.collect();
    chunks.sort_by_key(|((range, id), _)| (range.start, *id));
    let mut starts = chunks.iter().map(|((range, _), _)| range.start).peekable();
    let mut next = 0;
    // Those that have begun, the one to be read from at the top.
    let mut begun: BinaryHeap<(u64, Reverse<ChunkId>, usize)> = BinaryHeap::new();
    let mut parts: Vec<Part<C>> = Vec::new();
    let mut block = blocks.start;
    while block < blocks.end {
        while starts.next_if(|start| *start <= block).is_some() {
            let ((range, id), _) = &chunks[next];
            begun.push((range.start, Reverse(*id), next));
            next += 1;
        }
        while begun
            .peek()
            .is_some_and(|top| chunks[top.2].0.0.end <= block)
        {
            begun.pop();
        }
        let next_start = starts.peek().copied().unwrap_or(blocks.end);
        let Some(&(_, _, top)) = begun.peek() else {
            // A gap.
            block = next_start;
            continue;
        };
        let ((range, _), chunk) = &chunks[top];
        let end = range.end.min(next_start).min(blocks.end);
        parts.push(Part {
            blocks: block..end,
            chunk: chunk.clone(),
        });
        block = end;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(chunks: &[(Range<u64>, u8)], blocks: Range<u64>) -> Vec<(Range<u64>, u8)> {
        let keyed = chunks
            .iter()
            .map(|(range, n)| ((range.clone(), [*n; 32]), *n));
        let parts = plan(keyed, &blocks).into_iter();
        parts.map(|part| (part.blocks, part.chunk)).collect()
    }

    #[test]
    fn chunks_side_by_side_are_clipped_to_the_range() {
        let chunks = [(10..20, 2), (0..10, 1), (30..40, 3)];
        assert_eq!(
            planned(&chunks, 5..35),
            [(5..10, 1), (10..20, 2), (30..35, 3)]
        );
        assert_eq!(planned(&chunks, 20..30), []);
        assert_eq!(planned(&chunks, 40..50), []);
    }

    #[test]
    fn a_block_is_read_from_the_chunk_that_begins_last_and_then_from_the_smallest_id() {
        assert_eq!(
            planned(&[(0..100, 1), (40..60, 2)], 0..100),
            [(0..40, 1), (40..60, 2), (60..100, 1)]
        );
        assert_eq!(
            planned(&[(0..10, 7), (0..20, 9)], 0..20),
            [(0..10, 7), (10..20, 9)]
        );
        assert_eq!(planned(&[(0..10, 9), (0..10, 7)], 0..10), [(0..10, 7)]);
    }

    #[test]
    fn as_find_chunk_would_have_it_for_every_block() {
        let mut random = fastrand::Rng::with_seed(8);
        for _ in 0..200 {
            let mut chunk = |n: u8| {
                let start = random.u64(0..40);
                (start..start + random.u64(1..20), n)
            };
            let chunks: Vec<_> = (0..8).map(&mut chunk).collect();
            let parts = planned(&chunks, 3..50);
            for block in 3..50 {
                let here = chunks.iter().filter(|(range, _)| range.contains(&block));
                let best = here.max_by_key(|(range, n)| (range.start, Reverse(*n)));
                let planned: Vec<u8> = (parts.iter())
                    .filter(|(range, _)| range.contains(&block))
                    .map(|(_, n)| *n)
                    .collect();
                let best: Vec<u8> = best.map(|(_, n)| *n).into_iter().collect();
                assert_eq!(planned, best, "block {block} of {chunks:?}: {parts:?}");
            }
        }
    }
}

//! The catalogue against a list that is searched from end to end.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::data_chunk::ChunkFile;

/// Counts releases.
#[derive(Default)]
struct Count(AtomicUsize);

struct Counted {
    id: ChunkId,
    dataset_id: DatasetId,
    block_range: Range<u64>,
    count: Arc<Count>,
}

impl Held for Counted {
    fn id(&self) -> &ChunkId {
        &self.id
    }

    fn dataset_id(&self) -> &DatasetId {
        &self.dataset_id
    }

    fn block_range(&self) -> &Range<u64> {
        &self.block_range
    }

    fn path(&self) -> &Path {
        Path::new("x")
    }

    fn files(&self) -> &[ChunkFile] {
        &[]
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn held(n: u8, dataset: u8, block_range: Range<u64>, count: &Arc<Count>) -> Arc<dyn Held> {
    held_as([n; 32], dataset, block_range, count)
}

fn held_as(id: ChunkId, dataset: u8, block_range: Range<u64>, count: &Arc<Count>) -> Arc<dyn Held> {
    Arc::new(Counted {
        id,
        dataset_id: [dataset; 32],
        block_range,
        count: count.clone(),
    })
}

/// An id that sorts as its number does.
fn numbered(n: u64) -> ChunkId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    id
}

/// The contract's rules, as they are written.
#[derive(Default)]
struct Model(BTreeMap<u8, (u8, Range<u64>)>);

impl Model {
    fn covering(&self, dataset: u8, blocks: &Range<u64>) -> Vec<(u64, u8)> {
        let hit = |(d, r): &(u8, Range<u64>)| {
            *d == dataset && r.start < blocks.end && blocks.start < r.end && !blocks.is_empty()
        };
        let mut found: Vec<_> = self
            .0
            .iter()
            .filter(|(_, c)| hit(c))
            .map(|(n, (_, r))| (r.start, *n))
            .collect();
        found.sort_unstable();
        found
    }

    fn find(&self, dataset: u8, block: u64) -> Option<u8> {
        let end = block.checked_add(1)?;
        let mut found = self.covering(dataset, &(block..end));
        found.sort_by_key(|(start, n)| (std::cmp::Reverse(*start), *n));
        found.first().map(|(_, n)| *n)
    }

    fn missing(&self, dataset: u8, blocks: Range<u64>) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        for block in blocks.filter(|block| self.find(dataset, *block).is_none()) {
            match missing.last_mut() {
                Some(last) if last.end == block => last.end += 1,
                _ => missing.push(block..block + 1),
            }
        }
        missing
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u8, u8, u64, u64),
    Retract(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let publish = (0..12u8, 0..2u8, 0..30u64, 1..20u64)
        .prop_map(|(n, dataset, start, len)| Step::Publish(n, dataset, start, len));
    let step = prop_oneof![3 => publish, 1 => (0..12u8).prop_map(Step::Retract)];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #[test]
    fn answers_as_the_contract_says(steps in steps(), from in 0..40u64, len in 0..40u64) {
        let (catalogue, count) = (DataCatalogue::new(), Arc::new(Count::default()));
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Publish(n, dataset, start, len) => {
                    let replaced = catalogue.publish(held(n, dataset, start..start + len, &count));
                    let before = model.0.insert(n, (dataset, start..start + len));
                    prop_assert_eq!(replaced.is_some(), before.is_some());
                }
                Step::Retract(n) => {
                    let before = model.0.remove(&n);
                    prop_assert_eq!(catalogue.retract(&[n; 32]).is_some(), before.is_some());
                }
            }
        }
        let ids: Vec<ChunkId> = model.0.keys().map(|n| [*n; 32]).collect();
        prop_assert_eq!(catalogue.ids(), ids);
        for dataset in 0..2u8 {
            for block in 0..60 {
                let found = catalogue.find(&[dataset; 32], block).map(|guard| guard.id()[0]);
                prop_assert_eq!(found, model.find(dataset, block));
            }
            let cover = catalogue.cover(&[dataset; 32], from..from + len);
            let found: Vec<(u64, u8)> =
                cover.chunks.iter().map(|guard| (guard.block_range().start, guard.id()[0])).collect();
            prop_assert_eq!(found, model.covering(dataset, &(from..from + len)));
            let missing = model.missing(dataset, from..from + len);
            prop_assert_eq!(catalogue.missing(&[dataset; 32], from..from + len), missing.clone());
            prop_assert_eq!(cover.missing, missing);
        }
    }
}

#[test]
fn what_is_loaded_is_as_if_it_had_been_published() {
    let count = Arc::new(Count::default());
    let mut rng = fastrand::Rng::with_seed(7);
    let (loaded, published) = (DataCatalogue::new(), DataCatalogue::new());
    let mut chunks = Vec::new();
    for n in 0..2000 {
        // Many begin together.
        let start = rng.u64(0..300);
        let held = held_as(
            numbered(n),
            rng.u8(0..3),
            start..start + rng.u64(1..9),
            &count,
        );
        published.publish(held.clone());
        chunks.push(held);
    }
    loaded.load(chunks);
    assert_eq!(loaded.ids(), published.ids());
    for n in 0..2000 {
        // And it goes on as any other.
        if n % 3 == 0 {
            drop(loaded.retract(&numbered(n)));
            drop(published.retract(&numbered(n)));
        }
    }
    let id_of = |guard: ChunkGuard| *guard.id();
    for dataset in 0..4 {
        let dataset = [dataset; 32];
        for block in 0..310 {
            let found = loaded.find(&dataset, block).map(id_of);
            assert_eq!(found, published.find(&dataset, block).map(id_of));
        }
        let cover = |catalogue: &DataCatalogue| {
            let cover = catalogue.cover(&dataset, 0..400);
            let ids: Vec<_> = cover.chunks.into_iter().map(id_of).collect();
            (ids, cover.missing)
        };
        assert_eq!(cover(&loaded), cover(&published));
    }
    drop((loaded.clear(), published.clear()));
    assert_eq!(count.0.load(Ordering::SeqCst), 2000);
}

#[test]
fn the_last_reference_is_the_release() {
    let (catalogue, count) = (DataCatalogue::new(), Arc::new(Count::default()));
    let released = || count.0.load(Ordering::SeqCst);
    catalogue.publish(held(1, 1, 0..10, &count));
    let guard = catalogue.find(&[1; 32], 5).unwrap();
    let copy = guard.clone();
    drop(guard);
    drop(catalogue.retract(&[1; 32]));
    assert_eq!(released(), 0);
    drop(copy);
    assert_eq!(released(), 1);
    catalogue.publish(held(2, 1, 0..10, &count));
    drop(catalogue.retract(&[2; 32]));
    assert_eq!(released(), 2);
}

#[test]
fn the_ids_of_many_chunks_come_whole_and_in_order() {
    let (catalogue, count) = (DataCatalogue::new(), Arc::new(Count::default()));
    let ids: Vec<ChunkId> = (0..2500).map(numbered).collect();
    for id in &ids {
        catalogue.publish(held_as(*id, 0, 0..1, &count));
    }
    assert_eq!(catalogue.ids(), ids);
    // An exact number of slices must not go on for ever.
    for id in &ids[2 * SLICE..] {
        drop(catalogue.retract(id));
    }
    assert_eq!(catalogue.ids(), ids[..2 * SLICE]);
    assert_eq!(catalogue.clear().len(), 2 * SLICE);
    assert!(catalogue.is_empty());
}

#[test]
fn many_gaps_come_whole_and_in_order() {
    let (catalogue, count) = (DataCatalogue::new(), Arc::new(Count::default()));
    let held = |n: u64| held_as(numbered(n), 0, n * 10..n * 10 + 9, &count);
    let gaps = 2 * SLICE as u64;
    (0..gaps).for_each(|n| drop(catalogue.publish(held(n))));
    let expected: Vec<_> = (0..gaps).map(|n| n * 10 + 9..n * 10 + 10).collect();
    assert_eq!(catalogue.missing(&[0; 32], 0..gaps * 10), expected);
    let beyond = catalogue.missing(&[0; 32], 0..gaps * 10 + 5);
    assert_eq!(beyond.len(), expected.len());
    assert_eq!(beyond.last(), Some(&(gaps * 10 - 1..gaps * 10 + 5)));
}

#[test]
fn datasets_are_summed_up_in_order() {
    let (catalogue, count) = (DataCatalogue::new(), Arc::new(Count::default()));
    assert_eq!(catalogue.datasets(), []);
    catalogue.publish(held(1, 7, 100..200, &count));
    catalogue.publish(held(2, 7, 10..20, &count));
    // The last block is not that of the chunk that begins last.
    catalogue.publish(held(3, 7, 50..1000, &count));
    catalogue.publish(held(4, 2, 0..u64::MAX, &count));
    let shown: Vec<_> = catalogue
        .datasets()
        .into_iter()
        .map(|dataset| (dataset.dataset_id[0], dataset.blocks, dataset.chunks))
        .collect();
    assert_eq!(shown, [(2, 0..u64::MAX, 1), (7, 10..1000, 3)]);
    drop(catalogue.retract(&[3; 32]));
    assert_eq!(catalogue.dataset(&[7; 32]).unwrap().blocks, 10..200);
    drop(catalogue.retract(&[4; 32]));
    assert_eq!(catalogue.dataset(&[2; 32]), None);
    assert_eq!(catalogue.datasets().len(), 1);
}

#[test]
fn more_datasets_than_a_slice_come_whole() {
    let (catalogue, count) = (DataCatalogue::new(), Arc::new(Count::default()));
    let ids: Vec<ChunkId> = (0..2 * SLICE as u64).map(numbered).collect();
    for id in &ids {
        drop(catalogue.publish(Arc::new(Counted {
            id: *id,
            dataset_id: *id,
            block_range: 0..1,
            count: count.clone(),
        })));
    }
    let shown: Vec<DatasetId> = catalogue
        .datasets()
        .into_iter()
        .map(|dataset| dataset.dataset_id)
        .collect();
    assert_eq!(shown, ids);
}

#[test]
fn a_chunk_without_blocks_changes_nothing() {
    let (catalogue, count) = (DataCatalogue::new(), Arc::new(Count::default()));
    catalogue.publish(held(1, 1, 0..10, &count));
    let empty = held(1, 1, 5..5, &count);
    let publish = std::panic::AssertUnwindSafe(|| drop(catalogue.publish(empty)));
    assert!(std::panic::catch_unwind(publish).is_err());
    assert!(catalogue.find(&[1; 32], 5).is_some());
    assert_eq!(catalogue.len(), 1);
}

#[test]
fn a_cover_of_more_than_one_slice_is_whole() {
    let (catalogue, count) = (DataCatalogue::new(), Arc::new(Count::default()));
    let publish = |n, range| catalogue.publish(held_as(numbered(n), 0, range, &count));
    // One over all of them, several of the same start, and a gap after every third.
    publish(0, 5..20_000);
    for n in 1..3000u64 {
        let start = 20_000 + n / 3 * 10;
        publish(n, start..start + 9);
    }
    let all = catalogue.cover(&[0; 32], 0..u64::MAX);
    assert_eq!(all.chunks.len(), 3000);
    let keys: Vec<_> = all
        .chunks
        .iter()
        .map(|chunk| (chunk.block_range().start, *chunk.id()))
        .collect();
    assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(all.missing.len(), 1001);
    assert_eq!(
        (all.missing[0].clone(), all.missing[1].clone()),
        (0..5, 20_009..20_010)
    );
    assert_eq!(all.missing[1000], 29_999..u64::MAX);
}

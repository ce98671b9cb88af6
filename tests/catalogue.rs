//! The catalogue while everything changes: each answer was right at some instant within its call, and
//! nothing that somebody holds is let go of.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use data_manager::data_catalogue::{ChunkGuard, DataCatalogue, Held};
use data_manager::data_chunk::{ChunkFile, ChunkId, DatasetId};
use parking_lot::Mutex;

const DATASETS: u8 = 2;
const CHUNKS: u8 = 40;
const BLOCKS: u64 = 60;
/// Changes, over all writers.
const CHANGES: usize = 6000;
const WRITERS: u64 = 2;
const READERS: u64 = 3;

struct Chunk {
    id: ChunkId,
    dataset_id: DatasetId,
    blocks: Range<u64>,
    /// How many were let go of.
    gone: Arc<AtomicUsize>,
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
        self.gone.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is visible: dataset and blocks by id.
type Visible = BTreeMap<u8, (u8, Range<u64>)>;

/// One change: what is visible under an id from then on.
type Change = (u8, Option<(u8, Range<u64>)>);

/// What writers did, in the order in which it took effect: they take turns, readers do not.
#[derive(Default)]
struct History {
    changes: Mutex<Vec<Change>>,
    /// How many have begun, and how many are over.
    begun: AtomicUsize,
    over: AtomicUsize,
}

impl History {
    fn change(&self, change: Change, carry_out: impl FnOnce()) {
        let mut changes = self.changes.lock();
        changes.push(change);
        self.begun.store(changes.len(), Ordering::SeqCst);
        carry_out();
        self.over.store(changes.len(), Ordering::SeqCst);
    }

    /// An answer, and after how many changes at least and at most it was given.
    fn ask(&self, ask: impl FnOnce() -> Answer) -> Asked {
        let from = self.over.load(Ordering::SeqCst);
        let answer = ask();
        let to = self.begun.load(Ordering::SeqCst);
        Asked { from, to, answer }
    }
}

struct Asked {
    from: usize,
    to: usize,
    answer: Answer,
}

/// A question with what was said to it.
#[derive(Debug, PartialEq)]
enum Answer {
    Find(u8, u64, Option<u8>),
    Cover(u8, Range<u64>, Vec<u8>, Vec<Range<u64>>),
    Missing(u8, Range<u64>, Vec<Range<u64>>),
    Get(u8, bool),
    Ids(Vec<u8>),
    /// First block, block behind the last, how many; of each dataset.
    Datasets(Vec<(u8, Range<u64>, usize)>),
}

impl Answer {
    /// The same question, to a model.
    fn of(&self, visible: &Visible) -> Answer {
        match self {
            Answer::Find(dataset, block, _) => {
                let mut found = covering(visible, *dataset, &(*block..*block + 1));
                found.sort_by_key(|(start, id)| (std::cmp::Reverse(*start), *id));
                Answer::Find(*dataset, *block, found.first().map(|(_, id)| *id))
            }
            Answer::Cover(dataset, blocks, ..) => {
                let found = covering(visible, *dataset, blocks);
                let ids = found.into_iter().map(|(_, id)| id).collect();
                let missing = missing(visible, *dataset, blocks);
                Answer::Cover(*dataset, blocks.clone(), ids, missing)
            }
            Answer::Missing(dataset, blocks, _) => {
                let missing = missing(visible, *dataset, blocks);
                Answer::Missing(*dataset, blocks.clone(), missing)
            }
            Answer::Get(id, _) => Answer::Get(*id, visible.contains_key(id)),
            Answer::Ids(_) => Answer::Ids(visible.keys().copied().collect()),
            Answer::Datasets(_) => Answer::Datasets(
                (0..DATASETS)
                    .filter_map(|dataset| {
                        let of_it = visible.values().filter(|(of, _)| *of == dataset);
                        let ranges: Vec<_> = of_it.map(|(_, range)| range).collect();
                        let start = ranges.iter().map(|range| range.start).min()?;
                        let end = ranges.iter().map(|range| range.end).max()?;
                        Some((dataset, start..end, ranges.len()))
                    })
                    .collect(),
            ),
        }
    }
}

/// Start and id of what overlaps, in block order.
fn covering(visible: &Visible, dataset: u8, blocks: &Range<u64>) -> Vec<(u64, u8)> {
    let overlaps = |(of, range): &(u8, Range<u64>)| {
        *of == dataset && range.start < blocks.end && blocks.start < range.end
    };
    let found = visible.iter().filter(|(_, chunk)| overlaps(chunk));
    let mut found: Vec<_> = found.map(|(id, (_, range))| (range.start, *id)).collect();
    found.sort_unstable();
    found
}

fn missing(visible: &Visible, dataset: u8, blocks: &Range<u64>) -> Vec<Range<u64>> {
    let mut missing: Vec<Range<u64>> = Vec::new();
    for block in blocks.clone() {
        if !covering(visible, dataset, &(block..block + 1)).is_empty() {
            continue;
        }
        match missing.last_mut() {
            Some(last) if last.end == block => last.end += 1,
            _ => missing.push(block..block + 1),
        }
    }
    missing
}

fn blocks(rng: &mut fastrand::Rng) -> Range<u64> {
    // Nested, touching and equal ones among them.
    let start = rng.u64(0..BLOCKS / 5) * 5;
    start..start + [1, 5, 5, 10, BLOCKS][rng.usize(0..5)]
}

fn write(
    catalogue: &DataCatalogue,
    history: &History,
    gone: &Arc<AtomicUsize>,
    seed: u64,
) -> usize {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut published = 0;
    while history.begun.load(Ordering::SeqCst) < CHANGES {
        let id = rng.u8(0..CHUNKS);
        if rng.u8(0..3) == 0 {
            history.change((id, None), || drop(catalogue.retract(&[id; 32])));
            continue;
        }
        let (dataset, blocks) = (rng.u8(0..DATASETS), blocks(&mut rng));
        let chunk = Arc::new(Chunk {
            id: [id; 32],
            dataset_id: [dataset; 32],
            blocks: blocks.clone(),
            gone: gone.clone(),
        });
        published += 1;
        history.change((id, Some((dataset, blocks))), || {
            drop(catalogue.publish(chunk));
        });
    }
    published
}

fn read(catalogue: &DataCatalogue, history: &History, ended: &AtomicBool, seed: u64) -> Vec<Asked> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut asked, mut kept) = (Vec::new(), Vec::new());
    while !ended.load(Ordering::SeqCst) {
        let (dataset, id, block) = (rng.u8(0..DATASETS), rng.u8(0..CHUNKS), rng.u64(0..BLOCKS));
        let range = blocks(&mut rng);
        let kind = rng.u8(0..12);
        asked.push(history.ask(|| {
            match kind {
                0 => Answer::Ids(catalogue.ids().iter().map(|id| id[0]).collect()),
                1 => Answer::Datasets(
                    catalogue
                        .datasets()
                        .into_iter()
                        .map(|it| (it.dataset_id[0], it.blocks, it.chunks))
                        .collect(),
                ),
                2 => Answer::Get(id, catalogue.get(&[id; 32]).is_some()),
                3 => {
                    let missing = catalogue.missing(&[dataset; 32], range.clone());
                    Answer::Missing(dataset, range, missing)
                }
                4..7 => {
                    let cover = catalogue.cover(&[dataset; 32], range.clone());
                    let ids = cover.chunks.iter().map(|guard| guard.id()[0]).collect();
                    kept.extend(cover.chunks);
                    Answer::Cover(dataset, range, ids, cover.missing)
                }
                _ => {
                    let found = catalogue.find(&[dataset; 32], block);
                    let id = found.as_ref().map(|guard| guard.id()[0]);
                    kept.extend(found);
                    Answer::Find(dataset, block, id)
                }
            }
        }));
        // Some are held for long, some are let go of at once, some are clones of others.
        while kept.len() > 30 {
            let at = rng.usize(0..kept.len());
            let guard: ChunkGuard = kept.swap_remove(at);
            if rng.bool() {
                kept.push(guard.clone());
                kept.pop();
            }
        }
    }
    asked
}

#[test]
fn each_answer_was_right_at_some_instant_within_its_call() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let (catalogue, history) = (DataCatalogue::new(), History::default());
    let (gone, ended) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));
    let (published, asked) = thread::scope(|scope| {
        let (catalogue, history, gone, ended) = (&catalogue, &history, &gone, &ended);
        let reader = |n| scope.spawn(move || read(catalogue, history, ended, seed ^ n));
        let writer = |n| scope.spawn(move || write(catalogue, history, gone, !seed ^ n));
        let readers: Vec<_> = (0..READERS).map(reader).collect();
        let writers: Vec<_> = (0..WRITERS).map(writer).collect();
        let published: usize = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
        ended.store(true, Ordering::SeqCst);
        let asked = readers
            .into_iter()
            .flat_map(|reader| reader.join().unwrap());
        (published, asked.collect::<Vec<Asked>>())
    });
    assert!(
        asked.iter().any(|asked| asked.from < asked.to),
        "nothing met"
    );

    let changes = history.changes.into_inner();
    let mut open: Vec<&Asked> = asked.iter().collect();
    let mut visible = Visible::new();
    for version in 0..=changes.len() {
        open.retain(|asked| {
            let now = (asked.from..=asked.to).contains(&version);
            let is_right = now && asked.answer.of(&visible) == asked.answer;
            assert!(
                is_right || version < asked.to,
                "wrong at {}..={}: {:?}",
                asked.from,
                asked.to,
                asked.answer
            );
            !is_right
        });
        if let Some((id, change)) = changes.get(version) {
            match change {
                Some(chunk) => visible.insert(*id, chunk.clone()),
                None => visible.remove(id),
            };
        }
    }
    assert!(open.is_empty());
    // Each that was published was let go of once, but what is still visible.
    assert_eq!(published, gone.load(Ordering::Relaxed) + visible.len());
    drop(catalogue.clear());
    assert_eq!(published, gone.load(Ordering::Relaxed));
}

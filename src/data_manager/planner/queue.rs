//! Which chunk goes next: chunks that were never tried before chunks that failed; within each,
//! datasets take turns; within a dataset, first come, first served.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::data_chunk::{ChunkId, DatasetId};

/// A chunk's place in the queue, kept by whoever may have to take it out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    tier: Tier,
    dataset_id: DatasetId,
    ticket: u64,
}

/// The two classes of waiting chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    /// Never tried.
    Fresh,
    /// Failed before, and due again. A chunk that keeps failing is never chosen before one that
    /// was not tried yet.
    Retry,
}

/// The chunks that may start now. Every operation is O(log n).
#[derive(Debug, Default)]
pub(super) struct Queue {
    fresh: Turns,
    retry: Turns,
    next_ticket: u64,
}

/// Datasets taking turns.
#[derive(Debug, Default)]
struct Turns {
    /// No empty set is in it.
    datasets: BTreeMap<DatasetId, BTreeSet<(u64, ChunkId)>>,
    /// Whose turn it was last.
    last: Option<DatasetId>,
}

impl Queue {
    pub(super) fn push(&mut self, tier: Tier, dataset_id: DatasetId, chunk_id: ChunkId) -> Place {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let waiting = self.turns(tier).datasets.entry(dataset_id).or_default();
        waiting.insert((ticket, chunk_id));
        Place {
            tier,
            dataset_id,
            ticket,
        }
    }

    pub(super) fn remove(&mut self, place: Place, chunk_id: ChunkId) {
        self.turns(place.tier)
            .remove(&place.dataset_id, (place.ticket, chunk_id));
    }

    pub(super) fn pop(&mut self) -> Option<ChunkId> {
        self.fresh.pop().or_else(|| self.retry.pop())
    }

    fn turns(&mut self, tier: Tier) -> &mut Turns {
        match tier {
            Tier::Fresh => &mut self.fresh,
            Tier::Retry => &mut self.retry,
        }
    }
}

impl Turns {
    fn pop(&mut self) -> Option<ChunkId> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.datasets.range((after, Bound::Unbounded)).next();
        let (dataset_id, waiting) = next.or_else(|| self.datasets.iter().next())?;
        let (dataset_id, first) = (*dataset_id, *waiting.first()?);
        self.last = Some(dataset_id);
        self.remove(&dataset_id, first);
        Some(first.1)
    }

    fn remove(&mut self, dataset_id: &DatasetId, key: (u64, ChunkId)) {
        if let Some(waiting) = self.datasets.get_mut(dataset_id) {
            waiting.remove(&key);
            if waiting.is_empty() {
                self.datasets.remove(dataset_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_take_turns_and_failures_wait() {
        let mut queue = Queue::default();
        let id = |n: u8| [n; 32];
        queue.push(Tier::Retry, id(1), id(90));
        for n in 1..=3 {
            queue.push(Tier::Fresh, id(1), id(n));
        }
        let place = queue.push(Tier::Fresh, id(2), id(40));
        queue.push(Tier::Fresh, id(2), id(41));
        queue.remove(place, id(40));
        let order: Vec<u8> = std::iter::from_fn(|| queue.pop()).map(|id| id[0]).collect();
        assert_eq!(order, [1, 41, 2, 3, 90]);
    }
}

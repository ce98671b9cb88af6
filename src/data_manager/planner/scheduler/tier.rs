//! The classes of waiting chunks, and a chunk's place in one.

use crate::data_chunk::DatasetId;
use crate::data_manager::stats::Priority;

/// A class of waiting chunks; the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Tier {
    pub(in super::super) priority: Priority,
    pub(in super::super) trial: Trial,
}

/// Whether a chunk was tried before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Trial {
    /// Never tried.
    Fresh,
    /// Failed before, and due again. A chunk that keeps failing is never chosen before one that
    /// was not tried yet.
    Retry,
}

/// How many classes there are.
pub(super) const TIERS: usize = 4;

impl Tier {
    /// In the order in which they go.
    pub(super) const ALL: [Tier; TIERS] = {
        let (high, normal) = (Priority::High, Priority::Normal);
        let (fresh, retry) = (Trial::Fresh, Trial::Retry);
        [
            Tier::new(high, fresh),
            Tier::new(high, retry),
            Tier::new(normal, fresh),
            Tier::new(normal, retry),
        ]
    };

    pub(in super::super) const fn new(priority: Priority, trial: Trial) -> Self {
        Tier { priority, trial }
    }

    pub(super) fn index(self) -> usize {
        let by_priority = match self.priority {
            Priority::High => 0,
            Priority::Normal => 2,
        };
        by_priority
            + match self.trial {
                Trial::Fresh => 0,
                Trial::Retry => 1,
            }
    }
}

/// A chunk's place among those that wait, kept by whoever may have to take it out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Place {
    pub(super) tier: Tier,
    pub(super) dataset_id: DatasetId,
    pub(super) ticket: u64,
}

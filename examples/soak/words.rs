//! What the scheduler and the worker say to each other: lines of JSON over the worker's pipes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use data_manager::data_manager::{DataManagerImpl, Durability};
use serde::{Deserialize, Serialize};

use crate::process::Footprint;

/// The worker's one argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) data_dir: PathBuf,
    /// What the origin's URLs begin with.
    pub(crate) base: String,
    pub(crate) seed: u64,
    pub(crate) chunks: u32,
    pub(crate) durability: Durability,
    /// How long anything may take that has to happen.
    pub(crate) patience_ms: u64,
}

/// To the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// The assignment of this step. Answer: `Assigned`.
    Assign(u32),
    /// A limit on bandwidth, or none. Answer: `Limited`.
    Bandwidth(Option<u64>),
    /// Queries rest and give back what they hold, everything is reached. Answer: `Calm`.
    Calm,
    /// Queries go on. Answer: `Done`.
    GoOn,
    /// The end of the worker. Answer: `Ended`.
    Finish,
}

/// From the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// It has opened the directory.
    Opened(Opened),
    Assigned(Progress),
    /// Bytes that had arrived before the limit was another one, and after.
    Limited {
        before: u64,
        after: u64,
    },
    Calm(Box<Calm>),
    Done,
    Ended(Box<Ended>),
    /// Something did not hold. It ends after this.
    Broken(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// Number and revision of what was visible at once.
    pub(crate) visible: BTreeMap<u32, u32>,
    pub(crate) open_ms: u64,
    /// Before it was opened.
    pub(crate) before: Footprint,
}

/// How it goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) figures: Figures,
    pub(crate) queries: Queries,
    pub(crate) rss_bytes: u64,
    pub(crate) peak_rss_bytes: u64,
    pub(crate) threads: usize,
    pub(crate) handles: usize,
}

/// Of the manager's `stats()`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) available: usize,
    pub(crate) unfinished: usize,
    pub(crate) downloaded_chunks: u64,
    pub(crate) removed_chunks: u64,
    pub(crate) downloaded_bytes: u64,
    pub(crate) failed_attempts: u64,
    pub(crate) quarantined: u64,
    pub(crate) damaged: u64,
    pub(crate) scrubbed_chunks: u64,
    pub(crate) committed_bytes: u64,
    pub(crate) staged_bytes: u64,
    pub(crate) trash_bytes: u64,
    pub(crate) quarantine_bytes: u64,
    pub(crate) reserved_bytes: u64,
    pub(crate) corrected_bytes: u64,
    pub(crate) partial_chunks: usize,
    pub(crate) partial_bytes: u64,
    pub(crate) lock_over_1_ms: u64,
    pub(crate) lock_holds: u64,
}

impl Figures {
    pub(crate) fn of(manager: &DataManagerImpl) -> Figures {
        let stats = manager.stats();
        let (chunks, space, totals) = (&stats.chunks, &stats.space, &stats.totals);
        Figures {
            available: chunks.available,
            unfinished: chunks.settling
                + chunks.waiting
                + chunks.transferring
                + chunks.backing_off
                + chunks.failed
                + chunks.held
                + chunks.removing
                + chunks.unreadable,
            downloaded_chunks: totals.downloaded_chunks,
            removed_chunks: totals.removed_chunks,
            downloaded_bytes: totals.downloaded_bytes,
            failed_attempts: totals.failed_attempts,
            quarantined: totals.quarantined,
            damaged: stats.scrub.damaged,
            scrubbed_chunks: stats.scrub.chunks,
            committed_bytes: space.committed_bytes,
            staged_bytes: space.staged_bytes,
            trash_bytes: space.trash_bytes,
            quarantine_bytes: space.quarantine_bytes,
            reserved_bytes: space.reserved_bytes,
            corrected_bytes: space.corrected_bytes,
            partial_chunks: stats.partials.chunks,
            partial_bytes: stats.partials.bytes,
            lock_over_1_ms: stats.lock.over_1_ms,
            lock_holds: stats.lock.holds,
        }
    }
}

/// What the queries did and saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Queries {
    /// How long `find_chunk` took, as `Histogram` counts.
    pub(crate) find_chunk: Vec<u64>,
    pub(crate) find_range: Vec<u64>,
    pub(crate) stats: Vec<u64>,
    /// Chunks whose files were read, every byte.
    pub(crate) checked_chunks: u64,
    /// Of which while they were not wanted any more.
    pub(crate) checked_late: u64,
}

/// The worker where nothing is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Calm {
    pub(crate) visible: BTreeMap<u32, u32>,
    pub(crate) footprint: Footprint,
    pub(crate) progress: Progress,
    pub(crate) events: Accounts,
    /// Until it was calm.
    pub(crate) took_ms: u64,
}

/// What the subscribers were told since the worker began.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Accounts {
    pub(crate) quick: Account,
    pub(crate) slow: Account,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    /// By kind.
    pub(crate) received: BTreeMap<String, u64>,
    /// As `Lagged` said.
    pub(crate) missed: u64,
}

impl Account {
    pub(crate) fn received(&self) -> u64 {
        self.received.values().sum()
    }

    /// All that there were.
    pub(crate) fn total(&self) -> u64 {
        self.received() + self.missed
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) before: Footprint,
    pub(crate) after: Footprint,
    pub(crate) shutdown_ms: u64,
    /// Of the calls that it made.
    pub(crate) tasks: u64,
}

//! What a manager says about itself when asked.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `status.rs`, `why.rs` | where one chunk is; the same for a person |
//! | `flight.rs` | what is being fetched now |
//! | `waits.rs` | what waits for what; what is deleted and still referred to |
//! | `estimate.rs` | how long it takes until all is here, and what holds it up |
//! | `hosts.rs`, `space.rs` | hosts that rest; what the data directory takes of the disk |

mod estimate;
mod flight;
mod hosts;
mod space;
mod status;
mod waits;
mod why;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

pub(super) use self::estimate::Left;
pub use self::estimate::{Estimate, HoldUp};
pub(super) use self::flight::Flying;
pub use self::flight::InFlight;
pub use self::hosts::RestingHost;
pub use self::space::{PartialCounts, SpaceStats};
pub use self::status::{ChunkState, ChunkStatus, Priority, StateCounts};
pub use self::waits::{HeldCounts, OldestHeld, WaitCounts, WaitReason};
pub use crate::data_source::{SpaceArea, SpaceShortage};
use crate::error::ErrorKind;

/// A manager's figures at one moment; the answer of `stats`.
///
/// ```
/// # use std::collections::HashMap;
/// # use data_manager::data_chunk::DataChunk;
/// # use data_manager::data_manager::DataManagerImpl;
/// # let dir = tempfile::tempdir()?;
/// # let served = dir.path().join("blocks");
/// # std::fs::write(&served, "PAR1")?;
/// # let chunk = DataChunk {
/// #     id: [1; 32],
/// #     dataset_id: [7; 32],
/// #     block_range: 0..100,
/// #     files: HashMap::from([("blocks.parquet".to_owned(), format!("file://{}", served.display()))]),
/// # };
/// # let builder = DataManagerImpl::builder().serve_files_from(dir.path());
/// # let manager = builder.data_dir(dir.path().join("chunks")).max_bytes(1000).open()?;
/// manager.download_chunk(chunk).wait()?;
/// let stats = manager.stats();
/// assert_eq!((stats.chunks.available, stats.chunks.available_bytes), (1, 4));
/// assert_eq!(stats.space.max_bytes, Some(1000));
/// if let Some(shortage) = stats.space.waits_for {
///     println!("nothing is fetched for want of room: {shortage:?}");
/// }
/// println!("{}", serde_json::to_string_pretty(&stats)?);   // for an endpoint such as `/status`
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Chunks by state.
    pub chunks: StateCounts,
    /// Whether no file is begun, since [`pause`](super::DataManagerImpl::pause) was called.
    pub paused: bool,
    /// Files being fetched now.
    pub files_in_flight: usize,
    /// Each of those.
    pub in_flight: Vec<InFlight>,
    /// What waits, and for what.
    pub waits: WaitCounts,
    /// What is deleted or replaced, and still referred to.
    pub held: HeldCounts,
    /// When everything that was asked for is reached, and what holds it up.
    pub estimate: Estimate,
    /// The most files that are fetched at a time.
    pub slots: usize,
    /// The same for each host.
    pub slots_per_host: usize,
    /// Bytes per second, over all transfers; absent where there is no limit.
    pub bandwidth_limit: Option<u64>,
    /// What earlier attempts left in staging, for when the same is asked for again; what is being
    /// fetched now is not in it.
    pub partials: PartialCounts,
    /// What the data directory takes of the disk, and what there is too little of.
    pub space: SpaceStats,
    /// How many hosts failed for everybody and are given a rest, or are being tried again.
    pub hosts_resting: usize,
    /// At most 16 of these, the next to be tried first.
    pub resting_hosts: Vec<RestingHost>,
    /// What was read again and verified.
    pub scrub: ScrubStats,
    /// What happened since the manager was opened.
    pub totals: Counters,
    /// How long calls kept each other waiting since the manager was opened.
    pub lock: LockHolds,
}

/// How long the one lock was held that calls, jobs and tasks have in common.
///
/// Measured by the clock on the wall: where there are more threads than processors, a holder that
/// the system puts aside for others goes on holding it, and is seen here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LockHolds {
    /// How often it was held.
    pub holds: u64,
    /// How often for more than 1 ms.
    pub over_1_ms: u64,
    /// The longest of all times, in ns.
    pub longest_ns: u64,
}

impl LockHolds {
    pub(super) fn note(&mut self, held: Duration) {
        let held_ns = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        self.holds += 1;
        self.over_1_ms += u64::from(held_ns > 1_000_000);
        self.longest_ns = self.longest_ns.max(held_ns);
    }
}

/// What was read again and held against what was committed, since the manager was opened: by the
/// background scrub, by `verify`, and at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScrubStats {
    /// How many bytes per second the background scrub reads; absent while it is off.
    pub rate: Option<u64>,
    /// How many rounds over all visible chunks it has completed.
    pub rounds: u64,
    /// Chunks that were what was committed.
    pub chunks: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Chunks that were not.
    pub damaged: u64,
    /// Of how many chunks the round is, or was if it is over.
    pub round_chunks: usize,
    /// How many of them it has come past; those that left the view meanwhile count.
    pub round_done: usize,
}

/// What happened since a manager was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Chunks that were fetched and became visible.
    pub downloaded_chunks: u64,
    /// Chunks whose directory was removed.
    pub removed_chunks: u64,
    /// Attempts that were begun.
    pub attempts: u64,
    /// Those of them that came after one that had failed.
    pub retries: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// The same by how they failed; what did not happen is not in it.
    pub failures: BTreeMap<ErrorKind, u64>,
    /// Bytes that arrived, repeated ones included.
    pub downloaded_bytes: u64,
    /// Directories moved to quarantine.
    pub quarantined: u64,
    /// Directories of the library's that could not be read; they were left alone.
    pub unreadable: u64,
    /// Things that are not the library's, found when the directory was opened.
    pub foreign: u64,
}

//! How long it takes until all that was asked for is there.

use serde::Serialize;

use super::Stats;

/// When everything that was asked for is reached, as far as that can be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Chunks that are still to come; not those that failed for good.
    pub left_chunks: usize,
    /// Bytes that are still to come. Descriptions do not say how long files are: a chunk that no
    /// source has told the size of yet counts as the mean of the others. Absent while there are
    /// such chunks and no others.
    pub left_bytes: Option<u64>,
    /// How many chunks were counted as the mean.
    pub guessed_chunks: usize,
    /// Bytes that arrive per second, over all transfers and the last four seconds.
    pub bytes_per_second: u64,
    /// Seconds until all is here, if it goes on as it does now; 0 if nothing is left. Absent where
    /// that cannot be known: nothing arrives, or what is waited for has no time of its own.
    pub left_seconds: Option<u64>,
    /// What stands in the way of it being sooner.
    pub held_up_by: HoldUp,
}

/// What stands in the way of being there sooner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HoldUp {
    /// Nothing: all is reached, or about to be.
    #[default]
    Nothing,
    /// Everything that is left is on its way, as fast as the sources and the disk are.
    Sources,
    /// The limit on bandwidth is made use of.
    BandwidthLimit,
    /// All slots are taken, and chunks wait for one.
    Slots,
    /// Most of what waits does so for hosts that have as many files in flight as they may.
    HostSlots,
    /// Most of what waits does so for hosts that rest.
    HostsResting,
    /// Most of what waits does so for its next attempt.
    Backoff,
    /// There is too little room on the disk.
    DiskSpace,
    /// Most of what waits does so for earlier contents of its ids.
    Settling,
    /// Most of what waits does so until it is verified.
    Verifying,
    /// Nothing is begun, since somebody said so.
    Paused,
    /// All that was asked for is here, and something that was to go is still referred to.
    References,
}

/// What is still to come, as the planner knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::data_manager) struct Left {
    /// Chunks.
    pub(in crate::data_manager) chunks: usize,
    /// What is missing of those whose size is known.
    pub(in crate::data_manager) known_bytes: u64,
    /// Those whose size is not known.
    pub(in crate::data_manager) unknown_chunks: usize,
    /// What of those is here already.
    pub(in crate::data_manager) unknown_done_bytes: u64,
    /// How long a chunk is, judged by those that are known.
    pub(in crate::data_manager) mean_bytes: Option<u64>,
}

impl Left {
    fn bytes(&self) -> Option<u64> {
        if self.unknown_chunks == 0 {
            return Some(self.known_bytes);
        }
        let chunks = u64::try_from(self.unknown_chunks).unwrap_or(u64::MAX);
        let guess = self.mean_bytes?.saturating_mul(chunks);
        let guess = guess.saturating_sub(self.unknown_done_bytes);
        Some(self.known_bytes.saturating_add(guess))
    }
}

impl Estimate {
    /// Judged by the other figures.
    pub(in crate::data_manager) fn of(stats: &Stats, left: Left, bytes_per_second: u64) -> Self {
        let held_up_by = HoldUp::of(stats, left.chunks, bytes_per_second);
        let left_bytes = left.bytes();
        let endless = matches!(held_up_by, HoldUp::Paused | HoldUp::DiskSpace);
        let left_seconds = match left_bytes {
            _ if endless => None,
            Some(0) => (stats.held.contents == 0).then_some(0),
            Some(bytes) if bytes_per_second > 0 => Some(bytes.div_ceil(bytes_per_second)),
            Some(_) | None => None,
        };
        Estimate {
            left_chunks: left.chunks,
            left_bytes,
            guessed_chunks: left.unknown_chunks,
            bytes_per_second,
            left_seconds,
            held_up_by,
        }
    }
}

impl HoldUp {
    /// Each, by its name in JSON.
    pub(in crate::data_manager) const NAMES: [(&'static str, HoldUp); 12] = [
        ("nothing", HoldUp::Nothing),
        ("sources", HoldUp::Sources),
        ("bandwidth_limit", HoldUp::BandwidthLimit),
        ("slots", HoldUp::Slots),
        ("host_slots", HoldUp::HostSlots),
        ("hosts_resting", HoldUp::HostsResting),
        ("backoff", HoldUp::Backoff),
        ("disk_space", HoldUp::DiskSpace),
        ("settling", HoldUp::Settling),
        ("verifying", HoldUp::Verifying),
        ("paused", HoldUp::Paused),
        ("references", HoldUp::References),
    ];

    fn of(stats: &Stats, left_chunks: usize, bytes_per_second: u64) -> Self {
        let waits = &stats.waits;
        if left_chunks == 0 && waits.settling + waits.verifying == 0 {
            return match stats.held.contents {
                0 => HoldUp::Nothing,
                _ => HoldUp::References,
            };
        }
        // Also where all that is left is the rest of chunks that have begun.
        let nothing_comes = stats.files_in_flight == 0;
        if waits.paused > 0 || stats.paused && nothing_comes {
            return HoldUp::Paused;
        }
        if waits.disk_space > 0 || stats.space.waits_for.is_some() {
            return HoldUp::DiskSpace;
        }
        // Used to four fifths: what comes in a moment is never exactly what may.
        let is_used = |limit: u64| bytes_per_second >= limit - limit / 5;
        if stats.files_in_flight > 0 && stats.bandwidth_limit.is_some_and(is_used) {
            return HoldUp::BandwidthLimit;
        }
        // Those that failed for good are tried again, but nobody waits for them.
        let waiting = [
            (waits.slot, HoldUp::Slots),
            (waits.host_slot, HoldUp::HostSlots),
            (waits.host_resting, HoldUp::HostsResting),
            (stats.chunks.backing_off, HoldUp::Backoff),
            (waits.settling, HoldUp::Settling),
            (waits.verifying, HoldUp::Verifying),
        ];
        let most = waiting.into_iter().max_by_key(|(count, _)| *count);
        let most = most.filter(|(count, _)| *count > 0);
        let of_begun = match nothing_comes && stats.hosts_resting > 0 {
            true => HoldUp::HostsResting,
            false => HoldUp::Sources,
        };
        most.map_or(of_begun, |(_, held_up_by)| held_up_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_manager::stats::SpaceShortage;

    const MEGABYTE: u64 = 1_000_000;

    /// One chunk in flight, of which ten megabytes are left.
    fn one_comes() -> (Stats, Left) {
        let mut stats = Stats {
            files_in_flight: 1,
            ..Stats::default()
        };
        stats.chunks.transferring = 1;
        let left = Left {
            chunks: 1,
            known_bytes: 10 * MEGABYTE,
            ..Left::default()
        };
        (stats, left)
    }

    #[test]
    fn what_is_not_known_counts_as_the_mean() {
        let (stats, mut left) = one_comes();
        let estimate = Estimate::of(&stats, left, MEGABYTE);
        assert_eq!(estimate.left_bytes, Some(10 * MEGABYTE));
        assert_eq!(estimate.left_seconds, Some(10));
        (left.unknown_chunks, left.unknown_done_bytes) = (2, MEGABYTE);
        let estimate = Estimate::of(&stats, left, MEGABYTE);
        assert_eq!((estimate.left_bytes, estimate.left_seconds), (None, None));
        left.mean_bytes = Some(20 * MEGABYTE);
        let estimate = Estimate::of(&stats, left, MEGABYTE);
        assert_eq!(estimate.left_bytes, Some(49 * MEGABYTE));
        assert_eq!(estimate.guessed_chunks, 2);
        let stalled = Estimate::of(&stats, left, 0);
        assert_eq!(stalled.left_seconds, None, "nothing arrives");
    }

    #[test]
    fn names_are_those_in_json() {
        for (name, held_up_by) in HoldUp::NAMES {
            assert_eq!(serde_json::to_value(held_up_by).unwrap(), name);
        }
    }

    #[test]
    fn the_hold_up_is_what_would_have_to_change() {
        let (idle, nothing) = (Stats::default(), Left::default());
        let of = |stats: &Stats| HoldUp::of(stats, 1, MEGABYTE);
        assert_eq!(HoldUp::of(&idle, 0, 0), HoldUp::Nothing);
        assert_eq!(Estimate::of(&idle, nothing, 0).left_seconds, Some(0));
        let mut held = Stats::default();
        held.held.contents = 1;
        assert_eq!(HoldUp::of(&held, 0, 0), HoldUp::References);
        assert_eq!(Estimate::of(&held, nothing, 0).left_seconds, None);

        let (mut stats, _) = one_comes();
        stats.held.contents = 1;
        assert_eq!(of(&stats), HoldUp::Sources);
        // The rest of a chunk that has begun, of which nothing is in flight.
        (stats.files_in_flight, stats.hosts_resting) = (0, 1);
        assert_eq!(of(&stats), HoldUp::HostsResting);
        stats.paused = true;
        assert_eq!(of(&stats), HoldUp::Paused);
        stats.files_in_flight = 1;
        assert_eq!(of(&stats), HoldUp::Sources);
        (stats.paused, stats.hosts_resting) = (false, 0);
        (stats.waits.slot, stats.chunks.backing_off) = (3, 4);
        assert_eq!(of(&stats), HoldUp::Backoff);
        stats.waits.host_resting = 5;
        assert_eq!(of(&stats), HoldUp::HostsResting);
        stats.waits.host_slot = 6;
        assert_eq!(of(&stats), HoldUp::HostSlots);
        stats.waits.slot = 7;
        assert_eq!(of(&stats), HoldUp::Slots);
        stats.bandwidth_limit = Some(MEGABYTE + MEGABYTE / 10);
        assert_eq!(of(&stats), HoldUp::BandwidthLimit);
        stats.space.waits_for = Some(SpaceShortage::MaxBytes);
        assert_eq!(of(&stats), HoldUp::DiskSpace);
        stats.waits.paused = 1;
        assert_eq!(of(&stats), HoldUp::Paused);
    }
}

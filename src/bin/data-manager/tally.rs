//! How far it is: what is in flight, how fast it comes, and how long it will take.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use data_manager::data_chunk::ChunkId;
use data_manager::data_manager::{Event, Stats};

use crate::units;

/// Over which the rate is taken.
const WINDOW: Duration = Duration::from_secs(10);

/// What is known of the transfers.
#[derive(Debug)]
pub(crate) struct Tally {
    in_flight: BTreeMap<ChunkId, Transfer>,
    /// How much had come when, at most some [`WINDOW`] ago.
    came: VecDeque<(Instant, u64)>,
}

/// A chunk that is being fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) done_bytes: u64,
    pub(crate) total_bytes: Option<u64>,
}

impl Transfer {
    /// How much of it has come, from 0 to 1; 0 if its end is not known.
    fn part(&self) -> f64 {
        let total = self.total_bytes.filter(|total| *total > 0);
        total.map_or(0.0, |total| {
            (self.done_bytes as f64 / total as f64).min(1.0)
        })
    }
}

/// How far it is in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    /// Chunks that are there, and that are wanted.
    pub(crate) available: usize,
    pub(crate) wanted: usize,
    /// The parts of chunks that have come of those in flight: each counts as less than one.
    pub(crate) parts: f64,
    pub(crate) downloaded_bytes: u64,
    pub(crate) waiting_to_retry: usize,
    pub(crate) failed: usize,
    pub(crate) removing: usize,
    pub(crate) bytes_per_second: u64,
    /// Until everything is there, if that can be guessed.
    pub(crate) left: Option<Duration>,
}

impl Tally {
    /// Of a manager that was opened at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Tally {
            in_flight: BTreeMap::new(),
            came: VecDeque::from([(now, 0)]),
        }
    }

    /// Takes an event in; true if something came closer by it.
    pub(crate) fn note(&mut self, event: &Event) -> bool {
        match event {
            Event::Started { chunk_id, .. } => {
                self.in_flight.entry(*chunk_id).or_default();
                false
            }
            Event::Progress {
                chunk_id,
                done_bytes,
                total_bytes,
                ..
            } => {
                let transfer = self.in_flight.entry(*chunk_id).or_default();
                let came = *done_bytes > transfer.done_bytes;
                transfer.done_bytes = *done_bytes;
                transfer.total_bytes = total_bytes.or(transfer.total_bytes);
                came
            }
            Event::Available { chunk_id, .. } | Event::Removed { chunk_id, .. } => {
                self.in_flight.remove(chunk_id);
                true
            }
            Event::Retried { chunk_id, .. }
            | Event::Failed { chunk_id, .. }
            | Event::Superseded { chunk_id, .. }
            | Event::Unwanted { chunk_id, .. } => {
                self.in_flight.remove(chunk_id);
                false
            }
            // What became of them is not known: they come back with their next event.
            Event::Lagged { .. } => {
                self.in_flight.clear();
                false
            }
            _ => false,
        }
    }

    /// What is in flight.
    pub(crate) fn in_flight(&self) -> &BTreeMap<ChunkId, Transfer> {
        &self.in_flight
    }

    /// How far it is in all.
    pub(crate) fn sum(&mut self, now: Instant, stats: &Stats) -> Sum {
        let chunks = &stats.chunks;
        let coming = chunks.settling + chunks.waiting + chunks.transferring + chunks.backing_off;
        let bytes_per_second = self.rate(now, stats.totals.downloaded_bytes);
        Sum {
            available: chunks.available,
            wanted: chunks.available + coming + chunks.failed,
            parts: self.in_flight.values().map(Transfer::part).sum(),
            downloaded_bytes: stats.totals.downloaded_bytes,
            waiting_to_retry: chunks.backing_off,
            failed: chunks.failed,
            removing: chunks.removing,
            bytes_per_second,
            left: self.left(coming, bytes_per_second, stats),
        }
    }

    fn rate(&mut self, now: Instant, downloaded: u64) -> u64 {
        self.came.push_back((now, downloaded));
        // One from before the window stays, so that it is covered.
        while self.came.len() > 2 && now.duration_since(self.came[1].0) >= WINDOW {
            self.came.pop_front();
        }
        let (since, before) = self.came[0];
        let seconds = now.duration_since(since).as_secs_f64();
        match seconds > 0.0 {
            true => (downloaded.saturating_sub(before) as f64 / seconds) as u64,
            false => 0,
        }
    }

    /// What is not known of a chunk is guessed by the others.
    fn left(&self, coming: usize, bytes_per_second: u64, stats: &Stats) -> Option<Duration> {
        if coming == 0 || bytes_per_second == 0 {
            return None;
        }
        let flights = self.in_flight.values();
        let known: Vec<(u64, u64)> = flights
            .filter_map(|flight| Some((flight.done_bytes, flight.total_bytes?)))
            .collect();
        let (done, total) = known
            .iter()
            .fold((0, 0), |sum, (done, total)| (sum.0 + done, sum.1 + total));
        let seen_bytes = stats.chunks.available_bytes.saturating_add(total) as f64;
        let seen = stats.chunks.available + known.len();
        let mean = (seen > 0).then(|| seen_bytes / seen as f64)?;
        let unknown = coming.saturating_sub(known.len()) as f64;
        let left = total.saturating_sub(done) as f64 + unknown * mean;
        Duration::try_from_secs_f64(left / bytes_per_second as f64).ok()
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} chunks", self.available, self.wanted)?;
        if self.downloaded_bytes > 0 {
            let came = units::size(self.downloaded_bytes);
            write!(
                f,
                ", {came} fetched, {}/s",
                units::size(self.bytes_per_second)
            )?;
        }
        let counts = [
            (self.waiting_to_retry, "to be tried again"),
            (self.failed, "failed"),
            (self.removing, "being removed"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        match self.left {
            Some(left) => write!(f, ", {} left", units::duration(left)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(tally.rate(at(0), 0), 0);
        assert_eq!(tally.rate(at(1), 1000), 1000);
        for second in 2..100 {
            tally.rate(at(second), 1000);
        }
        assert_eq!(tally.rate(at(100), 1000), 0);
        assert!(tally.came.len() < 20);
    }

    #[test]
    fn what_is_left_is_guessed_by_what_is_known() {
        let mut tally = Tally::new(Instant::now());
        let transfer = Transfer {
            done_bytes: 500,
            total_bytes: Some(1000),
        };
        tally.in_flight.insert([1; 32], transfer);
        let stats = Stats::default();
        // 500 of the one that is known, and 1000 of the other one.
        assert_eq!(tally.left(2, 100, &stats), Some(Duration::from_secs(15)));
        assert_eq!(tally.left(2, 0, &stats), None);
        assert_eq!(tally.left(0, 100, &stats), None);
    }
}

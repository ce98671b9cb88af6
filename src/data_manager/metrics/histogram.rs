//! How long things took, counted in buckets.

use std::time::Duration;

/// Up to how many seconds each bucket goes, from a small file's commit to a chunk that waits for a
/// reference; a last one has the rest.
pub(super) const BOUNDS_SECONDS: [f64; 15] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0,
];

/// How many took how long, and how long all of them together.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::data_manager) struct Histogram {
    counts: [u64; BOUNDS_SECONDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    pub(in crate::data_manager) fn note(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS_SECONDS.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += 1;
        self.sum = self.sum.saturating_add(took);
    }

    /// How many took at most so many seconds, for each bound.
    pub(super) fn up_to(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut sum = 0;
        let counts = BOUNDS_SECONDS.iter().zip(&self.counts);
        counts.map(move |(bound, count)| {
            sum += count;
            (*bound, sum)
        })
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn sum_seconds(&self) -> f64 {
        self.sum.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_in_its_bucket_and_what_is_beyond_all_is_counted() {
        let mut histogram = Histogram::default();
        for ms in [1, 2, 5, 3_600_000, 3_600_001] {
            histogram.note(Duration::from_millis(ms));
        }
        let up_to: Vec<(f64, u64)> = histogram.up_to().collect();
        assert_eq!(up_to[..3], [(0.001, 1), (0.005, 3), (0.01, 3)]);
        assert_eq!(up_to.last(), Some(&(3600.0, 4)));
        assert_eq!(histogram.count(), 5);
        assert!((histogram.sum_seconds() - 7200.009).abs() < 1e-6);
    }
}

//! How long calls took: counts in buckets that are an eighth of a power of two wide.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Steps within a power of two.
const STEPS: usize = 8;
const BUCKETS: usize = 40 * STEPS;

/// Counts from any thread.
#[derive(Debug)]
pub(crate) struct Histogram(Vec<AtomicU64>);

impl Default for Histogram {
    fn default() -> Self {
        Histogram((0..BUCKETS).map(|_| AtomicU64::default()).collect())
    }
}

impl Histogram {
    pub(crate) fn note(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let power = ns.ilog2() as usize;
        let step = ((u128::from(ns) * STEPS as u128) >> power) as usize - STEPS;
        let bucket = (power * STEPS + step).min(BUCKETS - 1);
        self.0[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Vec<u64> {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.0.iter().map(count).collect()
    }
}

/// Adds the counts of one to those of another.
pub(crate) fn add(sum: &mut Vec<u64>, counts: &[u64]) {
    sum.resize(sum.len().max(counts.len()), 0);
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum += count;
    }
}

/// So many of 1,000 were not slower than this, in ns: the upper end of its bucket.
pub(crate) fn quantile_ns(counts: &[u64], of_1000: u64) -> u64 {
    let total: u64 = counts.iter().sum();
    let mut left = (total * of_1000).div_ceil(1000);
    let bucket = counts.iter().position(|count| {
        left = left.saturating_sub(*count);
        left == 0
    });
    let Some(bucket) = bucket else { return 0 };
    let (power, step) = (bucket / STEPS, bucket % STEPS);
    (1u64 << power) * (STEPS + step + 1) as u64 / STEPS as u64
}

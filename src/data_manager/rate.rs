//! How fast bytes arrive, smoothed over some seconds, without a timer and without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long the arrivals are that are added up in one place.
const BUCKET_MS: u64 = 250;
/// How many of these are looked back on: nearly four seconds.
const BUCKETS: u64 = 16;
/// How many bits of a bucket are its bytes. Its time takes the others, which come round after more
/// than a month: what a bucket last had then is told from what it has now by all but one in
/// sixteen million.
const BYTES_BITS: u32 = 40;
const BYTES_MASK: u64 = (1 << BYTES_BITS) - 1;
const TICK_MASK: u64 = (1 << (64 - BYTES_BITS)) - 1;

/// Counts bytes by when they arrived. Written by those who fetch, read by whoever asks.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    /// Each the number of its quarter of a second, and the bytes that arrived in it.
    buckets: [AtomicU64; BUCKETS as usize],
}

impl RateMeter {
    /// So many bytes arrived.
    pub(super) fn note(&self, now: Duration, count: u64) {
        let tick = tick_of(now);
        let add = |bucket: u64| {
            let before = bytes_in(bucket, tick);
            let bytes = before.saturating_add(count).min(BYTES_MASK);
            Some(((tick & TICK_MASK) << BYTES_BITS) | bytes)
        };
        let bucket = self.bucket(tick);
        // The closure always has a value to store, so this does not fail.
        let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Bytes per second, from the first arrival that is looked back on until now.
    pub(super) fn bytes_per_second(&self, now: Duration) -> u64 {
        let tick = tick_of(now);
        let mut bytes = 0u64;
        let mut first = None;
        for earlier in tick.saturating_sub(BUCKETS - 1)..=tick {
            let bucket = self.bucket(earlier).load(Ordering::Relaxed);
            let arrived = bytes_in(bucket, earlier);
            if arrived > 0 {
                bytes = bytes.saturating_add(arrived);
                first.get_or_insert(earlier);
            }
        }
        let Some(first) = first else { return 0 };
        let since_ms = millis(now).saturating_sub(first * BUCKET_MS);
        bytes.saturating_mul(1000) / since_ms.max(BUCKET_MS)
    }

    fn bucket(&self, tick: u64) -> &AtomicU64 {
        // The remainder is less than the length of the array.
        &self.buckets[(tick % BUCKETS) as usize]
    }
}

fn bytes_in(bucket: u64, tick: u64) -> u64 {
    let same = bucket >> BYTES_BITS == tick & TICK_MASK;
    if same { bucket & BYTES_MASK } else { 0 }
}

fn tick_of(now: Duration) -> u64 {
    millis(now) / BUCKET_MS
}

fn millis(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// What arrived at an even pace is seen at that pace, at any time of a run.
    #[test]
    fn an_even_pace_is_what_it_is() {
        for start in [0, 77, 1_000_000, TICK_MASK * BUCKET_MS - 3000] {
            let meter = RateMeter::default();
            for ms in (0..10_000).step_by(10) {
                meter.note(at(start + ms), 1000);
                let rate = meter.bytes_per_second(at(start + ms));
                let enough = ms >= 2000;
                assert!(!enough || (85_000..115_000).contains(&rate), "{ms}: {rate}");
            }
        }
    }

    #[test]
    fn what_stops_is_forgotten_within_seconds() {
        let meter = RateMeter::default();
        assert_eq!(meter.bytes_per_second(at(5000)), 0);
        meter.note(at(5000), 4000);
        assert_eq!(meter.bytes_per_second(at(5001)), 16_000, "of a quarter");
        assert_eq!(meter.bytes_per_second(at(7000)), 2000);
        assert_eq!(meter.bytes_per_second(at(9000)), 0);
        // Its bucket is used again.
        meter.note(at(9000), 500);
        assert_eq!(meter.bytes_per_second(at(9250)), 2000);
    }
}

//! What earlier attempts left in staging, for when the same is asked for again: how much of it
//! there is, and what has to go.
//!
//! A partial is in here from the end of the attempt that left it (or from the start of the manager)
//! until the next attempt takes it over, or it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Moment;
use crate::data_chunk::ChunkSpec;
use crate::data_manager::stats::PartialCounts;
use crate::data_source::StagingKey;

/// How much of it is kept.
#[derive(Clone, Copy, Debug)]
pub(in crate::data_manager) struct PartialLimits {
    pub(in crate::data_manager) bytes: u64,
    pub(in crate::data_manager) age: Duration,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Partials {
    limits: PartialLimits,
    kept: BTreeMap<StagingKey, Partial>,
    by_expiry: BTreeSet<(Moment, StagingKey)>,
    bytes: u64,
    /// What expires up to then goes now: its space is needed.
    cut: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Partial {
    len_bytes: u64,
    expires: Moment,
}

impl Partials {
    pub(super) fn new(limits: PartialLimits) -> Self {
        Partials {
            limits,
            kept: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            bytes: 0,
            cut: Moment::ZERO,
        }
    }

    /// An attempt left so many bytes, `age` ago.
    pub(super) fn put(&mut self, now: Moment, key: StagingKey, len_bytes: u64, age: Duration) {
        self.take(&key);
        let expires = now + self.limits.age.saturating_sub(age);
        self.kept.insert(key, Partial { len_bytes, expires });
        self.by_expiry.insert((expires, key));
        self.bytes += len_bytes;
    }

    /// The partial of this description is taken over, or goes; its bytes, if there was one.
    pub(super) fn take_of(&mut self, spec: &ChunkSpec) -> Option<u64> {
        if self.kept.is_empty() {
            return None;
        }
        self.take(&StagingKey::of(spec))
    }

    /// It is taken over, or goes; its bytes, if it was there.
    pub(super) fn take(&mut self, key: &StagingKey) -> Option<u64> {
        let partial = self.kept.remove(key)?;
        self.by_expiry.remove(&(partial.expires, *key));
        self.bytes -= partial.len_bytes;
        Some(partial.len_bytes)
    }

    /// The next one that has to go: it is too old, or the oldest while there is too much.
    pub(super) fn surplus(&self, now: Moment) -> Option<StagingKey> {
        let (expires, key) = self.by_expiry.first()?;
        let too_much = self.bytes > self.limits.bytes;
        (*expires <= now.max(self.cut) || too_much).then_some(*key)
    }

    /// The disk is full: what is kept has to go, but for `spared`, if that came last.
    pub(super) fn clear(&mut self, spared: Option<&StagingKey>) {
        let mut from_the_last = self.by_expiry.iter().rev();
        let last = from_the_last.find(|(_, key)| spared != Some(key));
        if let Some((expires, _)) = last {
            self.cut = *expires;
        }
    }

    /// It cannot go now: asks again in a while.
    pub(super) fn defer(&mut self, key: StagingKey, until: Moment) {
        if let Some(partial) = self.kept.get_mut(&key) {
            self.by_expiry.remove(&(partial.expires, key));
            partial.expires = until;
            self.by_expiry.insert((until, key));
        }
    }

    /// When the next one is too old.
    pub(super) fn next_expiry(&self) -> Option<Moment> {
        self.by_expiry.first().map(|(expires, _)| *expires)
    }

    pub(super) fn counts(&self) -> PartialCounts {
        PartialCounts::new(self.kept.len(), self.bytes)
    }

    /// Each with its bytes and when it goes.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (StagingKey, u64, Moment)> {
        let kept = self.kept.iter();
        kept.map(|(key, partial)| (*key, partial.len_bytes, partial.expires))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> StagingKey {
        StagingKey {
            id: [n; 32],
            fingerprint: 7,
        }
    }

    #[test]
    fn the_oldest_go_first_when_there_is_too_much_or_too_long_ago() {
        let limits = PartialLimits {
            bytes: 100,
            age: Duration::from_secs(10),
        };
        let mut partials = Partials::new(limits);
        let now = Duration::from_secs(1);
        partials.put(now, key(1), 60, Duration::ZERO);
        partials.put(now, key(2), 40, Duration::from_secs(5));
        assert_eq!(partials.surplus(now), None);
        partials.put(now, key(3), 1, Duration::from_secs(60));
        assert_eq!(partials.surplus(now), Some(key(3)), "too old");
        assert_eq!(partials.take(&key(3)), Some(1));
        assert_eq!(partials.take(&key(3)), None);
        partials.put(now, key(1), 61, Duration::ZERO);
        assert_eq!(partials.surplus(now), Some(key(2)), "too much");
        partials.take(&key(2));
        assert_eq!(partials.surplus(now), None);
        assert_eq!(partials.surplus(Duration::from_secs(11)), Some(key(1)));
        partials.defer(key(1), Duration::from_secs(12));
        assert_eq!(partials.surplus(Duration::from_secs(11)), None);
        assert_eq!(partials.counts(), PartialCounts::new(1, 61));
    }

    #[test]
    fn a_full_disk_takes_all_but_what_was_just_written() {
        let limits = PartialLimits {
            bytes: 100,
            age: Duration::from_secs(10),
        };
        let mut partials = Partials::new(limits);
        for n in 1..=3 {
            let now = Duration::from_secs(u64::from(n));
            partials.put(now, key(n), 10, Duration::ZERO);
        }
        let now = Duration::from_secs(3);
        partials.clear(Some(&key(3)));
        for n in 1..=2 {
            assert_eq!(partials.surplus(now), Some(key(n)));
            partials.take(&key(n));
        }
        assert_eq!(partials.surplus(now), None);
        partials.clear(None);
        assert_eq!(partials.surplus(now), Some(key(3)));
    }
}

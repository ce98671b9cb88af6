//! What earlier attempts left in staging, for when the same is asked for again: how much of it
//! there is, and what has to go.
//!
//! A partial is in here from the end of the attempt that left it (or from the start of the manager)
//! until the next attempt takes it over, or it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::assignment::DeleteId;
use super::entry::{Entry, Phase};
use super::{Action, Board, Moment, Planner};
use crate::data_chunk::{ChunkId, ChunkSpec};
use crate::data_manager::stats::PartialCounts;
use crate::data_source::{FoundPartial, StagingKey};

/// How many are removed at a time.
const GOING_MAX: usize = 16;
/// When to try again to remove one, after that failed.
const TRY_AGAIN: Duration = Duration::from_secs(10);

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
    /// Those that may go.
    by_expiry: BTreeSet<(Moment, StagingKey)>,
    /// Those that cannot go now, and when to try again: [`Moment::MAX`] for one that waits until
    /// nothing of its id is in its way.
    deferred: BTreeSet<(Moment, StagingKey)>,
    /// Those that are being removed, and their bytes.
    going: BTreeMap<StagingKey, u64>,
    bytes: u64,
    /// What expires up to then goes now: its space is needed.
    cut: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Partial {
    len_bytes: u64,
    expires: Moment,
    /// Set while it is deferred.
    deferred_to: Option<Moment>,
}

impl Partials {
    pub(super) fn new(limits: PartialLimits) -> Self {
        Partials {
            limits,
            kept: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            deferred: BTreeSet::new(),
            going: BTreeMap::new(),
            bytes: 0,
            cut: Moment::ZERO,
        }
    }

    /// An attempt left so many bytes, `age` ago.
    pub(super) fn put(&mut self, now: Moment, key: StagingKey, len_bytes: u64, age: Duration) {
        self.take(&key);
        let partial = Partial {
            len_bytes,
            expires: now.saturating_add(self.limits.age.saturating_sub(age)),
            deferred_to: None,
        };
        self.kept.insert(key, partial);
        self.by_expiry.insert((partial.expires, key));
        self.bytes += len_bytes;
    }

    /// The partial of this description is taken over, or goes; its bytes, if there was one.
    pub(super) fn take_of(&mut self, spec: &ChunkSpec) -> Option<u64> {
        if self.kept.is_empty() {
            return None;
        }
        self.take(&StagingKey::of(spec))
    }

    /// How many bytes there are of one.
    pub(super) fn bytes_of(&self, key: &StagingKey) -> Option<u64> {
        self.kept.get(key).map(|partial| partial.len_bytes)
    }

    /// Whether there is one of this description.
    pub(super) fn holds(&self, spec: &ChunkSpec) -> bool {
        !self.kept.is_empty() && self.kept.contains_key(&StagingKey::of(spec))
    }

    /// It is taken over, or goes; its bytes, if it was there.
    pub(super) fn take(&mut self, key: &StagingKey) -> Option<u64> {
        let partial = self.kept.remove(key)?;
        self.by_expiry.remove(&(partial.expires, *key));
        if let Some(until) = partial.deferred_to {
            self.deferred.remove(&(until, *key));
        }
        self.bytes -= partial.len_bytes;
        Some(partial.len_bytes)
    }

    /// The next one that has to go: it is too old, or the oldest while there is too much. None while
    /// [`GOING_MAX`] are being removed.
    pub(super) fn surplus(&mut self, now: Moment) -> Option<StagingKey> {
        while let Some(&(until, key)) = self.deferred.first()
            && until <= now
        {
            self.deferred.pop_first();
            if let Some(partial) = self.kept.get_mut(&key) {
                partial.deferred_to = None;
                self.by_expiry.insert((partial.expires, key));
            }
        }
        if self.going.len() >= GOING_MAX {
            return None;
        }
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

    /// It goes now: it is of no use.
    pub(super) fn expire(&mut self, now: Moment, key: &StagingKey) {
        if let Some(len_bytes) = self.take(key) {
            self.put(now, *key, len_bytes, self.limits.age);
        }
    }

    /// It is being removed.
    pub(super) fn remove(&mut self, key: &StagingKey) {
        let len_bytes = self.take(key).unwrap_or(0);
        self.going.insert(*key, len_bytes);
    }

    /// It is gone; or, if that failed, it is there still and tried again later.
    pub(super) fn removed(&mut self, now: Moment, key: StagingKey, gone: bool) {
        let len_bytes = self.going.remove(&key).unwrap_or(0);
        if !gone {
            self.put(now, key, len_bytes, self.limits.age);
            self.defer(now.saturating_add(TRY_AGAIN), key);
        }
    }

    /// A transfer or a removal of its id is in its way, which ends with [`unblock`](Self::unblock).
    fn block(&mut self, key: StagingKey) {
        self.defer(Moment::MAX, key);
    }

    /// Nothing of this id is in the way any more.
    pub(super) fn unblock(&mut self, id: ChunkId) {
        let key = |fingerprint| StagingKey { id, fingerprint };
        for (key, partial) in self.kept.range_mut(key(0)..=key(u64::MAX)) {
            if let Some(until) = partial.deferred_to.take_if(|until| *until == Moment::MAX) {
                self.deferred.remove(&(until, *key));
                self.by_expiry.insert((partial.expires, *key));
            }
        }
    }

    fn defer(&mut self, until: Moment, key: StagingKey) {
        if let Some(partial) = self.kept.get_mut(&key) {
            partial.deferred_to = Some(until);
            self.by_expiry.remove(&(partial.expires, key));
            self.deferred.insert((until, key));
        }
    }

    /// When the next one may have to go.
    pub(super) fn next_expiry(&self) -> Option<Moment> {
        if self.going.len() >= GOING_MAX {
            // The next one that is gone asks.
            return None;
        }
        let firsts = [self.by_expiry.first(), self.deferred.first()];
        let firsts = firsts.into_iter().flatten().map(|(at, _)| *at);
        firsts.min().filter(|at| *at != Moment::MAX)
    }

    pub(super) fn counts(&self) -> PartialCounts {
        PartialCounts::new(self.kept.len(), self.bytes)
    }

    /// Each with its bytes and when it is looked at.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (StagingKey, u64, Moment)> {
        let kept = self.kept.iter();
        kept.map(|(key, partial)| {
            let at = partial.deferred_to.unwrap_or(partial.expires);
            (*key, partial.len_bytes, at)
        })
    }
}

impl Planner {
    /// Opening found what an earlier run staged.
    pub(in crate::data_manager) fn found_partial(&mut self, now: Moment, found: &FoundPartial) {
        let FoundPartial {
            key,
            len_bytes,
            age,
        } = *found;
        self.board.partials.put(now, key, len_bytes, age);
    }

    /// Removes what is too old, or too much, of what earlier attempts left.
    pub(super) fn expire_partials(&mut self, now: Moment) {
        while !self.board.shut_down
            && let Some(key) = self.board.partials.surplus(now)
        {
            if !self.edit(key.id, |entry, board| entry.expire(key, board)) {
                self.board.partials.block(key);
            }
        }
    }

    /// What was staged is gone, or could not be removed.
    pub(in crate::data_manager) fn abandoned(&mut self, now: Moment, key: StagingKey, gone: bool) {
        self.board.partials.removed(now, key, gone);
        self.board.partials.unblock(key.id);
        self.edit(key.id, |entry, board| {
            let deletes = entry.abandoning.take().unwrap_or_default();
            // What went only because the disk is full is not worth another try at once: the next
            // chunk would fill it as fast.
            if !deletes.is_empty() {
                board.scheduler.space_was_freed();
            }
            board.end_deletes(&deletes, &Ok(()));
            entry.settle(now, board);
        });
    }
}

impl Entry {
    /// What was staged for this content has to go. False if it cannot go now.
    fn expire(&mut self, key: StagingKey, board: &mut Board) -> bool {
        if self.running.is_some() || self.abandoning.is_some() {
            return false;
        }
        self.abandon(key, Vec::new(), board);
        if let Some(wanted) = &mut self.wanted {
            if StagingKey::of(&wanted.spec) == key && wanted.phase != Phase::Visible {
                wanted.fetched.fill(None);
                if let Some(tried) = &mut wanted.tried {
                    tried.staged_bytes = 0;
                }
            }
            // Also if it is another content: one removal, or one transfer, of an id at a time.
            if let Phase::Waiting(place) = wanted.phase {
                board.scheduler.remove(place, &wanted.spec);
                wanted.phase = Phase::Settling;
            }
        }
        true
    }

    /// Removes what was staged. `deletes` wait for it.
    pub(super) fn abandon(&mut self, key: StagingKey, deletes: Vec<DeleteId>, board: &mut Board) {
        board.partials.remove(&key);
        self.abandoning = Some(deletes);
        board.act(Action::Abandon(key));
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
        partials.block(key(1));
        assert_eq!(partials.surplus(Duration::from_secs(99)), None);
        assert_eq!(partials.next_expiry(), None);
        partials.unblock([1; 32]);
        assert_eq!(partials.surplus(Duration::from_secs(11)), Some(key(1)));
        assert_eq!(partials.counts(), PartialCounts::new(1, 61));
    }

    #[test]
    fn a_few_go_at_a_time_and_one_that_cannot_go_holds_up_nobody() {
        let limits = PartialLimits {
            bytes: u64::MAX,
            age: Duration::MAX,
        };
        let mut partials = Partials::new(limits);
        let (start, later) = (Duration::from_secs(1), Duration::from_secs(20));
        partials.put(start, key(0), 1, Duration::ZERO);
        assert_eq!(partials.surplus(later), None, "for ever is a long time");
        partials.clear(None);
        partials.block(key(0));
        for n in 1..=20 {
            partials.put(start, key(n), 1, Duration::ZERO);
        }
        partials.clear(None);
        let go = |partials: &mut Partials| {
            let keys = std::iter::from_fn(|| {
                let key = partials.surplus(start)?;
                partials.remove(&key);
                Some(key)
            });
            keys.count()
        };
        assert_eq!(go(&mut partials), GOING_MAX);
        assert_eq!(partials.next_expiry(), None);
        partials.removed(start, key(1), true);
        partials.removed(start, key(2), false);
        assert_eq!(go(&mut partials), 2);
        assert_eq!(partials.counts().chunks, 20 - GOING_MAX - 2 + 2);
        for n in 3..=GOING_MAX {
            partials.removed(start, key(u8::try_from(n).unwrap()), true);
        }
        assert_eq!(go(&mut partials), 2);
        assert_eq!(partials.surplus(later), Some(key(2)), "tried again");
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

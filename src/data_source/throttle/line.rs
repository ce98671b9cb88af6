//! The arithmetic of a bandwidth limit: who may take how many bytes now, or when. A token bucket
//! with a line in front of it. No threads, no clock.
//!
//! In any stretch of time, no more bytes are taken than the stretch itself earns, and [`BURST`],
//! and what was promised before and not taken yet. The last is kept small by giving each transfer
//! a short turn, the shorter the more transfers there are: so 100 ms bring less than twice the
//! limit also when all transfers were stalled and go on at the same moment.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::Duration;

/// What time without a taker earns at the most. It makes up for a thread that wakes late.
const BURST: Duration = Duration::from_millis(30);
/// The longest turn: a transfer that is alone wakes up a hundred times a second.
const LONGEST_TURN: Duration = Duration::from_millis(10);
/// The turns of all transfers together.
const ROUND: Duration = Duration::from_millis(20);
/// The shortest turn, however many transfers there are: shorter ones would cost more than they
/// smooth.
const SHORTEST_TURN: Duration = Duration::from_micros(250);

/// Billionths of a byte in a byte.
const BYTE: u128 = 1_000_000_000;

/// The bucket and the line.
#[derive(Debug, Default)]
pub(super) struct Line {
    limit: Option<NonZeroU64>,
    /// What was earned and not taken, in billionths of a byte: bytes per second, times
    /// nanoseconds, are exact in it.
    credit: u128,
    earned_until: Duration,
    /// First come, first served. At most one place for each transfer.
    waiting: VecDeque<Place>,
    transfers: u32,
    next_key: u64,
}

#[derive(Debug)]
struct Place {
    key: u64,
    bytes: u64,
}

/// What a transfer is told that asks for its turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It may take so many bytes, 1 or more.
    Take(u64),
    /// It is in line; it should ask again after this long.
    Wait(Duration),
}

impl Line {
    /// A transfer that will ask; the key is its own until [`leave`](Self::leave).
    pub(super) fn enter(&mut self) -> u64 {
        self.transfers += 1;
        self.next_key += 1;
        self.next_key
    }

    /// A transfer that will ask no more, with what it was given and did not take. True if who
    /// waits now waits less.
    pub(super) fn leave(&mut self, key: u64, unused_bytes: u64) -> bool {
        let in_line = self.waiting.len();
        self.waiting.retain(|place| place.key != key);
        self.credit += in_credit(unused_bytes);
        self.transfers -= 1;
        !self.waiting.is_empty() && (self.waiting.len() < in_line || unused_bytes > 0)
    }

    /// Asks for `wanted_bytes` (1 or more) or for a turn, whichever is less. Times never go back.
    pub(super) fn ask(&mut self, now: Duration, key: u64, wanted_bytes: u64) -> Answer {
        let Some(limit) = self.limit else {
            return Answer::Take(wanted_bytes);
        };
        self.earn(now);
        let at = self.waiting.iter().position(|place| place.key == key);
        let at = at.unwrap_or_else(|| {
            let bytes = self.cut_to_a_turn(wanted_bytes);
            self.waiting.push_back(Place { key, bytes });
            self.waiting.len() - 1
        });
        // Whoever is further in front and late keeps its bytes, but holds nobody up.
        let until_me = self.waiting.iter().take(at + 1);
        let needed = in_credit(until_me.map(|place| place.bytes).sum());
        if let Some(missing) = needed.checked_sub(self.credit).filter(|&n| n > 0) {
            let nanos = missing.div_ceil(u128::from(limit.get()));
            return Answer::Wait(Duration::from_nanos(
                u64::try_from(nanos).unwrap_or(u64::MAX),
            ));
        }
        let bytes = self.waiting.remove(at).map_or(0, |place| place.bytes);
        self.credit -= in_credit(bytes);
        Answer::Take(bytes)
    }

    /// Sets another limit. Who waits keeps its place, for as much as a turn is from now on.
    pub(super) fn set_limit(&mut self, now: Duration, limit: Option<NonZeroU64>) {
        self.earn(now);
        if self.limit.is_none() || limit.is_none() {
            self.waiting.clear();
            self.credit = 0;
        }
        self.limit = limit;
        let mut waiting = std::mem::take(&mut self.waiting);
        for place in &mut waiting {
            place.bytes = self.cut_to_a_turn(place.bytes);
        }
        self.waiting = waiting;
    }

    /// What is left of `bytes` that were given under the limit `under`: under another one, a turn
    /// at the most, since a turn of the one before may be a thousand of them.
    pub(super) fn still_given(&self, bytes: u64, under: Option<NonZeroU64>) -> u64 {
        if self.limit == under {
            bytes
        } else {
            self.cut_to_a_turn(bytes)
        }
    }

    pub(super) fn limit(&self) -> Option<NonZeroU64> {
        self.limit
    }

    /// `bytes`, or the bytes of a turn if they are less. Everything where there is no limit.
    fn cut_to_a_turn(&self, bytes: u64) -> u64 {
        let Some(limit) = self.limit else {
            return bytes;
        };
        let turn = (ROUND / self.transfers.max(1)).clamp(SHORTEST_TURN, LONGEST_TURN);
        let turn_bytes = u128::from(limit.get()) * turn.as_nanos() / BYTE;
        bytes.min(u64::try_from(turn_bytes).unwrap_or(u64::MAX).max(1))
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn in_line(&self) -> usize {
        self.waiting.len()
    }

    /// Adds what was earned since the last time. What stands in line may be earned in full, since
    /// it is owed; beyond that there is the burst.
    fn earn(&mut self, now: Duration) {
        let span = now.saturating_sub(self.earned_until);
        self.earned_until += span;
        let limit = u128::from(self.limit.map_or(0, NonZeroU64::get));
        let owed = in_credit(self.waiting.iter().map(|place| place.bytes).sum());
        let most = owed.saturating_add(limit * BURST.as_nanos());
        let earned = limit.saturating_mul(span.as_nanos());
        self.credit = self.credit.saturating_add(earned).min(most);
    }
}

fn in_credit(bytes: u64) -> u128 {
    u128::from(bytes) * BYTE
}

#[cfg(test)]
mod tests;

//! The background scrub: one visible chunk after the other, round after round, as fast as its rate.
//!
//! It is one task. While it is off, or between two rounds, it waits for a ring and is not woken.

use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::verify_visible;
use crate::data_chunk::ChunkId;
use crate::data_manager::core::Core;
use crate::data_manager::events::Event;
use crate::error::{Error, ErrorKind};
use crate::tasks_manager::sleep;

/// From the beginning of one round to that of the next, at the least.
const ROUND_EVERY: Duration = Duration::from_secs(3600);

/// Spreads what is read over time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When all that was read so far is paid for.
    due: Option<Instant>,
}

impl Pace {
    /// How late a step may be without the next one being due later: timers and disks are late, and the
    /// rate is to hold over seconds all the same.
    const SLACK: Duration = Duration::from_secs(1);
    /// Shorter waits are put together.
    const SHORTEST: Duration = Duration::from_millis(5);

    /// Waits until a step of so many bytes is paid for that began then.
    pub(super) async fn rest(&mut self, began: Instant, bytes: u64, rate: NonZeroU64) {
        let wait = self
            .pay(began, bytes, rate)
            .saturating_duration_since(Instant::now());
        if wait >= Self::SHORTEST {
            sleep(wait).await;
        }
    }

    /// When that step is paid for.
    fn pay(&mut self, began: Instant, bytes: u64, rate: NonZeroU64) -> Instant {
        let earliest = began.checked_sub(Self::SLACK).unwrap_or(began);
        let from = self.due.map_or(began, |due| due.max(earliest));
        // No more than a second's worth is read at a time, so this is exact enough.
        let price = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        let due = from + price;
        self.due = Some(due);
        due
    }
}

/// A round over the chunks that were visible when it began.
#[derive(Default)]
struct Round {
    /// Those that are left, the next one last.
    left: Vec<ChunkId>,
    chunks: u64,
    damaged: u64,
}

impl Round {
    /// Over these, which are ascending; from the one at `first` on.
    fn new(mut ids: Vec<ChunkId>, first: usize) -> Round {
        ids.rotate_left(first);
        ids.reverse();
        Round {
            left: ids,
            chunks: 0,
            damaged: 0,
        }
    }
}

/// What the background scrub waits for.
enum Wait {
    /// For somebody to ring.
    Ring,
    /// The same, or for that time.
    Until(Instant),
}

/// The background scrub: verifies visible chunks, round after round, while it has a rate.
pub(in crate::data_manager) async fn rounds(core: Weak<Core>) {
    let mut round = Round::default();
    let mut pace = Pace::default();
    let mut next_round: Option<Instant> = None;
    loop {
        let Some(strong) = core.upgrade() else { return };
        let ring = strong.scrub.next_ring();
        let is_on = strong.scrub.rate().is_some();
        let wait = match (
            next_round.filter(|at| Instant::now() < *at),
            round.left.last(),
        ) {
            _ if !is_on => Wait::Ring,
            (_, Some(&id)) => {
                if verify_next(&strong, id, &mut round, &mut pace)
                    .await
                    .is_err()
                {
                    return;
                }
                continue;
            }
            (Some(at), None) => Wait::Until(at),
            (None, None) => match begin(&strong, next_round.is_none()).await {
                None => return,
                Some(new) if new.left.is_empty() => Wait::Ring,
                Some(new) => {
                    next_round = Instant::now().checked_add(ROUND_EVERY);
                    round = new;
                    continue;
                }
            },
        };
        let alarm = match wait {
            Wait::Ring => None,
            Wait::Until(at) => strong.spawn(ring_at(core.clone(), at)),
        };
        drop(strong);
        let rang = ring.await;
        if let Some(alarm) = alarm {
            alarm.cancel();
        }
        if rang.is_err() {
            return;
        }
    }
}

async fn ring_at(core: Weak<Core>, at: Instant) {
    sleep(at.saturating_duration_since(Instant::now())).await;
    if let Some(core) = core.upgrade() {
        core.scrub.ring();
    }
}

/// A round over what is visible now; `None` if there is nobody left to do it. The first one begins
/// anywhere: else what comes late would never be read by a worker that is started anew each day.
async fn begin(core: &Arc<Core>, is_first: bool) -> Option<Round> {
    core.scrub.waits_for_chunk.store(true, Ordering::Relaxed);
    let looks = core.clone();
    let list = core.run_job(move |_| Ok(looks.catalogue.ids()));
    let ids = list.await.ok()?;
    if !ids.is_empty() {
        core.scrub.waits_for_chunk.store(false, Ordering::Relaxed);
        core.scrub.count(|figures| {
            (figures.round_chunks, figures.round_done) = (ids.len(), 0);
        });
    }
    let first = match is_first && !ids.is_empty() {
        true => fastrand::usize(..ids.len()),
        false => 0,
    };
    Some(Round::new(ids, first))
}

/// Verifies the next chunk of a round, unless it left meanwhile. An error if there is nobody left to
/// do it.
async fn verify_next(
    core: &Arc<Core>,
    id: ChunkId,
    round: &mut Round,
    pace: &mut Pace,
) -> Result<(), Error> {
    let chunk = core.look(|planner, _| planner.visible(&id).cloned());
    if let Some(chunk) = chunk {
        match verify_visible(core, chunk, Some(pace)).await {
            Ok(true) => round.chunks += 1,
            // Turned off: it is read when the scrub goes on.
            Ok(false) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ShutDown => return Err(error),
            Err(error) => round.damaged += u64::from(error.kind() == ErrorKind::Damaged),
        }
    }
    round.left.pop();
    let over = round.left.is_empty();
    core.scrub.count(|figures| {
        figures.round_done += 1;
        figures.rounds += u64::from(over);
    });
    if over {
        let (chunks, damaged) = (round.chunks, round.damaged);
        core.emit(&Event::ScrubRound { chunks, damaged });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_is_caught_up_with_and_no_more() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let rate = NonZeroU64::new(1000).unwrap();
        let ms = Duration::from_millis;
        assert_eq!(pace.pay(began, 500, rate), began + ms(500));
        // Each step begins 100 ms late: the tenth is paid for as if none had.
        let mut due = began + ms(500);
        for _ in 0..10 {
            due = pace.pay(due + ms(100), 500, rate);
        }
        assert_eq!(due, began + ms(5500));
        // After a long pause nothing is caught up with but a second.
        let later = due + ms(60_000);
        assert_eq!(pace.pay(later, 500, rate), later - ms(500));
    }

    #[test]
    fn a_round_begins_anywhere_and_comes_past_all() {
        let ids: Vec<ChunkId> = (0..4).map(|n| [n; 32]).collect();
        let mut round = Round::new(ids, 2);
        let order: Vec<u8> = std::iter::from_fn(|| round.left.pop())
            .map(|id| id[0])
            .collect();
        assert_eq!(order, [2, 3, 0, 1]);
    }
}

//! Whether bytes arrive fast enough, as a pure function of what arrived and how long that took.

use std::collections::VecDeque;
use std::time::Duration;

/// The least that a transfer has to bring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateFloor {
    /// Bytes per second; 0 accepts everything.
    pub(crate) min_rate: u64,
    /// What the rate is taken over: time spent waiting for bytes, and no other.
    pub(crate) window: Duration,
}

/// The window moves on in this many steps.
const STEPS: u32 = 8;

/// Holds one attempt's bytes against a [`RateFloor`].
#[derive(Debug)]
pub(crate) struct RateWatch {
    floor: RateFloor,
    /// The last window's steps that are over, the oldest first: at most a few more than [`STEPS`].
    steps: VecDeque<Step>,
    /// The step that is not over yet.
    present: Step,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    waited: Duration,
    bytes: u64,
}

impl RateWatch {
    pub(crate) fn new(floor: RateFloor) -> Self {
        RateWatch {
            floor,
            steps: VecDeque::new(),
            present: Step::default(),
        }
    }

    /// `bytes` arrived after a wait of `waited`; false if the last window brought too few.
    pub(crate) fn keeps_up(&mut self, waited: Duration, bytes: u64) -> bool {
        if self.floor.min_rate == 0 {
            return true;
        }
        self.present.waited = self.present.waited.saturating_add(waited);
        self.present.bytes = self.present.bytes.saturating_add(bytes);
        if self.present.waited < self.floor.window / STEPS {
            return true;
        }
        self.steps.push_back(std::mem::take(&mut self.present));
        let (mut waited, mut bytes) = self.sum();
        if waited < self.floor.window {
            return true;
        }
        let fast_enough = self.floor.is_met_by(waited, bytes);
        // What is not needed for a whole window is forgotten.
        while let Some(oldest) = self.steps.front()
            && let Some(rest) = waited.checked_sub(oldest.waited)
            && rest + self.floor.window / STEPS >= self.floor.window
        {
            (waited, bytes) = (rest, bytes.saturating_sub(oldest.bytes));
            self.steps.pop_front();
        }
        fast_enough
    }

    fn sum(&self) -> (Duration, u64) {
        let start = (Duration::ZERO, 0u64);
        self.steps.iter().fold(start, |(waited, bytes), step| {
            let waited = waited.saturating_add(step.waited);
            (waited, bytes.saturating_add(step.bytes))
        })
    }
}

impl RateFloor {
    fn is_met_by(&self, waited: Duration, bytes: u64) -> bool {
        let needed = u128::from(self.min_rate).saturating_mul(waited.as_nanos());
        u128::from(bytes).saturating_mul(1_000_000_000) >= needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: RateFloor = RateFloor {
        min_rate: 1000,
        window: Duration::from_secs(8),
    };

    /// When a transfer that gets `bytes` every `wait` fails; `None` if not within ten windows.
    fn fails_after(watch: &mut RateWatch, wait: Duration, bytes: u64) -> Option<Duration> {
        let mut elapsed = Duration::ZERO;
        while elapsed < 10 * FLOOR.window {
            elapsed += wait;
            if !watch.keeps_up(wait, bytes) {
                return Some(elapsed);
            }
        }
        None
    }

    #[test]
    fn a_drip_fails_after_a_window_and_not_before() {
        for (wait_ms, bytes) in [(50, 1), (1, 0), (500, 499), (3000, 2999)] {
            let wait = Duration::from_millis(wait_ms);
            let failed = fails_after(&mut RateWatch::new(FLOOR), wait, bytes).unwrap();
            assert!(failed >= FLOOR.window, "{wait_ms} ms: {failed:?}");
            // A step more, since steps end with a wait, and then a wait more.
            let latest = FLOOR.window + FLOOR.window / STEPS + 2 * wait;
            assert!(failed <= latest, "{wait_ms} ms: {failed:?}");
        }
    }

    #[test]
    fn what_flows_at_the_rate_never_fails() {
        for (wait_ms, bytes) in [(1, 1), (50, 50), (500, 500), (3000, 3000), (20_000, 20_000)] {
            let wait = Duration::from_millis(wait_ms);
            let failed = fails_after(&mut RateWatch::new(FLOOR), wait, bytes);
            assert_eq!(failed, None, "{wait_ms} ms");
        }
    }

    #[test]
    fn an_earlier_flood_does_not_excuse_a_drip() {
        let mut watch = RateWatch::new(FLOOR);
        let wait = Duration::from_millis(100);
        for _ in 0..100 {
            assert!(watch.keeps_up(wait, 1_000_000));
        }
        let failed = fails_after(&mut watch, wait, 1).unwrap();
        assert!(failed <= FLOOR.window + FLOOR.window / 4, "{failed:?}");
    }

    #[test]
    fn a_pause_within_the_window_is_fine() {
        let mut watch = RateWatch::new(FLOOR);
        for _ in 0..100 {
            assert!(watch.keeps_up(Duration::from_secs(3), 0));
            assert!(watch.keeps_up(Duration::from_secs(1), 8000));
        }
    }

    #[test]
    fn no_floor_and_no_wait_accept_everything() {
        let none = RateFloor {
            min_rate: 0,
            ..FLOOR
        };
        assert_eq!(
            fails_after(&mut RateWatch::new(none), Duration::from_secs(1), 0),
            None
        );
        let mut watch = RateWatch::new(FLOOR);
        assert!((0..10_000).all(|_| watch.keeps_up(Duration::ZERO, 1)));
        // Nor is there anything that overflows.
        let mut watch = RateWatch::new(RateFloor {
            min_rate: u64::MAX,
            window: Duration::MAX,
        });
        let waits = (0..20).filter(|_| watch.keeps_up(Duration::MAX / 10, u64::MAX));
        assert!(waits.count() > 0 && watch.steps.len() <= 10);
    }
}

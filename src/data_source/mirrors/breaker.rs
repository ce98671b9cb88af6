//! A circuit breaker for each place: one that fails is given a rest. Pure in time.
//!
//! | from | to | when |
//! | --- | --- | --- |
//! | `Well` | `Resting` | it failed, or [`DOUBTS_MAX`] transfers in a row were given up |
//! | `Resting` | `Trial` | the rest is over, and somebody asks |
//! | `Resting` | `Well` | it served somebody who had nobody else to ask |
//! | `Trial` | `Well` | it answered |
//! | `Trial` | `Resting`, for longer | it failed, or the transfer was given up |
//! | `Trial` | `Resting`, and may be tried at once | nobody wants to know any more |
//!
//! What began before a rest says nothing about what comes after it, so each attempt carries the
//! number of the state in which it began.

use std::time::Duration;

/// How many transfers in a row that were given up mean that the place is slow. Whoever gives up may
/// have had a reason of their own, such as a full disk.
const DOUBTS_MAX: u32 = 3;

/// What an attempt says of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing: it was cancelled, or it did not come to that.
    None,
    /// It answered, if only to say no.
    Answered,
    /// It gave a whole file.
    Whole,
    /// The transfer was given up, or the answer was of no use: perhaps for this file only.
    Doubtful,
    /// It failed as it would have for others; perhaps it said when to come back.
    Failed(Option<Duration>),
}

/// An attempt's leave to ask the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    /// The state in which it began.
    epoch: u64,
    /// Whether it is the one that finds out if the place is back.
    trial: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    Resting { until: Duration },
    Trial,
}

/// What is known of one place.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// How often the state changed.
    epoch: u64,
    /// Doubtful signs since the last whole file.
    doubts: u32,
    /// Rests since the last whole file.
    rests: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            state: State::Well,
            epoch: 0,
            doubts: 0,
            rests: 0,
        }
    }
}

impl Breaker {
    /// Leave to ask the place, unless it rests or is being tried.
    pub(super) fn begin(&mut self, now: Duration) -> Option<Pass> {
        match self.state {
            State::Well => Some(self.pass(false)),
            State::Resting { until } if until <= now => {
                self.turn(State::Trial);
                Some(self.pass(true))
            }
            State::Resting { .. } | State::Trial => None,
        }
    }

    /// The same, for somebody who has nobody else to ask.
    pub(super) fn begin_anyway(&mut self, now: Duration) -> Pass {
        self.begin(now).unwrap_or_else(|| self.pass(false))
    }

    fn pass(&self, trial: bool) -> Pass {
        Pass {
            epoch: self.epoch,
            trial,
        }
    }

    /// Takes in how an attempt ended. `rest` says how long the rest of that number is.
    pub(super) fn end(
        &mut self,
        now: Duration,
        pass: Pass,
        sign: Sign,
        rest: impl FnOnce(u32) -> Duration,
    ) {
        if pass.epoch != self.epoch {
            return;
        }
        if sign == Sign::Whole {
            (self.doubts, self.rests) = (0, 0);
        }
        match (self.state, sign) {
            (State::Well, Sign::Doubtful) => {
                self.doubts += 1;
                if self.doubts >= DOUBTS_MAX {
                    self.give_up(now, rest);
                }
            }
            (State::Well, Sign::Failed(_)) => self.give_up(now, rest),
            (State::Resting { .. } | State::Trial, Sign::Whole | Sign::Answered) => {
                self.turn(State::Well);
            }
            (State::Trial, Sign::Doubtful | Sign::Failed(_)) if pass.trial => {
                self.give_up(now, rest);
            }
            (State::Trial, Sign::None) if pass.trial => self.turn(State::Resting { until: now }),
            // Whoever asked a place that rests knew that; its failure says nothing new.
            _ => {}
        }
    }

    fn give_up(&mut self, now: Duration, rest: impl FnOnce(u32) -> Duration) {
        self.rests = self.rests.saturating_add(1);
        self.doubts = 0;
        let until = now.saturating_add(rest(self.rests));
        self.turn(State::Resting { until });
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
    }
}

/// How long a place rests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rests {
    /// The first rest; each one after it is twice as long.
    pub(crate) first: Duration,
    /// The longest, whatever the place asks for.
    pub(crate) longest: Duration,
}

impl Rests {
    /// How long rest number `rests` is; `luck`, from 0 to 1, takes up to a half off, so that not
    /// everybody comes back at the same moment. Not shorter than the place `asked` for.
    pub(super) fn draw(&self, rests: u32, asked: Option<Duration>, luck: f64) -> Duration {
        let doublings = rests.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        let drawn = whole - whole.mul_f64(luck.clamp(0.0, 1.0) / 2.0);
        asked.map_or(drawn, |asked| drawn.max(asked.min(self.longest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// 10 s, 20 s, 30 s, …
    fn rest(rests: u32) -> Duration {
        at(u64::from(rests) * 10)
    }

    #[test]
    fn a_place_that_failed_rests_and_one_attempt_finds_out() {
        let mut breaker = Breaker::default();
        let (first, second) = (breaker.begin(at(0)).unwrap(), breaker.begin(at(0)).unwrap());
        breaker.end(at(0), first, Sign::Failed(None), rest);
        assert_eq!(breaker.begin(at(9)), None);
        // What began before says nothing new, good or bad.
        breaker.end(at(1), second, Sign::Failed(None), rest);
        breaker.end(at(1), second, Sign::Whole, rest);
        assert_eq!(breaker.begin(at(9)), None);
        let trial = breaker.begin(at(10)).unwrap();
        assert_eq!(breaker.begin(at(10)), None, "one at a time");
        breaker.end(at(10), trial, Sign::Failed(None), rest);
        assert_eq!(breaker.begin(at(29)), None, "the second rest is longer");
        let trial = breaker.begin(at(30)).unwrap();
        breaker.end(at(31), trial, Sign::Whole, rest);
        let after = breaker.begin(at(31)).unwrap();
        assert!(breaker.begin(at(31)).is_some());
        // A whole file clears the record.
        breaker.end(at(31), after, Sign::Failed(None), rest);
        assert_eq!(breaker.begin(at(40)), None);
        assert!(breaker.begin(at(41)).is_some());
    }

    #[test]
    fn transfers_that_were_given_up_have_to_be_three_in_a_row() {
        let mut breaker = Breaker::default();
        let signs = |breaker: &mut Breaker, sign, count| {
            for _ in 0..count {
                let pass = breaker.begin(at(0)).unwrap();
                breaker.end(at(0), pass, sign, rest);
            }
        };
        signs(&mut breaker, Sign::Doubtful, 2);
        signs(&mut breaker, Sign::Whole, 1);
        signs(&mut breaker, Sign::Doubtful, 2);
        // That it answers does not make it any faster.
        signs(&mut breaker, Sign::Answered, 1);
        signs(&mut breaker, Sign::None, 5);
        assert!(breaker.begin(at(0)).is_some());
        signs(&mut breaker, Sign::Doubtful, 1);
        assert_eq!(breaker.begin(at(9)), None);
        // In a trial, one is enough.
        let trial = breaker.begin(at(10)).unwrap();
        breaker.end(at(10), trial, Sign::Doubtful, rest);
        assert_eq!(breaker.begin(at(29)), None);
    }

    #[test]
    fn a_trial_that_was_cancelled_is_left_to_the_next() {
        let mut breaker = Breaker::default();
        let pass = breaker.begin(at(0)).unwrap();
        breaker.end(at(0), pass, Sign::Failed(None), rest);
        let trial = breaker.begin(at(10)).unwrap();
        breaker.end(at(11), trial, Sign::None, rest);
        let next = breaker.begin(at(11)).unwrap();
        assert!(next.trial);
        breaker.end(at(12), trial, Sign::Failed(None), rest);
        breaker.end(at(12), next, Sign::Answered, rest);
        assert!(!breaker.begin(at(12)).unwrap().trial);
    }

    #[test]
    fn who_has_nobody_else_to_ask_can_bring_it_back_and_does_no_harm() {
        let mut breaker = Breaker::default();
        let pass = breaker.begin(at(0)).unwrap();
        breaker.end(at(0), pass, Sign::Failed(None), rest);
        for _ in 0..10 {
            let pass = breaker.begin_anyway(at(1));
            breaker.end(at(1), pass, Sign::Failed(None), rest);
        }
        let trial = breaker.begin(at(10)).unwrap();
        let beside = breaker.begin_anyway(at(10));
        breaker.end(at(10), beside, Sign::Failed(None), rest);
        breaker.end(at(10), beside, Sign::None, rest);
        assert_eq!(breaker.begin(at(10)), None, "the trial is under way still");
        breaker.end(at(10), trial, Sign::Whole, rest);
        let pass = breaker.begin(at(10)).unwrap();
        breaker.end(at(10), pass, Sign::Failed(None), rest);
        let pass = breaker.begin_anyway(at(11));
        breaker.end(at(11), pass, Sign::Whole, rest);
        assert!(breaker.begin(at(11)).is_some());
    }

    #[test]
    fn rests_double_up_to_the_longest() {
        let rests = Rests {
            first: at(1),
            longest: at(60),
        };
        let drawn = |number| rests.draw(number, None, 0.0);
        assert_eq!([1, 2, 3, 6, 7].map(drawn), [1, 2, 4, 32, 60].map(at));
        assert_eq!(drawn(u32::MAX), at(60));
        assert_eq!(rests.draw(2, None, 1.0), at(1));
        assert_eq!(rests.draw(1, Some(at(7)), 0.0), at(7));
        assert_eq!(rests.draw(1, Some(at(100_000)), 0.0), at(60));
        let huge = Rests {
            first: Duration::MAX,
            longest: Duration::MAX,
        };
        assert_eq!(huge.draw(9, None, 0.0), Duration::MAX);
    }
}

//! A circuit breaker: a host that fails for everybody is given a rest. So is the disk, when it is
//! full.
//!
//! | from | to | when |
//! | --- | --- | --- |
//! | `Well` | `Well`, with no silences | it answered |
//! | `Well` | `Resting` | it was silent [`SILENCES_MAX`] times in a row |
//! | `Resting` | `Probing` | the time has come |
//! | `Resting`, `Probing` | `Well` | it answered |
//! | `Probing` | `Resting`, for longer | it was silent |
//!
//! A host that rests gets no file, one that is probed gets one at a time. What was in flight when
//! the rest began may still end; its silence says nothing new.

use super::super::Moment;
use crate::data_source::HostSign;

/// How many silences in a row mean that the host is down, not one path to it or one file of it.
const SILENCES_MAX: u32 = 5;

/// What is known of a host's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It answers, as far as anybody knows.
    Well {
        /// How often it was silent since it last answered.
        silences: u32,
    },
    /// It is left alone.
    Resting {
        until: Moment,
        /// How many rests in a row, this one included.
        rests: u32,
    },
    /// One file at a time finds out whether it is back.
    Probing { rests: u32 },
}

/// What a sign changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data_manager::planner) enum Turn {
    /// Nothing that anybody has to know.
    Same,
    /// It is given a rest until then.
    Rests(Moment),
    /// It was given up, and answers again.
    Back,
}

impl Health {
    /// Takes a sign in. `rest` draws how long the rest of that number is.
    pub(super) fn note(
        &mut self,
        now: Moment,
        sign: HostSign,
        rest: impl FnOnce(u32) -> Moment,
    ) -> Turn {
        let rests = match (*self, sign) {
            (_, HostSign::None) | (Health::Resting { .. }, HostSign::Silent) => return Turn::Same,
            (before, HostSign::Answered) => {
                *self = Health::Well { silences: 0 };
                let was_well = matches!(before, Health::Well { .. });
                return if was_well { Turn::Same } else { Turn::Back };
            }
            (Health::Well { silences }, HostSign::Silent) if silences + 1 < SILENCES_MAX => {
                *self = Health::Well {
                    silences: silences + 1,
                };
                return Turn::Same;
            }
            (Health::Well { .. }, HostSign::Silent) => 1,
            (Health::Probing { rests }, HostSign::Silent) => rests.saturating_add(1),
        };
        self.give_up(now.saturating_add(rest(rests)), rests)
    }

    /// It fails for everybody for a reason that needs no second look. `rest` as in
    /// [`note`](Self::note).
    pub(super) fn fail(&mut self, now: Moment, rest: impl FnOnce(u32) -> Moment) {
        let rests = match *self {
            Health::Resting { .. } => return,
            Health::Well { .. } => 1,
            Health::Probing { rests } => rests.saturating_add(1),
        };
        self.give_up(now.saturating_add(rest(rests)), rests);
    }

    fn give_up(&mut self, until: Moment, rests: u32) -> Turn {
        *self = Health::Resting { until, rests };
        Turn::Rests(until)
    }

    /// The time has come to see whether it is back.
    pub(super) fn wake(&mut self) {
        if let Health::Resting { rests, .. } = *self {
            *self = Health::Probing { rests };
        }
    }

    /// How many files of it may be in flight, if `limit` may be when it is well.
    pub(super) fn room(self, limit: usize) -> usize {
        match self {
            Health::Well { .. } => limit,
            Health::Probing { .. } => 1,
            Health::Resting { .. } => 0,
        }
    }

    pub(super) fn is_resting(self) -> bool {
        self.rests_until().is_some()
    }

    /// Whether it rests, or is being tried again.
    pub(super) fn is_given_up(self) -> bool {
        matches!(self, Health::Resting { .. } | Health::Probing { .. })
    }

    /// When its rest is over, if it rests.
    pub(super) fn rests_until(self) -> Option<Moment> {
        match self {
            Health::Resting { until, .. } => Some(until),
            Health::Well { .. } | Health::Probing { .. } => None,
        }
    }

    /// Whether there is anything to remember of it.
    pub(super) fn is_unremarkable(self) -> bool {
        self == Health::Well { silences: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_silent_host_rests_longer_and_longer_until_it_answers() {
        let mut health = Health::Well { silences: 0 };
        let rest = |rests: u32| at(u64::from(rests) * 10);
        for _ in 1..SILENCES_MAX {
            assert_eq!(health.note(at(0), HostSign::Silent, rest), Turn::Same);
        }
        assert_eq!(
            health.note(at(0), HostSign::Silent, rest),
            Turn::Rests(at(10))
        );
        assert_eq!(health.note(at(1), HostSign::Silent, rest), Turn::Same);
        assert_eq!(health.room(8), 0);
        health.wake();
        assert_eq!(health.room(8), 1);
        assert_eq!(health.note(at(10), HostSign::None, rest), Turn::Same);
        assert_eq!(health.room(8), 1);
        assert_eq!(
            health.note(at(10), HostSign::Silent, rest),
            Turn::Rests(at(30))
        );
        health.wake();
        assert_eq!(health.note(at(30), HostSign::Answered, rest), Turn::Back);
        assert_eq!(health.room(8), 8);
        assert!(health.is_unremarkable());
    }

    #[test]
    fn an_answer_between_silences_keeps_the_host_well() {
        let mut health = Health::Well { silences: 0 };
        for _ in 0..10 {
            for _ in 1..SILENCES_MAX {
                assert_eq!(health.note(at(0), HostSign::Silent, |_| at(1)), Turn::Same);
            }
            assert_eq!(
                health.note(at(0), HostSign::Answered, |_| at(1)),
                Turn::Same
            );
        }
    }
}

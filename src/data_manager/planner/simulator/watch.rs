//! What the planner should know of each host, worked out once more from the signs alone.

use std::collections::BTreeMap;

use crate::data_manager::planner::Moment;
use crate::data_source::HostSign;

/// As documented for the builder: a rest after 5 failures in a row.
const SILENCES: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well { silences: u32 },
    Rests { until: Moment, rests: u32 },
    Probed { rests: u32 },
}

/// Every host that ever gave a sign, by its name.
#[derive(Default)]
pub(super) struct Watches {
    states: BTreeMap<String, State>,
    /// What the planner has to say about a host in its next decision.
    expected: Option<(String, Expected)>,
    wrong: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Rests,
    Back,
}

impl Watches {
    /// A sign that the planner is about to hear of.
    pub(super) fn sign(&mut self, host: &str, sign: HostSign) {
        let well = State::Well { silences: 0 };
        let state = self.states.entry(host.to_owned()).or_insert(well);
        let (next, expected) = match (*state, sign) {
            (state, HostSign::None) | (state @ State::Rests { .. }, HostSign::Silent) => {
                (state, None)
            }
            (State::Well { .. }, HostSign::Answered) => (well, None),
            (_, HostSign::Answered) => (well, Some(Expected::Back)),
            (State::Well { silences }, HostSign::Silent) => {
                let silences = silences + 1;
                let rests = (silences >= SILENCES).then_some(Expected::Rests);
                (State::Well { silences }, rests)
            }
            (state @ State::Probed { .. }, HostSign::Silent) => (state, Some(Expected::Rests)),
        };
        *state = next;
        self.expected = expected.map(|expected| (host.to_owned(), expected));
    }

    /// The planner is about to hear that a time has come.
    pub(super) fn tick(&mut self, now: Moment) {
        for state in self.states.values_mut() {
            if let State::Rests { until, rests } = *state
                && until <= now
            {
                *state = State::Probed { rests };
            }
        }
    }

    pub(super) fn rested(&mut self, host: &str, until: Moment) {
        let expected = self.expected.take();
        if expected != Some((host.to_owned(), Expected::Rests)) {
            self.wrong = Some(format!("{host} rests, expected was {expected:?}"));
        }
        if let Some(state) = self.states.get_mut(host) {
            let rests = match *state {
                State::Probed { rests } => rests + 1,
                _ => 1,
            };
            *state = State::Rests { until, rests };
        }
    }

    pub(super) fn back(&mut self, host: &str) {
        let expected = self.expected.take();
        if expected != Some((host.to_owned(), Expected::Back)) {
            self.wrong = Some(format!("{host} is back, expected was {expected:?}"));
        }
    }

    /// What the planner said wrongly, or did not say.
    pub(super) fn take_wrong(&mut self) -> Option<String> {
        let silent = self.expected.take();
        let silent = silent.map(|(host, turn)| format!("nothing was said of {host}: {turn:?}"));
        self.wrong.take().or(silent)
    }

    /// How many rests in a row a host that rests has had, this one included.
    pub(super) fn rests(&self, host: &str) -> Option<u32> {
        match self.states.get(host)? {
            State::Rests { rests, .. } => Some(*rests),
            _ => None,
        }
    }

    pub(super) fn is_probed(&self, host: &str) -> bool {
        matches!(self.states.get(host), Some(State::Probed { .. }))
    }

    pub(super) fn is_resting(&self, host: &str) -> bool {
        matches!(self.states.get(host), Some(State::Rests { .. }))
    }
}

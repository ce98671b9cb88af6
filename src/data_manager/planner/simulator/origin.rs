//! Hosts that serve files: fast ones and slow ones, and every way not to serve.

use std::time::Duration;

use super::duty::Fate;
use crate::data_source::{HostSign, Setback};
use crate::error::{Error, ErrorKind};

/// How long a connection may take, and how long nothing may arrive.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(2);

/// How a host behaves at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// A tenth of its speed.
    Drips,
    /// 503, with `Retry-After` or without.
    Busy,
    /// 404 for everything.
    Empty,
    /// Another content than declared.
    Wrong,
    /// Every body ends half way.
    Cuts,
    /// Every body stalls half way.
    Stalls,
    /// Every answer stalls before its first byte.
    Hangs,
    /// Takes the connection and says nothing.
    Mute,
    /// Refuses connections.
    Refuses,
    /// Swallows what is sent to it.
    Gone,
    /// Has a certificate that nobody trusts.
    Untrusted,
    /// Fails one time out of three, in one of the ways above.
    Flaky,
}

impl Mood {
    const ALL: [Mood; 13] = [
        Mood::Well,
        Mood::Drips,
        Mood::Busy,
        Mood::Empty,
        Mood::Wrong,
        Mood::Cuts,
        Mood::Stalls,
        Mood::Hangs,
        Mood::Mute,
        Mood::Refuses,
        Mood::Gone,
        Mood::Untrusted,
        Mood::Flaky,
    ];

    pub(super) fn random(rng: &mut fastrand::Rng) -> Mood {
        // Half of the time something works.
        match rng.bool() {
            true => [Mood::Well, Mood::Flaky][rng.usize(..2)],
            false => Mood::ALL[rng.usize(..Mood::ALL.len())],
        }
    }
}

/// What a host says to a request.
pub(super) enum Reply {
    /// Nothing of it can be broken off before that time.
    Unreachable(Duration, Setback),
    /// It says no.
    No(Duration, Setback),
    Yes(Duration, Fate),
    /// The job panics.
    Lost,
}

pub(super) struct Host {
    pub(super) mood: Mood,
    pub(super) latency: Duration,
    /// Time for each byte.
    pub(super) pace: Duration,
    /// Requests that it got, or would have got if it were there.
    pub(super) requests: u64,
}

impl Host {
    pub(super) fn random(rng: &mut fastrand::Rng) -> Host {
        Host {
            mood: Mood::random(rng),
            latency: Duration::from_millis(rng.u64(1..60)),
            pace: Duration::from_micros(rng.u64(500..15_000)),
            requests: 0,
        }
    }

    /// How long it takes now for so many bytes.
    pub(super) fn time_for(&self, bytes: u64) -> Duration {
        let slower = if self.mood == Mood::Drips { 10 } else { 1 };
        self.pace * u32::try_from(bytes * slower).unwrap()
    }

    /// `mood` is how it behaves for this file, if not as for others.
    pub(super) fn ask(&mut self, mood: Option<Mood>, rng: &mut fastrand::Rng) -> Reply {
        self.requests += 1;
        let mood = match mood.unwrap_or(self.mood) {
            Mood::Flaky if rng.u32(..3) > 0 => Mood::Well,
            Mood::Flaky if rng.u32(..8) == 0 => return Reply::Lost,
            Mood::Flaky => Mood::ALL[rng.usize(1..Mood::ALL.len() - 1)],
            other => other,
        };
        let silent = |error| sign(Setback::transient(error), HostSign::Silent);
        let answered = |setback| sign(setback, HostSign::Answered);
        let network = || Error::new(ErrorKind::Network, "the world says no");
        match mood {
            Mood::Well | Mood::Drips | Mood::Flaky => Reply::Yes(self.latency, Fate::Whole),
            Mood::Wrong => Reply::Yes(self.latency, Fate::WrongDigest),
            Mood::Cuts => Reply::Yes(self.latency, Fate::CutHalfWay),
            Mood::Stalls => Reply::Yes(self.latency, Fate::StallsHalfWay),
            Mood::Hangs => Reply::Yes(self.latency, Fate::StallsAtOnce),
            Mood::Busy => {
                let error = Error::new(ErrorKind::Unavailable, "status 503");
                let mut setback = answered(Setback::transient(error));
                let asked = Duration::from_millis(rng.u64(..4000));
                setback.retry_after = rng.bool().then_some(asked);
                Reply::No(self.latency, setback)
            }
            Mood::Empty => {
                let error = Error::new(ErrorKind::NotFound, "status 404");
                Reply::No(self.latency, answered(Setback::permanent(error)))
            }
            Mood::Mute => Reply::No(STALL_TIMEOUT, silent(network())),
            Mood::Refuses => Reply::Unreachable(self.latency, silent(network())),
            Mood::Gone => Reply::Unreachable(CONNECT_TIMEOUT, silent(network())),
            Mood::Untrusted => {
                let setback = Setback::permanent(network());
                Reply::Unreachable(self.latency, sign(setback, HostSign::Silent))
            }
        }
    }
}

fn sign(mut setback: Setback, host: HostSign) -> Setback {
    setback.host = host;
    setback
}

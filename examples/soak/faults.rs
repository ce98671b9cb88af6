//! What goes wrong at the origin: which requests, and how.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// One way in which an answer goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The body ends in the middle, with its connection.
    Cut,
    /// 500.
    Error,
    /// 503, asking for a second's rest.
    Busy,
    /// Half of the body, then nothing.
    Stall,
    /// The length says one byte more than there is.
    WrongLength,
    /// The connection is reset before the status, or in the middle of the body.
    Reset,
    /// A byte of the body is another one. Only where a digest is declared: nobody else can tell.
    Changed,
}

const ALL: [Fault; 7] = [
    Fault::Cut,
    Fault::Error,
    Fault::Busy,
    Fault::Stall,
    Fault::WrongLength,
    Fault::Reset,
    Fault::Changed,
];

impl Fault {
    /// What goes wrong with the `turn`th request for a file, if anything does: as the seed says.
    pub(crate) fn draw(
        seed: u64,
        rate: f64,
        path: u64,
        turn: u32,
        has_digest: bool,
    ) -> Option<Fault> {
        let seed = seed ^ path.rotate_left(17) ^ u64::from(turn) << 48;
        let mut random = fastrand::Rng::with_seed(seed);
        // The first number of seeds that are alike is alike.
        random.u64(..);
        if random.f64() >= rate {
            return None;
        }
        let fault = random.choice(ALL)?;
        let visible = fault != Fault::Changed || has_digest;
        Some(if visible { fault } else { Fault::Cut })
    }
}

/// How many of each kind there were.
#[derive(Debug, Default)]
pub(crate) struct Tally([AtomicU64; ALL.len()]);

impl Tally {
    pub(crate) fn count(&self, fault: Fault) {
        if let Some(at) = ALL.iter().position(|other| *other == fault) {
            self.0[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; ALL.len()] = [
            "cut",
            "500",
            "503",
            "stall",
            "wrong length",
            "reset",
            "changed content",
        ];
        for (at, (name, count)) in NAMES.iter().zip(&self.0).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} {name}", count.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}

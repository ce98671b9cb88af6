//! What a world is made of: all of it is drawn before it begins, and follows from the seed.

use crate::actors::{KINDS, Kind};
use crate::jobs::PoolPlan;
use fastrand::Rng;
use std::fmt;

/// The most threads of a manager.
const THREADS: usize = 8;
/// The most actors of a world.
const ACTORS: u32 = 64;
/// The most kinds of actors of a world, unless it has all of them.
const MOST_KINDS: usize = 4;

/// Who drops the last lasting reference to a manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropper {
    /// The driver, a thread outside.
    Outsider,
    /// A task of that manager, in its poll.
    Poll,
    /// The future of a cancelled task of that manager, in its drop.
    FuturesDrop,
    /// Whoever drops the output of a task of that manager which nobody waits for.
    OutputsDrop,
}

impl Dropper {
    fn draw(rng: &mut Rng) -> Self {
        match rng.u8(..6) {
            0 => Self::Poll,
            1 => Self::FuturesDrop,
            2 => Self::OutputsDrop,
            _ => Self::Outsider,
        }
    }
}

/// One world.
pub(crate) struct Plan {
    pub(crate) threads: usize,
    /// Of a second manager, if there is one.
    pub(crate) side_threads: Option<usize>,
    /// Threads outside that do errands.
    pub(crate) crew: usize,
    pub(crate) pool: Option<PoolPlan>,
    pub(crate) actors: u32,
    /// Kinds and their weights.
    kinds: Vec<(&'static Kind, u32)>,
    /// The driver waits until all that ends by itself has ended, and drops the managers then, not before.
    pub(crate) runs_dry: bool,
    pub(crate) pool_ends_early: bool,
    pub(crate) main_dropper: Dropper,
    pub(crate) side_dropper: Dropper,
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng, threads: Option<usize>) -> Self {
        // Drawn in any case: the rest of the world is the same then.
        let mut draw_threads = |most| {
            let drawn = rng.usize(1..=most);
            threads.unwrap_or(drawn)
        };
        let (threads, side_threads) = (draw_threads(THREADS), draw_threads(2));
        Self {
            threads,
            side_threads: (rng.u8(..3) == 0).then_some(side_threads),
            crew: rng.usize(1..=3),
            pool: (rng.u8(..3) > 0).then(|| PoolPlan::draw(rng)),
            actors: few(rng, ACTORS),
            kinds: draw_kinds(rng),
            runs_dry: rng.u8(..3) > 0,
            pool_ends_early: rng.u8(..4) == 0,
            main_dropper: Dropper::draw(rng),
            side_dropper: Dropper::draw(rng),
        }
    }

    /// Who comes next.
    pub(crate) fn draw_actor(&self, rng: &mut Rng) -> &'static Kind {
        let all: u32 = self.kinds.iter().map(|(_, weight)| weight).sum();
        let mut lot = rng.u32(..all);
        for (kind, weight) in &self.kinds {
            if lot < *weight {
                return kind;
            }
            lot -= weight;
        }
        unreachable!("the lot is below the sum of all weights")
    }
}

/// A few kinds make a world in which one thing happens again and again; all of them, one in which everything meets.
fn draw_kinds(rng: &mut Rng) -> Vec<(&'static Kind, u32)> {
    let count = if rng.u8(..6) == 0 {
        KINDS.len()
    } else {
        rng.usize(1..=MOST_KINDS)
    };
    let kinds = rng.choose_multiple(KINDS, count);
    kinds
        .into_iter()
        .map(|kind| (kind, rng.u32(1..=8)))
        .collect()
}

/// From 1 to this; small numbers as often as large ones.
pub(crate) fn few(rng: &mut Rng, most: u32) -> u32 {
    let bits = rng.u32(0..=most.ilog2());
    rng.u32(1..=(2 << bits).min(most))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} threads", self.threads)?;
        if let Some(threads) = self.side_threads {
            write!(f, ", {threads} of another manager")?;
        }
        write!(f, ", {} outside", self.crew)?;
        if let Some(pool) = &self.pool {
            write!(f, ", {pool:?}, ends early: {}", self.pool_ends_early)?;
        }
        write!(
            f,
            ", runs dry: {}, dropped by {:?} and {:?}; {} actors of",
            self.runs_dry, self.main_dropper, self.side_dropper, self.actors
        )?;
        for (kind, weight) in &self.kinds {
            write!(f, " {weight} {}", kind.name)?;
        }
        Ok(())
    }
}

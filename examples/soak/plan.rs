//! What is wanted when: it follows from the seed and the number of the step, so the scheduler and the
//! worker, and the worker after it, come to the same.

use crate::pool::Content;

/// The part of the wanted chunks that each step changes.
const CHANGES: f64 = 0.05;
/// Of so many changes, one is a new content for a chunk that stays.
const RECUTS: usize = 10;

/// What is wanted after some steps.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    seed: u64,
    step: u32,
    /// Numbers.
    inside: Vec<u32>,
    outside: Vec<u32>,
    /// By number. It stays while a chunk is not wanted: what comes back may be there still.
    revisions: Vec<u32>,
    wanted: Vec<bool>,
}

impl Plan {
    /// Step 0: so many chunks, of a pool of half as many again.
    pub(crate) fn new(seed: u64, chunks: u32) -> Plan {
        let pool = chunks + chunks / 2;
        let mut numbers: Vec<u32> = (0..pool).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut numbers);
        let outside = numbers.split_off(chunks as usize);
        let mut wanted = vec![false; pool as usize];
        for n in &numbers {
            wanted[*n as usize] = true;
        }
        Plan {
            seed,
            step: 0,
            inside: numbers,
            outside,
            revisions: vec![0; pool as usize],
            wanted,
        }
    }

    /// Goes on to a step.
    pub(crate) fn advance_to(&mut self, step: u32) {
        while self.step < step {
            self.step += 1;
            self.change();
        }
    }

    fn change(&mut self) {
        let seed = self.seed ^ u64::from(self.step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = fastrand::Rng::with_seed(seed);
        let changes = (self.inside.len() as f64 * CHANGES).ceil() as usize;
        for change in 0..changes {
            let leaves = random.usize(..self.inside.len());
            if change.is_multiple_of(RECUTS) {
                self.revisions[self.inside[leaves] as usize] += 1;
                continue;
            }
            let comes = random.usize(..self.outside.len());
            std::mem::swap(&mut self.inside[leaves], &mut self.outside[comes]);
            self.wanted[self.inside[leaves] as usize] = true;
            self.wanted[self.outside[comes] as usize] = false;
        }
    }

    pub(crate) fn step(&self) -> u32 {
        self.step
    }

    /// How many numbers there are.
    pub(crate) fn pool(&self) -> u32 {
        u32::try_from(self.wanted.len()).unwrap_or(u32::MAX)
    }

    /// The content of a number that is wanted, if any is.
    pub(crate) fn wanted(&self, n: u32) -> Option<Content> {
        let wanted = *self.wanted.get(n as usize)?;
        wanted.then(|| self.content(n))
    }

    /// The content of a number, wanted or not.
    pub(crate) fn content(&self, n: u32) -> Content {
        let revision = self.revisions[n as usize];
        Content { n, revision }
    }

    /// All that is wanted, by number.
    pub(crate) fn all(&self) -> impl Iterator<Item = Content> {
        (0..self.pool()).filter_map(|n| self.wanted(n))
    }
}

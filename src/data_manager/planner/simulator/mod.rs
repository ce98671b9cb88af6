//! A deterministic simulator of everything around the planner.
//!
//! One seed is one run: virtual time, threads that are put aside between any two things that they
//! do, hosts that are slow, lie, stall and vanish, a disk whose jobs fail before or after they
//! changed something, a caller who asks for anything, crashes and restarts at any moment. After
//! every decision what must always hold is checked (`checks.rs`); every task's outcome is held against
//! what the call may come to (`ledger.rs`); at the end all trouble ends, and what was asked for has to be
//! reached in a time that is held against the best possible (`settle.rs`).
//!
//! ```text
//! cargo test --lib simulator                                  2,000 seeds
//! DATA_MANAGER_SEEDS=1000000 cargo test --release --lib any_seed -- --nocapture
//! DATA_MANAGER_SEED=4711 cargo test --lib any_seed            one seed, again
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | `world.rs` | the planner between its callers and its threads; a decision; a crash |
//! | `duty.rs` | what threads do, cut where others can come in between |
//! | `jobs.rs`, `fetching.rs`, `storing.rs` | `core.rs` and `download.rs` again, with plain data in place of sockets and files |
//! | `clock.rs` | virtual time |
//! | `origin.rs`, `disk.rs` | what answers |
//! | `caller.rs` | what is asked for |
//! | `watch.rs` | the health of hosts, worked out once more |
//! | `checks.rs`, `fairness.rs`, `ledger.rs`, `settle.rs` | what has to hold |
//! | `scenarios.rs` | large worlds, with one thing in each to look at |

/// Fails the run unless that holds.
macro_rules! hold {
    ($world:expr, $holds:expr, $($text:tt)+) => {
        if !$holds {
            $world.fail(&format!($($text)+));
        }
    };
}

mod caller;
mod checks;
mod clock;
mod disk;
mod duty;
mod fairness;
mod fetching;
mod figures;
mod history;
mod jobs;
mod ledger;
mod origin;
mod scenarios;
mod settle;
mod storing;
mod watch;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clock::Event;
use settle::Verdict;
use world::{Profile, World};

const SEEDS: u64 = 2000;
const THREADS: usize = 2;

impl Profile {
    /// What the world of a seed is like.
    fn random(seed: u64) -> Profile {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let ms = Duration::from_millis;
        Profile {
            seed,
            ids: rng.u32(2..9),
            hosts: rng.usize(1..5),
            slots: rng.usize(1..5),
            slots_per_host: [1, 2, usize::MAX][rng.usize(..3)],
            partial_bytes: [10, 60, 1000][rng.usize(..3)],
            partial_age: ms([2000, 20_000, 600_000][rng.usize(..3)]),
            first_backoff: ms(100),
            longest_backoff: ms([1000, 10_000][rng.usize(..2)]),
            calls: rng.usize(20..80),
            pace: ms([20, 300, 2000][rng.usize(..3)]),
            reorder: [0, 10, 40][rng.usize(..3)],
            crashes: [0, 50, 300][rng.usize(..3)],
            disk_trouble: [0, 5, 30][rng.usize(..3)],
            checked: true,
        }
    }
}

impl World {
    fn of_seed(seed: u64) -> World {
        let mut world = World::new(Profile::random(seed));
        for host in 0..world.hosts.len() {
            let delay = world.millis(0..4000);
            world.clock.after(delay, Event::HostTurns(host));
        }
        let delay = world.millis(0..4000);
        world.clock.after(delay, Event::DiskTurns);
        world.clock.after(Duration::ZERO, Event::Call);
        world
    }

    fn live(&mut self) -> Verdict {
        let mut crashes = 3;
        while self.calls_left > 0 && self.step() {
            if crashes > 0 && self.rng.u32(..10_000) < self.profile.crashes {
                crashes -= 1;
                let power_cut = self.rng.bool();
                self.crash(power_cut);
            }
        }
        self.settle()
    }
}

/// Runs one seed; a failure says how it came to it.
fn run(seed: u64) -> Result<Verdict, String> {
    let mut world = World::of_seed(seed);
    catch_unwind(AssertUnwindSafe(|| world.live())).map_err(|panic| {
        let reason = panic.downcast_ref::<String>().cloned();
        let reason = reason.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        format!(
            "seed {seed}: {}\nat {:?}, in {:?}\n{}\nagain: DATA_MANAGER_SEED={seed} cargo test --lib any_seed",
            reason.unwrap_or_default(),
            world.now(),
            world.profile,
            world.history.text()
        )
    })
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn print_ratios(mut verdicts: Vec<Verdict>) {
    verdicts.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
    let steps: u64 = verdicts.iter().map(|verdict| verdict.steps).sum();
    let at = |percent: usize| verdicts[(verdicts.len() - 1) * percent / 100].ratio;
    eprintln!(
        "{} seeds, {steps} decisions; time over best possible: median {:.2}, p99 {:.2}, max {:.2}",
        verdicts.len(),
        at(50),
        at(99),
        at(100)
    );
}

#[test]
fn any_seed_gets_to_what_was_asked_for() {
    if let Some(seed) = number_from("DATA_MANAGER_SEED") {
        let verdict = run(seed).unwrap_or_else(|failure| panic!("{failure}"));
        eprintln!("seed {seed}: {verdict:?}");
        return;
    }
    let seeds = number_from("DATA_MANAGER_SEEDS").unwrap_or(SEEDS);
    let (next, verdicts) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || failure.lock().unwrap().is_some() {
                        return;
                    }
                    match run(seed) {
                        Ok(verdict) => verdicts.lock().unwrap().push(verdict),
                        Err(text) => *failure.lock().unwrap() = Some(text),
                    }
                }
            });
        }
    });
    if let Some(failure) = failure.into_inner().unwrap() {
        panic!("{failure}");
    }
    print_ratios(verdicts.into_inner().unwrap());
}

//! The executor under stress: `cargo run --release --example executor_stress -- --seconds 120`.
//!
//! Random worlds, one after the other. A world is a manager or two, perhaps a blocking pool, some threads outside, and
//! up to 64 actors, which spawn, wake, await, block, cancel, panic and sleep in all the ways that a user may. Then it
//! runs dry, or the managers are dropped in the middle of it. Of each future everything is written down, and what the
//! executor promises is checked on the way and at the end:
//!
//! - a future is dropped once, before its handle says so, and never polled after its end; polls never overlap;
//! - a wake is followed by a poll that begins later and sees what was written before it; there are no more polls than
//!   wakes, and none after a cancellation;
//! - every handle and every operation resolves, and says what happened;
//! - every job that was accepted runs once; every output is dropped once;
//! - nothing outlives the drop of a manager or of a pool from outside.
//!
//! A wake-up that is lost shows itself as a world that does not end. Nothing waits with a time limit here, but the
//! watchdog, which then says who is left.
//!
//! The worlds follow from the seed. How their threads interleave does not, so a failure may need some rounds of its
//! world to come again.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `main.rs`, `options.rs` | world after world; the command line |
//! | `drive.rs` | one world, from its beginning to its end |
//! | `plan.rs` | what is in a world, at random |
//! | `world.rs`, `stage.rs`, `jobs.rs` | a world, its managers, its blocking pool |
//! | `scene.rs` | where actors are set up; the threads outside |
//! | `actors/` | the actors; `mod.rs` has the list |
//! | `witness.rs`, `watched.rs`, `handle.rs`, `promise.rs` | records of futures, handles, outputs, operations, and their checks |
//! | `parcel.rs`, `thread_exit.rs` | drops of managers on their own threads; the ends of threads |
//! | `level.rs` | numbers that can be waited for |
//! | `report.rs`, `watchdog.rs` | what is said at a failure, and who sees to it that there is one |
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

mod actors;
mod drive;
mod handle;
mod jobs;
mod level;
mod options;
mod parcel;
mod plan;
mod promise;
mod report;
mod scene;
mod stage;
mod thread_exit;
mod watchdog;
mod watched;
mod witness;
mod world;

use options::Options;
use std::time::{Duration, Instant};
use watchdog::Watchdog;
use world::Totals;

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let Some(options) = Options::from_command_line()? else {
        println!("{}", options::HELP);
        return Ok(());
    };
    println!("Seed      {}", options.seed);
    report::begin_run(&options);
    let watchdog = Watchdog::start(options.patience);
    let (start, mut said) = (Instant::now(), Instant::now());
    let mut totals = Totals::default();
    while start.elapsed() < options.duration {
        let number = options.world.unwrap_or(totals.worlds);
        totals.add(drive::play(number, &options, &watchdog));
        if said.elapsed() >= PROGRESS {
            said = Instant::now();
            println!(
                "{:6.0} s  {totals}{}",
                start.elapsed().as_secs_f64(),
                memory()
            );
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "All held  {totals}; {:.0} worlds/s",
        totals.worlds as f64 / seconds
    );
    Ok(())
}

/// What the process has in memory, where the system says that: it is not to grow with the worlds.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    resident.map_or_else(String::new, |size| format!(", {} in memory", size.trim()))
}

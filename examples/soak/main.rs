//! A manager under load: `cargo run --release --example soak -- --seconds 300`.
//!
//! A worker, which is a process of its own, keeps 20,000 small chunks of a pool of 30,000. Every second the
//! assignment changes by 5 %: chunks go, others come or come back, some are cut anew. Four threads look
//! blocks up, hold what they find, and hold every byte of it against what it has to be. The origin answers 2 % of all
//! requests wrongly, in seven ways, and is down for a while. The scrub reads behind it all, the limit on
//! bandwidth comes and goes, and in the middle the worker is killed and another one takes over.
//!
//! In calm moments (the assignment rests, queries give back what they hold) and at the end all has to add up:
//! what is listed, what is on disk, read from outside, and what was assigned; the ledger and the disk; the events and what
//! is visible; threads, handles and memory, then and before. `checks.rs` and `Soak::calm` have the list.
//!
//! What is wanted when, what the files hold and which requests go wrong follows from the seed. How threads
//! interleave does not.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `main.rs`, `options.rs` | the command line |
//! | `run.rs` | the scheduler: what happens when, and what has to hold then |
//! | `pool.rs`, `plan.rs` | chunks and their contents; what is wanted when |
//! | `origin.rs`, `faults.rs` | where the bytes come from, and what goes wrong there |
//! | `child.rs`, `words.rs` | the worker as a process; what is said over its pipes |
//! | `worker/` | that process: calls, queries, subscribers, calm moments |
//! | `disk.rs`, `process.rs`, `checks.rs` | looks from outside, and what has to be found |
//! | `figures.rs`, `histogram.rs` | the table at the end |
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

mod checks;
mod child;
mod disk;
mod faults;
mod figures;
mod histogram;
mod options;
mod origin;
mod plan;
mod pool;
mod process;
mod run;
mod words;
mod worker;

use std::process::ExitCode;
use std::time::Instant;

use options::Options;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, orders] = arguments.as_slice()
        && mode == child::MODE
    {
        worker::run(orders);
        return Ok(ExitCode::SUCCESS);
    }
    if !cfg!(target_os = "linux") {
        println!("skipped: needs /proc");
        return Ok(ExitCode::SUCCESS);
    }
    let Some(options) = Options::parse(&arguments)? else {
        println!("{}", options::HELP);
        return Ok(ExitCode::SUCCESS);
    };
    println!("Seed {}", options.seed);
    let began = Instant::now();
    match run::run(&options) {
        Ok(report) => {
            println!("\n{report}");
            println!("All held, in {:.0} s", began.elapsed().as_secs_f64());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("DID NOT HOLD  {error:#}");
            let Options {
                seed,
                chunks,
                seconds,
                ..
            } = options;
            eprintln!("              again: --seed {seed} --chunks {chunks} --seconds {seconds}");
            Ok(ExitCode::FAILURE)
        }
    }
}

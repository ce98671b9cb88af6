//! Our executor against others: the same code on each, in turn, in one process.
//!
//! `README.md` says how to run it and what each row means.

mod executor;
mod heap;
mod idle;
mod json;
mod latch;
mod measure;
mod options;
mod peers;
mod statistics;
mod table;
mod workloads;

use measure::Bench;
use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Options::from_args(std::env::args().skip(1)) {
        Ok(options) => report(options),
        Err(reason) => {
            eprintln!("{reason}\n\n{}", options::USAGE);
            ExitCode::FAILURE
        }
    }
}

fn report(options: Options) -> ExitCode {
    let json = options.json.clone();
    let mut bench = Bench::new(options);
    workloads::run_all(&mut bench);
    measure::show_idle();
    let rows = bench.into_rows();
    if rows.is_empty() {
        eprintln!("no workload has such a name");
        return ExitCode::FAILURE;
    }
    table::print(&rows);
    if let Some(path) = json
        && let Err(error) = std::fs::write(&path, json::text(&rows))
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

//! `data-manager`: a data directory from the command line.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `args.rs` | the command line |
//! | `values.rs` | what is typed in it: sizes, durations, ids, ranges |
//! | `exit.rs` | the exit codes, and how a failure is told |
//! | `output.rs`, `units.rs` | what is printed, and where |
//! | `viewing.rs` | what the commands share that only look |
//! | one file a command | `run` |
//!
//! It uses what everybody can use of the library. What was asked for goes to the standard output, in
//! JSON with `--json`; talk goes to the standard error.

mod args;
mod completions;
mod cover;
mod exit;
mod export;
mod find;
mod get;
mod ls;
mod man;
mod output;
mod prune;
mod rm;
mod status;
mod sync;
mod units;
mod values;
mod verify;
mod viewing;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use exit::{Exit, Failure};
use output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Output::new(&cli.global);
    let ended = run(&cli, &mut out).and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    let exit = ended.unwrap_or_else(|failure| {
        out.failure(&failure);
        failure.exit()
    });
    ExitCode::from(exit.code())
}

fn run(cli: &Cli, out: &mut Output) -> Result<Exit, Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Sync(args) => sync::run(args, global, out),
        Command::Get(args) => get::run(args, global, out),
        Command::Ls(args) => ls::run(args, global, out),
        Command::Find(args) => find::run(args, global, out),
        Command::Cover(args) => cover::run(args, global, out),
        Command::Rm(args) => rm::run(args, global, out),
        Command::Verify(args) => verify::run(args, global, out),
        Command::Status(args) => status::run(args, global, out),
        Command::Prune(args) => prune::run(args, global, out),
        Command::Export(args) => export::run(args, global, out),
        Command::Completions(args) => completions::run(args, out),
        Command::Man(args) => man::run(args, out),
    }
}

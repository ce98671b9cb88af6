//! `data-manager`: a data directory from the command line.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `args.rs` | the command line |
//! | `values.rs` | what is typed in it: sizes, durations, ids, ranges |
//! | `exit.rs` | the exit codes, and how a failure is told |
//! | `output.rs`, `units.rs` | what is printed, and where |
//! | `settings.rs` | the settings of a manager that fetches, as flags |
//! | `place.rs` | where an assignment is |
//! | `work.rs`, `signals.rs` | a manager at work, until it is done or told to stop |
//! | `whole.rs` | whether what was there before is whole |
//! | `report.rs`, `tally.rs`, `bars.rs` | what is shown of it |
//! | `outcome.rs` | what is said at its end |
//! | `viewing.rs` | what the commands share that only look |
//! | one file a command | `run` |
//!
//! It uses what everybody can use of the library. What was asked for goes to the standard output, in
//! JSON with `--json`; talk goes to the standard error.

mod args;
mod bars;
mod completions;
mod cover;
mod exit;
mod export;
mod find;
mod get;
mod ls;
mod man;
mod outcome;
mod output;
mod place;
mod prune;
mod report;
mod rm;
mod settings;
mod signals;
mod status;
mod sync;
mod tally;
mod units;
mod values;
mod verify;
mod viewing;
mod whole;
mod work;

use std::process::ExitCode;

use args::{Cli, Command};
use exit::{Exit, Failure};
use output::Output;

fn main() -> ExitCode {
    let (mut cli, typed) = Cli::read();
    let mut out = Output::new(&cli.global);
    let ended = (cli.global.read_config(typed))
        .and_then(|()| run(&cli, &mut out))
        .and_then(|exit| out.flush().map(|()| exit));
    let exit = ended.unwrap_or_else(|failure| {
        out.failure(&failure);
        match failure {
            // Something is left to do, or was not told.
            Failure::NoReader if cli.command.does_something() => Exit::Interrupted,
            failure => failure.exit(),
        }
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

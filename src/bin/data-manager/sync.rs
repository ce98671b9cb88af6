//! `data-manager sync`.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  data-manager sync --assignment assignment.json";

/// Make the directory hold what an assignment says
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, _: &Global, _: &mut Output) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Failed, "sync is not there yet"))
}

//! `data-manager rm`.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  data-manager rm ID";

/// Remove chunks
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, _: &Global, _: &mut Output) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Failed, "rm is not there yet"))
}

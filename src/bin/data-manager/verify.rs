//! `data-manager verify`.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  data-manager verify";

/// Read chunks again and hold every byte against what was committed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, _: &Global, _: &mut Output) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Failed, "verify is not there yet"))
}

//! `data-manager cover`.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  data-manager cover DATASET 0..1000000";

/// Show which blocks of a range are there
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, _: &Global, _: &mut Output) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Failed, "cover is not there yet"))
}

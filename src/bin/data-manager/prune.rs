//! `data-manager prune`.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  data-manager prune --dry-run";

/// Remove what is kept beside the chunks: trash, quarantine, old partial downloads
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, _: &Global, _: &mut Output) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Failed, "prune is not there yet"))
}

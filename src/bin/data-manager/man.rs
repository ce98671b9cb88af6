//! `data-manager man`.

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  data-manager man | man -l -
  data-manager man sync > data-manager-sync.1";

/// Write the manual page, of the tool or of a command
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The command
    command: Option<String>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(page_of(args.command.as_deref())?).render(&mut page)?;
    out.text(&page)?;
    Ok(Exit::Done)
}

/// What the page is about, named as pages are: `data-manager-sync`.
fn page_of(command: Option<&str>) -> Result<clap::Command, Failure> {
    let mut tool = Cli::command();
    tool.build();
    let Some(name) = command else { return Ok(tool) };
    let found = tool
        .get_subcommands()
        .find(|known| known.get_name() == name);
    let found = found.ok_or_else(|| Failure::usage(format!("there is no command {name:?}")))?;
    let title = format!("data-manager-{name}");
    Ok(found.clone().display_name(title))
}

//! `data-manager completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  data-manager completions bash > /etc/bash_completion.d/data-manager
  data-manager completions zsh > ~/.zfunc/_data-manager
  data-manager completions fish > ~/.config/fish/completions/data-manager.fish";

/// Write the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "data-manager", &mut script);
    out.text(&script)?;
    Ok(Exit::Done)
}

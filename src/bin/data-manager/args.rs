//! The command line. What a command takes beside this stands in its own file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::exit::EXIT_CODES;
use crate::{completions, cover, export, find, get, ls, man, prune, rm, status, sync, verify};

/// Keeps the wanted chunks of blockchain data in a local directory, and looks into it.
///
/// A directory has one owner at a time. sync, get, rm and prune own it while they run; the other
/// commands read it, also while a worker owns it.
#[derive(Debug, Parser)]
#[command(name = "data-manager", version, after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
#[command(
    disable_help_subcommand = true,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// The data directory
    #[arg(long, global = true, value_name = "DIR")]
    #[arg(env = "DATA_MANAGER_DIR", default_value = "local_data_dir")]
    pub(crate) data_dir: PathBuf,
    /// Write JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but what was asked for, and what failed
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice: everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Sync(sync::Args),
    Get(get::Args),
    Ls(ls::Args),
    Find(find::Args),
    Cover(cover::Args),
    Rm(rm::Args),
    Verify(verify::Args),
    Status(status::Args),
    Prune(prune::Args),
    Export(export::Args),
    Completions(completions::Args),
    Man(man::Args),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
        assert!(Cli::try_parse_from(["data-manager", "ls", "--quiet", "-v"]).is_err());
    }
}

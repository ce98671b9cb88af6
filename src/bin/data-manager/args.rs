//! The command line. What a command takes beside this stands in its own file.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use data_manager::data_manager::{Config, DataManagerBuilder, DataManagerImpl};

use crate::exit::{EXIT_CODES, Failure};
use crate::settings::unreadable;
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
#[command(next_help_heading = "Of every command")]
pub(crate) struct Global {
    /// The data directory
    #[arg(long, global = true, value_name = "DIR")]
    #[arg(
        env = "DATA_MANAGER_DIR",
        hide_env_values = true,
        default_value = "local_data_dir"
    )]
    pub(crate) data_dir: PathBuf,
    /// Settings in JSON, as a worker has them; what is said beside it counts
    #[arg(long, global = true, value_name = "FILE")]
    #[arg(env = "DATA_MANAGER_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// What is in that file.
    #[arg(skip)]
    settings: Option<Config>,
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

impl Cli {
    /// What was typed, and whether the data directory was. Ends the process where it cannot be
    /// understood.
    pub(crate) fn read() -> (Cli, bool) {
        let mut matches = Cli::command().get_matches();
        let typed = matches.value_source("data_dir") != Some(ValueSource::DefaultValue);
        let cli = Cli::from_arg_matches_mut(&mut matches);
        (cli.unwrap_or_else(|error| error.exit()), typed)
    }
}

impl Global {
    /// Reads the file of settings, if one is named. The data directory is the one that was `typed`,
    /// else the one that the file names.
    pub(crate) fn read_config(&mut self, typed: bool) -> Result<(), Failure> {
        let Some(file) = &self.config else {
            return Ok(());
        };
        std::fs::metadata(file).map_err(|error| unreadable(file, &error))?;
        let settings = Config::from_json_file(file)?;
        if !typed {
            self.data_dir.clone_from(&settings.data_dir);
        }
        self.settings = Some(settings);
        Ok(())
    }

    /// A builder with the settings of the file, for the data directory.
    pub(crate) fn builder(&self) -> Result<DataManagerBuilder, Failure> {
        let builder = match &self.settings {
            Some(settings) => settings.clone().into_builder()?,
            None => DataManagerImpl::builder(),
        };
        Ok(builder.data_dir(&self.data_dir))
    }
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

impl Command {
    /// Whether it is about what it does or finds out, and not about what it writes.
    pub(crate) fn does_something(&self) -> bool {
        use Command::{Get, Prune, Rm, Sync, Verify};
        matches!(self, Sync(_) | Get(_) | Rm(_) | Verify(_) | Prune(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["data-manager", "ls", "--quiet", "-v"]).is_err());
    }
}

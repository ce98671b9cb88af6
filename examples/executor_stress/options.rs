//! The command line.

use anyhow::{Context, bail};
use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Drives the executor with random worlds, one after the other, and checks what it promises.

Usage: cargo run --release --example executor_stress -- [OPTIONS]

Options:
  --seconds N   run for so long; 60 if not given
  --seed N      the worlds of an earlier run; a fresh number if not given
  --world N     only this one of them, again and again
  --threads N   as many threads in each manager; 1 to 8, at random, if not given
  --patience N  seconds for one world; it hangs if it needs more; 30 if not given
  --help        print this

Ends with 0 if all held, with 1 if something did not, and with 2 if a world hung.";

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Options {
    /// How long to go on; the last world is played to its end.
    pub(crate) duration: Duration,
    /// What all worlds follow from.
    pub(crate) seed: u64,
    /// The one world to play, if not all.
    pub(crate) world: Option<u64>,
    /// The threads of each manager, if not random.
    pub(crate) threads: Option<usize>,
    /// How long a world may take.
    pub(crate) patience: Duration,
}

impl Options {
    /// Reads the command line; `None` if it asks for help.
    pub(crate) fn from_command_line() -> anyhow::Result<Option<Options>> {
        let mut options = Options {
            duration: Duration::from_secs(60),
            seed: fastrand::u64(..1_000_000_000),
            world: None,
            threads: None,
            patience: Duration::from_secs(30),
        };
        let mut arguments = std::env::args_os().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || number(&argument, arguments.next());
            match argument.to_str() {
                Some("--help" | "-h") => return Ok(None),
                Some("--seconds") => options.duration = Duration::from_secs(value()?),
                Some("--seed") => options.seed = value()?,
                Some("--world") => options.world = Some(value()?),
                Some("--threads") => options.threads = Some(usize::try_from(value()?)?.max(1)),
                Some("--patience") => options.patience = Duration::from_secs(value()?.max(1)),
                _ => bail!("unknown argument {}; try --help", argument.display()),
            }
        }
        Ok(Some(options))
    }
}

fn number(option: &OsString, value: Option<OsString>) -> anyhow::Result<u64> {
    let number = value.and_then(|value| u64::from_str(value.to_str()?).ok());
    number.with_context(|| format!("{} needs a whole number", option.display()))
}

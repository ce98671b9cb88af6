//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, bail};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Downloads about 200 MB of Parquet files from an origin inside this program, finds,
reads, deletes and reopens them, and says how fast that was.

Usage: cargo run --release --example quickstart -- [OPTIONS]

Options:
  --data-dir DIR  use this directory; without it, a fresh temporary one
  --keep          leave the directory there at the end
  --rate MB       let the origin send no more than so many MB a second: time to watch,
                  and to stop it half way
  --help          print this

Without --keep the directory is removed at the end, unless something was in it before.";

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// The directory to use; a temporary one if there is none.
    pub(crate) data_dir: Option<PathBuf>,
    /// Whether the directory stays.
    pub(crate) keep: bool,
    /// Bytes a second that the origin sends at the most; no limit if there is none.
    pub(crate) rate: Option<f64>,
}

impl Options {
    /// Reads the command line; `None` if it asks for help.
    pub(crate) fn from_command_line() -> anyhow::Result<Option<Options>> {
        let mut options = Options::default();
        let mut arguments = std::env::args_os().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--help" | "-h") => return Ok(None),
                Some("--keep") => options.keep = true,
                Some("--rate") => options.rate = Some(rate(arguments.next())?),
                Some("--data-dir") => options.data_dir = Some(directory(arguments.next())?),
                _ => bail!("unknown argument {}; try --help", argument.display()),
            }
        }
        Ok(Some(options))
    }
}

fn directory(value: Option<OsString>) -> anyhow::Result<PathBuf> {
    let value = value
        .filter(|value| !value.is_empty())
        .context("--data-dir needs a directory")?;
    Ok(std::path::absolute(value)?)
}

fn rate(value: Option<OsString>) -> anyhow::Result<f64> {
    let megabytes: Option<f64> = value.and_then(|value| value.to_str()?.parse().ok());
    let megabytes = megabytes.filter(|value| value.is_finite() && *value > 0.0);
    Ok(megabytes.context("--rate needs a number of MB above 0")? * 1e6)
}

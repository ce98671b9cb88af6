//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use data_manager::data_manager::Durability;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Keeps a manager under load for a while, kills it once in the middle, and checks what it promises.

Usage: cargo run --release --example soak -- [OPTIONS]

Options:
  --seconds N   how long the assignment changes; what is waited for beside that comes on top [60]
  --chunks N    how many chunks are wanted at a time, of half as many again [20000]
  --seed N      what is wanted when, what the files hold, which requests go wrong [from the clock]
  --faults N    how many requests go wrong, in per cent [2]
  --durability LEVEL
                full, or another of the library's levels [full]
  --patience N  seconds for anything that has to happen; long, since it is only reached when it does
                not [300]
  --dir D       where the data directory is made [the system's place for that]
  --help        print this

Ends with 0 if all held; otherwise it says what did not, and ends with 1.";

/// Fewer chunks or seconds leave nothing to see.
const LEAST_CHUNKS: u32 = 100;
const LEAST_SECONDS: u32 = 12;

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// One change of the assignment in each.
    pub(crate) seconds: u32,
    /// Wanted at a time.
    pub(crate) chunks: u32,
    pub(crate) seed: u64,
    /// The part of all requests that goes wrong.
    pub(crate) faults: f64,
    pub(crate) durability: Durability,
    pub(crate) patience: Duration,
    pub(crate) dir: PathBuf,
}

impl Options {
    /// Reads the arguments; `None` if they ask for help.
    pub(crate) fn parse(arguments: &[String]) -> anyhow::Result<Option<Options>> {
        let mut options = Options {
            seconds: 60,
            chunks: 20_000,
            seed: fastrand::u64(..1 << 32),
            faults: 0.02,
            durability: Durability::default(),
            patience: Duration::from_secs(300),
            dir: std::env::temp_dir(),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || {
                let value = rest.next();
                value.with_context(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--seconds" => options.seconds = value()?.parse().context("--seconds")?,
                "--chunks" => options.chunks = value()?.parse().context("--chunks")?,
                "--seed" => options.seed = value()?.parse().context("--seed")?,
                "--faults" => {
                    options.faults = value()?.parse::<f64>().context("--faults")? / 100.0;
                }
                "--durability" => {
                    options.durability =
                        serde_json::from_value(value()?.as_str().into()).context("--durability")?;
                }
                "--patience" => {
                    let seconds = value()?.parse().context("--patience")?;
                    options.patience = Duration::from_secs(seconds);
                }
                "--dir" => options.dir = value()?.into(),
                _ => bail!("unknown argument {argument}; try --help"),
            }
        }
        ensure!(
            options.seconds >= LEAST_SECONDS,
            "--seconds is {LEAST_SECONDS} or more"
        );
        ensure!(
            options.chunks >= LEAST_CHUNKS,
            "--chunks is {LEAST_CHUNKS} or more"
        );
        ensure!(
            (0.0..0.5).contains(&options.faults),
            "--faults is less than 50"
        );
        Ok(Some(options))
    }
}

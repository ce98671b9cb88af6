//! The command line of `kills` and `errors`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use data_manager::data_manager::Durability;

/// What a run is to do.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How long to go on with a spread sample; everything if not given.
    pub(crate) seconds: Option<Duration>,
    /// Recover each state that a kill left, not each kind of state.
    pub(crate) all: bool,
    /// Which sample is taken.
    pub(crate) seed: u64,
    /// The one thing to do.
    pub(crate) only: Option<String>,
    /// Where the directories are made.
    pub(crate) place: Option<PathBuf>,
    /// What is synced: no kill may make a difference there.
    pub(crate) durability: Durability,
    /// Processes at a time.
    pub(crate) jobs: usize,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> anyhow::Result<Options> {
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        let mut options = Options {
            seconds: None,
            all: false,
            seed: 1,
            only: None,
            place: None,
            durability: Durability::default(),
            jobs: cpus.min(8),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || {
                let value = rest.next();
                value.with_context(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--all" => options.all = true,
                "--seconds" => options.seconds = Some(Duration::from_secs(value()?.parse()?)),
                "--seed" => options.seed = value()?.parse()?,
                "--only" => options.only = Some(value()?.clone()),
                "--dir" => options.place = Some(value()?.into()),
                "--durability" => {
                    options.durability = serde_json::from_value(value()?.as_str().into())?;
                }
                "--jobs" => options.jobs = value()?.parse::<usize>()?.max(1),
                _ => bail!("unknown argument {argument}; try --help"),
            }
        }
        Ok(options)
    }
}

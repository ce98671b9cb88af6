//! The command line: of the benchmark, and of the processes that it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use data_manager::data_manager::Durability;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Measures what it costs that a chunk lasts, against a loop over raw sockets.

Usage: cargo bench --bench durable -- [PARTS] [OPTIONS]

Parts (all if none is given):
  big           4 chunks of 5 files of 40 MB
  small         200 chunks of 10 files of 10 KB
  all           both

Options:
  --dir PATH    where target directories are made: on a disk (the system's temporary directory)
  --rounds N    rounds, each of which runs every process once (7)
  --only NAME   only this one of the processes, for profiling; the names are in the tables
  --help        print this";

/// One part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Big,
    Small,
}

/// What is fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) chunks: usize,
    /// Files of each chunk.
    pub(crate) files: usize,
    /// Bytes of each file.
    pub(crate) file_bytes: u64,
}

/// What the command line of the benchmark says.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) parts: Vec<Part>,
    pub(crate) dir: PathBuf,
    pub(crate) rounds: usize,
    pub(crate) only: Option<String>,
}

/// What a process is to fetch, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) origin: SocketAddr,
    pub(crate) load: Load,
    pub(crate) dir: PathBuf,
}

/// What one process does.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Library {
        durability: Durability,
        place: Place,
    },
    Raw {
        fsync: bool,
        place: Place,
    },
}

#[derive(Debug)]
pub(crate) enum Command {
    Contest(Options),
    /// This process was started by the benchmark.
    Child(Job),
}

/// The argument that tells a process from the benchmark.
pub(crate) const CHILD: &str = "--child";

/// The level of that name, if there is one.
pub(crate) fn durability(name: &str) -> Option<Durability> {
    serde_json::from_value(name.into()).ok()
}

/// Reads the command line; `None` if it asks for help.
pub(crate) fn from_command_line() -> anyhow::Result<Option<Command>> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == CHILD).is_some() {
        return child(arguments).map(|job| Some(Command::Child(job)));
    }
    let mut options = Options {
        parts: Vec::new(),
        dir: std::env::temp_dir(),
        rounds: 7,
        only: None,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().context("a value is missing");
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            // `cargo bench` adds it.
            "--bench" => {}
            "big" => options.parts.push(Part::Big),
            "small" => options.parts.push(Part::Small),
            "all" => options.parts.extend([Part::Big, Part::Small]),
            "--dir" => options.dir = value()?.into(),
            "--rounds" => options.rounds = value()?.parse::<usize>()?.max(1),
            "--only" => options.only = Some(value()?),
            _ => bail!("unknown argument {argument}; try --help"),
        }
    }
    if options.parts.is_empty() {
        options.parts = vec![Part::Big, Part::Small];
    }
    Ok(Some(Command::Contest(options)))
}

impl Job {
    /// The arguments that [`child`] reads.
    pub(crate) fn to_arguments(&self) -> Vec<String> {
        let (what, place) = match self {
            Job::Library { durability, place } => {
                let name = serde_json::to_value(durability).unwrap_or_default();
                (name.as_str().unwrap_or_default().to_owned(), place)
            }
            Job::Raw { fsync: true, place } => ("raw-fsync".to_owned(), place),
            Job::Raw { place, .. } => ("raw".to_owned(), place),
        };
        let load = place.load;
        vec![
            CHILD.to_owned(),
            what,
            place.origin.to_string(),
            load.chunks.to_string(),
            load.files.to_string(),
            load.file_bytes.to_string(),
            place.dir.display().to_string(),
        ]
    }
}

fn child(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Job> {
    let mut next = || arguments.next().context("an argument is missing");
    let what = next()?;
    let place = Place {
        origin: next()?.parse()?,
        load: Load {
            chunks: next()?.parse()?,
            files: next()?.parse()?,
            file_bytes: next()?.parse()?,
        },
        dir: next()?.into(),
    };
    Ok(match (what.as_str(), durability(&what)) {
        ("raw", _) => Job::Raw {
            fsync: false,
            place,
        },
        ("raw-fsync", _) => Job::Raw { fsync: true, place },
        (_, Some(durability)) => Job::Library { durability, place },
        _ => bail!("unknown child {what}"),
    })
}

//! The command line: of the benchmark, and of the processes that it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Measures what it costs to fetch large files, against raw loops, curl and others.

Usage: cargo bench --bench fetch -- [OPTIONS]

Options:
  --dir PATH      where target directories are made (the system's temporary directory)
  --rounds N      rounds, each of which runs every process once (7)
  --files N       how many files (20)
  --mb N          megabytes of each (40)
  --peer PATH     another program to run in turn; it is given the origin, the number of files, the
                  bytes of each and the target directory. `benches/peers` has one: `reqwest`
  --only NAMES    only these, separated by commas; also ways that are left out otherwise:
                  raw-KIB, hashed-KIB, splice-KIB, spliced-KIB with buffers or pieces of that size
                  (hashed and spliced: with XXH3 of all bytes)
  --help          print this";

/// What the command line of the benchmark says.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) dir: PathBuf,
    pub(crate) rounds: usize,
    pub(crate) files: usize,
    pub(crate) file_bytes: u64,
    pub(crate) peers: Vec<PathBuf>,
    pub(crate) only: Vec<String>,
}

/// What a process is to fetch, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) origin: SocketAddr,
    pub(crate) files: usize,
    pub(crate) file_bytes: u64,
    pub(crate) dir: PathBuf,
}

/// What one process of ours does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Job {
    /// With the SHA-256 of each file declared or not.
    Library {
        slots: usize,
        digest: bool,
    },
    Raw(Way),
}

/// How a loop gets bytes from a socket into a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) splices: bool,
    pub(crate) hashes: bool,
    /// Of a buffer, or of what goes through the pipe at a time.
    pub(crate) piece_bytes: usize,
}

#[derive(Debug)]
pub(crate) enum Command {
    Contest(Options),
    /// This process was started by the benchmark.
    Child(Job, Place),
}

/// The argument that tells a process from the benchmark.
const CHILD: &str = "--child";

/// Reads the command line; `None` if it asks for help.
pub(crate) fn from_command_line() -> anyhow::Result<Option<Command>> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == CHILD).is_some() {
        let name = arguments.next().context("a name is missing")?;
        let job = job_of(&name).with_context(|| format!("unknown child {name}"))?;
        return Ok(Some(Command::Child(job, place_of(arguments)?)));
    }
    let mut options = Options {
        dir: std::env::temp_dir(),
        rounds: 7,
        files: 20,
        file_bytes: 40_000_000,
        peers: Vec::new(),
        only: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().context("a value is missing");
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            // `cargo bench` adds it.
            "--bench" => {}
            "--dir" => options.dir = value()?.into(),
            "--rounds" => options.rounds = value()?.parse::<usize>()?.max(1),
            "--files" => options.files = value()?.parse()?,
            "--mb" => options.file_bytes = value()?.parse::<u64>()? * 1_000_000,
            "--peer" => options.peers.push(value()?.into()),
            "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
            _ => bail!("unknown argument {argument}; try --help"),
        }
    }
    Ok(Some(Command::Contest(options)))
}

/// What a process of that name does.
pub(crate) fn job_of(name: &str) -> Option<Job> {
    let library = |slots, digest| Job::Library { slots, digest };
    match name {
        "library" => return Some(library(8, false)),
        // As many connections as the loops have threads.
        "library-4" => return Some(library(4, false)),
        "library-sha256" => return Some(library(8, true)),
        _ => {}
    }
    let (kind, kib) = name.split_once('-')?;
    let (splices, hashes) = match kind {
        "raw" => (false, false),
        "hashed" => (false, true),
        "splice" => (true, false),
        "spliced" => (true, true),
        _ => return None,
    };
    let piece_bytes = kib.parse::<usize>().ok()?.checked_mul(1024)?;
    Some(Job::Raw(Way {
        splices,
        hashes,
        piece_bytes,
    }))
}

impl Place {
    /// The arguments of a process called `name`, which [`from_command_line`] reads.
    pub(crate) fn to_arguments(&self, name: &str) -> Vec<String> {
        let mut arguments = vec![CHILD.to_owned(), name.to_owned()];
        arguments.extend(self.to_words());
        arguments
    }

    /// What any peer is told.
    pub(crate) fn to_words(&self) -> [String; 4] {
        [
            self.origin.to_string(),
            self.files.to_string(),
            self.file_bytes.to_string(),
            self.dir.display().to_string(),
        ]
    }
}

fn place_of(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Place> {
    let mut next = || arguments.next().context("an argument is missing");
    Ok(Place {
        origin: next()?.parse()?,
        files: next()?.parse()?,
        file_bytes: next()?.parse()?,
        dir: next()?.into(),
    })
}

//! The command line.

use std::path::PathBuf;

use anyhow::{Context, bail};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Measures the library with many chunks.

Usage: cargo bench --bench scale -- [PARTS] [OPTIONS]

Parts (all of them but opening if none is given):
  calls         download_chunk and delete_chunk among so many chunks; memory
  turns         choosing the next transfer, with few waiting and with many
  assignment    set_assignment of so many chunks with 1 % changed
  small-files   chunks of one 10 KB file, in turn with curl --parallel
  opening       open, in turn with a bare walk of the same names

Options:
  --chunks N    chunks that are known (1000000), for all parts but small-files
  --visible N   how many of them are visible during the assignment (100000)
  --datasets N  datasets that the chunks of opening are in (1)
  --files N     chunks of small-files (1000)
  --bytes N     bytes of each of their files (10000)
  --rounds N    rounds of what is measured in turn (7)
  --slots N     files in flight (8, the library's own default)
  --dir PATH    where data directories are made (the system's temporary directory)
  --ours-only   small-files without curl, for profiling
  --help        print this";

/// One part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Calls,
    Turns,
    Assignment,
    SmallFiles,
    Opening,
    /// What the processes do that `Opening` starts.
    OpenOnce,
    WalkOnce,
}

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) parts: Vec<Part>,
    pub(crate) chunks: usize,
    pub(crate) visible: usize,
    pub(crate) datasets: usize,
    pub(crate) files: usize,
    pub(crate) bytes: usize,
    pub(crate) rounds: usize,
    pub(crate) slots: usize,
    pub(crate) dir: PathBuf,
    pub(crate) ours_only: bool,
}

impl Options {
    /// Reads the command line; `None` if it asks for help.
    pub(crate) fn from_command_line() -> anyhow::Result<Option<Options>> {
        let mut options = Options {
            parts: Vec::new(),
            chunks: 1_000_000,
            visible: 100_000,
            datasets: 1,
            files: 1000,
            bytes: 10_000,
            rounds: 7,
            slots: 8,
            dir: std::env::temp_dir(),
            ours_only: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().context("a value is missing");
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                // `cargo bench` adds it.
                "--bench" => {}
                "calls" => options.parts.push(Part::Calls),
                "turns" => options.parts.push(Part::Turns),
                "assignment" => options.parts.push(Part::Assignment),
                "small-files" => options.parts.push(Part::SmallFiles),
                "opening" => options.parts.push(Part::Opening),
                "open-once" => options.parts.push(Part::OpenOnce),
                "walk-once" => options.parts.push(Part::WalkOnce),
                "--datasets" => options.datasets = value()?.parse()?,
                "--chunks" => options.chunks = value()?.parse()?,
                "--visible" => options.visible = value()?.parse()?,
                "--files" => options.files = value()?.parse()?,
                "--bytes" => options.bytes = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse::<usize>()?.max(1),
                "--slots" => options.slots = value()?.parse()?,
                "--dir" => options.dir = value()?.into(),
                "--ours-only" => options.ours_only = true,
                _ => bail!("unknown argument {argument}; try --help"),
            }
        }
        if options.parts.is_empty() {
            options.parts = vec![Part::Calls, Part::Turns, Part::Assignment, Part::SmallFiles];
        }
        Ok(Some(options))
    }
}

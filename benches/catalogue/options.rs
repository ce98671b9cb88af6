//! The command line.

use std::path::PathBuf;

use anyhow::{Context, bail};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Measures the catalogue: which chunk holds a block.

Usage: cargo bench --bench catalogue -- [PARTS] [OPTIONS]

Parts (all of them but growth if none is given):
  lookups       find, against a bare BTreeMap on the same keys; cover; ids
  crowd         one reader and several; a reader with and without a writer beside it
  memory        bytes a chunk
  growth        the same from 1,000 chunks to 1,000,000, and a plot of it

Options:
  --chunks N    visible chunks (1000000), for all parts but growth
  --datasets N  run with so many datasets only (both 1 and 100)
  --rounds N    rounds of what is measured in turn (11)
  --changes N   chunks published and retracted a second beside the readers (10000)
  --plot FILE   where growth puts its plot (benches/catalogue-growth.svg)
  --help        print this";

/// One part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Lookups,
    Crowd,
    Memory,
    Growth,
}

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) parts: Vec<Part>,
    pub(crate) chunks: usize,
    pub(crate) datasets: Vec<usize>,
    pub(crate) rounds: usize,
    pub(crate) changes: u32,
    pub(crate) plot: PathBuf,
}

impl Options {
    /// Reads the command line; `None` if it asks for help.
    pub(crate) fn from_command_line() -> anyhow::Result<Option<Options>> {
        let mut options = Options {
            parts: Vec::new(),
            chunks: 1_000_000,
            datasets: vec![1, 100],
            rounds: 11,
            changes: 10_000,
            plot: "benches/catalogue-growth.svg".into(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().context("a value is missing");
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                // `cargo bench` adds it.
                "--bench" => {}
                "lookups" => options.parts.push(Part::Lookups),
                "crowd" => options.parts.push(Part::Crowd),
                "memory" => options.parts.push(Part::Memory),
                "growth" => options.parts.push(Part::Growth),
                "--chunks" => options.chunks = value()?.parse::<usize>()?.max(1000),
                "--datasets" => options.datasets = vec![value()?.parse::<usize>()?.max(1)],
                "--rounds" => options.rounds = value()?.parse::<usize>()?.max(1),
                "--changes" => options.changes = value()?.parse::<u32>()?.max(1),
                "--plot" => options.plot = value()?.into(),
                _ => bail!("unknown argument {argument}; try --help"),
            }
        }
        if options.parts.is_empty() {
            options.parts = vec![Part::Lookups, Part::Crowd, Part::Memory];
        }
        Ok(Some(options))
    }
}

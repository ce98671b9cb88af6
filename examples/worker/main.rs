//! A worker of a fleet: follows its assignment, and answers queries over what it holds.
//!
//! ```text
//! cargo run --release --features s3 --example worker -- \
//!     --data-dir worker-a --assignment s3://bucket/assignments/a.json --listen 127.0.0.1:8001
//! ```
//!
//! The assignment may also be a `file://`, `http://` or `https://` URL. How a fleet of these is run:
//! `docs/fleet.md`.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `worker.rs` | the worker; the part to copy from |
//! | `query/` | rows out of the Parquet files of the chunks that were found |
//! | `health.rs` | when a worker is healthy |
//! | `signals.rs` | how it is asked to stop |
//! | `http/` | a small HTTP/1.1 server on the crate's executor |
//! | `demo.rs` | what all that does, shown in a second: run it without arguments |
//! | `stderr.rs`, `names.rs` | log records on stderr; how ids and ranges are written |
#![allow(
    clippy::print_stdout,
    reason = "whoever started it wants to know the address"
)]

mod demo;
mod health;
mod http;
mod names;
#[path = "../quickstart/parquet_files.rs"]
#[allow(dead_code, reason = "of it, only what makes files is used")]
mod parquet_files;
mod query;
mod signals;
mod stderr;
mod worker;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use worker::Settings;

/// The longest time that can be given: the clock knows no moment that is much further away.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

const HELP: &str = "\
A worker of a fleet: follows its assignment, and answers queries over what it holds.
Without arguments: shows what it does, and ends.

    --assignment URL     the assignment document: s3://, http://, https:// or file://
    --data-dir DIR       where chunks are kept                          [local_data_dir]
    --listen ADDR        where queries are answered                     [127.0.0.1:0]
    --every SECONDS      how often the assignment is asked for          [10]
    --stale SECONDS      how old the last answer may be in good health  [600]
    --serve-files DIR    lets file:// URLs name files below DIR; may be repeated
    --max-bytes BYTES    what the data directory may take of the disk
    --query-threads N    how many queries are worked on at a time       [one for each CPU]
    --connections N      how many are answered at a time                [256]
    --within SECONDS     how long an answer may take                    [60]
    --grace SECONDS      how long answers may go on after a signal      [20]
    --log LEVEL          off, error, warn, info, debug or trace         [info]

Keys and endpoint of s3:// are taken from the usual environment variables.

    GET /find/DATASET/BLOCK         which chunk holds the block
    GET /cover/DATASET/A..B         which chunks hold these blocks, and what none holds
    GET /query/DATASET/A..B?file=…&columns=a,b&limit=N&block_column=block_number
                                    rows of these blocks, as lines of JSON
    GET /read/DATASET/BLOCK/FILE    a file of that chunk
    GET /chunks                     the ids of all chunks
    GET /status                     the manager's figures
    GET /metrics                    the same for Prometheus
    GET /healthz                    200, or 503 and why

SIGTERM and SIGINT: nobody is let in any more, what is being answered ends, the directory is given back,
and the exit code is 0. A second signal ends it at once.";

fn main() -> anyhow::Result<()> {
    match std::env::args().len() {
        1 => demo::run(),
        _ => start(std::env::args().skip(1)),
    }
}

/// What `main` does, with these arguments.
pub(crate) fn start(args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let Some((settings, level)) = settings(args)? else {
        println!("{HELP}");
        return Ok(());
    };
    stderr::show(level);
    worker::run(&settings, |address| {
        println!("listening on http://{address}");
        // At once, also where it is piped. Nobody may be there to read it.
        let _ = std::io::stdout().flush();
    })
}

fn settings(
    mut args: impl Iterator<Item = String>,
) -> anyhow::Result<Option<(Settings, log::LevelFilter)>> {
    let mut settings = Settings::default();
    let mut level = log::LevelFilter::Info;
    while let Some(arg) = args.next() {
        if arg == "--help" {
            return Ok(None);
        }
        let value = args
            .next()
            .with_context(|| format!("{arg} needs a value"))?;
        let wrong = || format!("{arg} {value:?} cannot be right");
        let seconds = || -> anyhow::Result<Duration> {
            let seconds = value.parse().with_context(wrong)?;
            let time = Duration::try_from_secs_f64(seconds).with_context(wrong)?;
            ensure!(time <= LONGEST, "{}: more than a year", wrong());
            Ok(time)
        };
        match arg.as_str() {
            "--assignment" => settings.assignment = value,
            "--data-dir" => settings.data_dir = value.into(),
            "--listen" => settings.listen = value,
            "--every" => settings.every = seconds()?,
            "--stale" => settings.stale = seconds()?,
            "--serve-files" => settings.serve_files.push(PathBuf::from(value)),
            "--max-bytes" => settings.max_bytes = Some(value.parse().with_context(wrong)?),
            "--query-threads" => settings.query_threads = value.parse().with_context(wrong)?,
            "--connections" => settings.limits.connections = value.parse().with_context(wrong)?,
            "--within" => settings.limits.answer_within = seconds()?,
            "--grace" => settings.limits.grace = seconds()?,
            "--log" => level = value.parse().with_context(wrong)?,
            _ => bail!("unknown argument {arg}; try --help"),
        }
    }
    if settings.assignment.is_empty() {
        bail!("--assignment is missing; try --help");
    }
    Ok(Some((settings, level)))
}

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
//! | `serve.rs` | a small blocking HTTP/1.1 server |
#![allow(
    clippy::print_stdout,
    reason = "whoever started it wants to know the address"
)]

mod serve;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use worker::Settings;

const HELP: &str = "\
A worker of a fleet: follows its assignment, and answers queries over what it holds.

    --assignment URL     the assignment document: s3://, http://, https:// or file://
    --data-dir DIR       where chunks are kept                      [local_data_dir]
    --listen ADDR        where queries are answered                 [127.0.0.1:0]
    --every SECONDS      how often the assignment is asked for      [10]
    --serve-files DIR    lets file:// URLs name files below DIR; may be repeated

Keys and endpoint of s3:// are taken from the usual environment variables.

    GET /find/DATASET/BLOCK         which chunk holds the block
    GET /read/DATASET/BLOCK/FILE    a file of that chunk
    GET /chunks                     the ids of all chunks
    GET /status                     the manager's figures";

fn main() -> anyhow::Result<()> {
    let Some(settings) = settings(std::env::args().skip(1))? else {
        println!("{HELP}");
        return Ok(());
    };
    worker::run(&settings, |address| {
        println!("listening on http://{address}");
    })
}

fn settings(mut args: impl Iterator<Item = String>) -> anyhow::Result<Option<Settings>> {
    let mut settings = Settings::default();
    while let Some(arg) = args.next() {
        if arg == "--help" {
            return Ok(None);
        }
        let value = args
            .next()
            .with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--assignment" => settings.assignment = value,
            "--data-dir" => settings.data_dir = value.into(),
            "--listen" => settings.listen = value,
            "--every" => settings.every = Duration::try_from_secs_f64(value.parse()?)?,
            "--serve-files" => settings.serve_files.push(PathBuf::from(value)),
            _ => bail!("unknown argument {arg}; try --help"),
        }
    }
    if settings.assignment.is_empty() {
        bail!("--assignment is missing; try --help");
    }
    Ok(Some(settings))
}

//! What a worker does, shown in a second: `cargo run --example worker`, without arguments.
//!
//! The origin is a directory with two Parquet files; whoever asks the worker is a thread of this process,
//! and stops it with a signal.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use crossbeam_channel::{Receiver, bounded};
use data_manager::data_chunk::{AssignmentDocument, DataChunk};
use signal_hook::consts::SIGTERM;
use signal_hook::low_level::raise;

use super::names::hex;
use super::parquet_files;
use super::worker::{self, Settings};

const DATASET: [u8; 32] = [0xda; 32];
const FILE: &str = "transactions.parquet";
/// Of the two chunks. Between them there is a gap.
const BLOCKS: [std::ops::Range<u64>; 2] = [0..100, 150..250];
/// Far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a worker, asks it, and stops it.
pub(crate) fn run() -> anyhow::Result<()> {
    let here = tempfile::tempdir()?;
    let origin = here.path().join("origin");
    let assignment = make_origin(&origin)?;
    let settings = Settings {
        data_dir: here.path().join("data"),
        assignment,
        every: Duration::from_millis(100),
        serve_files: vec![origin],
        ..Settings::default()
    };
    let (tell, listening) = bounded(1);
    let client = thread::spawn(move || {
        let asked = ask(&listening);
        // However that went: else it would run on.
        raise(SIGTERM)?;
        asked
    });
    worker::run(&settings, |address| {
        // Whoever listens is there until it has heard it.
        let _ = tell.send(address);
    })?;
    drop(tell);
    let asked = client.join();
    asked.ok().context("the client panicked")??;
    println!("\nSIGTERM: the worker has let its clients go, and given the directory back.");
    println!("It is a server: --help says how it is started as one.");
    Ok(())
}

fn ask(listening: &Receiver<SocketAddr>) -> anyhow::Result<()> {
    let address = listening.recv().context("the worker did not start")?;
    let dataset = hex(&DATASET);
    let deadline = Instant::now() + PATIENCE;
    // Nothing says over HTTP when all has arrived.
    while get(address, "/chunks")?.matches('"').count() < 2 * BLOCKS.len() {
        ensure!(Instant::now() < deadline, "the chunks do not come");
        thread::sleep(Duration::from_millis(10));
    }
    let columns = "columns=block_number,value";
    for path in [
        format!("/find/{dataset}/42"),
        format!("/cover/{dataset}/0..300"),
        format!("/query/{dataset}/98..152?file={FILE}&{columns}"),
        "/healthz".to_owned(),
    ] {
        println!("\nGET {path}\n{}", get(address, &path)?.trim_end());
    }
    let metrics = get(address, "/metrics")?;
    let chunks = metrics
        .lines()
        .filter(|line| line.contains("chunks{state=\"available\"}"));
    println!("\nGET /metrics\n{}", chunks.collect::<String>());
    Ok(())
}

/// As little of a client as will do: HTTP/1.0 has no chunks to be put together.
fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer is cut")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    Ok(body.to_owned())
}

/// Writes the chunks' files and the assignment, and says where that is.
fn make_origin(origin: &Path) -> anyhow::Result<String> {
    fs::create_dir(origin)?;
    let mut chunks = Vec::new();
    for (n, blocks) in (1..).zip(BLOCKS) {
        let file = origin.join(format!("{n}.parquet"));
        let rows = blocks.end - blocks.start;
        fs::write(
            &file,
            parquet_files::make(&blocks, ["value", "gas_used"], rows)?,
        )?;
        chunks.push(DataChunk {
            id: [n; 32],
            dataset_id: DATASET,
            block_range: blocks,
            files: [(FILE.to_owned(), format!("file://{}", file.display()))].into(),
        });
    }
    let document = origin.join("assignment.json");
    fs::write(&document, AssignmentDocument::new(chunks).to_json())?;
    Ok(format!("file://{}", document.display()))
}

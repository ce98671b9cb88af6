//! The worker: a manager that follows an assignment, and a server in front of it.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use data_manager::data_chunk::{ChunkId, DatasetId};
use data_manager::data_manager::{AssignmentFollower, ChunkGuard, DataManagerImpl};
use serde_json::json;

use super::serve::{Answer, serve};

/// How a worker is started.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    /// The URL of the assignment document.
    pub(crate) assignment: String,
    /// Where queries are answered: address and port, 0 for any that is free.
    pub(crate) listen: String,
    /// How often the assignment is asked for.
    pub(crate) every: Duration,
    /// What `file://` URLs may name.
    pub(crate) serve_files: Vec<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data_dir: PathBuf::from("local_data_dir"),
            assignment: String::new(),
            listen: "127.0.0.1:0".to_owned(),
            every: Duration::from_secs(10),
            serve_files: Vec::new(),
        }
    }
}

/// Runs a worker until the process ends. However that happens, also by a kill -9, the next start
/// comes back with every chunk that was whole.
pub(crate) fn run(settings: &Settings, listening: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let mut builder = DataManagerImpl::builder().data_dir(&settings.data_dir);
    for dir in &settings.serve_files {
        builder = builder.serve_files_from(dir);
    }
    let manager = builder.open()?;
    let follower = manager.follow_assignment(&settings.assignment, settings.every)?;
    let listener = TcpListener::bind(&settings.listen)
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    listening(listener.local_addr()?);
    serve(&listener, |path| answer(&manager, &follower, path))
}

fn answer(manager: &DataManagerImpl, follower: &AssignmentFollower, path: &str) -> Answer {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let answer = match parts[..] {
        ["find", dataset, block] => find(manager, dataset, block).map(|chunk| describe(&chunk)),
        ["read", dataset, block, file] => {
            find(manager, dataset, block).and_then(|chunk| read(chunk, file))
        }
        ["chunks"] => {
            let ids = manager.list_chunks();
            let ids: Vec<String> = ids.iter().map(hex).collect();
            Ok(Answer::Json(json!(ids)))
        }
        ["status"] => {
            let (assignment, stats) = (follower.status(), manager.stats());
            Ok(Answer::Json(
                json!({ "assignment": assignment, "stats": stats }),
            ))
        }
        _ => Err(anyhow!("there is nothing under this path")),
    };
    answer.unwrap_or_else(|error| Answer::NotFound(error.to_string()))
}

fn find(manager: &DataManagerImpl, dataset: &str, block: &str) -> anyhow::Result<ChunkGuard> {
    let dataset: DatasetId = unhex(dataset).context("a dataset is 64 hexadecimal digits")?;
    let block = block.parse().context("a block is a number")?;
    let found = manager.find_chunk(dataset, block);
    found.context("no chunk here holds this block")
}

fn describe(chunk: &ChunkGuard) -> Answer {
    let blocks = chunk.block_range();
    Answer::Json(json!({
        "id": hex(chunk.id()),
        "block_range": { "start": blocks.start, "end": blocks.end },
        "files": chunk.files(),
    }))
}

/// The guard goes along with the file: the chunk stays until the last byte is sent.
fn read(chunk: ChunkGuard, name: &str) -> anyhow::Result<Answer> {
    // Only names that the chunk has: the path comes from a stranger.
    let known = chunk.files().iter().any(|file| file.name == name);
    let path = known.then(|| chunk.path().join(name));
    let path = path.context("the chunk has no such file")?;
    let file = File::open(path).context("the file cannot be opened")?;
    Ok(Answer::File(file, chunk))
}

fn hex(id: &ChunkId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.map(byte).collect();
    let bytes = bytes.filter(|_| text.len() == 64)?;
    bytes.try_into().ok()
}

//! `data-manager rm`.

use std::collections::BTreeSet;
use std::time::Duration;

use data_manager::Error;
use data_manager::data_chunk::ChunkId;
use data_manager::data_manager::{ChunkTask, DataManagerImpl};

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::units;
use crate::values::{hex, id};

const EXAMPLES: &str = "\
Examples:
  data-manager rm 0101010101010101010101010101010101010101010101010101010101010101
  data-manager rm --force $(cat ids.txt)

A worker that owns the directory has to be told itself, by its assignment: rm says who owns it.";

/// How often it is looked whether a removal fails.
const LOOK: Duration = Duration::from_millis(100);

/// Remove chunks
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The chunks
    #[arg(required = true, value_name = "ID", value_parser = id)]
    ids: Vec<ChunkId>,
    /// Find nothing wrong with a chunk that is not there
    #[arg(long, short)]
    force: bool,
}

/// A chunk on its way out.
struct Leaving {
    id: ChunkId,
    bytes: u64,
    task: ChunkTask,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    // Opening it would make it.
    if !global.data_dir.is_dir() {
        let message = format!("{} is no directory", global.data_dir.display());
        return Err(Failure::missing(message).advise("Name the right one with --data-dir"));
    }
    let manager = global.builder()?.open()?;
    let (mut leaving, mut missing) = (Vec::new(), Vec::new());
    let ids: BTreeSet<&ChunkId> = args.ids.iter().collect();
    for id in ids {
        match bytes_of(&manager, id) {
            Some(bytes) => leaving.push(Leaving {
                id: *id,
                bytes,
                task: manager.delete_chunk(*id),
            }),
            None => missing.push(*id),
        }
    }
    let mut failed = false;
    for Leaving { id, bytes, task } in leaving {
        match ended(&manager, &id, &task) {
            Ok(()) => removed(&id, bytes, out)?,
            Err(error) => {
                failed = true;
                not_removed(&id, &error, out);
            }
        }
    }
    let missing = if args.force { Vec::new() } else { missing };
    for id in &missing {
        out.complain(format_args!("not there: {}", hex(id)));
    }
    drop(manager);
    Ok(match (failed, missing.is_empty()) {
        (true, _) => Exit::Failed,
        (false, false) => Exit::Missing,
        (false, true) => Exit::Done,
    })
}

/// How the removal ended. The manager tries again for as long as somebody might mend the disk; who calls
/// `rm` is that somebody, and is told at once.
fn ended(manager: &DataManagerImpl, id: &ChunkId, task: &ChunkTask) -> Result<(), Error> {
    loop {
        if let Some(ended) = task.wait_timeout(LOOK) {
            return ended;
        }
        if let Some(error) = manager
            .chunk_status(id)
            .and_then(|status| status.last_error)
        {
            return Err(error);
        }
    }
}

/// The bytes of a chunk, if it is there in any way.
fn bytes_of(manager: &DataManagerImpl, id: &ChunkId) -> Option<u64> {
    match manager.get_chunk(id) {
        Some(guard) => Some(guard.files().iter().map(|file| file.len_bytes).sum()),
        None => manager.chunk_status(id).map(|status| status.done_bytes),
    }
}

fn removed(id: &ChunkId, bytes: u64, out: &mut Output) -> Result<(), Failure> {
    let chunk_id = hex(id);
    if out.is_json() {
        return out.object(&serde_json::json!({
            "event": "removed", "chunk_id": chunk_id, "bytes": bytes
        }));
    }
    match out.is_quiet() {
        true => Ok(()),
        false => out.line(format_args!("removed {chunk_id}, {}", units::size(bytes))),
    }
}

fn not_removed(id: &ChunkId, error: &Error, out: &Output) {
    let failure = Failure::from(error.clone());
    out.complain(format_args!("not removed: {}: {failure}", hex(id)));
}

//! `data-manager get`.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use data_manager::data_chunk::{ChunkId, DataChunk};
use data_manager::data_manager::{ChunkTask, DataManagerImpl};

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::outcome::conclude;
use crate::output::Output;
use crate::place::Place;
use crate::report::Report;
use crate::settings::{Settings, unreadable};
use crate::values::{hex, id};
use crate::whole::make_whole;
use crate::work::{Patience, Work};

const EXAMPLES: &str = "\
Examples:
  data-manager get chunk.json
  jq '.chunks[0]' assignment.json | data-manager get -
  data-manager get --assignment assignment.json 0101010101010101010101010101010101010101010101010101010101010101

A chunk is described as in an assignment; a file may hold several descriptions, one after the other:
  {\"id\": \"<64 hex digits>\", \"dataset_id\": \"<64 hex digits>\", \"block_range\": {\"start\": 0, \"end\": 35},
   \"files\": {\"blocks.parquet\": \"https://example.com/blocks.parquet\"}}";

/// Fetch chunks, and leave the others as they are
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Descriptions of chunks: files, or - for the standard input; with --assignment: ids
    #[arg(required = true, value_name = "FILE|ID")]
    chunks: Vec<String>,
    /// Where the ids are looked up: a file, - for the standard input, or a URL
    #[arg(long, value_name = "FILE|URL")]
    assignment: Option<Place>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    settings: Settings,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    // What cannot be read is known before anything is touched.
    let wanted = match &args.assignment {
        None => Wanted::These(described(&args.chunks)?),
        Some(place) => {
            let ids = ids(&args.chunks)?;
            match place.read_local()? {
                Some(chunks) => Wanted::These(named(&ids, chunks)?),
                None => Wanted::Of(place.clone(), ids),
            }
        }
    };
    let mut work = Work::begin(args.settings.builder(global)?)?;
    let asked = std::sync::Arc::new(std::sync::OnceLock::new());
    let to_tell = asked.clone();
    work.job(move |manager| {
        let chunks = wanted.find(manager)?;
        let asked_for = chunks.iter().cloned();
        let tasks: Vec<ChunkTask> = asked_for
            .map(|chunk| manager.download_chunk(chunk))
            .collect();
        // Nobody else sets it.
        let _ = to_tell.set(chunks);
        let ended = tasks.into_iter().filter_map(|task| task.wait().err());
        let mut errors: Vec<_> = ended.collect();
        errors.extend(make_whole(
            manager,
            to_tell.get().map_or(&[], Vec::as_slice),
        ));
        Ok(errors)
    })?;
    let mut report = Report::new(out);
    let ended = work.watch(&mut report, &args.patience);
    conclude(work, ended, asked.get().map(Vec::as_slice), report)
}

/// What to fetch.
enum Wanted {
    These(Vec<DataChunk>),
    /// Of an assignment that it takes a manager to read.
    Of(Place, Vec<ChunkId>),
}

impl Wanted {
    fn find(self, manager: &DataManagerImpl) -> Result<Vec<DataChunk>, Failure> {
        match self {
            Wanted::These(chunks) => Ok(chunks),
            Wanted::Of(place, ids) => named(&ids, place.read(manager)?),
        }
    }
}

fn described(files: &[String]) -> Result<Vec<DataChunk>, Failure> {
    let mut chunks = Vec::new();
    for name in files {
        let reader: Box<dyn Read> = match name.as_str() {
            "-" => Box::new(io::stdin().lock()),
            file => {
                let opened = File::open(file);
                let failed = |error| {
                    let failure = unreadable(Path::new(file), &error);
                    let hint = "Correct the path; ids are looked up in an --assignment";
                    if id(file).is_ok() {
                        failure.advise(hint)
                    } else {
                        failure
                    }
                };
                Box::new(opened.map_err(failed)?)
            }
        };
        let read = serde_json::Deserializer::from_reader(BufReader::new(reader));
        for chunk in read.into_iter::<DataChunk>() {
            chunks.push(chunk.map_err(|error| no_description(name, &error))?);
        }
    }
    match chunks.is_empty() {
        true => Err(Failure::usage("there is no description of a chunk")),
        false => Ok(chunks),
    }
}

/// Where it is wrong; what `serde` says of a value repeats it, and that may be a URL with a secret.
fn no_description(file: &str, error: &serde_json::Error) -> Failure {
    let (line, column) = (error.line(), error.column());
    let message = format!("{file}: not a description of a chunk (line {line} column {column})");
    Failure::usage(message).advise("Compare it with the one in data-manager get --help")
}

fn ids(texts: &[String]) -> Result<Vec<ChunkId>, Failure> {
    let read = |text: &String| id(text).map_err(|why| Failure::usage(format!("{text:?}: {why}")));
    texts.iter().map(read).collect()
}

/// The chunks of the assignment that have these ids.
fn named(ids: &[ChunkId], mut chunks: Vec<DataChunk>) -> Result<Vec<DataChunk>, Failure> {
    for id in ids {
        if !chunks.iter().any(|chunk| chunk.id == *id) {
            let message = format!("the assignment has no chunk {}", hex(id));
            return Err(
                Failure::missing(message).advise("Correct the id, or name the right assignment")
            );
        }
    }
    chunks.retain(|chunk| ids.contains(&chunk.id));
    Ok(chunks)
}

//! `data-manager ls`.

use std::ops::Range;
use std::path::Path;

use data_manager::ErrorKind;
use data_manager::data_chunk::{ChunkId, DatasetId};
use data_manager::data_manager::view::{DirectoryView, LeftOverKind, ViewedChunk, ViewedFile};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::viewing::{self, Digits, IdPrefix};
use crate::{units, values};

const EXAMPLES: &str = "\
Examples:
  data-manager ls
  data-manager ls --dataset 3f9a --range 0..1000000 --files
  data-manager ls --state partial --state quarantined
  data-manager --json ls --state all | jq -r 'select(.len_bytes > 1e9) | .id'";

/// List the chunks, by dataset and block
///
/// Ids are shown with so many digits as tell them apart. Works on a directory that a worker owns.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only of this dataset: its id, or the first digits
    #[arg(long, value_name = "DATASET", value_parser = viewing::id_prefix)]
    dataset: Option<IdPrefix>,
    /// Only what holds a block of A..B (B is not in it)
    #[arg(long, value_name = "A..B", value_parser = values::blocks)]
    range: Option<Range<u64>>,
    /// Only what is in this state; may be given again
    #[arg(long, value_name = "STATE", default_value = "available")]
    state: Vec<State>,
    /// Show ids with all their digits, and paths
    #[arg(long, short)]
    long: bool,
    /// Show the files of each chunk, with sizes and digests
    #[arg(long)]
    files: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Whole, and visible to the owner's queries
    Available,
    /// Not synced before the machine was started anew: read before it is shown
    Unverified,
    /// Deleted or replaced, and waiting for its last reference
    Leaving,
    /// What a download has brought so far
    Partial,
    /// About to be removed
    Trash,
    /// Did not add up
    Quarantined,
    /// Everything
    All,
}

/// What is listed.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(serialize_with = "optional_hex")]
    id: Option<ChunkId>,
    #[serde(serialize_with = "optional_hex")]
    dataset_id: Option<DatasetId>,
    block_range: Option<Range<u64>>,
    len_bytes: u64,
    state: State,
    #[serde(serialize_with = "shown_path")]
    path: std::borrow::Cow<'a, Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<ViewedFile>>,
}

fn shown_path<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

// The signature is serde's.
#[allow(clippy::ref_option)]
fn optional_hex<S: serde::Serializer>(id: &Option<[u8; 32]>, to: S) -> Result<S::Ok, S::Error> {
    id.as_ref().map(values::hex).serialize(to)
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    let view = viewing::open(global)?;
    let mut rows = chunks(args, &view);
    rows.extend(left_overs(args, &view)?);
    if args.files {
        rows.retain_mut(|(row, chunk)| chunk.is_none_or(|chunk| add_files(&view, row, chunk, out)));
    }
    let rows: Vec<Row<'_>> = rows.into_iter().map(|(row, _)| row).collect();
    if out.is_json() {
        rows.iter().try_for_each(|row| out.object(row))?;
        return Ok(Exit::Done);
    }
    if !rows.is_empty() {
        show(args, &view, &rows, out)?;
    }
    out.flush()?;
    let bytes = rows.iter().map(|row| row.len_bytes);
    let bytes = units::size(bytes.fold(0, u64::saturating_add));
    out.say(format_args!(
        "{}, {bytes}",
        units::count(rows.len(), "chunk")
    ));
    Ok(Exit::Done)
}

impl Args {
    fn wants(&self, state: State) -> bool {
        self.state
            .iter()
            .any(|wanted| [state, State::All].contains(wanted))
    }

    fn lets_pass(&self, dataset_id: Option<&DatasetId>, blocks: Option<&Range<u64>>) -> bool {
        let of_dataset = (self.dataset.as_ref())
            .is_none_or(|wanted| dataset_id.is_some_and(|id| wanted.begins(id)));
        let overlaps = |wanted: &Range<u64>| {
            blocks.is_some_and(|blocks| blocks.start < wanted.end && wanted.start < blocks.end)
        };
        of_dataset && self.range.as_ref().is_none_or(overlaps)
    }
}

/// What is listed of the chunks in their places.
fn chunks<'a>(args: &Args, view: &'a DirectoryView) -> Vec<(Row<'a>, Option<&'a ViewedChunk>)> {
    let mut rows = Vec::new();
    for (state, chunks) in [
        (State::Available, view.chunks()),
        (State::Unverified, view.unverified()),
        (State::Leaving, view.leaving()),
    ] {
        if !args.wants(state) {
            continue;
        }
        let passes = |chunk: &&ViewedChunk| {
            args.lets_pass(Some(chunk.dataset_id()), Some(&chunk.block_range()))
        };
        let mut chunks: Vec<&ViewedChunk> = chunks.iter().filter(passes).collect();
        viewing::sort(&mut chunks);
        rows.extend(chunks.into_iter().map(|chunk| {
            let row = Row {
                id: Some(*chunk.id()),
                dataset_id: Some(*chunk.dataset_id()),
                block_range: Some(chunk.block_range()),
                len_bytes: chunk.len_bytes(),
                state,
                path: chunk.path().into(),
                files: None,
            };
            (row, Some(chunk))
        }));
    }
    rows
}

/// What is listed of the rest. Of which dataset that is its name does not say.
fn left_overs<'a>(
    args: &Args,
    view: &'a DirectoryView,
) -> Result<Vec<(Row<'a>, Option<&'a ViewedChunk>)>, Failure> {
    let others = [State::Partial, State::Trash, State::Quarantined];
    if !others.iter().any(|state| args.wants(*state)) {
        return Ok(Vec::new());
    }
    let left = view.left_over().map_err(viewing::of_directory)?;
    let rows = left.into_iter().filter_map(|left| {
        let state = match left.kind {
            LeftOverKind::Partial => State::Partial,
            LeftOverKind::Trash => State::Trash,
            LeftOverKind::Quarantined => State::Quarantined,
            // It was listed with the chunks.
            _ => return None,
        };
        let passes = args.wants(state) && args.lets_pass(None, left.block_range.as_ref());
        let row = Row {
            id: left.chunk_id,
            dataset_id: None,
            block_range: left.block_range,
            len_bytes: left.len_bytes,
            state,
            path: left.path.into(),
            files: None,
        };
        passes.then_some((row, None))
    });
    Ok(rows.collect())
}

/// False if the chunk is gone by now.
fn add_files(view: &DirectoryView, row: &mut Row<'_>, chunk: &ViewedChunk, out: &Output) -> bool {
    match view.files(chunk) {
        Ok(files) => row.files = Some(files),
        Err(error) if error.kind() == ErrorKind::NotFound => return false,
        Err(error) => out.complain(format_args!("data-manager: {error}")),
    }
    true
}

fn show(
    args: &Args,
    view: &DirectoryView,
    rows: &[Row<'_>],
    out: &mut Output,
) -> Result<(), Failure> {
    let (of_chunk, of_dataset) = match args.long {
        true => (Digits::ALL, Digits::ALL),
        false => {
            let ids = view.chunks().iter().map(ViewedChunk::id);
            let ids = ids.chain(rows.iter().filter_map(|row| row.id.as_ref()));
            let datasets = rows.iter().filter_map(|row| row.dataset_id.as_ref());
            (
                Digits::that_tell_apart(ids),
                Digits::that_tell_apart(datasets),
            )
        }
    };
    let none = || "-".to_owned();
    let mut table = Vec::with_capacity(rows.len());
    for row in rows {
        let state = serde_json::to_value(row.state).unwrap_or_default();
        let mut cells = vec![
            row.dataset_id.map_or_else(none, |id| of_dataset.of(&id)),
            row.block_range.as_ref().map_or_else(none, viewing::range),
            row.id.map_or_else(none, |id| of_chunk.of(&id)),
            units::size(row.len_bytes),
            state.as_str().unwrap_or_default().to_owned(),
        ];
        if args.long {
            cells.push(row.path.display().to_string());
        }
        table.push(cells);
        let files = row.files.iter().flatten();
        table.extend(files.map(|file| {
            let digest = file
                .sha256
                .as_ref()
                .map(|digest| format!("sha256={digest}"));
            let digest = digest.unwrap_or_else(|| format!("xxh3={}", file.xxh3));
            let name = format!("  {}", file.name);
            vec![
                name,
                String::new(),
                String::new(),
                units::size(file.len_bytes),
                digest,
            ]
        }));
    }
    let head = ["DATASET", "BLOCKS", "CHUNK", "SIZE", "STATE", "PATH"];
    let head = &head[..if args.long { 6 } else { 5 }];
    out.table(head, &table, &[1, 3])
}

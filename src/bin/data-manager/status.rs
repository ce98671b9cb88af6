//! `data-manager status`.

use data_manager::data_manager::view::{
    DirectoryView, LeftOver, LeftOverKind, ViewedChunk, ViewedSpace,
};

use crate::args::Global;
use crate::exit::{Exit, Failure, one_line};
use crate::output::Output;
use crate::units;
use crate::viewing::{self, Digits};

const EXAMPLES: &str = "\
Examples:
  data-manager status
  data-manager --json status | jq .holder.pid";

/// Say who owns the directory, what is in it, and how much
///
/// Works on a directory that a worker owns.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    let view = viewing::open(global)?;
    let space = view.space().map_err(viewing::of_directory)?;
    let left = view.left_over().map_err(viewing::of_directory)?;
    match out.is_json() {
        true => out.object(&in_json(&view, &space, &left))?,
        false => show(&view, &space, &left, out)?,
    }
    Ok(Exit::Done)
}

fn count(left: &[LeftOver], kind: LeftOverKind) -> usize {
    left.iter().filter(|left| left.kind == kind).count()
}

fn in_json(view: &DirectoryView, space: &ViewedSpace, left: &[LeftOver]) -> serde_json::Value {
    serde_json::json!({
        "data_dir": view.path().to_string_lossy(),
        "holder": view.holder(),
        "chunks": view.chunks().len(),
        "unverified": view.unverified().len(),
        "leaving": view.leaving().len(),
        "partials": count(left, LeftOverKind::Partial),
        "trash": count(left, LeftOverKind::Trash),
        "quarantined": count(left, LeftOverKind::Quarantined),
        "space": space,
        "datasets": view.datasets(),
        "strangers": view.strangers(),
    })
}

fn show(
    view: &DirectoryView,
    space: &ViewedSpace,
    left: &[LeftOver],
    out: &mut Output,
) -> Result<(), Failure> {
    out.line(format_args!("directory    {}", view.path().display()))?;
    out.line(format_args!("held by      {}", view.holder()))?;
    let datasets = view.datasets();
    let chunks = units::count(view.chunks().len(), "chunk");
    let size = units::size(space.chunks_bytes);
    let of = units::count(datasets.len(), "dataset");
    out.line(format_args!("available    {chunks} of {of}, {size}"))?;
    for (name, count, bytes) in [
        (
            "unverified ",
            view.unverified().len(),
            space.unverified_bytes,
        ),
        ("leaving    ", view.leaving().len(), space.leaving_bytes),
        (
            "partial    ",
            count(left, LeftOverKind::Partial),
            space.staged_bytes,
        ),
        (
            "trash      ",
            count(left, LeftOverKind::Trash),
            space.trash_bytes,
        ),
        (
            "quarantined",
            count(left, LeftOverKind::Quarantined),
            space.quarantine_bytes,
        ),
    ] {
        if count > 0 || bytes > 0 {
            let chunks = units::count(count, "chunk");
            out.line(format_args!("{name}  {chunks}, {}", units::size(bytes)))?;
        }
    }
    if let Some((free, capacity)) = space.free_bytes.zip(space.capacity_bytes) {
        let (free, capacity) = (units::size(free), units::size(capacity));
        out.line(format_args!("disk         {free} free of {capacity}"))?;
    }
    for stranger in view.strangers() {
        let path = one_line(&stranger.path.to_string_lossy());
        match stranger.error {
            None => out.line(format_args!("not ours     {path}"))?,
            Some(error) => out.line(format_args!("unreadable   {path}: {error}"))?,
        }
    }
    if datasets.is_empty() {
        return Ok(());
    }
    out.line(format_args!(""))?;
    show_datasets(view, out)
}

fn show_datasets(view: &DirectoryView, out: &mut Output) -> Result<(), Failure> {
    let datasets = view.datasets();
    let digits = Digits::that_tell_apart(view.chunks().iter().map(ViewedChunk::dataset_id));
    let rows: Vec<Vec<String>> = datasets
        .iter()
        .map(|dataset| {
            vec![
                digits.of(&dataset.dataset_id),
                viewing::range(&dataset.block_range),
                dataset.chunks.to_string(),
                units::size(dataset.len_bytes),
            ]
        })
        .collect();
    out.table(&["DATASET", "BLOCKS", "CHUNKS", "SIZE"], &rows, &[1, 2, 3])
}

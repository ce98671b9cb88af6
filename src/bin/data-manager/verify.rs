//! `data-manager verify`.

use std::time::{Duration, Instant};

use data_manager::data_manager::view::{DirectoryView, ViewedChunk};
use data_manager::{Error, ErrorKind};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failure, one_line};
use crate::output::Output;
use crate::viewing::{self, IdPrefix};
use crate::{units, values};

const EXAMPLES: &str = "\
Examples:
  data-manager verify
  data-manager verify 9c41 e07b
  data-manager verify --dataset 3f9a || echo \"something is damaged\"";

/// Read chunks again and hold every byte against what was committed
///
/// Prints what is not as it should be, with -v also what is. Changes nothing: a worker that owns the
/// directory finds the same in its own checks. Ends in 5 if anything is damaged.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The chunks: ids, or their first digits [default: all]
    #[arg(value_name = "ID", value_parser = viewing::id_prefix)]
    ids: Vec<IdPrefix>,
    /// Only of this dataset: its id, or the first digits
    #[arg(long, value_name = "DATASET", value_parser = viewing::id_prefix)]
    dataset: Option<IdPrefix>,
}

/// What the reading of a chunk said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Whole,
    Damaged,
    /// Its owner removed it meanwhile.
    Gone,
    /// The disk did not let it be read, which says nothing about it.
    Unreadable,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    let view = viewing::open(global)?;
    let chunks = chosen(args, &view)?;
    let bytes = chunks.iter().map(|chunk| chunk.len_bytes());
    let bar = bar(bytes.fold(0, u64::saturating_add), out);
    let began = Instant::now();
    let (mut counts, mut read) = ([0; 4], 0);
    for chunk in &chunks {
        let ended = view.verify(chunk, |bytes| {
            read += bytes;
            bar.inc(bytes);
        });
        let outcome = outcome_of(&ended);
        counts[outcome as usize] += 1;
        // The bar is drawn anew each time.
        if is_told(outcome, out) {
            bar.suspend(|| {
                report(chunk, outcome, ended.err(), out)?;
                out.flush()
            })?;
        }
    }
    bar.finish_and_clear();
    let [whole, damaged, gone, unreadable] = counts;
    let took = units::duration(began.elapsed().max(Duration::from_millis(1)));
    out.say(format_args!(
        "{} verified ({} in {took}): {whole} whole, {damaged} damaged, {unreadable} unreadable, {gone} removed meanwhile",
        units::count(chunks.len(), "chunk"),
        units::size(read),
    ));
    if damaged > 0 {
        out.complain(format_args!(
            "Fetch what is damaged again: rm with the id, and then sync. A worker does so itself when it verifies"
        ));
    }
    Ok(match counts {
        [_, 0, 0, 0] => Exit::Done,
        // Of what was not named, what is gone is none of our business.
        [_, 0, _, 0] if args.ids.is_empty() => Exit::Done,
        [_, 0, _, 0] => Exit::Missing,
        [_, 0, _, _] => Exit::Failed,
        _ => Exit::Damaged,
    })
}

fn chosen<'a>(args: &Args, view: &'a DirectoryView) -> Result<Vec<&'a ViewedChunk>, Failure> {
    let mut chunks: Vec<&ViewedChunk> = view.chunks().iter().chain(view.unverified()).collect();
    if let Some(dataset) = &args.dataset {
        let of = chunks.iter().map(|chunk| chunk.dataset_id());
        let id = dataset.only_one("dataset", of)?;
        chunks.retain(|chunk| *chunk.dataset_id() == id);
    }
    if !args.ids.is_empty() {
        let ids = args.ids.iter();
        let ids = ids.map(|id| id.only_one("chunk", chunks.iter().map(|chunk| chunk.id())));
        let ids: Vec<_> = ids.collect::<Result<_, _>>()?;
        chunks.retain(|chunk| ids.contains(chunk.id()));
    }
    viewing::sort(&mut chunks);
    Ok(chunks)
}

fn bar(bytes: u64, out: &Output) -> ProgressBar {
    let target = match out.draws() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    let style =
        "{wide_bar} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn outcome_of(ended: &Result<(), Error>) -> Outcome {
    match ended.as_ref().map_err(Error::kind) {
        Ok(()) => Outcome::Whole,
        Err(ErrorKind::Damaged) => Outcome::Damaged,
        Err(ErrorKind::NotFound) => Outcome::Gone,
        Err(_) => Outcome::Unreadable,
    }
}

/// Whether a line is written about it.
fn is_told(outcome: Outcome, out: &Output) -> bool {
    let is_usual = matches!(outcome, Outcome::Whole | Outcome::Gone);
    !is_usual || out.is_json() || out.verbosity() > 0
}

fn report(
    chunk: &ViewedChunk,
    outcome: Outcome,
    error: Option<Error>,
    out: &mut Output,
) -> Result<(), Failure> {
    if out.is_json() {
        return out.object(&serde_json::json!({
            "id": values::hex(chunk.id()),
            "outcome": outcome,
            "len_bytes": chunk.len_bytes(),
            "path": chunk.path().to_string_lossy(),
            "error": error,
        }));
    }
    let name = match outcome {
        Outcome::Whole => "whole",
        Outcome::Gone => "gone",
        Outcome::Damaged => "damaged",
        Outcome::Unreadable => "unreadable",
    };
    let id = values::hex(chunk.id());
    match error {
        Some(error) => out.line(format_args!(
            "{name} {id}: {}",
            one_line(&error.to_string())
        )),
        None => out.line(format_args!("{name} {id}")),
    }
}

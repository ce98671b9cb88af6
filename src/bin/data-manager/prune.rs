//! `data-manager prune`.

use std::time::Duration;

use data_manager::Error;
use data_manager::data_manager::view::{self, DirectoryView, LeftOver, PruneOptions};

use crate::args::Global;
use crate::exit::{Exit, Failure, one_line};
use crate::output::Output;
use crate::viewing::{self, Digits};
use crate::{units, values};

const EXAMPLES: &str = "\
Examples:
  data-manager prune --dry-run
  data-manager prune --only partials --older-than 12h
  data-manager prune --only deleted --only partials";

/// Remove what is kept beside the chunks: trash, quarantine, old partial downloads
///
/// Owns the directory meanwhile; with --dry-run it only looks, also while a worker owns it. What is not
/// the library's stays, and is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Say what would be removed, and remove nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Partial downloads in which nothing was written for so long
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = values::duration)]
    older_than: Duration,
    /// Only this; may be given again [default: all]
    #[arg(long, value_name = "WHAT")]
    only: Vec<What>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// The trash, and what was deleted while somebody referred to it
    Deleted,
    /// What did not add up
    Quarantine,
    /// What is left of downloads that broke off
    Partials,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    let wants = |what| args.only.is_empty() || args.only.contains(&what);
    let mut options = PruneOptions::default();
    options.deleted = wants(What::Deleted);
    options.quarantine = wants(What::Quarantine);
    options.partials_min_age = wants(What::Partials).then_some(args.older_than);
    if args.dry_run {
        let view = viewing::open(global)?;
        return look(&view, &options, out);
    }
    let pruned = view::prune(&global.data_dir, &options).map_err(viewing::of_directory)?;
    let rows: Vec<Row<'_>> = (pruned.removed.iter().map(|left| Row::new(left, "removed")))
        .chain(pruned.kept.iter().map(|kept| Row {
            error: Some(&kept.error),
            ..Row::new(&kept.left_over, "kept")
        }))
        .collect();
    show(&rows, out)?;
    say_sum(&pruned.removed, "removed", out);
    for kept in &pruned.kept {
        let (path, error) = (
            kept.left_over.path.display().to_string(),
            kept.error.to_string(),
        );
        out.complain(format_args!(
            "kept {}: {}",
            one_line(&path),
            one_line(&error)
        ));
    }
    Ok(match pruned.kept.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

fn look(view: &DirectoryView, options: &PruneOptions, out: &mut Output) -> Result<Exit, Failure> {
    let prunable = view.prunable(options).map_err(viewing::of_directory)?;
    let rows: Vec<Row<'_>> = (prunable.iter())
        .map(|left| Row::new(left, "would_remove"))
        .collect();
    show(&rows, out)?;
    say_sum(&prunable, "to be removed", out);
    Ok(Exit::Done)
}

#[derive(serde::Serialize)]
struct Row<'a> {
    action: &'static str,
    #[serde(flatten)]
    left_over: &'a LeftOver,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Error>,
}

impl<'a> Row<'a> {
    fn new(left_over: &'a LeftOver, action: &'static str) -> Self {
        Row {
            action,
            left_over,
            error: None,
        }
    }
}

fn show(rows: &[Row<'_>], out: &mut Output) -> Result<(), Failure> {
    if out.is_json() {
        return rows.iter().try_for_each(|row| out.object(row));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let ids = rows
        .iter()
        .filter_map(|row| row.left_over.chunk_id.as_ref());
    let digits = Digits::that_tell_apart(ids);
    let none = || "-".to_owned();
    let cells = |row: &Row<'_>| {
        let left = row.left_over;
        let kind = serde_json::to_value(left.kind).unwrap_or_default();
        let age = left.age_ms.map(Duration::from_millis);
        vec![
            kind.as_str().unwrap_or_default().to_owned(),
            left.chunk_id.map_or_else(none, |id| digits.of(&id)),
            units::size(left.len_bytes),
            age.map_or_else(none, units::duration),
            one_line(&left.path.to_string_lossy()),
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    out.table(&["WHAT", "CHUNK", "SIZE", "AGE", "PATH"], &rows, &[2, 3])?;
    out.flush()
}

fn say_sum(left: &[LeftOver], what: &str, out: &Output) {
    let bytes = left.iter().map(|left| left.len_bytes);
    let bytes = units::size(bytes.fold(0, u64::saturating_add));
    out.say(format_args!("{} {what}, {bytes}", left.len()));
}

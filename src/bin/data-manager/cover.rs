//! `data-manager cover`.

use std::ops::Range;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::viewing::{self, IdPrefix};
use crate::{units, values};

const EXAMPLES: &str = "\
Examples:
  data-manager cover 3f9a
  data-manager cover 3f9a 0..1000000
  data-manager cover 3f9a 0..1000000 | awk '$2 == \"missing\"'
  data-manager cover -q 3f9a 0..1000000 >/dev/null || echo gaps";

/// How many characters a bar has.
const CELLS: u64 = 64;

/// Show which blocks of a range are there, and which are missing
///
/// On a terminal a bar is drawn, and gaps are listed; elsewhere each line is a range and whether it is
/// there. Ends in 4 if anything is missing. Works on a directory that a worker owns.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The dataset's id, or its first digits
    #[arg(value_parser = viewing::id_prefix)]
    dataset: IdPrefix,
    /// The blocks A..B (B is not in it) [default: from the first to the last that is there]
    #[arg(value_name = "A..B", value_parser = values::blocks)]
    range: Option<Range<u64>>,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    let view = viewing::open(global)?;
    let dataset = viewing::dataset(&view, &args.dataset)?;
    let known = view.datasets();
    let known = known.into_iter().find(|known| known.dataset_id == dataset);
    let blocks = args.range.clone().or(known.map(|known| known.block_range));
    let blocks = blocks.unwrap_or_default();
    let cover = view.cover(&dataset, blocks.clone());
    let missing = &cover.missing;
    let missing_blocks: u64 = missing.iter().map(|gap| gap.end - gap.start).sum();
    if out.is_json() {
        out.object(&serde_json::json!({
            "dataset_id": values::hex(&dataset),
            "block_range": blocks,
            "missing": missing,
            "missing_blocks": missing_blocks,
            "chunks": cover.chunks,
        }))?;
    } else if out.is_terminal() {
        draw(&blocks, missing, out)?;
    } else {
        for (range, there) in segments(&blocks, missing) {
            let state = if there { "present" } else { "missing" };
            out.line(format_args!("{}\t{state}", viewing::range(&range)))?;
        }
    }
    out.flush()?;
    let of = blocks.end.saturating_sub(blocks.start);
    out.say(format_args!(
        "{} of {of} blocks in {}, {}",
        of.saturating_sub(missing_blocks),
        units::count(cover.chunks.len(), "chunk"),
        units::count(missing.len(), "gap"),
    ));
    Ok(match missing.is_empty() {
        true => Exit::Done,
        false => Exit::Missing,
    })
}

fn draw(blocks: &Range<u64>, missing: &[Range<u64>], out: &mut Output) -> Result<(), Failure> {
    out.line(format_args!("│{}│", bar(blocks, missing, CELLS)))?;
    let (start, end) = (blocks.start.to_string(), blocks.end.to_string());
    let between = (CELLS as usize + 2)
        .saturating_sub(start.len())
        .max(end.len() + 1);
    out.line(format_args!("{start}{end:>between$}"))?;
    for gap in missing {
        let len = gap.end - gap.start;
        out.line(format_args!("missing {} ({len})", viewing::range(gap)))?;
    }
    Ok(())
}

/// What is there and what is not, in turn.
fn segments(blocks: &Range<u64>, missing: &[Range<u64>]) -> Vec<(Range<u64>, bool)> {
    let mut segments = Vec::with_capacity(missing.len() * 2 + 1);
    let mut from = blocks.start;
    for gap in missing {
        segments.push((from..gap.start, true));
        segments.push((gap.clone(), false));
        from = gap.end;
    }
    segments.push((from..blocks.end, true));
    segments.retain(|(range, _)| !range.is_empty());
    segments
}

/// So many characters for the blocks: full if all of its blocks are there, empty if none is, and
/// between that as dense as they are. Gaps are in order.
fn bar(blocks: &Range<u64>, missing: &[Range<u64>], cells: u64) -> String {
    let len = u128::from(blocks.end - blocks.start);
    let cells = u128::from(cells);
    let border = |cell: u128| u128::from(blocks.start) * cells + cell * len;
    let mut gaps = missing.iter().peekable();
    let cell = |cell: u128| {
        // In parts of a block, so that cells need not be whole blocks.
        let (from, to) = (border(cell), border(cell + 1));
        let mut lost = 0;
        while let Some(gap) = gaps.peek() {
            let (start, end) = (u128::from(gap.start) * cells, u128::from(gap.end) * cells);
            lost += end.min(to).saturating_sub(start.max(from));
            if end > to {
                break;
            }
            gaps.next();
        }
        match (len - lost) * 3 / len {
            _ if lost == 0 => '█',
            _ if lost == len => ' ',
            0 => '░',
            1 => '▒',
            _ => '▓',
        }
    };
    (0..cells).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_where_nothing_is_missing() {
        assert_eq!(bar(&(0..100), &[], 10), "██████████");
        assert_eq!(
            bar(&(0..100), std::slice::from_ref(&(0..100)), 10),
            " ".repeat(10)
        );
        assert_eq!(bar(&(0..100), &[20..30, 45..46, 90..99], 10), "██ █▓████░");
        assert_eq!(
            bar(&(0..100), std::slice::from_ref(&(15..35)), 10),
            "█▒ ▒██████"
        );
        // Fewer blocks than characters, and the largest numbers.
        assert_eq!(bar(&(7..9), std::slice::from_ref(&(8..9)), 4), "██  ");
        let all = 0..u64::MAX;
        assert_eq!(bar(&all, std::slice::from_ref(&(0..1)), 4), "▓███");
    }

    #[test]
    fn segments_are_in_turn() {
        let segments = segments(&(0..40), &[0..10, 20..30]);
        let wanted = [
            (0..10, false),
            (10..20, true),
            (20..30, false),
            (30..40, true),
        ];
        assert_eq!(segments, wanted);
    }
}

//! Progress as a person at a terminal sees it: a bar for each transfer, and one for all.

use std::collections::BTreeMap;
use std::time::Instant;

use data_manager::data_chunk::ChunkId;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::tally::{Sum, Transfer};
use crate::units;
use crate::values::hex;

/// More would not be looked at, and a terminal has so many lines.
const MOST: usize = 16;

/// What a chunk counts in the bar for all.
const PARTS: u64 = 1000;

/// How many digits of an id are shown.
const DIGITS: usize = 12;

/// The bars. Dropping it clears them away.
pub(crate) struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    transfers: BTreeMap<ChunkId, ProgressBar>,
}

impl Bars {
    /// On the standard error.
    pub(crate) fn new() -> Bars {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let total = all.add(ProgressBar::new(0));
        total.set_style(style("{msg} [{wide_bar}] {prefix}"));
        total.set_message("total       ");
        Bars {
            all,
            total,
            transfers: BTreeMap::new(),
        }
    }

    /// A line that stays, above the bars.
    pub(crate) fn say(&self, line: &str) {
        // A terminal that cannot be written to is nobody's.
        let _ = self.all.println(line);
    }

    pub(crate) fn draw(&mut self, sum: &Sum, in_flight: &BTreeMap<ChunkId, Transfer>) {
        let all = &self.all;
        self.transfers.retain(|id, bar| {
            let goes_on = in_flight.contains_key(id);
            if !goes_on {
                bar.finish_and_clear();
                all.remove(bar);
            }
            goes_on
        });
        for (id, transfer) in in_flight {
            if self.transfers.len() >= MOST && !self.transfers.contains_key(id) {
                continue;
            }
            let bar = self.transfers.entry(*id).or_insert_with(|| {
                let bar = all.insert_before(&self.total, ProgressBar::new(0));
                bar.set_style(style("{msg} [{wide_bar}] {prefix} {decimal_bytes_per_sec}"));
                bar.set_message(hex(id)[..DIGITS].to_owned());
                bar
            });
            let done = units::size(transfer.done_bytes);
            bar.set_prefix(match transfer.total_bytes {
                Some(total) => format!("{done} of {}", units::size(total)),
                None => done,
            });
            // Where the end is not known, the bar stays at its beginning.
            bar.set_length(transfer.total_bytes.unwrap_or(u64::MAX).max(1));
            bar.set_position(transfer.done_bytes);
        }
        // In parts of a chunk: chunks may be few, and large.
        self.total.set_length(sum.wanted as u64 * PARTS);
        let done = sum.available as u64 * PARTS + (sum.parts * PARTS as f64) as u64;
        self.total.set_position(done);
        let (available, wanted) = (sum.available, sum.wanted);
        let rate = units::size(sum.bytes_per_second);
        let left = sum.left.map(units::duration);
        let left = left.map_or(String::new(), |left| format!(" ETA {left}"));
        let prefix = format!("{available}/{wanted} chunks {rate}/s{left}");
        self.total.set_prefix(prefix);
    }

    /// Leaves the screen to others, until something is drawn again.
    pub(crate) fn clear(&mut self) {
        self.transfers.clear();
        let _ = self.all.clear();
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

/// When the bars were drawn last; they need not follow each event.
#[derive(Debug, Default)]
pub(crate) struct Pace(Option<Instant>);

impl Pace {
    /// Whether so much time has passed since it said so last.
    pub(crate) fn is_due(&mut self, now: Instant, every: std::time::Duration) -> bool {
        let due = (self.0).is_none_or(|last| now.duration_since(last) >= every);
        if due {
            self.0 = Some(now);
        }
        due
    }

    /// From now on.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.0 = Some(now);
    }
}

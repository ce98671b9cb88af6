//! Shows downloads: bars on a terminal, lines anywhere else.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use data_manager::data_chunk::{ChunkId, DataChunk};
use data_manager::data_manager::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::chains;

/// How often there may be something new to see.
pub(crate) const REDRAW: Duration = Duration::from_millis(50);

/// What is shown of the downloads. Dropping it clears the bars away.
pub(crate) struct Display {
    /// Absent where no person watches.
    bars: Option<Bars>,
    started: Instant,
    /// What a chunk is called, and how many bytes it has.
    known: HashMap<ChunkId, (String, u64)>,
    /// Bytes that came, by chunk.
    done_bytes: HashMap<ChunkId, u64>,
    total_bytes: u64,
}

struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    in_flight: HashMap<ChunkId, ProgressBar>,
}

impl Display {
    /// For these chunks, each with the bytes of its files. (A scheduler that does not know them
    /// can take them from [`Event::Progress`], once every file has answered.)
    pub(crate) fn new(chunks: &[(DataChunk, u64)]) -> Display {
        let total_bytes = chunks.iter().map(|(_, len_bytes)| len_bytes).sum();
        let know =
            |(chunk, len_bytes): &(DataChunk, u64)| (chunk.id, (chains::label(chunk), *len_bytes));
        // Bars go to stderr; where stdout is a file or a pipe, somebody reads it later.
        let watched = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        Display {
            bars: (watched && !chunks.is_empty()).then(|| Bars::new(total_bytes)),
            started: Instant::now(),
            known: chunks.iter().map(know).collect(),
            done_bytes: HashMap::new(),
            total_bytes,
        }
    }

    /// Shows what an event says.
    pub(crate) fn show(&mut self, event: &Event) {
        match event {
            Event::Started { chunk_id, .. } => {
                let (label, len_bytes) = self.known(chunk_id);
                if let Some(bars) = &mut self.bars {
                    bars.add(*chunk_id, label, len_bytes);
                }
            }
            Event::Progress {
                chunk_id,
                done_bytes,
                ..
            } => self.advance(chunk_id, *done_bytes),
            Event::Available {
                chunk_id,
                len_bytes,
                ..
            } => {
                self.advance(chunk_id, *len_bytes);
                self.arrived(chunk_id, *len_bytes);
            }
            Event::Retried {
                chunk_id,
                delay_ms,
                error,
                ..
            } => {
                let (label, _) = self.known(chunk_id);
                self.say(&format!("{label}: {error}; again in {delay_ms} ms"));
            }
            // A download that fails for good also fails its task, which is where it is reported.
            _ => {}
        }
    }

    fn known(&self, chunk_id: &ChunkId) -> (String, u64) {
        self.known.get(chunk_id).cloned().unwrap_or_default()
    }

    fn advance(&mut self, chunk_id: &ChunkId, done_bytes: u64) {
        self.done_bytes.insert(*chunk_id, done_bytes);
        if let Some(bars) = &self.bars {
            bars.total.set_position(self.done_bytes.values().sum());
            if let Some(bar) = bars.in_flight.get(chunk_id) {
                bar.set_position(done_bytes);
            }
        }
    }

    fn arrived(&mut self, chunk_id: &ChunkId, len_bytes: u64) {
        if let Some(bars) = &mut self.bars {
            bars.remove(chunk_id);
        } else {
            let done: u64 = self.done_bytes.values().sum();
            let percent = done * 100 / self.total_bytes.max(1);
            let seconds = self.started.elapsed().as_secs_f64();
            let ((label, _), size) = (self.known(chunk_id), megabytes(len_bytes));
            println!("          {label:<18} {size}, after {seconds:.2} s; {percent:>3} % in all");
        }
    }

    fn say(&self, line: &str) {
        match &self.bars {
            // A bar that cannot be drawn on is no reason to stop.
            Some(bars) => drop(bars.all.println(line)),
            None => println!("          {line}"),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bars) = &self.bars {
            drop(bars.all.clear());
        }
    }
}

impl Bars {
    fn new(total_bytes: u64) -> Bars {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(total_bytes));
        total.set_style(style("cyan"));
        total.set_message("total");
        Bars {
            all,
            total,
            in_flight: HashMap::new(),
        }
    }

    fn add(&mut self, chunk_id: ChunkId, label: String, len_bytes: u64) {
        let bar = self.in_flight.entry(chunk_id).or_insert_with(|| {
            // Above the total, which stays the last line.
            self.all
                .insert_before(&self.total, ProgressBar::new(len_bytes))
        });
        bar.set_style(style("green"));
        bar.set_message(label);
    }

    fn remove(&mut self, chunk_id: &ChunkId) {
        if let Some(bar) = self.in_flight.remove(chunk_id) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

fn style(colour: &str) -> ProgressStyle {
    let (bar, speed) = (
        format!("{{bar:30.{colour}}}"),
        "{decimal_bytes_per_sec:>13}",
    );
    let template = format!("          {{msg:<18}} {bar} {{decimal_bytes:>10}} {speed}");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Bytes as a person reads them.
pub(crate) fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

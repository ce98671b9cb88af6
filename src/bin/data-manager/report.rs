//! What is shown of a manager at work: JSON lines, bars at a terminal, and lines from time to time
//! anywhere else.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use data_manager::Error;
use data_manager::data_chunk::ChunkId;
use data_manager::data_manager::{AssignmentFollower, DataManagerImpl, Event, StateCounts};

use crate::bars::{Bars, Pace};
use crate::exit::{Failure, advice_for, one_line};
use crate::output::Output;
use crate::tally::Tally;
use crate::units;
use crate::values::hex;

/// How often a line says how far it is.
const LINES: Duration = Duration::from_secs(10);

/// How often bars are drawn.
const FRAMES: Duration = Duration::from_millis(100);

/// What is shown, and where.
pub(crate) struct Report<'a> {
    out: &'a mut Output,
    tally: Tally,
    bars: Option<Bars>,
    pace: Pace,
    /// Set where an assignment is followed.
    follower: Option<&'a AssignmentFollower>,
    /// Whether it was said that everything that was asked for is reached; nothing more is to be
    /// expected then.
    said_reached: bool,
    /// What was said last of what is reached; forgotten when there is something new to reach.
    said: Option<String>,
    /// Why the assignment could not be had, the last time that it was said.
    said_failed: Option<String>,
    /// The same of each chunk: a worker that cannot have one says so once, not with each attempt.
    said_of: HashMap<ChunkId, String>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(out: &'a mut Output) -> Self {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.begin(now);
        Report {
            bars: out.draws().then(Bars::new),
            out,
            tally: Tally::new(now),
            pace,
            follower: None,
            said_reached: false,
            said: None,
            said_failed: None,
            said_of: HashMap::new(),
        }
    }

    /// The same where an assignment is followed: it says also how that goes.
    pub(crate) fn of_follower(out: &'a mut Output, follower: &'a AssignmentFollower) -> Self {
        let follower = Some(follower);
        Report {
            follower,
            ..Report::new(out)
        }
    }

    /// Clears what was drawn away.
    pub(crate) fn into_output(self) -> &'a mut Output {
        self.out
    }

    /// Whether nothing will change by itself.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.said_reached
    }

    /// Takes an event in; true if something came closer by it.
    pub(crate) fn event(
        &mut self,
        manager: &DataManagerImpl,
        event: &Event,
    ) -> Result<bool, Failure> {
        let moved = self.tally.note(event);
        if matches!(event, Event::AssignmentTaken { .. } | Event::Damaged { .. }) {
            self.said = None;
        }
        // A look at what is there, again and again, changes nothing.
        let of_scrub = matches!(event, Event::Verified { .. } | Event::ScrubRound { .. });
        if !of_scrub && !matches!(event, Event::AssignmentFailed { .. }) {
            self.said_reached = false;
        }
        match self.out.is_json() {
            true => self.out.object(event)?,
            false => self.tell(event),
        }
        self.show(manager);
        Ok(moved)
    }

    /// Shows what is due. Called while nothing happens.
    pub(crate) fn look(&mut self, manager: &DataManagerImpl) -> Result<(), Failure> {
        self.say_if_reached(manager)?;
        self.show(manager);
        self.out.flush()
    }

    fn show(&mut self, manager: &DataManagerImpl) {
        let now = Instant::now();
        let every = if self.bars.is_some() { FRAMES } else { LINES };
        if self.out.is_json() || self.said_reached || !self.pace.is_due(now, every) {
            return;
        }
        let sum = self.tally.sum(now, &manager.stats());
        match &mut self.bars {
            Some(bars) => bars.draw(&sum, self.tally.in_flight()),
            None => self.out.say(format_args!("{sum}")),
        }
    }

    /// For whoever follows: there is no other end.
    fn say_if_reached(&mut self, manager: &DataManagerImpl) -> Result<(), Failure> {
        let Some(follower) = self.follower else {
            return Ok(());
        };
        let taken = follower.status().taken > 0;
        if self.said_reached || !taken || !manager.wait_idle(Duration::ZERO) {
            return Ok(());
        }
        self.said_reached = true;
        let chunks = manager.stats().chunks;
        let failed = not_reached(&chunks);
        let text = match failed {
            0 => format!("reached: {}", shown(&chunks)),
            failed => format!(
                "{}; {failed} failed, tried again from time to time",
                shown(&chunks)
            ),
        };
        if let Some(bars) = &mut self.bars {
            bars.clear();
        }
        if self.said.as_ref() == Some(&text) {
            return Ok(());
        }
        if self.out.is_json() {
            self.said = Some(text);
            return self.out.object(&serde_json::json!({
                "event": "reached",
                "chunks": chunks.available,
                "bytes": chunks.available_bytes,
                "failed": failed,
            }));
        }
        self.say(&text);
        self.said = Some(text);
        Ok(())
    }

    /// What a person is told of an event.
    fn tell(&mut self, event: &Event) {
        let often = self.out.verbosity();
        match event {
            Event::HostResting { host, delay_ms, .. } => {
                let delay = units::duration(Duration::from_millis(*delay_ms));
                self.say(&format!("{host} does not answer; tried again in {delay}"));
            }
            Event::SpaceShort { error, .. } => self.trouble("no room", error),
            Event::DiskTrouble { error, .. } => self.trouble("the disk failed", error),
            // What to do about it is being done.
            Event::Damaged { error, .. } => {
                self.say(&format!("damaged: {}", one_line(&error.to_string())));
            }
            Event::Failed {
                chunk_id, error, ..
            } if self.follower.is_some() || often > 0 => self.failed(*chunk_id, error),
            Event::AssignmentTaken {
                chunks, refused, ..
            } => self.assignment(*chunks, *refused),
            Event::AssignmentFailed { error, .. } => self.no_assignment(error),
            Event::Retried {
                attempt,
                delay_ms,
                error,
                ..
            } if often > 0 => {
                let delay = units::duration(Duration::from_millis(*delay_ms));
                self.say(&format!(
                    "attempt {attempt} failed: {error}; again in {delay}"
                ));
            }
            Event::Available {
                chunk_id,
                len_bytes,
                ..
            } if often > 0 => {
                let size = units::size(*len_bytes);
                self.say(&format!("{} is there, {size}", hex(chunk_id)));
            }
            Event::Removed { chunk_id, .. } if often > 0 => {
                self.say(&format!("{} is gone", hex(chunk_id)));
            }
            Event::Progress { .. } if often < 3 => {}
            other if often > 1 => {
                self.say(&serde_json::to_string(other).unwrap_or_default());
            }
            _ => {}
        }
    }

    fn assignment(&mut self, chunks: usize, refused: usize) {
        self.said_failed = None;
        // What is not in it any more need not be remembered.
        self.said_of.clear();
        self.say(&format!("assignment: {}", units::count(chunks, "chunk")));
        let why = self.follower.and_then(|follower| follower.status().refusal);
        if let Some(why) = why.filter(|_| refused > 0) {
            self.trouble(&format!("{refused} of them refused, the first"), &why);
        }
    }

    /// Said once, however often it is tried again.
    fn failed(&mut self, chunk_id: ChunkId, error: &Error) {
        let text = error.to_string();
        if self.said_of.get(&chunk_id) != Some(&text) {
            self.trouble("failed", error);
            self.said_of.insert(chunk_id, text);
        }
    }

    /// Said once, however often it is tried again.
    fn no_assignment(&mut self, error: &Error) {
        let text = error.to_string();
        if self.said_failed.as_ref() != Some(&text) {
            self.trouble("no assignment, the last good one holds", error);
            self.said_failed = Some(text);
        }
    }

    fn trouble(&self, what: &str, error: &Error) {
        let advice = advice_for(error.kind()).map_or(String::new(), |advice| format!(". {advice}"));
        self.say(&format!("{what}: {}{advice}", one_line(&error.to_string())));
    }

    fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.say(line),
            None => self.out.say(format_args!("{line}")),
        }
    }
}

/// The chunks whose task ended in an error, of a manager that is idle. Each is failed, or just being
/// tried again.
fn not_reached(chunks: &StateCounts) -> usize {
    let again = chunks.settling + chunks.waiting + chunks.transferring + chunks.backing_off;
    chunks.failed + again
}

fn shown(chunks: &StateCounts) -> String {
    let size = units::size(chunks.available_bytes);
    format!("{}, {size}", units::count(chunks.available, "chunk"))
}

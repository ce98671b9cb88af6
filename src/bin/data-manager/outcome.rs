//! What is said when the work has ended: what is there, what is not, why, and what to do about it.

use std::collections::BTreeMap;
use std::time::Duration;

use data_manager::data_chunk::{ChunkId, DataChunk};
use data_manager::data_manager::DataManagerImpl;
use data_manager::{Error, ErrorKind};
use serde::Serialize;

use crate::exit::{Exit, Failure, advice_for, one_line};
use crate::output::Output;
use crate::report::Report;
use crate::units;
use crate::values::hex;
use crate::work::{Ended, Work};

/// How it stands with what was asked for.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// How many chunks were asked for, how many of them are there, and their bytes.
    wanted: usize,
    available: usize,
    bytes: u64,
    /// What this run did.
    fetched: u64,
    removed: u64,
    failed: Vec<Missing>,
    /// How many are not there yet, and nothing is wrong with them.
    waiting: usize,
}

/// Ends the work and says how it stands with what was asked for; none if that is not known, since
/// the assignment has not come.
pub(crate) fn conclude(
    work: Work<Vec<Error>>,
    ended: Result<Ended<Vec<Error>>, Failure>,
    asked: Option<&[DataChunk]>,
    mut report: Report<'_>,
) -> Result<Exit, Failure> {
    let errors = match &ended {
        Ok(Ended::Done(errors)) => errors.as_slice(),
        _ => &[],
    };
    let outcome = asked.map(|asked| Outcome::of(work.manager(), asked, errors));
    let unnamed: Vec<Error> = errors
        .iter()
        .filter(|e| e.chunk_id().is_none())
        .cloned()
        .collect();
    work.end(&mut report)?;
    let out = report.into_output();
    let ended = ended?;
    if let Some(outcome) = &outcome {
        outcome.tell(out)?;
    }
    match ended {
        Ended::Done(_) => {}
        Ended::Stopped => {
            out.say(format_args!("stopped by a signal; what arrived is kept"));
            return Ok(Exit::Interrupted);
        }
        Ended::Stuck(after) => {
            let after = units::duration(after);
            let message = format!("gave up: nothing has moved for {after}");
            return Err(Failure::new(Exit::Failed, message).advise(AGAIN));
        }
        Ended::TimedOut(after) => {
            let message = format!("not done after {}", units::duration(after));
            return Err(Failure::new(Exit::Failed, message).advise(AGAIN));
        }
    }
    if let Some(error) = unnamed.into_iter().next() {
        return Err(error.into());
    }
    Ok(outcome.map_or(Exit::Failed, |outcome| outcome.exit()))
}

const AGAIN: &str = "Run it again: what arrived is kept";

/// A chunk that is not there, and why.
#[derive(Debug, Serialize)]
struct Missing {
    chunk_id: String,
    error: Error,
    advice: Option<&'static str>,
}

impl Outcome {
    /// Of what was asked for, and the errors that the tasks ended in.
    pub(crate) fn of(manager: &DataManagerImpl, asked: &[DataChunk], errors: &[Error]) -> Self {
        let totals = manager.stats().totals;
        let mut outcome = Outcome {
            wanted: asked.len(),
            fetched: totals.downloaded_chunks,
            removed: totals.removed_chunks,
            ..Outcome::default()
        };
        let named = errors.iter().filter_map(|e| Some((e.chunk_id()?, e)));
        let mut named: BTreeMap<ChunkId, &Error> = named.collect();
        for chunk in asked {
            let error = named.remove(&chunk.id);
            // What failed may have come since; what was refused has not, and there is something else.
            let refused = error.is_some_and(|error| error.kind() == ErrorKind::Refused);
            if let Some(guard) = manager.get_chunk(&chunk.id).filter(|_| !refused) {
                outcome.available += 1;
                outcome.bytes += guard.files().iter().map(|file| file.len_bytes).sum::<u64>();
                continue;
            }
            let error = error.cloned().or_else(|| why_not(manager, chunk));
            match error {
                Some(error) => outcome.failed.push(Missing {
                    chunk_id: hex(&chunk.id),
                    advice: advice_for(error.kind()),
                    error,
                }),
                None => outcome.waiting += 1,
            }
        }
        outcome
    }

    pub(crate) fn exit(&self) -> Exit {
        match self.available == self.wanted {
            true => Exit::Done,
            false => Exit::Failed,
        }
    }

    /// Says it: each chunk that failed on a line, and one line for all.
    pub(crate) fn tell(&self, out: &mut Output) -> Result<(), Failure> {
        if out.is_json() {
            let mut object = serde_json::to_value(self).unwrap_or_default();
            object["event"] = "ended".into();
            return out.object(&object);
        }
        for Missing {
            chunk_id,
            error,
            advice,
        } in &self.failed
        {
            let mut line = one_line(&error.to_string());
            if !line.contains(chunk_id) {
                line = format!("{line} (chunk {chunk_id})");
            }
            let advice = advice.map_or(String::new(), |advice| format!(". {advice}"));
            out.complain(format_args!("failed: {line}{advice}"));
        }
        match out.is_quiet() {
            true => Ok(()),
            false => out.line(format_args!("{self}")),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = units::size(self.bytes);
        if self.fetched + self.removed == 0 && self.available == self.wanted {
            let chunks = units::count(self.wanted, "chunk");
            return write!(f, "nothing to do: {chunks} there, {size}");
        }
        let (available, wanted) = (self.available, self.wanted);
        write!(
            f,
            "{available} of {} there, {size}",
            units::count(wanted, "chunk")
        )?;
        let (fetched, removed) = (self.fetched, self.removed);
        write!(f, "; {fetched} fetched, {removed} removed")?;
        let (failed, waiting) = (self.failed.len(), self.waiting);
        for (count, what) in [(failed, "failed"), (waiting, "still to come")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// Why a chunk is not there; none if its turn has not come.
fn why_not(manager: &DataManagerImpl, chunk: &DataChunk) -> Option<Error> {
    match manager.chunk_status(&chunk.id) {
        Some(status) => status.last_error,
        // Nothing is known of what was refused. Asking for it tells why; it is refused again.
        None => {
            let task = manager.download_chunk(chunk.clone());
            let ended = task.wait_timeout(Duration::ZERO);
            let refused = ended.and_then(Result::err);
            refused.filter(|error| error.kind() == ErrorKind::Refused)
        }
    }
}

//! What a person is told of one chunk.

use std::fmt;

use super::{ChunkState, ChunkStatus, WaitReason};

impl fmt::Display for ChunkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            ChunkState::Available => f.write_str("it is here")?,
            ChunkState::Waiting => self.say_waiting(f)?,
            ChunkState::Settling => f.write_str(match self.wait_reason {
                Some(WaitReason::Verifying) => {
                    "it was not synced before the machine was started anew, and is shown once every \
                     byte of it was verified"
                }
                _ => "it waits until an earlier content of its id is out of the way, or back",
            })?,
            ChunkState::Transferring => {
                self.say_transferring(f)?;
                if self.wait_reason.is_some() {
                    f.write_str("; ")?;
                    self.say_waiting(f)?;
                }
            }
            ChunkState::BackingOff => {
                let failures = self.failures;
                write!(f, "attempt {failures} failed{}", Failure(self))?;
                write!(f, "; the next one comes {}", NextTry(self))?;
            }
            ChunkState::Failed => {
                write!(f, "it failed in a way that no retry can mend{}", Failure(self))?;
                write!(f, "; it is tried again {}, ", NextTry(self))?;
                f.write_str("or at once if it is asked for again")?;
            }
            ChunkState::Held => {
                f.write_str("it was deleted and goes when the last reference is dropped")?;
            }
            ChunkState::Removing if self.last_error.is_some() => {
                write!(f, "it could not be removed{}", Failure(self))?;
                write!(f, "; that is tried again {}", NextTry(self))?;
            }
            ChunkState::Removing => f.write_str("it is being removed")?,
            ChunkState::Unreadable => f.write_str(
                "it cannot be read, and is left where it is until it is deleted or asked for again",
            )?,
        }
        self.say_references(f)
    }
}

impl ChunkStatus {
    fn say_waiting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.waits_for_host.as_deref().unwrap_or("its host");
        match self.wait_reason {
            Some(WaitReason::HostResting) => {
                let error = Failure(self);
                write!(f, "it waits for {host}, which failed for everybody{error}")?;
                write!(f, "; that is tried again {}", NextTry(self))
            }
            Some(WaitReason::HostSlot) => write!(
                f,
                "it waits for {host}, of which as many files are in flight as may be"
            ),
            Some(WaitReason::DiskSpace) => {
                f.write_str("it waits until there is room on the disk, or in what it is limited to")
            }
            Some(WaitReason::Paused) => f.write_str("it waits until downloads are resumed"),
            _ => f.write_str("it waits for a slot, and its turn comes when a file in flight ends"),
        }
    }

    fn say_transferring(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.done_bytes;
        match self.total_bytes {
            Some(total) if total == done => {
                f.write_str("all of it arrived, and is put into place")?;
            }
            Some(total) => write!(f, "it is being fetched, {done} of {total} bytes are here")?,
            None => write!(f, "it is being fetched, {done} bytes are here")?,
        }
        match self.failures {
            0 => Ok(()),
            failures => {
                let attempt = failures + 1;
                write!(
                    f,
                    " (attempt {attempt}; the one before failed{})",
                    Failure(self)
                )
            }
        }
    }

    fn say_references(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.references > 0 {
            let s = if self.references == 1 { "" } else { "s" };
            write!(f, "; {} reference{s}", self.references)?;
        }
        match self.held_ms {
            Some(ms) => write!(f, ", the oldest to what left {} ago", Span(ms)),
            None => Ok(()),
        }
    }
}

/// When it failed, and why.
struct Failure<'a>(&'a ChunkStatus);

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ms) = self.0.last_error_ms {
            write!(f, " {} ago", Span(ms))?;
        }
        match &self.0.last_error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

struct NextTry<'a>(&'a ChunkStatus);

impl fmt::Display for NextTry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.next_try_in_ms {
            Some(ms) => write!(f, "in {}", Span(ms)),
            None => f.write_str("now"),
        }
    }
}

/// A time in ms, as exactly as a person wants it.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (second, minute, hour, day) = (1000, 60_000, 3_600_000, 86_400_000);
        match self.0 {
            ms if ms < second => write!(f, "{ms} ms"),
            ms if ms < 3 * minute => write!(f, "{} s", ms / second),
            ms if ms < 3 * hour => write!(f, "{} min", ms / minute),
            ms if ms < 3 * day => write!(f, "{} h", ms / hour),
            ms => write!(f, "{} d", ms / day),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_manager::stats::ChunkState;
    use crate::error::{Error, ErrorKind};

    fn status(state: ChunkState) -> ChunkStatus {
        ChunkStatus::new([1; 32], state)
    }

    #[test]
    fn each_state_says_what_has_to_happen() {
        let mut backing_off = status(ChunkState::BackingOff);
        backing_off.failures = 3;
        backing_off.last_error = Some(Error::new(ErrorKind::Unavailable, "status 503"));
        (backing_off.last_error_ms, backing_off.next_try_in_ms) = (Some(2500), Some(400));
        assert_eq!(
            backing_off.to_string(),
            "attempt 3 failed 2 s ago: status 503; the next one comes in 400 ms"
        );
        let mut waiting = status(ChunkState::Waiting);
        waiting.wait_reason = Some(WaitReason::HostSlot);
        waiting.waits_for_host = Some("h:80".to_owned());
        let text = "it waits for h:80, of which as many files are in flight as may be";
        assert_eq!(waiting.to_string(), text);
        let mut held = status(ChunkState::Held);
        (held.references, held.held_ms) = (2, Some(7_200_000));
        assert_eq!(
            held.to_string(),
            "it was deleted and goes when the last reference is dropped; 2 references, the oldest \
             to what left 120 min ago"
        );
        let mut fetched = status(ChunkState::Transferring);
        (fetched.done_bytes, fetched.total_bytes) = (7, Some(9));
        let text = "it is being fetched, 7 of 9 bytes are here";
        assert_eq!(fetched.to_string(), text);
        fetched.failures = 2;
        fetched.last_error = Some(Error::new(ErrorKind::Unavailable, "status 503"));
        fetched.last_error_ms = Some(4000);
        assert_eq!(
            fetched.to_string(),
            "it is being fetched, 7 of 9 bytes are here (attempt 3; the one before failed 4 s ago: \
             status 503)"
        );
        assert_eq!(status(ChunkState::Available).to_string(), "it is here");
    }
}

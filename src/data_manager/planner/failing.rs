//! Attempts that failed: when the next one is due, what the failure says of the host.

use std::time::Duration;

use super::entry::{Entry, Phase};
use super::scheduler::{HostRef, Turn};
use super::{Board, Moment, Planner, millis, shut_down};
use crate::data_manager::events::Event;
use crate::data_manager::transfer::Arrived;
use crate::data_source::{FetchFailure, Setback};
use crate::error::{Error, ErrorKind};

/// How many wrong digests of one file mean that the source has something else.
const DIGEST_FAILURES_MAX: usize = 2;

impl Planner {
    /// A host was given up, or is back.
    pub(super) fn host_turned(&mut self, now: Moment, turn: Turn, host: Option<HostRef>) {
        let Some(host) = host else { return };
        let name = self.board.scheduler.name_of(host);
        match turn {
            Turn::Same => {}
            Turn::Rests(until) => {
                let delay_ms = millis(until.saturating_sub(now));
                self.board.emit(Event::HostResting {
                    host: name,
                    delay_ms,
                });
            }
            Turn::Back => {
                let sufferers = self.board.scheduler.take_sufferers(host);
                self.board.emit(Event::HostBack { host: name });
                for id in sufferers {
                    self.edit(id, |entry, board| entry.retry_now(now, board));
                }
            }
        }
    }
}

impl Entry {
    /// The attempt failed: says when the next one is due, or that none can help.
    pub(super) fn failed(
        &mut self,
        now: Moment,
        failure: FetchFailure,
        (arrived, called_back): (Arrived, bool),
        board: &mut Board,
    ) {
        let Some(wanted) = &mut self.wanted else {
            return;
        };
        let id = wanted.spec.id;
        let setback = match failure {
            FetchFailure::Failed(setback) => setback,
            FetchFailure::Cancelled if board.shut_down => return self.stop_wanting(board),
            FetchFailure::Cancelled if called_back => {
                wanted.fetched = arrived;
                self.enqueue(board);
                return;
            }
            // Nobody but a source can have done that to a transfer that is wanted.
            FetchFailure::Cancelled => Setback::transient(cancelled_from_outside()),
        };
        let (error, mut permanent) = (setback.error.with_chunk(id), setback.permanent);
        if error.kind() == ErrorKind::NoSpace {
            match permanent {
                true => board.space_is_too_small(now, &wanted.spec),
                false => board.space_is_short(now, &wanted.spec, &error),
            }
        }
        if error.kind() == ErrorKind::Digest {
            permanent |= wanted.count_digest_failure(error.file()) >= DIGEST_FAILURES_MAX;
        }
        wanted.failures += 1;
        wanted.fetched = arrived;
        wanted.note_failure(now, error.clone());
        let failures = wanted.failures;
        if board.shut_down {
            return self.stop_wanting(board);
        }
        let mut delay = if permanent {
            board.backoff.longest()
        } else {
            board.backoff.retry(failures)
        };
        if let Some(asked) = setback.retry_after {
            delay = delay.max(board.backoff.as_asked(asked));
        }
        self.back_off(now, delay, permanent, error, board);
    }

    fn back_off(
        &mut self,
        now: Moment,
        delay: Duration,
        permanent: bool,
        error: Error,
        board: &mut Board,
    ) {
        let Some(wanted) = &mut self.wanted else {
            return;
        };
        let (chunk_id, attempt) = (wanted.spec.id, wanted.failures);
        let until = now.saturating_add(delay);
        wanted.phase = Phase::BackingOff { until };
        board.due.insert((until, chunk_id));
        board.counters.failed_attempts += 1;
        *board.counters.failures.entry(error.kind()).or_default() += 1;
        if permanent {
            let reason = error.clone();
            board.emit(Event::Failed { chunk_id, error });
            self.end_wanted(Err(reason), board);
        } else {
            let delay_ms = millis(delay);
            board.emit(Event::Retried {
                chunk_id,
                attempt,
                delay_ms,
                error,
            });
        }
    }

    /// A shutdown that has begun; perhaps it has not come to this id yet.
    fn stop_wanting(&mut self, board: &mut Board) {
        self.end_wanted(Err(shut_down()), board);
        self.wanted = None;
    }

    /// Makes what backs off wait for a slot, if its time has come.
    pub(super) fn retry(&mut self, now: Moment, board: &mut Board) {
        let phase = self.wanted.as_ref().map(|wanted| wanted.phase);
        if matches!(phase, Some(Phase::BackingOff { until }) if until <= now) {
            self.retry_now(now, board);
        }
    }

    /// Makes what backs off wait for a slot, whatever its time is.
    pub(super) fn retry_now(&mut self, now: Moment, board: &mut Board) {
        let Some(wanted) = &mut self.wanted else {
            return;
        };
        if let Phase::BackingOff { until } = wanted.phase {
            board.due.remove(&(until, wanted.spec.id));
            wanted.phase = Phase::Settling;
            self.settle(now, board);
        }
    }
}

fn cancelled_from_outside() -> Error {
    Error::new(ErrorKind::Internal, "the source broke the transfer off")
}

//! Transfers: which file goes next, and what happens when one ends.

use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, Leaving, Phase, Running, Visible};
use super::scheduler::Grant;
use super::{Action, Board, Moment, Planner};
use crate::data_chunk::{ChunkId, hex_encode};
use crate::data_manager::events::Event;
use crate::data_manager::transfer::{Arrived, Transfer};
use crate::data_source::{CommitError, FetchFailure, HostSign, Setback, StagingKey, StoredChunk};
use crate::error::{Error, ErrorKind};

/// How many slots are given at a time, so that nobody waits for the lock meanwhile; the next ones are
/// given at once after that.
const GRANTS_AT_A_TIME: usize = 64;

/// How a job of a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data_manager) enum JobEnd {
    Done,
    /// Start no more files of this attempt; those in flight may go on, what they bring is kept.
    Failed,
    /// There is no point in going on.
    Hopeless,
}

impl Planner {
    /// Gives free slots to files: first those of transfers that have begun, then those of the
    /// chunk whose turn it is.
    pub(super) fn grant_slots(&mut self) {
        let mut steps = 0..GRANTS_AT_A_TIME;
        self.board.more_grants = false;
        while !self.board.shut_down
            && let Some(grant) = self.board.scheduler.next()
        {
            if steps.next().is_none() {
                self.board.more_grants = true;
                return;
            }
            match grant {
                Grant::Newcomer(id) => self.edit(id, |entry, board| entry.start(id, board)),
                Grant::File { transfer, index } => {
                    self.edit(transfer.spec.id, |entry, board| {
                        entry.hand_out_file(&transfer, index, board);
                    });
                }
            }
        }
    }

    /// Calls attempts back that stand in the way of chunks that were never tried.
    pub(super) fn make_room(&mut self, now: Moment) {
        for transfer in self.board.scheduler.call_back(now) {
            self.edit(transfer.spec.id, |entry, board| {
                if let Some(running) = entry.running_mut(transfer.attempt) {
                    running.called_back = true;
                    entry.stop_running(board);
                }
            });
        }
    }

    /// The source of a file that is being fetched has answered.
    pub(in crate::data_manager) fn host_answered(
        &mut self,
        now: Moment,
        transfer: &Transfer,
        index: usize,
    ) {
        let (turn, host) = (self.board.scheduler).answered(now, transfer.attempt, index);
        self.host_turned(now, turn, host);
    }

    /// A job of a transfer ended: the one that prepares, or the one that fetches `file`, and what
    /// that says of the file's host. True if it was the last one: then the caller resumes the
    /// transfer's task.
    pub(in crate::data_manager) fn job_ended(
        &mut self,
        now: Moment,
        transfer: &Transfer,
        file: Option<(usize, HostSign)>,
        end: JobEnd,
    ) -> bool {
        if let Some((index, sign)) = file {
            let flight = (transfer.attempt, index);
            let Board {
                scheduler, backoff, ..
            } = &mut self.board;
            let (turn, host) = scheduler.landed(now, flight, sign, backoff);
            if let Some(host) = host
                && sign == HostSign::Silent
                && let Some(error) = transfer.host_error()
            {
                scheduler.suffered(host, transfer.spec.id, &error);
            }
            self.host_turned(now, turn, host);
        }
        self.edit(transfer.spec.id, |entry, board| {
            let Some(running) = entry.running_mut(transfer.attempt) else {
                return false;
            };
            running.jobs -= 1;
            if end != JobEnd::Done {
                running.stopped = true;
                board.scheduler.stop(transfer.attempt);
            }
            if end == JobEnd::Hopeless && running.jobs > 0 {
                running.transfer.cancel.mark();
                board.act(Action::Cancel(running.transfer.cancel.clone()));
            }
            running.end_if_last()
        })
    }

    /// Whether a transfer whose files all arrived is still wanted.
    pub(in crate::data_manager) fn may_commit(&mut self, transfer: &Transfer) -> bool {
        let shut_down = self.board.shut_down;
        let entry = self.entries.get_mut(&transfer.spec.id);
        let running = entry.and_then(|entry| entry.running_mut(transfer.attempt));
        !shut_down && running.is_some_and(|running| !running.doomed)
    }

    /// A transfer is over. True if its chunk came into view.
    pub(in crate::data_manager) fn transfer_ended(
        &mut self,
        now: Moment,
        transfer: &Transfer,
        end: TransferEnd,
    ) -> bool {
        self.edit(transfer.spec.id, |entry, board| {
            let same = |running: &mut Running| running.transfer.attempt == transfer.attempt;
            let Some(mut running) = entry.running.take_if(same) else {
                return false;
            };
            let shown = end.result.is_ok() && !running.doomed;
            board.partials.unblock(transfer.spec.id);
            if end.result.is_ok() {
                board.scheduler.space_was_found();
            }
            let moved = end.left_behind.is_some();
            if let Some(stored) = end.left_behind {
                entry.left_behind(now, stored, &mut running);
            }
            match end.result {
                Ok(stored) if running.doomed => entry.committed_in_vain(now, stored, running),
                Ok(stored) => entry.committed(stored, board),
                Err(_) if running.doomed => entry.wound_down(now, running, board),
                Err(failure) => {
                    if moved {
                        entry.note_staged(&running, 0);
                    } else {
                        entry.keep_partial(now, &running, board);
                    }
                    entry.failed(now, failure, (end.arrived, running.called_back), board);
                }
            }
            entry.settle(now, board);
            entry.advance_all(now, board);
            shown
        })
    }
}

/// How a transfer ended.
pub(in crate::data_manager) struct TransferEnd {
    pub(in crate::data_manager) result: Result<StoredChunk, FetchFailure>,
    /// What it leaves for the next attempt.
    pub(in crate::data_manager) arrived: Arrived,
    /// A chunk that is on disk although its commit failed, and has to go.
    pub(in crate::data_manager) left_behind: Option<StoredChunk>,
}

impl TransferEnd {
    /// How a transfer of so many files ended that got as far as its commit. Where that failed, the
    /// files may have moved or be gone: the next attempt looks what is left in staging, and fetches
    /// what is not.
    pub(in crate::data_manager) fn of_commit(
        committed: Result<StoredChunk, CommitError>,
        files: usize,
    ) -> Self {
        let (result, left_behind) = match committed {
            Ok(stored) => (Ok(stored), None),
            Err(failed) => (
                Err(Setback::transient(failed.error).into()),
                failed.left_behind,
            ),
        };
        TransferEnd {
            result,
            arrived: vec![None; files],
            left_behind,
        }
    }
}

impl Running {
    /// Whether all jobs ended and none will follow; said once.
    fn end_if_last(&mut self) -> bool {
        let last = self.jobs == 0 && (self.stopped || self.to_hand_out == 0);
        last && !std::mem::replace(&mut self.over, true)
    }
}

impl Entry {
    fn running_mut(&mut self, attempt: u64) -> Option<&mut Running> {
        self.running
            .as_mut()
            .filter(|running| running.transfer.attempt == attempt)
    }

    fn hand_out_file(&mut self, transfer: &Arc<Transfer>, index: usize, board: &mut Board) {
        if let Some(running) = self.running_mut(transfer.attempt) {
            running.to_hand_out -= 1;
            running.jobs += 1;
            board.act(Action::Fetch(transfer.clone(), index));
        }
    }

    fn start(&mut self, id: ChunkId, board: &mut Board) {
        let Some(wanted) = &mut self.wanted else {
            return;
        };
        if let Phase::Waiting(place) = wanted.phase
            && (board.scheduler).postpone(place, &wanted.spec, wanted.missing())
        {
            return;
        }
        board.next_attempt += 1;
        let attempt = board.next_attempt;
        let arrived = wanted.fetched.clone();
        let tries = wanted.failures + 1;
        let spec = wanted.spec.clone();
        let transfer = Arc::new(Transfer::new(spec, (attempt, tries), arrived));
        board.counters.attempts += 1;
        board.counters.retries += u64::from(tries > 1);
        let to_hand_out = (0..wanted.fetched.len())
            .filter(|at| wanted.missing()(*at))
            .count();
        if let Phase::Waiting(place) = wanted.phase {
            board.scheduler.begin(place, &transfer, wanted.missing());
        }
        let staged = board.partials.take_of(&wanted.spec);
        wanted.phase = Phase::Transferring;
        board.act(Action::Start(transfer.clone()));
        board.emit(Event::Started {
            chunk_id: id,
            attempt: tries,
        });
        self.running = Some(Running {
            transfer,
            staged_bytes: staged.unwrap_or(0),
            to_hand_out,
            // The job that prepares.
            jobs: 1,
            stopped: false,
            doomed: false,
            called_back: false,
            over: false,
            deletes: Vec::new(),
        });
    }

    /// Breaks the running transfer off; its task goes on once its jobs have ended.
    pub(super) fn stop_running(&mut self, board: &mut Board) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.stopped = true;
        board.scheduler.stop(running.transfer.attempt);
        running.transfer.cancel.mark();
        board.act(Action::Cancel(running.transfer.cancel.clone()));
        if running.end_if_last() {
            board.act(Action::Finish(running.transfer.clone()));
        }
    }

    /// The running transfer's content is no longer wanted.
    pub(super) fn doom_running(&mut self, board: &mut Board) {
        if let Some(running) = &mut self.running {
            running.doomed = true;
        }
        self.stop_running(board);
    }

    fn committed(&mut self, stored: StoredChunk, board: &mut Board) {
        let Some(wanted) = &mut self.wanted else {
            return;
        };
        wanted.failures = 0;
        wanted.digest_failures.clear();
        wanted.tried = None;
        wanted.fetched.clear();
        board.counters.downloaded_chunks += 1;
        board.fetched_bytes += stored.len_bytes();
        self.show(Visible { stored, holds: 0 }, board);
    }

    /// Puts a generation into view, and ends the task of what is wanted.
    pub(super) fn show(&mut self, mut visible: Visible, board: &mut Board) {
        let (chunk_id, len_bytes) = (visible.stored.spec.id, visible.stored.len_bytes());
        visible.holds += 1;
        board.act(Action::Publish(visible.stored.clone()));
        board.emit(Event::Available {
            chunk_id,
            len_bytes,
        });
        self.visible = Some(visible);
        if let Some(wanted) = &mut self.wanted {
            wanted.phase = Phase::Visible;
        }
        self.end_wanted(Ok(()), board);
    }

    /// It was committed while a call took it back: it never becomes visible, unless that call was
    /// taken back too.
    fn committed_in_vain(&mut self, now: Moment, stored: StoredChunk, running: Running) {
        let mut leaving = Leaving::unreferenced(stored, now);
        leaving.deletes = running.deletes;
        self.leaving.push(leaving);
    }

    /// Its commit failed after the rename. It never comes into view; a delete waits for it too.
    fn left_behind(&mut self, now: Moment, stored: StoredChunk, running: &mut Running) {
        let mut leaving = Leaving::unreferenced(stored, now);
        leaving.condemned = true;
        leaving.deletes = std::mem::take(&mut running.deletes);
        self.leaving.push(leaving);
    }

    /// A transfer that nobody wants has stopped. What it staged goes, unless the same content is
    /// wanted again by now: then the next attempt goes on from there.
    fn wound_down(&mut self, now: Moment, running: Running, board: &mut Board) {
        let spec = running.transfer.spec.clone();
        if self
            .wanted
            .as_ref()
            .is_some_and(|wanted| wanted.spec.same_content(&spec))
        {
            self.keep_partial(now, &running, board);
            board.end_deletes(&running.deletes, &Ok(()));
        } else {
            self.abandon(StagingKey::of(&spec), running.deletes, board);
        }
    }

    /// What an attempt has staged is kept for the next one.
    fn keep_partial(&mut self, now: Moment, running: &Running, board: &mut Board) {
        let left = running.transfer.left_bytes(running.staged_bytes);
        let key = StagingKey::of(&running.transfer.spec);
        board.partials.put(now, key, left, Duration::ZERO);
        self.note_staged(running, left);
    }

    /// Notes what is known by an attempt of how much is still to come.
    fn note_staged(&mut self, running: &Running, staged_bytes: u64) {
        if let Some(wanted) = &mut self.wanted {
            let (_, total_bytes) = running.transfer.progress();
            let tried = wanted.tried.get_or_insert_default();
            (tried.total_bytes, tried.staged_bytes) = (total_bytes, staged_bytes);
        }
    }
}

/// The error of a job that was lost: a panic in a source, or in this crate.
pub(in crate::data_manager) fn lost_job(id: ChunkId, reason: &str) -> FetchFailure {
    let text = format!("a job of chunk {} was lost: {reason}", hex_encode(&id));
    Setback::transient(Error::new(ErrorKind::Internal, text).with_chunk(id)).into()
}

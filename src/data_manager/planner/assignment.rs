//! Tasks that wait for more than one thing: assignments, and deletes of several generations.
//!
//! There is one assignment at a time: the latest. Each has an *epoch*; an entry remembers the
//! epoch in which it was last assigned, and the one in which a call last named it. What the sweep
//! of an epoch finds wanted in neither is no longer wanted. An assignment that changes nothing
//! joins the one before it.

use std::collections::{HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use super::calls::Asker;
use super::entry::{Entry, Phase, Wanted};
use super::{Action, Board, Moment, Planner, shut_down};
use crate::data_chunk::{ChunkId, ChunkSpec};
use crate::data_manager::chunk_task::Completion;
use crate::error::{Error, ErrorKind};

/// Stands for a delete that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DeleteId(u64);

/// The deletes that have not ended.
#[derive(Default)]
pub(super) struct Deletes {
    next: u64,
    pending: HashMap<DeleteId, PendingDelete>,
}

struct PendingDelete {
    completion: Completion,
    /// What it still waits for.
    parts: usize,
    /// The epoch of the assignment that caused it. The latest one waits for it, too.
    epoch: Option<u64>,
}

/// The latest assignment.
#[derive(Default)]
pub(super) struct Assignment {
    /// 0 until there was one.
    pub(super) epoch: u64,
    /// Its slices are still coming in.
    pub(super) open: bool,
    /// Ids that a call deleted since it began: a slice that names one came too late. Empty while it
    /// is not open.
    pub(super) deleted: HashSet<ChunkId>,
    /// Whether the slices that came in differ from the assignment before.
    changed: bool,
    /// The epoch that brought what differs from the assignment before; those after it joined.
    since: u64,
    /// Ids and deletes that it waits for.
    pending: usize,
    /// The first bad entry's error.
    refused: Option<Error>,
    /// The same of the assignment before, while slices are coming in.
    refused_before: Option<Error>,
    /// The first failure of one of its chunks.
    failure: Option<Error>,
    /// Absent once it ended.
    completion: Option<Completion>,
}

impl Deletes {
    /// The completion of a delete, if that has not ended.
    pub(super) fn completion(&self, id: DeleteId) -> Option<Completion> {
        self.pending
            .get(&id)
            .map(|delete| delete.completion.clone())
    }
}

impl Planner {
    /// A new assignment: what follows is in `epoch`, which is returned.
    pub(in crate::data_manager) fn assignment_begin(&mut self) -> u64 {
        let assignment = &mut self.board.assignment;
        assignment.epoch += 1;
        // One that is cut off may have changed something already.
        let cut_off = std::mem::replace(&mut assignment.open, true);
        assignment.deleted.clear();
        assignment.changed = assignment.epoch == 1 || cut_off;
        assignment.refused_before = assignment.refused.take();
        assignment.failure = None;
        assignment.epoch
    }

    /// Chunks of the assignment, by id and what their descriptions say (see `said_by`). False for
    /// those for which that is something new: they are to be assigned with their descriptions.
    pub(in crate::data_manager) fn assign_known(
        &mut self,
        epoch: u64,
        chunks: impl Iterator<Item = (ChunkId, u64)>,
    ) -> Vec<bool> {
        // What nothing named since it was found never said anything, so `found` has nothing of these.
        let Planner { entries, board, .. } = self;
        let over = board.assignment.epoch != epoch || board.shut_down;
        let assign = |(id, said): (ChunkId, u64)| {
            if over || board.assignment.deleted.contains(&id) {
                return true;
            }
            let entry = entries.get_mut(&id).filter(|entry| {
                let wanted = entry.wanted.as_ref();
                said != 0 && wanted.is_some_and(|wanted| wanted.said == said)
            });
            let Some(entry) = entry else { return false };
            // As in `Entry::assign`, where `want` would find nothing to do. What is counted over all
            // entries does not change by this.
            entry.note_assigned(epoch, board);
            entry.have_it_waited_for(board);
            true
        };
        chunks.map(assign).collect()
    }

    /// One chunk of the assignment; false once a later assignment has begun.
    pub(in crate::data_manager) fn assign(
        &mut self,
        now: Moment,
        epoch: u64,
        chunk: Result<Arc<ChunkSpec>, (ChunkId, Error)>,
    ) -> bool {
        if self.board.assignment.epoch != epoch || self.board.shut_down {
            return false;
        }
        match chunk {
            Ok(spec) if self.board.assignment.deleted.contains(&spec.id) => {}
            Ok(spec) => self.edit(spec.id, |entry, board| {
                entry.assign(now, epoch, spec, board);
            }),
            Err((id, error)) => {
                self.board.assignment.refused.get_or_insert(error);
                if self.knows(&id) {
                    self.edit(id, |entry, _| {
                        // What is on its way out already is no part of the assignment.
                        if entry.wanted.is_some() {
                            entry.assigned = epoch;
                        }
                    });
                }
            }
        }
        true
    }

    /// Drops what is not in the assignment, for at most `limit` ids after `from`; returns where to
    /// go on, or `None` at the end.
    pub(in crate::data_manager) fn assignment_sweep(
        &mut self,
        now: Moment,
        epoch: u64,
        from: Option<ChunkId>,
        limit: usize,
    ) -> Option<ChunkId> {
        if self.board.assignment.epoch != epoch || self.board.shut_down {
            return None;
        }
        let from = from.map_or(Bound::Unbounded, Bound::Excluded);
        let slice = self.entries.range((from, Bound::Unbounded)).take(limit);
        let mut looked_at: Vec<(ChunkId, bool)> = slice
            .map(|(id, entry)| (*id, entry.wanted.is_some() && entry.is_outside(epoch)))
            .collect();
        // What nothing named since it was found is in no assignment.
        let found = self.found.ids_after(from).take(limit);
        looked_at.extend(found.map(|id| (id, true)));
        looked_at.sort_unstable();
        looked_at.truncate(limit);
        for (id, outside) in &looked_at {
            if *outside {
                self.board.assignment.changed = true;
                self.edit(*id, |entry, board| entry.unwant(now, *id, true, board));
            }
        }
        looked_at
            .last()
            .map(|(id, _)| *id)
            .filter(|_| looked_at.len() == limit)
    }

    /// All of the assignment came in. Returns what it is waited for with.
    pub(in crate::data_manager) fn assignment_end(&mut self, epoch: u64) -> Completion {
        if self.board.shut_down {
            return Completion::ended(Err(shut_down()));
        }
        if self.board.assignment.epoch != epoch {
            return Completion::ended(Err(replaced()));
        }
        let assignment = &mut self.board.assignment;
        if !std::mem::take(&mut assignment.open) {
            return Completion::ended(Ok(()));
        }
        assignment.deleted.clear();
        let text = |error: &Option<Error>| error.as_ref().map(ToString::to_string);
        assignment.changed |= text(&assignment.refused) != text(&assignment.refused_before);
        if assignment.changed {
            assignment.since = epoch;
            self.board.supersede_assignment();
        }
        let assignment = &mut self.board.assignment;
        let completion = assignment
            .completion
            .get_or_insert_with(Completion::new)
            .clone();
        self.board.end_assignment_if_reached();
        completion
    }
}

impl Entry {
    /// Whether it is a part of the assignment whose task has not ended, or of the one that comes in.
    pub(super) fn is_waited_for(&self, board: &Board) -> bool {
        self.assigned > 0 && self.assigned >= board.assignment.since
    }

    /// Whether neither an assignment nor a call in `epoch` named it.
    fn is_outside(&self, epoch: u64) -> bool {
        self.assigned != epoch && self.touched < epoch
    }

    fn assign(&mut self, now: Moment, epoch: u64, spec: Arc<ChunkSpec>, board: &mut Board) {
        let same = |wanted: &Wanted| wanted.spec.same_content(&spec);
        let known = self.wanted.as_ref().is_some_and(same);
        // A call that came after this assignment had begun has the last word.
        let named = self.touched == epoch;
        if named && !known {
            return;
        }
        self.note_assigned(epoch, board);
        board.assignment.changed |= !known;
        if !named {
            let _task = self.want(now, spec, Asker::Assignment, board);
        }
        self.have_it_waited_for(board);
    }

    fn note_assigned(&mut self, epoch: u64, board: &mut Board) {
        board.assignment.changed |= self.assigned + 1 != epoch && self.assigned != epoch;
        self.assigned = epoch;
    }

    /// The assignment waits for what is wanted, or takes its failure over.
    fn have_it_waited_for(&mut self, board: &mut Board) {
        let Some(wanted) = &self.wanted else { return };
        if !wanted.ended && !self.counted {
            self.counted = true;
            board.assignment.pending += 1;
        } else if wanted.ended && wanted.phase != Phase::Visible {
            let failure = wanted.failed().map(|failed| failed.error.clone());
            board.assignment.failure = board.assignment.failure.take().or(failure);
        }
    }

    /// The assignment need not wait for this id any longer.
    pub(super) fn uncount(&mut self, outcome: Result<(), Error>, board: &mut Board) {
        if std::mem::take(&mut self.counted) {
            board.assignment.pending -= 1;
            // Not of one that only the assignment before had, and a call since.
            if let Err(error) = outcome
                && self.assigned == board.assignment.epoch
            {
                board.assignment.failure.get_or_insert(error);
            }
            board.end_assignment_if_reached();
        }
    }
}

impl Board {
    pub(super) fn open_delete(
        &mut self,
        parts: usize,
        for_assignment: bool,
    ) -> (DeleteId, Completion) {
        self.deletes.next += 1;
        let id = DeleteId(self.deletes.next);
        let completion = Completion::new();
        let delete = PendingDelete {
            completion: completion.clone(),
            parts,
            epoch: for_assignment.then_some(self.assignment.epoch),
        };
        self.deletes.pending.insert(id, delete);
        self.assignment.pending += usize::from(for_assignment);
        (id, completion)
    }

    /// One part of each of these deletes is done; or, with an error, the delete is off.
    pub(super) fn end_deletes(&mut self, ids: &[DeleteId], outcome: &Result<(), Error>) {
        for id in ids {
            let Some(delete) = self.deletes.pending.get_mut(id) else {
                continue;
            };
            delete.parts -= 1;
            if delete.parts > 0 && outcome.is_ok() {
                continue;
            }
            if let Some(delete) = self.deletes.pending.remove(id) {
                self.act(Action::Complete(delete.completion, outcome.clone()));
                if let Some(epoch) = delete.epoch {
                    self.assignment.pending -= 1;
                    let reversed = outcome.is_err() && epoch >= self.assignment.since;
                    if reversed && !self.assignment.open {
                        self.supersede_assignment();
                    }
                    self.end_assignment_if_reached();
                }
            }
        }
    }

    pub(super) fn end_all_deletes(&mut self) {
        for (_, delete) in std::mem::take(&mut self.deletes.pending) {
            self.assignment.pending -= usize::from(delete.epoch.is_some());
            self.act(Action::Complete(delete.completion, Err(shut_down())));
        }
    }

    pub(super) fn supersede_assignment(&mut self) {
        self.assignment.end(Err(replaced()), &mut self.actions);
    }

    fn end_assignment_if_reached(&mut self) {
        let assignment = &mut self.assignment;
        if assignment.pending == 0 && !assignment.open {
            let error = assignment.refused.as_ref().or(assignment.failure.as_ref());
            let outcome = error.map_or(Ok(()), |error| Err(error.clone()));
            assignment.end(outcome, &mut self.actions);
        }
    }
}

impl Assignment {
    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    pub(super) fn end(&mut self, outcome: Result<(), Error>, actions: &mut Vec<Action>) {
        if let Some(completion) = self.completion.take() {
            actions.push(Action::Complete(completion, outcome));
        }
    }
}

fn replaced() -> Error {
    Error::new(
        ErrorKind::Superseded,
        "a later call reversed or replaced a part of the assignment",
    )
}

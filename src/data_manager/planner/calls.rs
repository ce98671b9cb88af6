//! What callers ask for, and what is found on disk.

use std::path::PathBuf;
use std::sync::Arc;

use super::entry::{Entry, Leaving, Phase, Tombstone, Trust, Visible, Wanted};
use super::found::Found;
use super::{Action, Board, Moment, Planner, shut_down, superseded};
use crate::data_chunk::{ChunkId, ChunkSpec};
use crate::data_manager::chunk_task::Completion;
use crate::data_manager::events::Event;
use crate::data_manager::stats::Priority;
use crate::data_source::{Generation, StagingKey, StoredChunk};
use crate::error::Error;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A call that names the chunk: it may not replace what is visible, and it tries what failed
    /// again at once.
    Call,
    /// An assignment: it replaces what is visible, and does not hurry what failed, since it is
    /// repeated all the time.
    Assignment,
}

impl Planner {
    /// `download_chunk`.
    pub(in crate::data_manager) fn want(
        &mut self,
        now: Moment,
        spec: Arc<ChunkSpec>,
    ) -> Completion {
        if self.board.shut_down {
            return Completion::ended(Err(shut_down().with_chunk(spec.id)));
        }
        self.board.assignment.deleted.remove(&spec.id);
        self.edit(spec.id, |entry, board| {
            entry.touched = board.assignment.epoch;
            entry.want(now, spec, Asker::Call, board)
        })
    }

    /// Says how soon a wanted chunk is wanted; false if it is not.
    pub(in crate::data_manager) fn prioritize(&mut self, id: ChunkId, priority: Priority) -> bool {
        self.knows(&id) && self.edit(id, |entry, board| entry.prioritize(priority, board))
    }

    /// `delete_chunk`.
    pub(in crate::data_manager) fn unwant(&mut self, now: Moment, id: ChunkId) -> Completion {
        if self.board.shut_down {
            return Completion::ended(Err(shut_down().with_chunk(id)));
        }
        // Also where the id is known: it may be forgotten before a slice names it.
        if self.board.assignment.open {
            self.board.assignment.deleted.insert(id);
        }
        if !self.knows(&id) {
            return Completion::ended(Ok(()));
        }
        self.edit(id, |entry, board| {
            entry.touched = board.assignment.epoch;
            if entry.is_waited_for(board) {
                board.supersede_assignment();
                entry.assigned = 0;
            }
            entry.unwant(now, id, false, board)
        })
    }

    /// Opening found these on disk, ascending by their ids, and they are in the catalogue: they are
    /// wanted. Told before anything else.
    pub(in crate::data_manager) fn found(&mut self, chunks: &[StoredChunk]) {
        self.found = Found::new(chunks);
        self.board.counts = self.found.counts();
    }

    /// Opening found a chunk that was deleted or replaced before the last owner ended.
    pub(in crate::data_manager) fn found_doomed(&mut self, now: Moment, stored: StoredChunk) {
        self.edit(stored.spec.id, |entry, board| {
            let mut leaving = Leaving::unreferenced(stored, now);
            leaving.tombstone = Tombstone::Yes;
            entry.leaving.push(leaving);
            entry.advance(entry.leaving.len() - 1, now, board);
        });
    }

    /// Opening found a chunk that was not synced before the machine was started anew: it is wanted,
    /// and comes into view once every byte of it was verified.
    pub(in crate::data_manager) fn found_unverified(&mut self, now: Moment, stored: StoredChunk) {
        self.edit(stored.spec.id, |entry, board| {
            entry.wanted = Some(Wanted::new(stored.spec.clone(), Completion::new()));
            let mut leaving = Leaving::unreferenced(stored, now);
            leaving.trust = Trust::Unverified;
            entry.leaving.push(leaving);
            entry.settle(now, board);
        });
    }

    /// What is visible under this id.
    pub(in crate::data_manager) fn visible(&self, id: &ChunkId) -> Option<&StoredChunk> {
        let named = self
            .entries
            .get(id)
            .and_then(|entry| entry.visible.as_ref());
        let named = named.map(|visible| &visible.stored);
        named.or_else(|| self.found.get(id))
    }

    /// Whether a generation is on its way out since it was found damaged.
    pub(in crate::data_manager) fn was_damaged(&self, key: (ChunkId, Generation)) -> bool {
        let leaving = self.entries.get(&key.0).map(|entry| &entry.leaving);
        let mut leaving = leaving.into_iter().flatten();
        leaving.any(|leaving| leaving.stored.generation == key.1 && leaving.damaged)
    }

    /// A visible chunk turned out not to be what was committed.
    pub(in crate::data_manager) fn damaged(
        &mut self,
        now: Moment,
        (id, generation): (ChunkId, Generation),
        error: Error,
    ) {
        self.edit(id, |entry, board| {
            let Some(visible) = entry.withdraw(generation, board) else {
                return;
            };
            let chunk_id = id;
            board.emit(Event::Damaged { chunk_id, error });
            entry.leaving.push(Leaving::new(visible, now, true));
            board.fresh.push(id);
            entry.want_anew(now, board);
        });
    }

    /// A visible chunk cannot be read. It may be whole: it is left where it is, and looked at again
    /// at the next start.
    pub(in crate::data_manager) fn unreadable(
        &mut self,
        now: Moment,
        (id, generation): (ChunkId, Generation),
        path: PathBuf,
        error: Error,
    ) {
        self.edit(id, |entry, board| {
            if let Some(visible) = entry.withdraw(generation, board) {
                entry.aside.push(visible);
                board.counters.unreadable += 1;
                board.emit(Event::Unreadable { path, error });
                entry.want_anew(now, board);
            }
        });
    }
}

impl Entry {
    /// Takes a generation out of view, if it is the visible one.
    fn withdraw(&mut self, generation: Generation, board: &mut Board) -> Option<Visible> {
        let same = |visible: &mut Visible| visible.stored.generation == generation;
        let visible = self.visible.take_if(same)?;
        board.act(Action::Retract(visible.stored.spec.id));
        Some(visible)
    }

    /// What was visible is not what it was: it is fetched again, if it is known from where.
    fn want_anew(&mut self, now: Moment, board: &mut Board) {
        let Some(wanted) = self.wanted.take() else {
            return;
        };
        if wanted.spec.has_urls() {
            let priority = wanted.priority;
            let again = Wanted::new(wanted.spec, Completion::new());
            self.wanted.insert(again).priority = priority;
            self.settle(now, board);
        }
    }

    pub(super) fn want(
        &mut self,
        now: Moment,
        spec: Arc<ChunkSpec>,
        asker: Asker,
        board: &mut Board,
    ) -> Completion {
        if let Some(wanted) = &mut self.wanted {
            let Some(field) = wanted.spec.first_difference(&spec) else {
                return self.want_again(now, spec, asker, board);
            };
            if wanted.phase == Phase::Visible && asker == Asker::Call {
                let reason = "differs from the chunk that is present under this id";
                return Completion::ended(Err(Error::refused(field, reason).with_chunk(spec.id)));
            }
            if asker == Asker::Call && self.is_waited_for(board) {
                board.supersede_assignment();
                self.assigned = 0;
            }
            self.drop_wanted(now, spec.id, board);
        }
        let task = Completion::new();
        board.emit(Event::Wanted { chunk_id: spec.id });
        self.wanted = Some(Wanted::new(spec, task.clone()));
        self.delete = None;
        self.settle(now, board);
        task
    }

    /// The same content is asked for again: joins what is under way.
    fn want_again(
        &mut self,
        now: Moment,
        spec: Arc<ChunkSpec>,
        asker: Asker,
        board: &mut Board,
    ) -> Completion {
        let Some(wanted) = &mut self.wanted else {
            return Completion::ended(Ok(()));
        };
        let moved = !Arc::ptr_eq(&wanted.spec, &spec) && !wanted.spec.same_urls(&spec);
        // It may wait for other hosts now.
        let place = match wanted.phase {
            Phase::Waiting(place) if moved => Some(place),
            _ => None,
        };
        if let Some(place) = place {
            board.scheduler.remove(place, &wanted.spec);
        }
        // The newest URLs are used from the next attempt on: they may have been signed anew.
        wanted.said = spec.said;
        wanted.spec = spec;
        // What was found on disk named no files.
        wanted.fetched.resize(wanted.spec.files.len(), None);
        if place.is_some() {
            self.enqueue(board);
        }
        let Some(wanted) = &mut self.wanted else {
            return Completion::ended(Ok(()));
        };
        if wanted.phase == Phase::Visible {
            return Completion::ended(Ok(()));
        }
        if moved {
            wanted.digest_failures.clear();
        }
        // What failed for good is worth an attempt now if somebody names it again or says where
        // else it is. Such an attempt has a task of its own: the old one has ended.
        let asked_anew = wanted.ended && (asker == Asker::Call || moved);
        if asked_anew {
            wanted.task = Completion::new();
            wanted.ended = false;
        }
        let task = wanted.task.clone();
        if asked_anew || moved {
            self.retry_now(now, board);
        }
        task
    }

    /// What the last call asks for is that it be gone.
    pub(super) fn unwant(
        &mut self,
        now: Moment,
        id: ChunkId,
        for_assignment: bool,
        board: &mut Board,
    ) -> Completion {
        if let Some(joined) = self
            .delete
            .and_then(|delete| board.deletes.completion(delete))
        {
            return joined;
        }
        if self.wanted.is_some() {
            board.emit(Event::Unwanted { chunk_id: id });
            self.drop_wanted(now, id, board);
        }
        if !self.aside.is_empty() {
            self.remove_aside(now, board);
        }
        let mut parts: Vec<&mut Vec<_>> = Vec::new();
        parts.extend(self.leaving.iter_mut().map(|leaving| &mut leaving.deletes));
        parts.extend(self.running.as_mut().map(|running| &mut running.deletes));
        parts.extend(self.abandoning.as_mut());
        if parts.is_empty() {
            return Completion::ended(Ok(()));
        }
        let (delete, completion) = board.open_delete(parts.len(), for_assignment);
        for part in parts {
            part.push(delete);
        }
        self.delete = Some(delete);
        self.settle(now, board);
        completion
    }

    /// Lets go of what is wanted, in whatever state it is.
    pub(super) fn drop_wanted(&mut self, now: Moment, id: ChunkId, board: &mut Board) {
        let Some(mut wanted) = self.wanted.take() else {
            return;
        };
        if !wanted.ended {
            wanted.ended = true;
            board.emit(Event::Superseded { chunk_id: id });
            board.act(Action::Complete(wanted.task.clone(), Err(superseded(id))));
        }
        self.uncount(Ok(()), board);
        match wanted.phase {
            Phase::Waiting(place) => board.scheduler.remove(place, &wanted.spec),
            Phase::BackingOff { until } => {
                board.due.remove(&(until, id));
            }
            Phase::Settling | Phase::Transferring | Phase::Visible => {}
        }
        if let Some(visible) = self.visible.take() {
            board.act(Action::Retract(id));
            self.leaving.push(Leaving::new(visible, now, false));
            board.fresh.push(id);
        }
        if self.running.is_some() {
            self.doom_running(board);
        } else if self.abandoning.is_none() && board.partials.holds(&wanted.spec) {
            self.abandon(StagingKey::of(&wanted.spec), Vec::new(), board);
        }
        self.advance_all(now, board);
    }

    /// Moves a wanted content on, if nothing of its id stands in the way.
    pub(super) fn settle(&mut self, now: Moment, board: &mut Board) {
        let Some(wanted) = &self.wanted else { return };
        if wanted.phase != Phase::Settling || self.running.is_some() || self.abandoning.is_some() {
            return;
        }
        let spec = wanted.spec.clone();
        let returns =
            |leaving: &Leaving| leaving.can_return() && leaving.stored.spec.same_content(&spec);
        match self.leaving.iter().rposition(returns) {
            // Those that are later may stand in its way.
            Some(at) => (at..self.leaving.len())
                .rev()
                .for_each(|at| self.advance(at, now, board)),
            None if board.shut_down => {}
            None => self.enqueue(board),
        }
    }

    pub(super) fn enqueue(&mut self, board: &mut Board) {
        if let Some(wanted) = &mut self.wanted {
            let place = (board.scheduler).push(wanted.tier(), &wanted.spec, wanted.missing());
            wanted.phase = Phase::Waiting(place);
        }
    }

    fn prioritize(&mut self, priority: Priority, board: &mut Board) -> bool {
        let Some(wanted) = &mut self.wanted else {
            return false;
        };
        wanted.priority = priority;
        if let Some(running) = &self.running {
            let attempt = running.transfer.attempt;
            board.scheduler.set_priority(attempt, priority);
        }
        if let Phase::Waiting(place) = wanted.phase {
            let place = board
                .scheduler
                .lift(place, priority, &wanted.spec, wanted.missing());
            wanted.phase = Phase::Waiting(place);
        }
        true
    }

    /// Ends the task of what is wanted.
    pub(super) fn end_wanted(&mut self, outcome: Result<(), Error>, board: &mut Board) {
        let Some(wanted) = &mut self.wanted else {
            return;
        };
        if !wanted.ended {
            wanted.ended = true;
            board.act(Action::Complete(wanted.task.clone(), outcome.clone()));
        }
        self.uncount(outcome, board);
    }

    pub(super) fn shut_down(&mut self, now: Moment, board: &mut Board) {
        self.end_wanted(Err(shut_down()), board);
        self.leave_unverified(board);
        match self.wanted.as_ref().map(|wanted| wanted.phase) {
            Some(Phase::Waiting(place)) => {
                if let Some(wanted) = self.wanted.take() {
                    board.scheduler.remove(place, &wanted.spec);
                }
            }
            Some(Phase::BackingOff { .. } | Phase::Settling) => self.wanted = None,
            Some(Phase::Transferring) | Some(Phase::Visible) | None => {}
        }
        self.stop_running(board);
        // What waited to come back stays away.
        self.advance_all(now, board);
    }
}

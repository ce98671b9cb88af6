//! How an assignment of any size gets to the planner: checked, in an order that suits the planner's
//! tree, and in slices, so that no other call waits for it.

use std::sync::Arc;

use super::chunk_task::Completion;
use super::core::{Core, SLICE};
use crate::data_chunk::{ChunkId, ChunkSpec, DataChunk};
use crate::error::Error;

/// How many entries are sorted at a time. What comes in random order would have the planner look
/// all over its tree, and wait for the memory each time.
const BLOCK: usize = 16 * 1024;

/// How many are taken in under one lock: each costs some µs, and others wait for less than a tenth
/// of a ms.
const ENTRIES_AT_A_TIME: usize = 32;

/// An entry that passed the door, or the id and the error of one that did not.
type Admitted = Result<Arc<ChunkSpec>, (ChunkId, Error)>;

/// An assignment whose entries are coming in. Dropped before it is finished (the caller's iterator
/// panicked), it ends as it stands: what came in is wanted, and nothing is dropped.
pub(super) struct OpenAssignment<'a> {
    core: &'a Arc<Core>,
    epoch: u64,
    /// What came in and is not taken in yet.
    block: Vec<DataChunk>,
}

impl<'a> OpenAssignment<'a> {
    pub(super) fn begin(core: &'a Arc<Core>) -> Self {
        OpenAssignment {
            core,
            epoch: core.apply(|planner, _| planner.assignment_begin()),
            block: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, chunk: DataChunk) {
        self.block.push(chunk);
        if self.block.len() == BLOCK {
            self.take_in();
        }
    }

    fn take_in(&mut self) {
        let block = std::mem::take(&mut self.block);
        let mut block: Vec<(usize, DataChunk)> = block.into_iter().enumerate().collect();
        // Of entries with the same id the later one stays behind the earlier.
        block.sort_unstable_by(|(a_at, a), (b_at, b)| a.id.cmp(&b.id).then(a_at.cmp(b_at)));
        let mut refused = Vec::new();
        let mut block = block.into_iter().peekable();
        while block.peek().is_some() {
            let slice: Vec<_> = block.by_ref().take(ENTRIES_AT_A_TIME).collect();
            let admitted = self.admit(slice, &mut refused);
            self.tell(admitted);
        }
        // The first bad entry's error is the one that the task ends in.
        refused.sort_unstable_by_key(|(at, _)| *at);
        let mut refused = refused.into_iter().map(|(_, entry)| Err(entry)).peekable();
        while refused.peek().is_some() {
            self.tell(refused.by_ref().take(ENTRIES_AT_A_TIME).collect());
        }
    }

    /// The door, for entries most of which are mostly what they were before.
    fn admit(
        &self,
        slice: Vec<(usize, DataChunk)>,
        refused: &mut Vec<(usize, (ChunkId, Error))>,
    ) -> Vec<Admitted> {
        let ids = slice.iter().map(|(_, chunk)| &chunk.id);
        let wanted = self.core.look(|planner, _| planner.wanted_under(ids));
        let mut admitted = Vec::with_capacity(slice.len());
        for ((at, chunk), wanted) in slice.into_iter().zip(wanted) {
            match wanted {
                Some(wanted) if wanted.says(&chunk) => admitted.push(Ok(wanted)),
                _ => match self.core.admit(chunk) {
                    Ok(spec) => admitted.push(Ok(spec)),
                    Err(entry) => refused.push((at, entry)),
                },
            }
        }
        admitted
    }

    fn tell(&self, entries: Vec<Admitted>) {
        self.core.apply_slice(|planner, now| {
            for entry in entries {
                planner.assign(now, self.epoch, entry);
            }
        });
    }

    pub(super) fn finish(mut self) -> Completion {
        self.take_in();
        let mut from = None;
        loop {
            from = self
                .core
                .apply_slice(|planner, now| planner.assignment_sweep(now, self.epoch, from, SLICE));
            if from.is_none() {
                return self.end();
            }
        }
    }

    fn end(&self) -> Completion {
        self.core
            .apply(|planner, _| planner.assignment_end(self.epoch))
    }
}

impl Drop for OpenAssignment<'_> {
    fn drop(&mut self) {
        // After `finish` there is nothing left to take in, and this finds it ended.
        self.take_in();
        self.end();
    }
}

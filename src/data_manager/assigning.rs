//! How an assignment of any size gets to the planner: checked, in an order that suits the planner's
//! tree, and in slices, so that no other call waits for it.

use std::sync::Arc;

use super::chunk_task::Completion;
use super::core::{Core, SLICE};
use crate::data_chunk::{ChunkId, ChunkSpec, DataChunk, said_by};
use crate::error::Error;

/// How many entries are sorted at a time, some 20 MB of them. What comes in random order would have
/// the planner look all over its tree, and wait for the memory each time.
const BLOCK: usize = 128 * 1024;

/// How many are taken in under one lock: each costs some µs, and others wait for less than a tenth
/// of a ms.
const ENTRIES_AT_A_TIME: usize = 32;

/// An entry that passed the door, or the id and the error of one that did not.
type Admitted = Result<Arc<ChunkSpec>, (ChunkId, Error)>;

/// What no description says: for entries that have to be looked at in their order, since others have
/// the same id.
const NOTHING: u64 = 0;

/// An entry that came in.
struct Entry {
    /// Its place among those that came in with it.
    at: usize,
    chunk: DataChunk,
    said: u64,
}

impl Entry {
    fn new((at, chunk): (usize, DataChunk)) -> Self {
        let said = said_by(&chunk);
        Entry { at, chunk, said }
    }
}

/// An assignment whose entries are coming in. Dropped before it is finished (the caller's iterator
/// panicked), it ends as it stands: what came in is wanted, and nothing is dropped.
pub(super) struct OpenAssignment<'a> {
    core: &'a Arc<Core>,
    epoch: u64,
    /// What came in and is not taken in yet.
    block: Vec<DataChunk>,
    /// How many did not pass the door by now, and why the first of them did not.
    refused: (usize, Option<Error>),
}

impl<'a> OpenAssignment<'a> {
    pub(super) fn begin(core: &'a Arc<Core>) -> Self {
        OpenAssignment {
            core,
            epoch: core.apply(|planner, _| planner.assignment_begin()),
            block: Vec::new(),
            refused: (0, None),
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
        let mut block: Vec<Entry> = block.into_iter().enumerate().map(Entry::new).collect();
        // Of entries with the same id the later one stays behind the earlier.
        block.sort_unstable_by(|a, b| a.chunk.id.cmp(&b.chunk.id).then(a.at.cmp(&b.at)));
        for at in 1..block.len() {
            if block[at - 1].chunk.id == block[at].chunk.id {
                (block[at - 1].said, block[at].said) = (NOTHING, NOTHING);
            }
        }
        let mut refused = Vec::new();
        let mut block = block.into_iter().peekable();
        while block.peek().is_some() {
            let slice: Vec<Entry> = block.by_ref().take(ENTRIES_AT_A_TIME).collect();
            self.take_in_slice(slice, &mut refused);
        }
        // The first bad entry's error is the one that the task ends in.
        refused.sort_unstable_by_key(|(at, _)| *at);
        self.refused.0 += refused.len();
        let first = refused.first().map(|(_, (_, error))| error.clone());
        self.refused.1 = self.refused.1.take().or(first);
        let mut refused = refused.into_iter().map(|(_, entry)| Err(entry)).peekable();
        while refused.peek().is_some() {
            self.tell(refused.by_ref().take(ENTRIES_AT_A_TIME).collect());
        }
    }

    /// Most of it is mostly what it was before, and needs no door.
    fn take_in_slice(&self, slice: Vec<Entry>, refused: &mut Vec<(usize, (ChunkId, Error))>) {
        let said = slice.iter().map(|entry| (entry.chunk.id, entry.said));
        let known = (self.core).apply_slice(|planner, _| planner.assign_known(self.epoch, said));
        let news = slice.into_iter().zip(known).filter(|(_, known)| !known);
        let mut admitted = Vec::new();
        for (Entry { at, chunk, .. }, _) in news {
            match self.core.admit(chunk) {
                Ok(spec) => admitted.push(Ok(spec)),
                Err(entry) => refused.push((at, entry)),
            }
        }
        if !admitted.is_empty() {
            self.tell(admitted);
        }
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

    /// The same for an assignment that nobody waits for: how many entries were refused, and why the
    /// first of them was.
    pub(super) fn finish_unattended(mut self) -> (usize, Option<Error>) {
        self.take_in();
        let refused = std::mem::take(&mut self.refused);
        drop(self.finish());
        refused
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

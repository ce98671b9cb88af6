//! Reads what is on disk again, and holds every byte against what was committed: when somebody asks
//! ([`verify`]), round after round (`rounds.rs`), and before what was not synced is believed after
//! another start of the machine ([`verify_found`]).
//!
//! A chunk is read in steps, each a short job on the blocking pool. Nothing is held between two
//! steps: before each, the chunk is looked up again and kept for as long as the step takes, so that a
//! delete neither waits for the rest of it nor takes files away under it.

mod rounds;

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use rounds::Pace;
pub(super) use rounds::rounds;

use super::checking;
use super::chunk_task::Completion;
use super::core::Core;
use super::events::Event;
use super::planner::shut_down;
use super::stats::ScrubStats;
use crate::data_catalogue::Held;
use crate::data_chunk::ChunkId;
use crate::data_source::{Generation, LocalDataSource, StoredChunk, Verification};
use crate::error::{Error, ErrorKind};
use crate::io_operation::{Completer, IoOperation};

/// The most that a step reads: some ms of a thread.
const STEP_BYTES: u64 = 1 << 20;

type Key = (ChunkId, Generation);
/// What keeps a visible chunk while a step reads it.
type Hold = Option<Arc<dyn Held>>;

/// What is being verified, and what came of it.
#[derive(Default)]
pub(super) struct Scrub {
    /// Protects its values; nobody is woken or told anything under it.
    state: Mutex<State>,
    /// The scrub waits for the first chunk to become visible. Written before the scrub looks at the
    /// catalogue and read after a publication, so the catalogue's lock orders the two.
    waits_for_chunk: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Of the background scrub.
    rate: Option<NonZeroU64>,
    figures: ScrubStats,
    /// Resumes the background scrub.
    bell: Option<Completer<()>>,
    asked: Asked,
    shut_down: bool,
}

/// The calls of [`verify`] that have not ended.
#[derive(Default)]
struct Asked {
    /// Whose turn has not come, in this order; at most one for each id.
    order: VecDeque<ChunkId>,
    waiting: HashMap<ChunkId, Completion>,
    /// The one that is read.
    current: Option<Completion>,
}

impl Scrub {
    pub(super) fn stats(&self) -> ScrubStats {
        let state = self.state.lock();
        let mut figures = state.figures;
        figures.rate = state.rate.map(NonZeroU64::get);
        figures
    }

    fn rate(&self) -> Option<NonZeroU64> {
        self.state.lock().rate
    }

    pub(super) fn set_rate(&self, rate: Option<NonZeroU64>) {
        self.state.lock().rate = rate;
        self.ring();
    }

    fn count(&self, change: impl FnOnce(&mut ScrubStats)) {
        change(&mut self.state.lock().figures);
    }

    /// A chunk became visible.
    pub(super) fn chunk_came(&self) {
        if self.waits_for_chunk.load(Ordering::Relaxed)
            && self.waits_for_chunk.swap(false, Ordering::Relaxed)
        {
            self.ring();
        }
    }

    /// Something to await until the next ring: look after this call and before the await.
    fn next_ring(&self) -> IoOperation<()> {
        let (operation, completer) = IoOperation::new();
        let _unused = self.state.lock().bell.replace(completer);
        operation
    }

    fn ring(&self) {
        let completer = self.state.lock().bell.take();
        if let Some(completer) = completer {
            completer.complete(());
        }
    }

    /// Joins who waits for the same chunk, or lines up. True if somebody has to begin.
    fn ask(&self, id: ChunkId) -> (Completion, bool) {
        let mut state = self.state.lock();
        if state.shut_down {
            let error = shut_down().with_chunk(id);
            return (Completion::ended(Err(error)), false);
        }
        let asked = &mut state.asked;
        if let Some(joined) = asked.waiting.get(&id) {
            return (joined.clone(), false);
        }
        let completion = Completion::new();
        let begins = asked.current.is_none() && asked.order.is_empty();
        asked.order.push_back(id);
        asked.waiting.insert(id, completion.clone());
        (completion, begins)
    }

    /// Whose turn it is.
    fn next_asked(&self) -> Option<(ChunkId, Completion)> {
        let asked = &mut self.state.lock().asked;
        asked.current = None;
        let id = asked.order.pop_front()?;
        let completion = asked.waiting.remove(&id)?;
        asked.current = Some(completion.clone());
        Some((id, completion))
    }

    fn is_shut_down(&self) -> bool {
        self.state.lock().shut_down
    }

    /// Ends the tasks of all calls; none begins any more.
    pub(super) fn shut_down(&self) {
        let asked = {
            let mut state = self.state.lock();
            state.shut_down = true;
            std::mem::take(&mut state.asked)
        };
        for (id, completion) in asked.waiting {
            completion.complete(Err(shut_down().with_chunk(id)));
        }
        if let Some(current) = asked.current {
            current.complete(Err(shut_down()));
        }
    }
}

/// `DataManagerImpl::verify`.
pub(super) fn verify(core: &Arc<Core>, id: ChunkId) -> Completion {
    let visible = core.look(|planner, _| planner.visible(&id).is_some());
    if !visible && !core.scrub.is_shut_down() {
        let error = Error::new(ErrorKind::NotFound, "no such chunk is visible");
        return Completion::ended(Err(error.with_chunk(id)));
    }
    let (completion, begins) = core.scrub.ask(id);
    if begins {
        drop(core.spawn(answer(core.clone())));
    }
    completion
}

/// Verifies one chunk after the other, until nobody asks any more.
async fn answer(core: Arc<Core>) {
    while let Some((id, completion)) = core.scrub.next_asked() {
        let chunk = core.look(|planner, _| planner.visible(&id).cloned());
        let outcome = match chunk {
            Some(chunk) => verify_visible(&core, chunk, None).await.map(drop),
            None => Err(left(id)),
        };
        completion.complete(outcome);
    }
}

/// Reads a visible chunk and acts on what it is. False if the scrub was turned off meanwhile.
async fn verify_visible(
    core: &Arc<Core>,
    chunk: StoredChunk,
    pace: Option<&mut Pace>,
) -> Result<bool, Error> {
    let chunk_id = chunk.spec.id;
    let outcome = read_all(core, chunk.clone(), hold_visible, pace).await;
    match &outcome {
        Ok(true) => core.emit(&Event::Verified { chunk_id }),
        Ok(false) => {}
        Err(error) if matches!(error.kind(), ErrorKind::Superseded | ErrorKind::ShutDown) => {}
        // What cannot be read now is looked at again in the next round.
        Err(error) => drop(checking::judge(core, chunk, error.clone())),
    }
    outcome
}

/// Reads what a start found, and what was not synced then; it may have another name afterwards.
pub(super) async fn verify_found(
    core: &Arc<Core>,
    chunk: StoredChunk,
) -> Result<Option<StoredChunk>, Error> {
    read_all(core, chunk.clone(), hold_unverified, None).await?;
    core.run_job(move |store| store.promote(&chunk)).await
}

/// Keeps a chunk for a step, if it is visible.
fn hold_visible(core: &Core, key: Key) -> Result<Hold, Error> {
    // Under the planner's lock what it says of the chunk is what is in the catalogue.
    let held = core.look(|planner, _| {
        let visible = planner.visible(&key.0);
        match visible.filter(|stored| stored.generation == key.1) {
            Some(_) => Ok(core.catalogue.hold(&key.0)),
            None => Err(planner.was_damaged(key)),
        }
    });
    held.map_err(|was_damaged| match was_damaged {
        true => Error::new(ErrorKind::Damaged, "found damaged meanwhile").with_chunk(key.0),
        false => left(key.0),
    })
}

/// What is not visible yet is kept by the planner itself, for as long as the job has not ended.
fn hold_unverified(core: &Core, key: Key) -> Result<Hold, Error> {
    match core.look(|planner, _| planner.is_to_be_verified(key)) {
        true => Ok(None),
        false => Err(left(key.0)),
    }
}

/// The error of what is not there any more to be verified.
fn left(id: ChunkId) -> Error {
    let reason = "the chunk was deleted or replaced before it was verified";
    Error::new(ErrorKind::Superseded, reason).with_chunk(id)
}

/// Reads a chunk step by step, and counts. With a pace: as fast as the scrub's rate, and only while
/// there is one; false if there was none before the end.
async fn read_all(
    core: &Arc<Core>,
    chunk: StoredChunk,
    hold: fn(&Core, Key) -> Result<Hold, Error>,
    mut pace: Option<&mut Pace>,
) -> Result<bool, Error> {
    let key = (chunk.spec.id, chunk.generation);
    let mut verification = Verification::new(chunk);
    loop {
        let rate = core.scrub.rate();
        if pace.is_some() && rate.is_none() {
            return Ok(false);
        }
        // A step for a second at the most, so that what changes meanwhile is noticed soon.
        let rate = rate.filter(|_| pace.is_some());
        let most = rate.map_or(STEP_BYTES, |rate| rate.get().min(STEP_BYTES));
        let held = hold(core, key)?;
        let began = Instant::now();
        let read = move |store: &LocalDataSource| {
            let step = verification.step(store, most);
            Ok((verification, step))
        };
        let (read_on, step) = core.run_job(read).await?;
        drop(held);
        verification = read_on;
        let step = step.inspect_err(|error| {
            let damaged = error.kind() == ErrorKind::Damaged;
            core.scrub
                .count(|figures| figures.damaged += u64::from(damaged));
        })?;
        core.scrub.count(|figures| {
            figures.bytes += step.bytes;
            figures.chunks += u64::from(step.whole);
        });
        if let (Some(pace), Some(rate)) = (&mut pace, rate) {
            pace.rest(began, step.bytes, rate).await;
        }
        if step.whole {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_asks_for_what_waits_joins_and_what_is_read_is_read_again() {
        let scrub = Scrub::default();
        let (first, begins) = scrub.ask([1; 32]);
        assert!(begins && !scrub.ask([1; 32]).1 && !scrub.ask([2; 32]).1);
        let (id, _) = scrub.next_asked().unwrap();
        // What was read of it by now was read before this call.
        let (again, begins) = scrub.ask([1; 32]);
        assert!(id == [1; 32] && !begins);
        first.complete(Ok(()));
        let waits = |completion: &Completion| completion.task().wait_timeout(Duration::ZERO);
        assert!(waits(&again).is_none());
        scrub.shut_down();
        let ended = waits(&again).unwrap().unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::ShutDown);
        let (late, begins) = scrub.ask([3; 32]);
        assert!(!begins && waits(&late).unwrap().is_err());
    }
}

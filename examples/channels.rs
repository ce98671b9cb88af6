//! Tasks that talk to each other over crossbeam channels. `cargo run --example channels`
//!
//! A reader goes through a chain that is larger than its disk, chunk by chunk. Three tasks on the Tasks
//! Manager make that smooth, and none of them knows the others:
//!
//! ```text
//!   reader ──── Reading(n) ────▶ scout    asks for the chunks that come next, the nearest first
//!   reader ──── its guard ─────▶ keeper   keeps the hot set, the last few; has the others deleted
//!   manager ─── events ────────▶ teller   tells the reader what has arrived
//! ```
//!
//! The lesson is how a future waits for a channel, without a runtime and without polling it. A crossbeam
//! channel knows no wakers, so somebody else has to wake the task. Both ways are here:
//!
//! - [`Mailbox`]: the sender rings a bell, an [`IoOperation`], after it has put something into the channel.
//!   No thread is held. This is how the library's own tasks wait, too.
//! - [`teller`]: where the sender cannot be made to ring, as with [`Events`], a job on a [`BlockingPool`] waits
//!   in the task's place. It holds a thread for as long as nothing comes, and needs nothing of the sender.
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use data_manager::data_chunk::{ChunkId, DataChunk};
use data_manager::data_manager::{ChunkGuard, DataManagerImpl, Event, Events, Priority};
use data_manager::io_operation::{BlockingPool, Completer, IoOperation};
use data_manager::tasks_manager::TasksManager;
use parking_lot::Mutex;

const DATASET: [u8; 32] = [1; 32];
/// Chunks in the chain.
const CHUNKS: usize = 24;
const BLOCKS_PER_CHUNK: u64 = 100;
const CHUNK_BYTES: usize = 1_000_000;
/// How many chunks the scout is ahead of the reader.
const AHEAD: usize = 3;
/// How many chunks the keeper keeps.
const HOT: usize = 4;
/// How many chunks the disk has room for: those, the one that is read, and some on their way out. What
/// does not fit waits until one is gone.
const ROOM: usize = AHEAD + HOT + 3;
/// Long enough for a chunk to arrive on any machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let here = tempfile::tempdir()?;
    let chain = Arc::new(make_chain(&here.path().join("origin"))?);
    let manager = DataManagerImpl::builder()
        .data_dir(here.path().join("data"))
        .serve_files_from(here.path().join("origin"))
        // A chunk is a little more than its file.
        .max_bytes(ROOM as u64 * (CHUNK_BYTES as u64 + 10_000))
        .open()?;
    let manager = Arc::new(manager);
    let (tasks, pool) = (TasksManager::new(2), BlockingPool::new(1));

    let (to_scout, reading) = mailbox(AHEAD);
    let (to_keeper, read) = mailbox(CHUNKS);
    let (has_arrived, arrived) = bounded(CHUNKS);
    let scout = tasks.spawn(scout(Arc::clone(&manager), Arc::clone(&chain), reading));
    let keeper = tasks.spawn(keeper(Arc::clone(&manager), read));
    let teller = tasks.spawn(teller(manager.events(), pool, has_arrived));

    let (mut were_there, mut most) = (0, 0);
    for n in 0..CHUNKS {
        // The scout may be busy: a hint that is lost costs time, and nothing else.
        let _ = to_scout.send(n);
        let (chunk, was_there) = wait_for(&manager, &chain[n], &arrived)?;
        were_there += usize::from(was_there);
        most = most.max(manager.list_chunks().len());
        let bytes = fs::read(chunk.path().join("blocks"))?;
        ensure!(bytes == content(n), "chunk {n} is not what it was");
        to_keeper.send(chunk).ok().context("the keeper is gone")?;
    }
    println!("reader: {CHUNKS} chunks in order, {were_there} of them there when it came to them");
    ensure!(most <= ROOM, "{most} chunks where there is room for {ROOM}");
    println!("reader: at most {most} at a time on disk, of {CHUNKS}");

    // Whoever waits for a sender that is gone hears that, too, and ends.
    drop((to_scout, to_keeper));
    println!(
        "scout:  asked for {} chunks ahead of the reader",
        scout.wait()?
    );
    println!("keeper: deleted {} chunks", keeper.wait()?);
    let left = manager.list_chunks().len();
    ensure!(left == HOT, "{left} chunks are left, not the hot set");
    manager.shutdown(Duration::from_secs(5))?;
    let (available, removed) = teller.wait()?;
    println!("teller: {available} chunks came, {removed} went");
    Ok(())
}

/// Asks for the chunks that the reader will want next. Returns for how many it asked ahead of the reader.
async fn scout(
    manager: Arc<DataManagerImpl>,
    chain: Arc<Vec<DataChunk>>,
    reading: Mailbox<usize>,
) -> usize {
    let (mut asked, mut ahead) = (0, 0);
    while let Some(n) = reading.receive().await {
        asked = asked.max(n);
        for (at, chunk) in chain.iter().enumerate().take(n + 1 + AHEAD).skip(asked) {
            drop(manager.download_chunk(chunk.clone()));
            ahead += usize::from(at > n);
        }
        asked = (n + 1 + AHEAD).min(chain.len());
        // What the reader waits for goes before all that only may be wanted.
        manager.set_priority(&chain[n].id, Priority::High);
    }
    ahead
}

/// Keeps the chunks that were read last, and has those deleted that were not for the longest. Returns how
/// many.
async fn keeper(manager: Arc<DataManagerImpl>, read: Mailbox<ChunkGuard>) -> usize {
    let mut hot: VecDeque<ChunkGuard> = VecDeque::new();
    let mut deleted = 0;
    while let Some(chunk) = read.receive().await {
        hot.retain(|other| other.id() != chunk.id());
        hot.push_back(chunk);
        if hot.len() > HOT
            && let Some(coldest) = hot.pop_front()
        {
            let deleting = manager.delete_chunk(*coldest.id());
            // The directory goes with its last reference.
            drop(coldest);
            deleted += usize::from(deleting.await.is_ok());
        }
    }
    deleted
}

/// Tells what arrived. Returns how many chunks came and went.
async fn teller(
    mut events: Events,
    pool: BlockingPool,
    arrived: Sender<ChunkId>,
) -> (usize, usize) {
    let (mut available, mut removed) = (0, 0);
    loop {
        // The subscription goes to the thread that waits for it, and comes back with what came.
        let waiting = pool.run(move || (events.recv(), events));
        let Ok((Ok(event), back)) = waiting.await else {
            // The manager has shut down.
            return (available, removed);
        };
        events = back;
        match event {
            Event::Available { chunk_id, .. } => {
                available += 1;
                // A task may not wait for room. There is room for all of them; else it would be a hint.
                let _ = arrived.try_send(chunk_id);
            }
            Event::Removed { .. } => removed += 1,
            _ => {}
        }
    }
}

/// The reader's side: a thread of its own, so it may block in the channel. Says also whether the chunk was
/// there at once.
fn wait_for(
    manager: &DataManagerImpl,
    chunk: &DataChunk,
    arrived: &Receiver<ChunkId>,
) -> anyhow::Result<(ChunkGuard, bool)> {
    let mut was_there = true;
    loop {
        if let Some(guard) = manager.find_chunk(DATASET, chunk.block_range.start) {
            return Ok((guard, was_there));
        }
        was_there = false;
        // Whatever came, perhaps an earlier one: the manager is asked again.
        let _ = arrived.recv_timeout(PATIENCE).context("nothing arrives")?;
    }
}

/// The receiving end of a channel, for a task.
struct Mailbox<T> {
    messages: Receiver<T>,
    bell: Arc<Bell>,
}

/// The sending end, for whoever likes. It never waits.
struct Letters<T> {
    /// `None` once it is dropped.
    messages: Option<Sender<T>>,
    bell: Arc<Bell>,
}

/// Wakes one task. The lock protects the slot, and is not held while it rings.
#[derive(Default)]
struct Bell(Mutex<Option<Completer<()>>>);

/// A channel for so many messages.
fn mailbox<T>(capacity: usize) -> (Letters<T>, Mailbox<T>) {
    let (sender, messages) = bounded(capacity);
    let bell = Arc::<Bell>::default();
    let letters = Letters {
        messages: Some(sender),
        bell: Arc::clone(&bell),
    };
    (letters, Mailbox { messages, bell })
}

impl<T> Mailbox<T> {
    /// The next message; none, once all senders are gone.
    ///
    /// The order is what matters: first the bell is hung up, then the channel is looked into. A message that
    /// comes before the look is found; one that comes after it finds the bell. The other way round, one
    /// that came in between would wait for the next.
    async fn receive(&self) -> Option<T> {
        loop {
            let ring = self.bell.hang_up();
            match self.messages.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                // The task sleeps here; it holds no thread. However the operation ends, there may be news.
                Err(TryRecvError::Empty) => drop(ring.await),
            }
        }
    }
}

impl<T> Letters<T> {
    /// Puts a message into the channel, then rings.
    fn send(&self, message: T) -> Result<(), TrySendError<T>> {
        let sent = match &self.messages {
            Some(messages) => messages.try_send(message),
            None => Err(TrySendError::Disconnected(message)),
        };
        self.bell.ring();
        sent
    }
}

/// That there will be no message is news, too: first the channel is closed, then the bell rings.
impl<T> Drop for Letters<T> {
    fn drop(&mut self) {
        self.messages = None;
        self.bell.ring();
    }
}

impl Bell {
    /// Something to await until it rings. One that hung there before is taken down.
    fn hang_up(&self) -> IoOperation<()> {
        let (ring, completer) = IoOperation::new();
        let before = self.0.lock().replace(completer);
        drop(before);
        ring
    }

    fn ring(&self) {
        let completer = self.0.lock().take();
        if let Some(completer) = completer {
            completer.complete(());
        }
    }
}

/// A chain of chunks, and their files in the directory that is their origin.
fn make_chain(origin: &Path) -> anyhow::Result<Vec<DataChunk>> {
    fs::create_dir(origin)?;
    let describe = |n: usize| {
        let file = origin.join(n.to_string());
        fs::write(&file, content(n))?;
        let start = u64::try_from(n)? * BLOCKS_PER_CHUNK;
        Ok(DataChunk {
            id: [u8::try_from(n)?; 32],
            dataset_id: DATASET,
            block_range: start..start + BLOCKS_PER_CHUNK,
            files: HashMap::from([("blocks".to_owned(), format!("file://{}", file.display()))]),
        })
    };
    (0..CHUNKS).map(describe).collect()
}

fn content(n: usize) -> Vec<u8> {
    (0..CHUNK_BYTES)
        .map(|at| (at.wrapping_mul(n + 3) >> 3) as u8)
        .collect()
}

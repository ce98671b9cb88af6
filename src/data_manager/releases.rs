//! How the last reference to a chunk is handed over by whoever drops it.

use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;

use crate::data_chunk::ChunkId;
use crate::data_source::Generation;
use crate::io_operation::{Completer, IoOperation};

/// Releases that nobody looked at yet, and a bell for the task that will.
///
/// The queue has no bound of its own: it holds at most one entry for each chunk on disk, and the
/// thread that drops a guard may not wait.
pub(super) struct Releases {
    sender: Sender<(ChunkId, Generation)>,
    receiver: Receiver<(ChunkId, Generation)>,
    /// Resumes the task that waits for releases. Protects the slot only; it is rung outside.
    bell: Mutex<Option<Completer<()>>>,
}

impl Releases {
    pub(super) fn new() -> Self {
        let (sender, receiver) = unbounded();
        Releases {
            sender,
            receiver,
            bell: Mutex::new(None),
        }
    }

    /// Something to await until the next release.
    ///
    /// Look for releases after this call and before the await: one that came earlier rings no more.
    pub(super) fn next_ring(&self) -> IoOperation<()> {
        let (operation, completer) = IoOperation::new();
        let _unused = self.bell.lock().replace(completer);
        operation
    }

    /// At most `limit` of them.
    pub(super) fn take(&self, limit: usize) -> Vec<(ChunkId, Generation)> {
        self.receiver.try_iter().take(limit).collect()
    }

    /// The last reference is gone. Called by whoever dropped it, on any thread, possibly with locks
    /// held that this crate knows nothing of: it hands the news over and returns.
    pub(super) fn released(&self, chunk_id: ChunkId, generation: Generation) {
        // It cannot fail: the receiver is in this very struct.
        let _ = self.sender.send((chunk_id, generation));
        let completer = self.bell.lock().take();
        if let Some(completer) = completer {
            completer.complete(());
        }
    }
}

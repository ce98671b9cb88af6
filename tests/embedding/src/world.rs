//! A manager, and a source whose files arrive when a test says so.

use std::collections::HashMap;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use data_manager::data_chunk::{ChunkId, DataChunk};
use data_manager::data_manager::DataManagerImpl;
use data_manager::data_source::{CancelToken, DataSource, OpenRequest, Opened, SourceError};
use tempfile::TempDir;

use crate::DEADLINE;

/// The dataset of all chunks here.
pub const DATASET: [u8; 32] = [0xd5; 32];

/// A data directory with its manager.
pub struct World {
    pub manager: Arc<DataManagerImpl>,
    pub gate: Gate,
    // After the manager, which has files in it.
    _dir: TempDir,
}

impl World {
    pub fn new() -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let gate = Gate::default();
        let manager = DataManagerImpl::builder()
            .data_dir(dir.path())
            .threads(2)
            .first_backoff(Duration::from_millis(20))
            .source("gated", gate.clone())
            .open()
            .expect("a manager");
        World {
            manager: Arc::new(manager),
            gate,
            _dir: dir,
        }
    }

    pub fn is_visible(&self, id: ChunkId) -> bool {
        self.manager.get_chunk(&id).is_some()
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// The id of chunk `n`.
pub fn id(n: u8) -> ChunkId {
    [n; 32]
}

/// A chunk whose bytes wait at the gate.
pub fn gated(n: u8) -> DataChunk {
    chunk(n, &format!("gated://{n}/f"))
}

/// A chunk that is there at once.
pub fn open(n: u8) -> DataChunk {
    chunk(n, &format!("gated://{n}/f?open"))
}

fn chunk(n: u8, url: &str) -> DataChunk {
    let first_block = u64::from(n) * 10;
    DataChunk {
        id: id(n),
        dataset_id: DATASET,
        block_range: first_block..first_block + 10,
        files: HashMap::from([("f".to_owned(), url.to_owned())]),
    }
}

/// A source whose bytes arrive once the gate is open. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// How many readers have come to the gate.
    arrived: usize,
}

impl Gate {
    pub fn open(&self) {
        self.0.0.lock().expect("a lock").open = true;
        self.0.1.notify_all();
    }

    /// Blocks until a reader waits at the gate.
    pub fn wait_for_reader(&self) {
        let state = self.0.0.lock().expect("a lock");
        let waited = self
            .0
            .1
            .wait_timeout_while(state, DEADLINE, |state| state.arrived == 0);
        assert!(!waited.expect("a lock").1.timed_out(), "nobody reads");
    }

    fn pass(&self, cancel: &CancelToken) -> io::Result<()> {
        let gate = self.clone();
        let _hook = cancel.on_cancel(move || gate.0.1.notify_all());
        let mut state = self.0.0.lock().expect("a lock");
        state.arrived += 1;
        self.0.1.notify_all();
        while !state.open {
            if cancel.is_cancelled() {
                return Err(io::Error::other("cancelled"));
            }
            // The hook does not take the lock, so its call may come just before the wait.
            let turn = Duration::from_millis(20);
            state = self.0.1.wait_timeout(state, turn).expect("a lock").0;
        }
        Ok(())
    }
}

impl DataSource for Gate {
    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        const BYTES: &[u8] = b"some bytes";
        let reader = GatedReader {
            gate: (!request.url().ends_with("?open")).then(|| self.clone()),
            cancel: request.cancel().clone(),
            bytes: Cursor::new(BYTES),
        };
        Ok(Opened::new(reader).with_total(BYTES.len() as u64))
    }
}

struct GatedReader {
    /// `None` once it is passed.
    gate: Option<Gate>,
    cancel: CancelToken,
    bytes: Cursor<&'static [u8]>,
}

impl Read for GatedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(gate) = self.gate.take() {
            gate.pass(&self.cancel)?;
        }
        self.bytes.read(buffer)
    }
}

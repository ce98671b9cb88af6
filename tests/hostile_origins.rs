//! Origins that mean no good, on a raw socket: whatever they send, the file is right in the end or
//! its chunk has failed, nothing of theirs is ever visible, and nobody else waits for them.
//!
//! * `framing`: where a body ends, and whether it is one.
//! * `versions`: parts, validators, and what changes meanwhile.
//! * `floods`: what has no end, and what promises more than there is room for.
//! * `resets`: a connection that is reset after each single byte.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "hostile_origins/floods.rs"]
mod floods;
#[path = "hostile_origins/framing.rs"]
mod framing;
#[path = "hostile_origins/resets.rs"]
mod resets;
mod support;
#[path = "hostile_origins/versions.rs"]
mod versions;

use std::collections::HashMap;
use std::sync::Arc;

use data_manager::data_chunk::ChunkId;
use data_manager::data_manager::{
    ChunkTask, DataManagerBuilder, DataManagerImpl, Durability, Event, Events,
};
use data_manager::{Error, ErrorKind};
use support::origin::{Gate, Origin, Reply};
use support::{DEADLINE, bytes, chunk, chunk_dirs, id, read_dir, temp_dir};
use tempfile::TempDir;

/// What the origins serve when they are honest.
fn sound() -> Arc<Vec<u8>> {
    Arc::new(bytes(1, 3000))
}

/// Exactly this answer.
fn raw(text: impl AsRef<[u8]>) -> Reply {
    Reply::Raw(text.as_ref().to_vec())
}

/// An answer of these headers and this body.
fn answer(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    [
        b"HTTP/1.1 200 OK\r\n",
        headers.as_bytes(),
        b"\r\n\r\n",
        body.as_ref(),
    ]
    .concat()
}

/// The same, as a reply.
fn ok(headers: &str, body: impl AsRef<[u8]>) -> Reply {
    Reply::Raw(answer(headers, body))
}

/// A manager, and an origin for each chunk: so each is a host of its own.
struct World {
    manager: DataManagerImpl,
    events: Events,
    origins: Vec<Origin>,
    dir: TempDir,
}

impl World {
    fn new(set: impl FnOnce(DataManagerBuilder) -> DataManagerBuilder) -> World {
        let dir = temp_dir();
        let builder = support::builder(dir.path())
            .durability(Durability::None)
            .slots(64);
        let manager = set(builder).open().unwrap();
        World {
            events: manager.events(),
            manager,
            origins: Vec::new(),
            dir,
        }
    }

    /// Asks for a chunk of one file from an origin of its own, which gives these replies in turn.
    fn ask(&mut self, n: u8, replies: Vec<Reply>) -> ChunkTask {
        self.ask_for(n, replies, "")
    }

    /// The same, with something behind the URL.
    fn ask_for(&mut self, n: u8, replies: Vec<Reply>, suffix: &str) -> ChunkTask {
        let origin = Origin::start();
        origin.script("f", replies);
        let url = origin.url("f") + suffix;
        self.origins.push(origin);
        let block = u64::from(n);
        self.manager
            .download_chunk(chunk(n, block..block + 1, [("f", url)]))
    }

    /// Why an attempt at each of so many chunks failed, the first one of each.
    fn first_failures(&self, count: usize) -> HashMap<ChunkId, Error> {
        let mut failures = HashMap::new();
        while failures.len() < count {
            match self.events.recv_timeout(DEADLINE).unwrap() {
                Event::Retried {
                    chunk_id, error, ..
                }
                | Event::Failed {
                    chunk_id, error, ..
                } => {
                    failures.entry(chunk_id).or_insert(error);
                }
                Event::Available { chunk_id, .. } => {
                    assert!(failures.contains_key(&chunk_id), "taken: {}", chunk_id[0]);
                }
                _ => {}
            }
        }
        failures
    }

    /// An honest chunk from elsewhere comes while all of this goes on.
    fn others_go_on(&mut self) {
        let honest = vec![Reply::File(Arc::new(bytes(9, 5000)))];
        let task = self.ask(255, honest);
        task.wait_timeout(DEADLINE).expect("starved").unwrap();
        assert!(self.content(255) == bytes(9, 5000));
        let gone = self.manager.delete_chunk(id(255));
        gone.wait_timeout(DEADLINE).unwrap().unwrap();
    }

    fn nothing_is_visible(&self) {
        assert!(self.manager.list_chunks().is_empty());
        assert!(chunk_dirs(self.dir.path()).is_empty());
    }

    fn content(&self, n: u8) -> Vec<u8> {
        let guard = self.manager.get_chunk(&id(n)).unwrap();
        std::fs::read(guard.path().join("f")).unwrap()
    }

    /// Nothing is left of what was broken off.
    fn nothing_is_staged(&self) {
        assert!(self.manager.wait_idle(DEADLINE));
        assert!(read_dir(&self.dir.path().join("_staging")).is_empty());
        assert!(read_dir(&self.dir.path().join("_quarantine")).is_empty());
    }
}

/// The first attempt at each fails with that kind; the next one, which is served honestly, brings
/// exactly what the origin has then. Meanwhile nothing is visible, and others go on.
fn each_passes(cases: &[(&str, Reply, ErrorKind)]) {
    each_passes_with(|builder| builder, cases);
}

fn each_passes_with(
    set: impl FnOnce(DataManagerBuilder) -> DataManagerBuilder,
    cases: &[(&str, Reply, ErrorKind)],
) {
    let (mut world, gate) = (World::new(set), Gate::default());
    let mut tasks = Vec::new();
    for (n, (_, reply, _)) in (0..).zip(cases) {
        let honest = Reply::Gated(gate.clone(), sound());
        tasks.push(world.ask(n, vec![reply.clone(), honest]));
    }
    let failures = world.first_failures(cases.len());
    let mut wrong = Vec::new();
    for (n, (name, _, kind)) in (0..).zip(cases) {
        let error = &failures[&id(n)];
        if error.kind() != *kind {
            wrong.push(format!("{name}: {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.others_go_on();
    world.nothing_is_visible();
    gate.open();
    for (n, (task, (name, ..))) in (0..).zip(tasks.into_iter().zip(cases)) {
        let outcome = task.wait_timeout(DEADLINE).expect(name);
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
        assert!(world.content(n) == *sound(), "{name}");
    }
    world.nothing_is_staged();
}

/// Each task ends in an error of that kind, and nothing of it is there.
fn each_ends(
    set: impl FnOnce(DataManagerBuilder) -> DataManagerBuilder,
    cases: &[(&str, Reply, ErrorKind)],
) {
    let mut world = World::new(set);
    let mut tasks = Vec::new();
    for (n, (_, reply, _)) in (0..).zip(cases) {
        tasks.push(world.ask(n, vec![reply.clone()]));
    }
    for (task, (name, _, kind)) in tasks.into_iter().zip(cases) {
        let error = task.wait_timeout(DEADLINE).expect(name).unwrap_err();
        assert_eq!(error.kind(), *kind, "{name}: {error}");
    }
    world.others_go_on();
    world.nothing_is_visible();
    let none: [data_manager::data_chunk::DataChunk; 0] = [];
    let gone = world.manager.set_assignment(none);
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    world.nothing_is_staged();
}

/// Each is taken at once, and gives these bytes.
fn each_is_taken(cases: &[(&str, Reply, &[u8])]) {
    let mut world = World::new(|builder| builder);
    let mut tasks = Vec::new();
    for (n, (_, reply, _)) in (0..).zip(cases) {
        tasks.push(world.ask(n, vec![reply.clone()]));
    }
    for (n, (task, (name, _, content))) in (0..).zip(tasks.into_iter().zip(cases)) {
        let outcome = task.wait_timeout(DEADLINE).expect(name);
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
        assert_eq!(world.content(n), *content, "{name}");
        assert_eq!(world.origins[usize::from(n)].hits("f"), 1, "{name}");
    }
    world.nothing_is_staged();
}

//! What a worker does in its first hour: download, find, read, delete, idle.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use data_manager::data_chunk::{DataChunk, DataChunkRef};
use data_manager::data_manager::{ChunkState, DataManager, DataManagerImpl};
use data_manager::tasks_manager::block_on;
use support::origin::Origin;
use support::{DATASET, DEADLINE, bytes, chunk, chunk_dirs, id, open, temp_dir};

#[test]
fn a_chunk_comes_is_read_and_goes() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let (blocks, logs) = (bytes(1, 700_000), bytes(2, 10));
    origin.file("blocks", blocks.clone());
    origin.file("logs", logs.clone());
    origin.file("empty", []);
    let manager = open(dir.path());
    let files = [
        ("blocks.parquet", origin.url("blocks")),
        ("logs.parquet", origin.url("logs")),
        ("empty", origin.url("empty")),
    ];
    let task = manager.download_chunk(chunk(1, 10..35, files));
    task.wait_timeout(DEADLINE).unwrap().unwrap();

    assert_eq!(manager.list_chunks(), [id(1)]);
    for block in [10, 34] {
        assert_eq!(manager.find_chunk(DATASET, block).unwrap().id(), &id(1));
    }
    for block in [9, 35, u64::MAX] {
        assert!(manager.find_chunk(DATASET, block).is_none(), "{block}");
    }
    assert!(manager.find_chunk([0; 32], 10).is_none());
    let guard = manager.get_chunk(&id(1)).unwrap();
    let sizes: Vec<(&str, u64)> = guard
        .files()
        .iter()
        .map(|file| (file.name.as_str(), file.len_bytes))
        .collect();
    assert_eq!(
        sizes,
        [
            ("blocks.parquet", 700_000),
            ("empty", 0),
            ("logs.parquet", 10)
        ]
    );
    assert_eq!(
        (guard.block_range(), guard.dataset_id()),
        (10..35, &DATASET)
    );
    assert_eq!(
        std::fs::read(guard.path().join("blocks.parquet")).unwrap(),
        blocks
    );
    assert_eq!(
        std::fs::read(guard.path().join("logs.parquet")).unwrap(),
        logs
    );
    let status = manager.chunk_status(&id(1)).unwrap();
    assert_eq!(
        (status.state, status.done_bytes),
        (ChunkState::Available, 700_010)
    );

    let path = guard.path().to_owned();
    drop(guard);
    let task = manager.delete_chunk(id(1));
    assert!(manager.list_chunks().is_empty() && manager.find_chunk(DATASET, 10).is_none());
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(!path.exists());
    assert!(manager.wait_idle(DEADLINE));
    assert!(manager.chunk_status(&id(1)).is_none());
    assert_eq!(manager.stats().chunks.available_bytes, 0);
}

#[test]
fn nothing_of_it_is_visible_before_all_of_it_is_there() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let gate = support::origin::Gate::default();
    let slow = support::origin::Reply::Gated(gate.clone(), bytes(1, 1000).into());
    origin.file("fast", bytes(2, 1000));
    origin.serve("slow", slow);
    let manager = open(dir.path());
    let files = [("fast", origin.url("fast")), ("slow", origin.url("slow"))];
    let task = manager.download_chunk(chunk(1, 0..5, files));
    origin.wait_for_hits("slow", 1);
    origin.wait_for_hits("fast", 1);
    assert!(task.wait_timeout(Duration::from_millis(100)).is_none());
    assert!(manager.list_chunks().is_empty() && manager.find_chunk(DATASET, 0).is_none());
    assert!(!manager.find_range(DATASET, 0..5).missing.is_empty());
    assert!(chunk_dirs(dir.path()).is_empty());
    assert!(!manager.wait_idle(Duration::from_millis(10)));
    gate.open();
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(chunk_dirs(dir.path()).len(), 1);
}

#[test]
fn a_chunks_files_come_side_by_side() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let gate = support::origin::Gate::default();
    let names = ["a", "b", "c", "d"];
    for name in names {
        let held = support::origin::Reply::Gated(gate.clone(), bytes(1, 10).into());
        origin.serve(name, held);
    }
    let manager = open(dir.path());
    let task = manager.download_chunk(chunk(1, 0..1, names.map(|name| (name, origin.url(name)))));
    for name in names {
        origin.wait_for_hits(name, 1);
    }
    assert_eq!(origin.most_active(), 4);
    gate.open();
    task.wait_timeout(DEADLINE).unwrap().unwrap();
}

#[test]
fn slots_bound_what_is_fetched_at_a_time() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = support::builder(dir.path()).slots(2).open().unwrap();
    let tasks: Vec<_> = (0..12)
        .map(|n: u8| {
            let names = ["a", "b", "c"].map(|name| (name, format!("{n}/{name}")));
            for (_, path) in &names {
                origin.file(path, bytes(u64::from(n), 50_000));
            }
            let start = u64::from(n) * 10;
            let files = names.map(|(name, path)| (name, origin.url(&path)));
            manager.download_chunk(chunk(n, start..start + 10, files))
        })
        .collect();
    for task in tasks {
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    assert!(origin.most_active() <= 2, "{}", origin.most_active());
    assert_eq!(manager.list_chunks().len(), 12);
    let cover = manager.find_range(DATASET, 5..125);
    assert_eq!(cover.chunks.len(), 12);
    assert_eq!(cover.missing, vec![120..125]);
}

#[test]
fn the_trait_is_enough_to_work_with() {
    fn work<M: DataManager>(manager: &M, chunk: DataChunk) -> Vec<u8> {
        let (id, dataset, block) = (chunk.id, chunk.dataset_id, chunk.block_range.start);
        manager.download_chunk(chunk);
        let started = std::time::Instant::now();
        let found = loop {
            if let Some(found) = manager.find_chunk(dataset, block) {
                break found;
            }
            assert!(started.elapsed() < DEADLINE);
            std::thread::yield_now();
        };
        assert_eq!(manager.list_chunks(), [id]);
        let bytes = std::fs::read(found.clone().path().join("f")).unwrap();
        manager.delete_chunk(id);
        assert!(manager.list_chunks().is_empty());
        bytes
    }
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", bytes(1, 100));
    let manager = <DataManagerImpl as DataManager>::new(dir.path().to_owned());
    let read = work(&manager, chunk(1, 0..5, [("f", origin.url("f"))]));
    assert_eq!(read, bytes(1, 100));
}

#[test]
fn a_task_can_be_awaited_and_an_unknown_id_deleted() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", bytes(1, 100));
    let manager = open(dir.path());
    block_on(manager.download_chunk(chunk(1, 0..5, [("f", origin.url("f"))]))).unwrap();
    block_on(manager.delete_chunk(id(9))).unwrap();
    assert_eq!(manager.list_chunks(), [id(1)]);
    assert!(manager.wait_idle(Duration::ZERO));
}

#[test]
fn files_come_from_directories_that_the_builder_names() {
    let (dir, files) = (temp_dir(), temp_dir());
    let content = bytes(1, 300_000);
    std::fs::write(files.path().join("f"), &content).unwrap();
    let url = format!("file://{}/f", files.path().display());
    let manager = support::builder(dir.path())
        .serve_files_from(files.path())
        .open()
        .unwrap();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", url)]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert_eq!(std::fs::read(guard.path().join("f")).unwrap(), content);
}

//! The public interface, spelled out: names, signatures, and what the types can do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::task::Waker;
use std::time::Duration;

use data_manager::data_chunk::{ChunkId, DataChunk, DataChunkRef, DatasetId};
use data_manager::data_manager::{
    ChunkGuard, ChunkStatus, ChunkTask, DataManager, DataManagerBuilder, DataManagerImpl, Events,
    RangeCover, Stats,
};
use data_manager::io_operation::{BlockingPool, Completer, IoOperation};
use data_manager::tasks_manager::{JoinError, JoinHandle, Sleep, TasksManager, block_on, sleep};
use data_manager::{Error, ErrorKind};

fn send_sync<T: Send + Sync>() {}
fn send_unpin_static<T: Send + Unpin + 'static>() {}
fn future<O, T: Future<Output = O>>() {}
fn error<T: std::error::Error + Send + Sync + 'static>() {}
fn plain<T: Clone + std::fmt::Debug + Eq + serde::Serialize + serde::de::DeserializeOwned>() {}
fn default<T: Default>() {}
fn chunk_ref<T: DataChunkRef + 'static>() {}
fn iterator<T: Iterator>() {}

#[test]
fn types_can_do_what_they_should() {
    send_sync::<DataManagerImpl>();
    send_sync::<DataManagerBuilder>();
    send_sync::<ChunkGuard>();
    send_sync::<RangeCover>();
    send_sync::<ChunkStatus>();
    send_sync::<Stats>();
    send_sync::<Events>();
    send_sync::<TasksManager>();
    send_sync::<BlockingPool>();
    send_unpin_static::<ChunkTask>();
    send_unpin_static::<JoinHandle<std::cell::Cell<u8>>>();
    send_unpin_static::<IoOperation<std::marker::PhantomPinned>>();
    send_unpin_static::<Completer<u8>>();
    send_unpin_static::<Sleep>();
    future::<Result<(), Error>, ChunkTask>();
    future::<Result<u8, JoinError>, JoinHandle<u8>>();
    future::<Result<u8, JoinError>, IoOperation<u8>>();
    future::<(), Sleep>();
    error::<Error>();
    error::<JoinError>();
    plain::<DataChunk>();
    default::<DataManagerImpl>();
    default::<TasksManager>();
    chunk_ref::<ChunkGuard>();
    iterator::<Events>();
}

#[test]
fn calls_have_their_signatures() {
    let _: fn(&DataManagerImpl, DataChunk) -> ChunkTask = DataManagerImpl::download_chunk;
    let _: fn(&DataManagerImpl, ChunkId) -> ChunkTask = DataManagerImpl::delete_chunk;
    let _: fn(&DataManagerImpl) -> Vec<ChunkId> = DataManagerImpl::list_chunks;
    let _: fn(&DataManagerImpl, DatasetId, u64) -> Option<ChunkGuard> = DataManagerImpl::find_chunk;
    let _: fn(&DataManagerImpl, &ChunkId) -> Option<ChunkGuard> = DataManagerImpl::get_chunk;
    let _: fn(&DataManagerImpl, DatasetId, Range<u64>) -> RangeCover = DataManagerImpl::find_range;
    let _: fn(&DataManagerImpl, Vec<DataChunk>) -> ChunkTask = DataManagerImpl::set_assignment;
    let _: fn(&DataManagerImpl, Duration) -> bool = DataManagerImpl::wait_idle;
    let _: fn(&DataManagerImpl, &ChunkId) -> Option<ChunkStatus> = DataManagerImpl::chunk_status;
    let _: fn(&DataManagerImpl) -> Stats = DataManagerImpl::stats;
    let _: fn(&DataManagerImpl) -> Events = DataManagerImpl::events;
    let _: fn(&DataManagerImpl, Duration) -> Result<(), Error> = DataManagerImpl::shutdown;
    let _: fn(&'static str) -> Result<DataManagerImpl, Error> = DataManagerImpl::open;
    let _: fn(&'static str) -> DataManagerImpl = DataManagerImpl::new;
    let _: fn() -> DataManagerBuilder = DataManagerImpl::builder;
    let _: fn(ChunkTask) -> Result<(), Error> = ChunkTask::wait;
    let _: fn(&ChunkTask, Duration) -> Option<Result<(), Error>> = ChunkTask::wait_timeout;
    let _: for<'a> fn(&'a ChunkGuard) -> &'a Path = ChunkGuard::path;
    let _: for<'a> fn(&'a ChunkGuard) -> &'a ChunkId = ChunkGuard::id;
    let _: for<'a> fn(&'a ChunkGuard) -> &'a DatasetId = ChunkGuard::dataset_id;
    let _: fn(&ChunkGuard) -> Range<u64> = ChunkGuard::block_range;
    let _: fn(&Error) -> ErrorKind = Error::kind;
    let _: fn(&Error) -> Option<ChunkId> = Error::chunk_id;
    let _: for<'a> fn(&'a Error) -> Option<&'a str> = Error::file;
    let _: for<'a> fn(&'a Error) -> Option<&'a str> = Error::url;
    let _: fn(&Waker) = TasksManager::wake;
    let _: fn(usize) -> TasksManager = TasksManager::new;
    let _: fn(JoinError) -> Box<dyn Any + Send> = JoinError::into_panic;
    let _: fn(&JoinHandle<u8>) = JoinHandle::cancel;
    let _: fn(&JoinHandle<u8>) -> bool = JoinHandle::is_finished;
    let _: fn(Duration) -> Sleep = sleep;
    let _: fn() -> (IoOperation<u8>, Completer<u8>) = IoOperation::new;
    let _: fn(Completer<u8>, u8) = Completer::complete;
    let job: IoOperation<u8> = BlockingPool::new(1).run(|| 1);
    assert_eq!(job.wait().unwrap(), 1);
    assert_eq!(block_on(async { 1 }), 1);
}

#[test]
fn a_reference_from_the_trait_outlives_its_manager() {
    fn first<M: DataManager + 'static>(manager: M) {
        let found = manager.find_chunk([0; 32], 0);
        drop(manager);
        std::thread::spawn(move || drop(found)).join().unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    first(DataManagerImpl::open(dir.path()).unwrap());
}

#[test]
fn a_description_is_json_as_it_should_be() {
    let chunk = DataChunk {
        id: [0xab; 32],
        dataset_id: [0xcd; 32],
        block_range: 0..35,
        files: HashMap::from([("f".to_owned(), "http://u:secret@h/f?secret".to_owned())]),
    };
    let json = serde_json::to_value(&chunk).unwrap();
    let expected = serde_json::json!({
        "id": "ab".repeat(32),
        "dataset_id": "cd".repeat(32),
        "block_range": {"start": 0, "end": 35},
        "files": {"f": "http://u:secret@h/f?secret"},
    });
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_value::<DataChunk>(json).unwrap(), chunk);
    assert!(!format!("{chunk:?}").contains("secret"));
    for bad in ["AB", "abc", ""] {
        let text = expected.to_string().replace(&"ab".repeat(32), bad);
        assert!(serde_json::from_str::<DataChunk>(&text).is_err(), "{bad:?}");
    }
}

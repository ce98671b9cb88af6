//! Keeps the wanted chunks of blockchain data on local disk and hands them to queries, on an
//! executor of its own.
//!
//! A *worker* answers queries over data that is cut into immutable **chunks**: one dataset, one
//! half-open range of blocks, a few files. A scheduler tells it all day which chunks to get and
//! which to drop; queries ask which chunk holds block N. [`DataManagerImpl`] sits between: no call
//! waits for IO, the last call on a chunk wins, only whole chunks are ever visible, a chunk that
//! somebody holds a reference to stays on disk, and a restart finds what was there.
//!
//! ```rust,standalone_crate
//! # let here = tempfile::tempdir()?;
//! # std::env::set_current_dir(here.path())?;
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let local_url = format!("http://{}/111111/0/35/file1.parquet", listener.local_addr()?);
//! # std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     for mut stream in listener.incoming().flatten() {
//! #         let _ = stream.read(&mut [0; 4096]);
//! #         let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nPAR1");
//! #     }
//! # });
//! use std::collections::HashMap;
//! use data_manager::data_manager::DataManagerImpl;
//! use data_manager::data_chunk::DataChunk;
//!
//! let data_manager = DataManagerImpl::default();    // the directory `local_data_dir` under the current one
//! # let url = "https://example.com/111111/0/35/file1.parquet";
//! let chunk = DataChunk {
//!     id: [1u8; 32],
//!     dataset_id: [1u8; 32],
//!     block_range: 0..35,
//!     files: HashMap::from([
//! #       ("file.parquet".to_string(), local_url)
//! #   ]),
//! # };
//! # let _shown = DataChunk {
//! #   files: HashMap::from([
//!         ("file.parquet".to_string(), "https://example.com/111111/0/35/file1.parquet".to_string())
//!     ]),
//! #   ..chunk.clone()
//! };
//! # let task =
//! data_manager.download_chunk(chunk);
//! # task.wait()?;
//! let the_chunk = data_manager.find_chunk([1u8; 32], 0);   // Option of a reference that keeps the chunk
//! # assert_eq!(std::fs::read(the_chunk.as_ref().ok_or("no chunk")?.path().join("file.parquet"))?, b"PAR1");
//! data_manager.delete_chunk([1u8; 32]);
//! let chunks = data_manager.list_chunks();                 // Vec<ChunkId>
//! # assert!(chunks.is_empty());
//! # assert!(here.path().join("local_data_dir").is_dir());
//! # drop(the_chunk);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `download_chunk` returns at once; what became of it is told by the
//! [`ChunkTask`](data_manager::ChunkTask) that it returns, which may be awaited on any executor,
//! waited for, or ignored.
//!
//! # The parts
//!
//! | module | what it is |
//! | --- | --- |
//! | [`data_manager`] | the interface that workers need; joins all the others |
//! | [`tasks_manager`] | the executor: threads that poll futures, with their own `Waker` |
//! | [`io_operation`] | blocking jobs as futures, on threads of their own |
//! | [`data_catalogue`] | what is available, and which chunk holds a block |
//! | [`data_source`] | where bytes come from, and the directory they are kept in |
//! | [`data_chunk`] | what a chunk is |
//!
//! `tasks_manager` and `io_operation` know nothing of the others and can be read, and used, alone.
//!
//! The [`cookbook`] answers what people ask first.
//!
//! [`DataManagerImpl`]: data_manager::DataManagerImpl
#![forbid(unsafe_code)]

pub mod data_catalogue;
pub mod data_chunk;
pub mod data_manager;
pub mod data_source;
mod error;
pub mod io_operation;
pub mod tasks_manager;

pub use error::{Error, ErrorKind};

#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/cookbook.md")]
pub mod cookbook {}

/// The door for the targets in `fuzz/`, in their build only.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::data_chunk::properties::*;
    pub use crate::data_source::properties::*;
}

//! Keeps the wanted chunks of blockchain data on local disk and hands them to queries.
//!
//! See `README.md` for one minute, `ARCHITECTURE.md` for an evening.
#![forbid(unsafe_code)]

pub mod data_catalogue;
pub mod data_chunk;
pub mod data_manager;
pub mod data_source;
mod error;
pub mod io_operation;
pub mod tasks_manager;

pub use error::{Error, ErrorKind};

//! The executor half of the library, and its catalogue, compiled a second time so that loom can run them.
//!
//! The sources are the library's own. Here `--cfg loom` is set (by `build.rs`), so in a test build
//! `tasks_manager::sync` and `data_catalogue::sync` hand out loom's primitives, and the `models` modules come in. A crate
//! of its own, because loom has to stay out of the library's tree, and because this half builds in a fraction of
//! the time of the whole. `.ci/models` runs it.

#[path = "../../../src/data_catalogue/mod.rs"]
pub mod data_catalogue;
pub mod data_chunk;
#[path = "../../../src/io_operation/mod.rs"]
pub mod io_operation;
#[path = "../../../src/tasks_manager/mod.rs"]
pub mod tasks_manager;

//! Whether what was in the directory before is whole.
//!
//! Opening believes the names of directories, and looks behind them later. A tool that ends as soon as
//! everything seems to be there would not hear of what that look finds, and would say that all is well.

use data_manager::Error;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{ChunkGuard, ChunkTask, DataManagerImpl};

/// Looks whether the files of these chunks are there with their sizes, and waits until those that are
/// not were fetched again. Gives the errors of those that could not be.
pub(crate) fn make_whole(manager: &DataManagerImpl, chunks: &[DataChunk]) -> Vec<Error> {
    let broken = |chunk: &&DataChunk| match manager.get_chunk(&chunk.id) {
        Some(guard) => !has_its_files(&guard),
        // The manager was quicker. Where it is not there for another reason, that was an error already.
        None => (manager.chunk_status(&chunk.id)).is_some_and(|status| status.last_error.is_none()),
    };
    let broken: Vec<&DataChunk> = chunks.iter().filter(broken).collect();
    // The manager judges, and takes what is damaged away. What it said is heard below.
    let judged: Vec<ChunkTask> = (broken.iter())
        .map(|chunk| manager.verify(&chunk.id))
        .collect();
    judged.into_iter().for_each(|task| drop(task.wait()));
    let fetched: Vec<ChunkTask> = (broken.iter())
        .map(|chunk| manager.download_chunk((*chunk).clone()))
        .collect();
    let ended = fetched.into_iter().map(ChunkTask::wait);
    ended.filter_map(Result::err).collect()
}

fn has_its_files(guard: &ChunkGuard) -> bool {
    let files = guard.files();
    let is_there = |name: &str, len_bytes: u64| {
        let found = guard.path().join(name).symlink_metadata();
        found.is_ok_and(|found| found.is_file() && found.len() == len_bytes)
    };
    // Of a manifest that cannot be read there are none.
    !files.is_empty()
        && files
            .iter()
            .all(|file| is_there(&file.name, file.len_bytes))
}

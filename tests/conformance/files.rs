//! `file://`: a directory that files are moved into.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::DataManagerImpl;
use data_manager::data_source::FileSource;
use data_manager::data_source::conformance::{ChunkContent, Origin};

use crate::conforms;
use crate::support::{DEADLINE, temp_dir};

/// Puts files under a directory, each in one rename.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    fn url(&self, name: &str) -> String {
        format!("file://{}", self.0.join(name).display())
    }
}

impl Origin for Directory {
    fn put(&self, name: &str, content: &[u8]) -> String {
        let new = self.0.join(format!("{name}.new"));
        fs::write(&new, content).unwrap();
        fs::rename(new, self.0.join(name)).unwrap();
        self.url(name)
    }

    fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.0.join(name));
    }

    fn put_huge(&self, name: &str, len_bytes: u64, tail: &[u8]) -> Option<String> {
        put_hole(&self.0.join(name), len_bytes, tail).ok()?;
        Some(self.url(name))
    }

    fn put_chunks(&self, name: &str, chunks: &[ChunkContent]) -> Option<String> {
        put_data_directory(&self.0.join(name), chunks);
        Some(self.url(name))
    }
}

/// A file with a hole.
pub(crate) fn put_hole(path: &Path, len_bytes: u64, tail: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.set_len(len_bytes)?;
    file.seek(SeekFrom::Start(len_bytes - tail.len() as u64))?;
    file.write_all(tail)
}

/// What a worker's data directory looks like that holds these chunks.
pub(crate) fn put_data_directory(dir: &Path, chunks: &[ChunkContent]) {
    let from = temp_dir();
    let manager = DataManagerImpl::builder()
        .data_dir(dir)
        .threads(2)
        .serve_files_from(from.path())
        .open()
        .unwrap();
    for (n, chunk) in chunks.iter().enumerate() {
        let file = |(m, (name, bytes)): (usize, (&String, &Vec<u8>))| {
            let path = from.path().join(format!("{n}-{m}"));
            fs::write(&path, bytes).unwrap();
            (name.clone(), format!("file://{}", path.display()))
        };
        let described = DataChunk {
            id: chunk.id,
            dataset_id: chunk.dataset_id,
            block_range: chunk.block_range.clone(),
            files: chunk.files.iter().enumerate().map(file).collect(),
        };
        let task = manager.download_chunk(described);
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    manager.shutdown(DEADLINE).unwrap();
}

#[test]
fn files_conform() {
    let dir = temp_dir();
    let source = FileSource::new([dir.path().to_owned()]);
    // Nothing between a file and its reader can be cut or stall.
    let may_skip = ["cut", "cancelled_while_opening", "cancelled_while_stalled"];
    conforms(source, Directory(dir.path().to_owned()), &may_skip);
}

//! Reads a committed chunk again, a step at a time, and holds every byte against its manifest.
//!
//! Nothing is followed and nothing blocks: a link, a FIFO or a device in the place of a file is damage.
//! A read that fails says nothing certain, neither that the bytes are right nor that they are not:
//! that is an error of another kind than [`Damaged`](ErrorKind::Damaged).

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

use super::disk::Dir;
use super::manifest::damaged;
use super::stored::{Contents, FileSums, StoredChunk};
use super::{LocalDataSource, layout};
use crate::data_chunk::{ChunkFile, MANIFEST_NAME};
use crate::data_source::checksums::Checksums;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;

/// How much is read at a time.
const BUFFER_LEN: usize = 256 << 10;

/// How far the reading of one chunk is.
#[derive(Debug)]
pub(crate) struct Verification {
    chunk: StoredChunk,
    /// Opened by the first step.
    opened: Option<Opened>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Opened {
    dir: Dir,
    contents: Contents,
    /// The next file to open.
    next: usize,
    /// The one before that, while it is read.
    file: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    sums: Checksums,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// How many bytes it read.
    pub(crate) bytes: u64,
    /// All was read by now, and is what was committed.
    pub(crate) whole: bool,
}

impl Verification {
    pub(crate) fn new(chunk: StoredChunk) -> Self {
        Verification {
            chunk,
            opened: None,
            buffer: Vec::new(),
        }
    }

    /// Reads at most `max_bytes` more of the files. Somebody has to see to it that the chunk is not
    /// removed meanwhile; between two steps nobody has to.
    pub(crate) fn step(&mut self, store: &LocalDataSource, max_bytes: u64) -> Result<Step, Error> {
        self.step_below(&store.root, max_bytes)
    }

    /// The same below the data directory itself, which somebody else may own.
    pub(super) fn step_below(&mut self, root: &Dir, max_bytes: u64) -> Result<Step, Error> {
        let mut step = Step {
            bytes: 0,
            whole: false,
        };
        self.buffer.resize(self.buffer_len(), 0);
        let read = self.read_on(root, max_bytes, &mut step);
        read.map_err(|error| error.with_chunk(self.chunk.spec.id))?;
        if step.whole {
            self.chunk.set_checked();
        }
        Ok(step)
    }

    /// As the chunk needs, and a byte beyond its end: of many small chunks, making room for a large one
    /// would take longer than the reading.
    fn buffer_len(&self) -> usize {
        let len = usize::try_from(self.chunk.len_bytes()).unwrap_or(BUFFER_LEN);
        len.saturating_add(1).min(BUFFER_LEN)
    }

    fn read_on(&mut self, root: &Dir, max_bytes: u64, step: &mut Step) -> Result<(), Error> {
        let opened = match &mut self.opened {
            Some(opened) => opened,
            place => place.insert(Opened::open(&self.chunk, root)?),
        };
        while !step.whole && step.bytes < max_bytes {
            let most = usize::try_from(max_bytes - step.bytes).unwrap_or(BUFFER_LEN);
            let most = most.min(self.buffer.len());
            match opened.read(&mut self.buffer[..most])? {
                Some(count) => step.bytes += count,
                None => step.whole = true,
            }
        }
        Ok(())
    }
}

impl Opened {
    fn open(chunk: &StoredChunk, root: &Dir) -> Result<Opened, Error> {
        let dir = chunk.open_dir(root)?;
        Ok(Opened {
            contents: chunk.reread_contents(&dir)?,
            dir,
            next: 0,
            file: None,
        })
    }

    /// Reads once; `None` after the last file.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<u64>, Error> {
        let Some(open) = &mut self.file else {
            let Some(file) = self.contents.files.get(self.next) else {
                return Ok(None);
            };
            let sums = &self.contents.sums[self.next];
            let opened = OpenFile::open(&self.dir, file, sums);
            self.file = Some(opened.map_err(|error| error.with_file(&file.name))?);
            self.next += 1;
            return Ok(Some(0));
        };
        let file = &self.contents.files[self.next - 1];
        let count = open.read(buffer, file.len_bytes);
        let count = count.map_err(|error| error.with_file(&file.name))?;
        if count == 0
            && let Some(open) = self.file.take()
        {
            let sums = &self.contents.sums[self.next - 1];
            open.end(sums)
                .map_err(|error| error.with_file(&file.name))?;
        }
        Ok(Some(count))
    }
}

impl OpenFile {
    fn open(dir: &Dir, listed: &ChunkFile, sums: &FileSums) -> Result<OpenFile, Error> {
        let file = dir.open_file(&listed.name).map_err(not_opened)?;
        let metadata = file.metadata().map_err(not_read)?;
        wrong_length(metadata.len(), listed.len_bytes)?;
        // What is in memory would hide what is on the disk. It is advice: an error changes nothing.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        Ok(OpenFile {
            file,
            sums: Checksums::new(sums.sha256.is_some()),
        })
    }

    /// Reads once; 0 at the end of a file that has its length.
    fn read(&mut self, buffer: &mut [u8], len_bytes: u64) -> Result<u64, Error> {
        let count = loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(not_read)?,
            }
        };
        let offset = self.sums.len_bytes();
        self.sums.update(&buffer[..count]);
        // Reading a terabyte must not push out what queries use.
        let count = count as u64;
        if let Some(len) = NonZeroU64::new(count) {
            let _ = fadvise(&self.file, offset, Some(len), Advice::DontNeed);
        }
        if count == 0 || self.sums.len_bytes() > len_bytes {
            wrong_length(self.sums.len_bytes(), len_bytes)?;
        }
        Ok(count)
    }

    fn end(self, listed: &FileSums) -> Result<(), Error> {
        let (xxh3, sha256) = self.sums.finish();
        if xxh3 != listed.xxh3 {
            let (found, due) = (xxh3, listed.xxh3);
            let reason = format!("a file's XXH3 is {found:016x} instead of {due:016x}");
            return Err(damaged(&reason));
        }
        if sha256 != listed.sha256 {
            return Err(damaged("a file does not have its SHA-256"));
        }
        Ok(())
    }
}

impl LocalDataSource {
    /// Makes last what was verified, and gives the chunk the name of one that was synced; `None` if it
    /// has to keep the one that it has. A crash at any moment leaves it under one of the two, and under
    /// the new one only with all that was verified.
    pub(crate) fn promote(&self, chunk: &StoredChunk) -> Result<Option<StoredChunk>, Error> {
        let promoted = self.sync_and_rename(chunk);
        promoted.map_err(|error| error.with_chunk(chunk.spec.id))
    }

    fn sync_and_rename(&self, chunk: &StoredChunk) -> Result<Option<StoredChunk>, Error> {
        let dir = chunk.open_dir(&self.root)?;
        for file in &chunk.read_contents_in(&dir)?.files {
            sync_verified(&dir, &file.name)?;
        }
        sync_verified(&dir, MANIFEST_NAME)?;
        // The same as for a commit: what a sync failed on is not believed, but read again.
        dir.sync()?;
        let dataset = layout::dataset_dir(&chunk.spec.dataset_id);
        let dataset = (self.root.open(dataset))
            .map_err(|error| Error::io("open a dataset's directory", error))?;
        let synced = chunk.as_synced();
        // Whoever reads the names of the directory just now may see it twice, or not at all.
        let _moving = self.ledger().moving();
        if (dataset.rename(chunk.dir(), &dataset, synced.dir())).is_err() {
            // Where nothing can be renamed it is as good as it was, and is read again next time.
            return Ok(None);
        }
        // If this is lost, so is the new name, and nothing else.
        let _ = dataset.sync();
        Ok(Some(synced))
    }
}

fn sync_verified(dir: &Dir, name: &str) -> Result<(), Error> {
    let file = dir.open_file(name).map_err(not_opened)?;
    file.sync_all()
        .map_err(|error| Error::io("sync what was verified", error))
}

/// What it says of a chunk that a file of it cannot be opened.
fn not_opened(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => damaged("a file is missing"),
        io::ErrorKind::InvalidData => damaged("a file is not a regular file"),
        // Too many open files, no permission: that says nothing about the chunk.
        _ => Error::io("open a file", error),
    }
}

fn not_read(error: io::Error) -> Error {
    Error::io("read a file", error)
}

fn wrong_length(found: u64, len_bytes: u64) -> Result<(), Error> {
    if found == len_bytes {
        return Ok(());
    }
    let reason = format!("a file has {found} bytes instead of {len_bytes}");
    Err(damaged(&reason))
}

#[cfg(test)]
mod tests;

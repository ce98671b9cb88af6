//! Where a chunk's files arrive before anybody can see them.
//!
//! A staging directory belongs to one description (its name carries the fingerprint), so partial
//! files are found again when the same is asked for, and never mixed with another content. File
//! number `i` of the description arrives in `_parts/<i>.part`, and `_parts/<i>.json` remembers what
//! is needed to go on: the source's validator while the file is partial, its checksum once it is
//! complete. A small file that comes in one piece has no such record: every file that is made and
//! removed again costs more than to fetch a small one twice after a crash.
//!
//! A file gets its own name only when all of them are complete. Readers that look for
//! `**/*.parquet` descend into every directory, whatever it is called: they must not find half a
//! file there.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::area::StagingArea;
use super::boot_id;
use super::disk::{Dir, begin_writing};
use super::late::LateSyncs;
use super::layout::StagingKey;
use super::ledger::{PartSpace, StagedSpace};
use super::options::Durability;
use super::sealing::OpenStaging;
use crate::data_chunk::PARTS_NAME;
use crate::data_source::FetchedFile;
use crate::data_source::checksums::Checksums;
use crate::error::Error;

/// What the name of an arriving file ends in.
pub(super) const PART_EXTENSION: &str = "part";

/// The longest file that is fetched again rather than remembered, once it is complete, and that is synced
/// with the others of its chunk.
const SMALL_FILE_BYTES: u64 = 256 * 1024;

/// The writing of a longer file is begun each time that so much of it arrived, so that the sync at its end
/// waits for the rest only.
const WRITE_BEHIND_BYTES: u64 = 8 * 1024 * 1024;

/// No record of ours is longer.
const MAX_RECORD_BYTES: u64 = 64 * 1024;

/// The staging directory of one description. Its holder is the only one that writes there.
///
/// Holds no handle of its own: any number of chunks may wait for their commit. Small files that are whole are held
/// open, up to a number for the whole store (see [`LateSyncs`]).
#[derive(Debug)]
pub(crate) struct Staging {
    key: StagingKey,
    /// What it lies in.
    staging: Arc<Dir>,
    /// Nothing was there before: there is nothing to look for, and nothing to clear.
    pub(super) fresh: bool,
    pub(super) late: Arc<LateSyncs>,
    area: Arc<StagingArea>,
    space: Arc<StagedSpace>,
}

/// `_parts/<i>.json`.
#[derive(Debug, Serialize, Deserialize)]
struct PartRecord {
    /// The boot in which the bytes were written: they were not synced, so after another boot
    /// they prove nothing.
    boot: String,
    /// Absent once the file is complete.
    version: Option<Version>,
    /// The checksum of the complete file.
    complete_xxh3: Option<u64>,
}

impl PartRecord {
    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) writes, and no other spelling of it.
    fn parse(bytes: &[u8]) -> Option<PartRecord> {
        let record: PartRecord = serde_json::from_slice(bytes).ok()?;
        (record.to_json() == bytes).then_some(record)
    }
}

/// What a partial file is a part of: the bytes that follow have to be of the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// What the source wants to see to go on.
    pub(crate) validator: String,
    /// The length of the whole file, if the source said it.
    pub(crate) total_bytes: Option<u64>,
}

/// An arriving file, open for appending.
#[derive(Debug)]
pub(crate) struct Part {
    key: StagingKey,
    file: File,
    /// The directory that it is in.
    parts: Dir,
    name: String,
    record_name: String,
    /// What its checksums are kept under.
    path: PathBuf,
    len_bytes: u64,
    /// Up to where the file system was told to write.
    begun_bytes: u64,
    late: Arc<LateSyncs>,
    area: Arc<StagingArea>,
    /// What it takes of the disk.
    pub(crate) space: PartSpace,
    /// Whether there is a record on disk.
    recorded: bool,
    /// What the record is to say, once it is clear that one is needed.
    to_record: Option<Version>,
}

/// How far a file was when it was opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing usable is there.
    Empty,
    /// The beginning of the file is there.
    Partial(Version),
    /// The file is complete and has its checksum.
    Complete(FetchedFile),
}

impl Staging {
    /// Opens the directory of `key` below `staging`, which is made if need be. Of kind
    /// `NotADirectory` if something else is in its place, or in that of its parts.
    pub(super) fn prepare(
        staging: &Arc<Dir>,
        key: StagingKey,
        area: &Arc<StagingArea>,
    ) -> io::Result<Self> {
        let (dir, made) = staging.make(key.dir())?;
        let (_, parts_made) = dir.make(PARTS_NAME)?;
        let fresh = made && parts_made;
        Ok(Staging {
            key,
            staging: staging.clone(),
            fresh,
            late: area.late(key, fresh),
            area: area.clone(),
            space: area.ledger.stage(key),
        })
    }

    pub(super) fn open(&self) -> Result<OpenStaging<'_>, Error> {
        let open = || {
            let dir = self.staging.open(self.key.dir())?;
            let parts = dir.open(PARTS_NAME)?;
            Ok((dir, parts))
        };
        let (dir, parts) = open().map_err(|error| self.odd("open a staging directory", error))?;
        Ok(OpenStaging {
            staging: self,
            dir,
            parts,
        })
    }

    /// A link, a FIFO or the like lies in the place of something of ours: it is not touched, and the
    /// next attempt clears it.
    fn odd(&self, action: &str, error: io::Error) -> Error {
        if matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::NotADirectory
        ) {
            self.distrust();
        }
        Error::io(action, error)
    }

    /// What file number `index` is called while it arrives.
    pub(super) fn part_name(index: usize) -> String {
        format!("{index}.{PART_EXTENSION}")
    }

    /// How many bytes of file number `index` are there, as far as one can see.
    pub(crate) fn part_bytes(&self, index: usize) -> u64 {
        if self.fresh {
            return 0;
        }
        let open = self.open().ok();
        let found = open.and_then(|open| open.parts.stat(Self::part_name(index)).ok());
        let found = found.filter(|found| found.is_file());
        found.map_or(0, |found| found.len_bytes)
    }

    /// Nothing that lies here is believed by the next attempt.
    pub(super) fn distrust(&self) {
        self.area.distrust(self.key);
    }

    /// Opens file number `index`, and says how far an earlier attempt got with it.
    pub(crate) fn open_part(&self, index: usize) -> Result<(Part, Progress), Error> {
        let name = Self::part_name(index);
        let parts = self.open()?.parts;
        let file = (parts.append(&name)).map_err(|error| self.odd("open a staged file", error))?;
        let mut part = Part {
            key: self.key,
            file,
            path: parts.path().join(&name),
            parts,
            name,
            record_name: format!("{index}.json"),
            len_bytes: 0,
            begun_bytes: 0,
            late: self.late.clone(),
            area: self.area.clone(),
            space: PartSpace::new(&self.space),
            recorded: false,
            to_record: None,
        };
        if self.fresh {
            self.area.checksums.forget(&part.path);
            return Ok((part, Progress::Empty));
        }
        let metadata = part.file.metadata();
        part.len_bytes = metadata
            .map_err(|error| Error::io("look at a staged file", error))?
            .len();
        let progress = part.assess()?;
        Ok((part, progress))
    }
}

impl Part {
    fn assess(&mut self) -> Result<Progress, Error> {
        let record = self
            .parts
            .read_bounded(&self.record_name, MAX_RECORD_BYTES)
            .ok()
            .and_then(|bytes| PartRecord::parse(&bytes))
            .filter(|record| !record.boot.is_empty() && record.boot == boot_id());
        self.recorded = record.is_some();
        match record {
            Some(PartRecord {
                complete_xxh3: Some(expected),
                ..
            }) => {
                let mut hash = Xxh3::new();
                self.read_back(|bytes| hash.update(bytes))?;
                let complete = FetchedFile {
                    len_bytes: self.len_bytes,
                    xxh3: hash.digest(),
                };
                // An earlier run may have had another durability, and waited for nothing.
                let lasts = || self.parts.sync_contents_of(&self.file, "a staged file");
                if complete.xxh3 == expected && lasts().is_ok() {
                    return Ok(Progress::Complete(complete));
                }
            }
            Some(PartRecord {
                version: Some(version),
                ..
            }) if self.len_bytes > 0 => {
                return Ok(Progress::Partial(version));
            }
            _ => {}
        }
        self.restart()?;
        Ok(Progress::Empty)
    }

    /// How many bytes the file has.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// The checksums of the bytes that are there, which are read only if an earlier run left them.
    pub(in crate::data_source) fn sums(&mut self, with_sha256: bool) -> Result<Checksums, Error> {
        if let Some(left) = self.area.checksums.take(&self.path, self.len_bytes) {
            return Ok(left);
        }
        let mut sums = Checksums::new(with_sha256);
        self.read_back(|bytes| sums.update(bytes))?;
        Ok(sums)
    }

    /// The file breaks off here: keeps the checksums of what has arrived for whoever goes on, unless
    /// it was thrown away.
    pub(in crate::data_source) fn keep_sums(&self, sums: Checksums) {
        if sums.len_bytes() == self.len_bytes {
            self.area.checksums.keep(&self.path, sums);
        }
    }

    /// Gives the bytes that are there, in order, to `sink`; what follows is appended after them.
    fn read_back(&mut self, mut sink: impl FnMut(&[u8])) -> Result<(), Error> {
        let result = (|| -> io::Result<()> {
            self.file.seek(SeekFrom::Start(0))?;
            let mut buffer = vec![0; 256 * 1024];
            loop {
                match self.file.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(count) => sink(&buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        })();
        result.map_err(|error| Error::io("read a staged file", error))
    }

    /// Throws away what is there. The file is made anew: one that is cut and written again may be
    /// found with its new length and its old bytes after a power cut.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        self.area.checksums.forget(&self.path);
        let removed = (self.parts.remove_file(&self.record_name))
            .and_then(|()| self.parts.remove_file(&self.name));
        let made = removed.and_then(|()| self.parts.create_new(&self.name));
        self.file = made.map_err(|error| Error::io("restart a staged file", error))?;
        self.space.dropped(self.len_bytes);
        (self.len_bytes, self.begun_bytes, self.recorded) = (0, 0, false);
        Ok(())
    }

    /// Remembers what the arriving bytes are a part of; `None` if that cannot be told, and then
    /// they cannot be gone on with. Written when the first of them are, unless they are the whole
    /// file.
    pub(crate) fn remember(&mut self, version: Option<Version>) -> Result<(), Error> {
        if version.is_none() && self.recorded {
            (self.parts.remove_file(&self.record_name))
                .map_err(|error| Error::io("forget a partial file", error))?;
            self.recorded = false;
        }
        self.to_record = version;
        Ok(())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut len_bytes = self.len_bytes + bytes.len() as u64;
        self.record_before(len_bytes)?;
        let written = self.file.write_all(bytes);
        // Of what failed, a part may be there.
        if written.is_err() {
            len_bytes = (self.file.metadata()).map_or(self.len_bytes, |file| file.len());
        }
        self.grown_to(len_bytes);
        written.map_err(|error| Error::io("write a file", error))?;
        self.begin_writing();
        Ok(())
    }

    /// Has `copy` write up to `most` bytes at the end, at the offset that it is given, and say how many
    /// it did. What is there is thrown away if there are others than that.
    pub(in crate::data_source) fn append_by(
        &mut self,
        most: usize,
        copy: impl FnOnce(&File, u64) -> usize,
    ) -> Result<usize, Error> {
        self.record_before(self.len_bytes + most as u64)?;
        // The kernel copies only to where it is told to, and such a file has no place but its end.
        let flags = (rustix::fs::fcntl_getfl(&self.file)).map_err(append_failed)?;
        let set = |flags| rustix::fs::fcntl_setfl(&self.file, flags).map_err(append_failed);
        set(flags - OFlags::APPEND)?;
        let count = copy(&self.file, self.len_bytes);
        let restored = set(flags);
        let found = self.file.metadata();
        let len_bytes = found.as_ref().map_or(self.len_bytes, fs::Metadata::len);
        let expected = self.len_bytes + count as u64;
        self.grown_to(len_bytes);
        restored?;
        found.map_err(|error| Error::io("look at a staged file", error))?;
        if len_bytes != expected {
            // Nobody knows what the bytes are that it has beside those.
            self.restart()?;
            let odd = io::Error::other("the copy has another length than it was said to have");
            return Err(Error::io("write a file", odd));
        }
        self.begin_writing();
        Ok(count)
    }

    /// Gives the last `count` bytes to `sink`, in pieces of `buffer`.
    pub(in crate::data_source) fn read_last(
        &self,
        count: u64,
        buffer: &mut [u8],
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        let mut at = self.len_bytes.saturating_sub(count);
        while at < self.len_bytes {
            let left = usize::try_from(self.len_bytes - at).unwrap_or(usize::MAX);
            let room = left.min(buffer.len());
            let piece = &mut buffer[..room];
            let read = self.file.read_exact_at(piece, at);
            read.map_err(|error| Error::io("read a staged file", error))?;
            sink(piece);
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Writes the record that is due before the file has `len_bytes` bytes, unless that is all of it.
    fn record_before(&mut self, len_bytes: u64) -> Result<(), Error> {
        let due = |version: &mut Version| version.total_bytes != Some(len_bytes);
        match self.to_record.take_if(due) {
            Some(version) => self.write_record(Some(version), None),
            None => Ok(()),
        }
    }

    fn grown_to(&mut self, len_bytes: u64) {
        self.space
            .appended(len_bytes.saturating_sub(self.len_bytes));
        self.len_bytes = len_bytes;
    }

    fn begin_writing(&mut self) {
        let waiting = self.len_bytes - self.begun_bytes;
        if waiting >= WRITE_BEHIND_BYTES && self.parts.durability() != Durability::None {
            begin_writing(&self.file, self.begun_bytes, NonZero::new(waiting));
            self.begun_bytes = self.len_bytes;
        }
    }

    /// The file is complete: makes its bytes last, or sees to it that they do before the chunk is
    /// committed. After an error nothing of it is left.
    pub(crate) fn complete(mut self, xxh3: u64) -> Result<FetchedFile, Error> {
        let fetched = FetchedFile {
            len_bytes: self.len_bytes,
            xxh3,
        };
        // What has a record is believed by a later attempt, so it is synced first.
        if !self.recorded && self.len_bytes <= SMALL_FILE_BYTES {
            let added = self.late.add(&self.parts, self.file, "a fetched file");
            if added.is_err() {
                self.area.distrust(self.key);
            }
            return added.map(|()| fetched);
        }
        if let Err(error) = self.parts.sync_contents_of(&self.file, "a fetched file") {
            self.discard();
            return Err(error);
        }
        // A record that says that the file is partial may not stay either.
        self.write_record(None, Some(xxh3))?;
        Ok(fetched)
    }

    /// Removes the file; the next attempt starts from nothing.
    pub(crate) fn discard(self) {
        self.area.checksums.forget(&self.path);
        let record = self.parts.remove_file(&self.record_name);
        let removed = self.parts.remove_file(&self.name);
        if removed.is_ok() {
            self.space.dropped(self.len_bytes);
        }
        if removed.and(record).is_err() {
            self.area.distrust(self.key);
        }
    }

    fn write_record(
        &mut self,
        version: Option<Version>,
        complete: Option<u64>,
    ) -> Result<(), Error> {
        let record = PartRecord {
            boot: boot_id().to_owned(),
            version,
            complete_xxh3: complete,
        };
        let json = record.to_json();
        let write = || self.parts.write_new(&self.record_name, &json);
        let written = match write() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (self.parts.remove_file(&self.record_name)).and_then(|()| write())
            }
            written => written,
        };
        written.map_err(|error| Error::io("remember a partial file", error))?;
        self.recorded = true;
        Ok(())
    }
}

fn append_failed(error: rustix::io::Errno) -> Error {
    Error::io("prepare a staged file for a copy", error.into())
}

#[cfg(any(test, fuzzing))]
pub(super) mod properties;

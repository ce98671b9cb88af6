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

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::disk::{Disk, gone_is_fine, new_dir};
use super::ledger::{PartSpace, StagedSpace};
use super::{DirLock, boot_id};
use crate::data_chunk::PARTS_NAME;
use crate::data_source::FetchedFile;
use crate::data_source::checksums::{Checksums, KeptChecksums};
use crate::error::Error;

/// What the name of an arriving file ends in.
pub(super) const PART_EXTENSION: &str = "part";

/// The longest file that is fetched again rather than remembered, once it is complete.
const SMALL_FILE_BYTES: u64 = 256 * 1024;

/// The staging directory of one description. Its holder is the only one that writes there.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    parts: PathBuf,
    /// Nothing was there before: there is nothing to look for, and nothing to clear.
    fresh: bool,
    disk: Disk,
    checksums: Arc<KeptChecksums>,
    space: Arc<StagedSpace>,
    /// Nobody else may open the data directory while a job could still write into it.
    _lock: Arc<DirLock>,
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
    file: File,
    path: PathBuf,
    record_path: PathBuf,
    disk: Disk,
    len_bytes: u64,
    checksums: Arc<KeptChecksums>,
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
    pub(super) fn prepare(
        path: PathBuf,
        disk: Disk,
        (lock, checksums): (&Arc<DirLock>, &Arc<KeptChecksums>),
        space: Arc<StagedSpace>,
    ) -> Result<Self, Error> {
        let parts = path.join(PARTS_NAME);
        let mut fresh = true;
        for dir in [&path, &parts] {
            match new_dir(dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fresh = false,
                result => {
                    result.map_err(|error| Error::io("create a staging directory", error))?;
                }
            }
        }
        Ok(Staging {
            path,
            parts,
            fresh,
            disk,
            checksums: checksums.clone(),
            space,
            _lock: lock.clone(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there was nothing in it when this attempt began.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Where file number `index` arrives.
    pub(super) fn part_path(&self, index: usize) -> PathBuf {
        self.parts.join(format!("{index}.{PART_EXTENSION}"))
    }

    /// How many bytes of file number `index` are there, as far as one can see.
    pub(crate) fn part_bytes(&self, index: usize) -> u64 {
        let metadata = self.part_path(index).symlink_metadata();
        metadata.map_or(0, |metadata| metadata.len())
    }

    /// Removes what is left beside the files that got their names.
    pub(super) fn clear_parts(&self) -> Result<(), Error> {
        // Mostly it is empty: to look what is in it would take seven calls for this one.
        let removed = fs::remove_dir(&self.parts).or_else(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty => fs::remove_dir_all(&self.parts),
            _ => Err(error),
        });
        gone_is_fine(removed).map_err(|error| Error::io("clear the staging directory", error))
    }

    /// Opens file number `index`, and says how far an earlier attempt got with it.
    pub(crate) fn open_part(&self, index: usize) -> Result<(Part, Progress), Error> {
        let path = self.part_path(index);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::io("open a staged file", error))?;
        let record_path = path.with_extension("json");
        let mut part = Part {
            file,
            path,
            record_path,
            disk: self.disk,
            len_bytes: 0,
            checksums: self.checksums.clone(),
            space: PartSpace::new(&self.space),
            recorded: false,
            to_record: None,
        };
        if self.fresh {
            self.checksums.forget(&part.path);
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
        let record = fs::read(&self.record_path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<PartRecord>(&bytes).ok())
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
                if complete.xxh3 == expected {
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
        if let Some(left) = self.checksums.take(&self.path, self.len_bytes) {
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
            self.checksums.keep(&self.path, sums);
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

    /// Throws away what is there.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        self.checksums.forget(&self.path);
        gone_is_fine(fs::remove_file(&self.record_path))
            .and_then(|()| self.file.set_len(0))
            .map_err(|error| Error::io("restart a staged file", error))?;
        self.space.dropped(self.len_bytes);
        (self.len_bytes, self.recorded) = (0, false);
        Ok(())
    }

    /// Remembers what the arriving bytes are a part of; `None` if that cannot be told, and then
    /// they cannot be gone on with. Written when the first of them are, unless they are the whole
    /// file.
    pub(crate) fn remember(&mut self, version: Option<Version>) -> Result<(), Error> {
        if version.is_none() && self.recorded {
            gone_is_fine(fs::remove_file(&self.record_path))
                .map_err(|error| Error::io("forget a partial file", error))?;
            self.recorded = false;
        }
        self.to_record = version;
        Ok(())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut len_bytes = self.len_bytes + bytes.len() as u64;
        if let Some(version) = self
            .to_record
            .take_if(|version| version.total_bytes != Some(len_bytes))
        {
            self.write_record(Some(version), None)?;
        }
        let written = self.file.write_all(bytes);
        // Of what failed, a part may be there.
        if written.is_err() {
            len_bytes = (self.file.metadata()).map_or(self.len_bytes, |file| file.len());
        }
        self.space
            .appended(len_bytes.saturating_sub(self.len_bytes));
        self.len_bytes = len_bytes;
        written.map_err(|error| Error::io("write a file", error))
    }

    /// The file is complete: makes its bytes last. After an error nothing of it is left.
    pub(crate) fn complete(mut self, xxh3: u64) -> Result<FetchedFile, Error> {
        if let Err(error) = self.disk.sync_file(&self.file, "a fetched file") {
            self.discard();
            return Err(error);
        }
        // A record that says that the file is partial may not stay either.
        if self.recorded || self.len_bytes > SMALL_FILE_BYTES {
            self.write_record(None, Some(xxh3))?;
        }
        Ok(FetchedFile {
            len_bytes: self.len_bytes,
            xxh3,
        })
    }

    /// Removes the file; the next attempt starts from nothing.
    pub(crate) fn discard(self) {
        self.checksums.forget(&self.path);
        // A file that cannot be removed is found again by the next attempt, whose record is
        // missing then: it is emptied there.
        let _ = fs::remove_file(&self.record_path);
        if fs::remove_file(&self.path).is_ok() {
            self.space.dropped(self.len_bytes);
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
        let json = serde_json::to_vec(&record).unwrap_or_default();
        fs::write(&self.record_path, json)
            .map_err(|error| Error::io("remember a partial file", error))?;
        self.recorded = true;
        Ok(())
    }
}

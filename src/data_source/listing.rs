//! Entries laid out as a data directory is, turned into chunks.
//!
//! What comes in are paths relative to the data directory and sizes, in an order in which the files
//! of one chunk follow each other. One chunk is kept at a time, and the one before it. A chunk is
//! given when it is whole:
//!
//! * the sizes of its files add up to what its directory's name says,
//! * every file has a name that a description may have, and lies in no deeper directory,
//! * and where there is a manifest and digests were declared, the manifest is sound, agrees with the
//!   name and with the files, and each digest goes along as `#sha256=`.
//!
//! Of the generations of one id over the same blocks, which are neighbours, the newest that is whole
//! is given. An id that stands for other blocks, too, or is in two datasets (which no id should be)
//! is given for each of them: to tell, one would have to keep a million ids.
//!
//! Whatever else is there is no chunk: names that begin with `_` or `.` (what is staged, trash,
//! tombstones, quarantine), and strangers' things.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::SourceError;
use super::local::{ChunkName, declared_digests, parse_dataset_dir};
use crate::data_chunk::{
    ChunkSpec, DataChunk, DatasetId, MANIFEST_NAME, Sha256Digest, check_file_name, fingerprint,
    hex_encode,
};

/// What is encoded in the path of a listed URL: all but what stands for itself (RFC 3986, section 2.3),
/// the slash, and the sign that is in each directory's name.
pub(crate) const SPECIAL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'=')
    .remove(b'/');

/// A chunk with more files is none of ours.
const MAX_FILES: usize = 10_000;

/// What a listing asks of the source that it is of.
pub(super) trait Listed {
    /// The URL of what is at `path`, relative to the data directory.
    fn url_of(&self, path: &str) -> String;

    /// Reads the manifest at `path`. `None` if it is gone, or too large to be one.
    ///
    /// # Errors
    /// If it cannot be said what is there: that ends the listing.
    fn manifest(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError>;
}

/// Collects entries; see the module's documentation.
pub(super) struct Listing<'a> {
    source: &'a dyn Listed,
    found: &'a mut dyn FnMut(DataChunk),
    /// The chunk whose files are coming.
    group: Option<Group>,
    /// The newest generation of the chunk before it.
    newest: Option<Whole>,
}

struct Group {
    dataset_id: DatasetId,
    /// Of the chunk's directory, without a slash at its end.
    path: String,
    name: ChunkName,
    files: Vec<(String, u64)>,
    has_manifest: bool,
    /// Something about it is not as it should be.
    odd: bool,
}

struct Whole {
    dataset_id: DatasetId,
    name: ChunkName,
    chunk: DataChunk,
}

impl Whole {
    fn is_of_the_same(&self, other: &Whole) -> bool {
        self.dataset_id == other.dataset_id
            && self.name.id == other.name.id
            && self.name.block_range == other.name.block_range
    }
}

impl<'a> Listing<'a> {
    pub(super) fn new(source: &'a dyn Listed, found: &'a mut dyn FnMut(DataChunk)) -> Self {
        Listing {
            source,
            found,
            group: None,
            newest: None,
        }
    }

    /// The next file.
    pub(super) fn entry(&mut self, path: &str, len_bytes: u64) -> Result<(), SourceError> {
        let mut parts = path.splitn(3, '/');
        let (Some(dataset), Some(chunk), Some(file)) = (parts.next(), parts.next(), parts.next())
        else {
            return Ok(());
        };
        let dir = &path[..dataset.len() + 1 + chunk.len()];
        if self.group.as_ref().is_none_or(|group| group.path != dir) {
            self.end_group()?;
            let names = parse_dataset_dir(dataset).zip(ChunkName::parse(chunk));
            self.group = names.map(|(dataset_id, name)| Group::new(dataset_id, dir, name));
        }
        if let Some(group) = &mut self.group {
            group.add(file, len_bytes);
        }
        Ok(())
    }

    /// No more entries come.
    pub(super) fn finish(mut self) -> Result<(), SourceError> {
        self.end_group()?;
        self.give();
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), SourceError> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let Some(whole) = group.whole(self.source)? else {
            return Ok(());
        };
        let newer = match &self.newest {
            Some(newest) if newest.is_of_the_same(&whole) => {
                newest.name.generation < whole.name.generation
            }
            _ => {
                self.give();
                true
            }
        };
        if newer {
            self.newest = Some(whole);
        }
        Ok(())
    }

    fn give(&mut self) {
        if let Some(whole) = self.newest.take() {
            (self.found)(whole.chunk);
        }
    }
}

impl Group {
    fn new(dataset_id: DatasetId, path: &str, name: ChunkName) -> Self {
        Group {
            dataset_id,
            path: path.to_owned(),
            name,
            files: Vec::new(),
            has_manifest: false,
            odd: false,
        }
    }

    fn add(&mut self, file: &str, len_bytes: u64) {
        if file == MANIFEST_NAME {
            self.has_manifest = true;
        } else if file.is_empty() && len_bytes == 0 {
            // Some tools put an object of no bytes in the place of a directory.
        } else if check_file_name(file).is_err() || self.files.len() >= MAX_FILES {
            self.odd = true;
        } else {
            self.files.push((file.to_owned(), len_bytes));
        }
    }

    fn whole(mut self, source: &dyn Listed) -> Result<Option<Whole>, SourceError> {
        let sum = self
            .files
            .iter()
            .try_fold(0u64, |sum, (_, len)| sum.checked_add(*len));
        if self.odd || sum != Some(self.name.len_bytes) {
            return Ok(None);
        }
        self.files.sort();
        let Some(digests) = self.digests(source)? else {
            return Ok(None);
        };
        let url = |(name, digest): (&(String, u64), &Option<Sha256Digest>)| {
            let mut url = source.url_of(&format!("{}/{}", self.path, name.0));
            if let Some(digest) = digest {
                url.push_str(&format!("#sha256={}", hex_encode(digest)));
            }
            (name.0.clone(), url)
        };
        let files: HashMap<_, _> = self.files.iter().zip(&digests).map(url).collect();
        let chunk = DataChunk {
            id: self.name.id,
            dataset_id: self.dataset_id,
            block_range: self.name.block_range.clone(),
            files,
        };
        // Two files of one name are one too many; and what would be refused is not given.
        let sound = chunk.files.len() == digests.len() && ChunkSpec::check(chunk.clone()).is_ok();
        Ok(sound.then_some(Whole {
            dataset_id: self.dataset_id,
            name: self.name,
            chunk,
        }))
    }

    /// The digest that was declared for each file, if any; `None` if the files are not those that
    /// the chunk is made of.
    fn digests(
        &self,
        source: &dyn Listed,
    ) -> Result<Option<Vec<Option<Sha256Digest>>>, SourceError> {
        let ids = (&self.name.id, &self.dataset_id);
        let plain = self.files.iter().map(|(name, _)| (name.as_str(), None));
        let plain = fingerprint(ids, &self.name.block_range, plain) == self.name.fingerprint;
        // The name stands for these files and no digests.
        if plain {
            return Ok(Some(vec![None; self.files.len()]));
        }
        // A file may be missing that is empty, or a digest was declared that nobody knows any more.
        if !self.has_manifest {
            return Ok(None);
        }
        let manifest = source.manifest(&format!("{}/{MANIFEST_NAME}", self.path))?;
        let read = manifest.and_then(|bytes| {
            let declared = declared_digests(&bytes, self.dataset_id, &self.name)?;
            let same = declared
                .iter()
                .map(|(file, _)| (&file.name, file.len_bytes));
            let same = same.eq(self.files.iter().map(|(name, len)| (name, *len)));
            same.then(|| declared.into_iter().map(|(_, digest)| digest).collect())
        });
        Ok(read)
    }
}

#[cfg(any(test, fuzzing))]
pub(super) mod properties;
#[cfg(test)]
mod tests;

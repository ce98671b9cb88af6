//! Another worker's data directory, listed.

use std::collections::HashSet;
use std::fs::{self, DirEntry};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use percent_encoding::percent_encode;

use super::{FileSource, io_error, open_real, path_of};
use crate::data_chunk::{ChunkId, DataChunk};
use crate::data_source::listing::{Listed, Listing, SPECIAL};
use crate::data_source::local::{
    ChunkName, Generation, is_this_boot, parse_dataset_dir, parse_tombstone, tombstone_dirs,
};
use crate::data_source::{CancelToken, ListRequest, SourceError};

const MAX_MANIFEST_BYTES: u64 = 64 << 20;

impl FileSource {
    /// Names only, but for the manifests of chunks with declared digests. Links are not followed
    /// below the directory. What its owner has deleted while somebody still reads it is not given,
    /// nor what was never synced before the machine was started anew.
    pub(super) fn list_below(
        &self,
        request: &ListRequest<'_>,
        found: &mut dyn FnMut(DataChunk),
    ) -> Result<(), SourceError> {
        let path = path_of(request.url()).map_err(SourceError::permanent)?;
        let root = self.real_path(&path)?;
        let walk = Walk {
            deleted: tombstones(&root)?,
            url: request.url().trim_end_matches('/'),
            root,
            cancel: request.cancel(),
        };
        let mut listing = Listing::new(&walk, found);
        for dataset in walk.entries(&walk.root)? {
            let name = dataset.file_name();
            if let Some(name) = name
                .to_str()
                .filter(|name| parse_dataset_dir(name).is_some())
            {
                walk.dataset(name, &mut listing)?;
            }
        }
        listing.finish()
    }
}

struct Walk<'a> {
    root: PathBuf,
    url: &'a str,
    deleted: HashSet<(Generation, ChunkId)>,
    cancel: &'a CancelToken,
}

impl Walk<'_> {
    fn dataset(&self, dataset: &str, listing: &mut Listing<'_>) -> Result<(), SourceError> {
        let mut chunks = Vec::new();
        for entry in self.entries(&self.root.join(dataset))? {
            let name = entry.file_name();
            if let Some(name) = name.to_str()
                && let Some(parsed) = ChunkName::parse(name)
                && !self.deleted.contains(&(parsed.generation, parsed.id))
                && parsed.unsynced.is_none_or(is_this_boot)
            {
                chunks.push(name.to_owned());
            }
        }
        // The generations of one id have to be neighbours.
        chunks.sort_unstable();
        for chunk in chunks {
            let path = format!("{dataset}/{chunk}");
            for entry in self.entries(&self.root.join(&path))? {
                let name = entry.file_name();
                let name = name.to_str().unwrap_or("/");
                let len_bytes = match entry.metadata() {
                    Ok(metadata) if metadata.is_file() => metadata.len(),
                    // Not a file: as good as one that is never of the right size.
                    Ok(_) => u64::MAX,
                    Err(error) if is_gone(&error) => continue,
                    Err(error) => return Err(io_error(error, "look at a file")),
                };
                listing.entry(&format!("{path}/{name}"), len_bytes)?;
            }
        }
        Ok(())
    }

    /// What is in a directory, and nothing if it is gone, or none.
    fn entries(&self, dir: &Path) -> Result<Vec<DirEntry>, SourceError> {
        if self.cancel.is_cancelled() {
            return Err(SourceError::transient(anyhow!(
                "nobody wants the list any more"
            )));
        }
        let read = || {
            if fs::symlink_metadata(dir)?.is_dir() {
                fs::read_dir(dir)?.collect()
            } else {
                Ok(Vec::new())
            }
        };
        match read() {
            Ok(entries) => Ok(entries),
            Err(error) if is_gone(&error) && dir != self.root => Ok(Vec::new()),
            Err(error) => Err(io_error(error, "read the directory")),
        }
    }
}

impl Listed for Walk<'_> {
    fn url_of(&self, path: &str) -> String {
        let path = percent_encode(Path::new(path).as_os_str().as_bytes(), SPECIAL);
        format!("{}/{path}", self.url)
    }

    fn manifest(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let path = self.root.join(path);
        let read = || {
            let Some(file) = open_real(&path)? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes)?;
            Ok((bytes.len() as u64 <= MAX_MANIFEST_BYTES).then_some(bytes))
        };
        match read() {
            Ok(bytes) => Ok(bytes),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(io_error(error, "read a manifest")),
        }
    }
}

/// What was deleted while somebody held it.
fn tombstones(root: &Path) -> Result<HashSet<(Generation, ChunkId)>, SourceError> {
    let mut found = HashSet::new();
    for dir in tombstone_dirs() {
        let entries = match fs::read_dir(root.join(dir)) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(io_error(error, "read what was deleted")),
        };
        for entry in entries {
            let entry = entry.map_err(|error| io_error(error, "read what was deleted"))?;
            found.extend(entry.file_name().to_str().and_then(parse_tombstone));
        }
    }
    Ok(found)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests;

//! An assignment of what is there, for another worker to get it from here.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::percent_encode;

use super::{DirectoryView, ViewedChunk};
use crate::data_chunk::{AssignmentDocument, ChunkSpec, DataChunk, hex_encode};
use crate::data_source::SPECIAL;
use crate::error::{Error, ErrorKind};

/// What [`DirectoryView::export`] gives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exported {
    /// The chunks, in the order of their ids.
    pub document: AssignmentDocument,
    /// Why visible chunks are not in it: their manifests are damaged or may not be read, or a file is
    /// missing or of another size.
    pub left_out: Vec<Error>,
}

impl DirectoryView {
    /// The description of a chunk that is there, with URLs below `url_prefix`, where this directory is
    /// served as it is; without a prefix they are `file://` URLs. A file has its digest in its URL if
    /// one was declared when it was fetched.
    ///
    /// # Errors
    /// As [`files`](Self::files); also if a file is missing or of another size, and
    /// [`Refused`](crate::ErrorKind::Refused) if the prefix makes no URLs.
    pub fn describe(
        &self,
        chunk: &ViewedChunk,
        url_prefix: Option<&str>,
    ) -> Result<DataChunk, Error> {
        let prefix = match url_prefix {
            Some(prefix) => checked(prefix)?.to_owned(),
            None => format!("file://{}", encoded(self.path())),
        };
        self.described(chunk, &prefix)
    }

    fn described(&self, chunk: &ViewedChunk, prefix: &str) -> Result<DataChunk, Error> {
        let contents = self.outside.check(&chunk.stored)?;
        let within = chunk.path().strip_prefix(self.path());
        let within = within.unwrap_or(chunk.path());
        let mut files = HashMap::with_capacity(contents.files.len());
        for (file, sums) in contents.files.iter().zip(&contents.sums) {
            let path = encoded(&within.join(&file.name));
            let mut url = format!("{}/{path}", prefix.trim_end_matches('/'));
            if let Some(digest) = &sums.sha256 {
                url.push_str("#sha256=");
                url.push_str(&hex_encode(digest));
            }
            files.insert(file.name.clone(), url);
        }
        let described = DataChunk {
            id: *chunk.id(),
            dataset_id: *chunk.dataset_id(),
            block_range: chunk.block_range(),
            files,
        };
        ChunkSpec::check(described.clone())?;
        Ok(described)
    }

    /// An assignment of all visible chunks, each as [`describe`](Self::describe) has it. Opens each
    /// chunk's manifest, and looks whether its files are there with their sizes.
    ///
    /// # Errors
    /// [`Refused`](crate::ErrorKind::Refused) if the prefix makes no URLs. A chunk that cannot be
    /// described is no error, but left out.
    pub fn export(&self, url_prefix: Option<&str>) -> Result<Exported, Error> {
        if let Some(prefix) = url_prefix {
            checked(prefix)?;
        }
        let (mut chunks, mut left_out) = (Vec::new(), Vec::new());
        for chunk in self.chunks() {
            match self.describe(chunk, url_prefix) {
                Ok(described) => chunks.push(described),
                // It was deleted meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => left_out.push(error),
            }
        }
        Ok(Exported {
            document: AssignmentDocument::new(chunks),
            left_out,
        })
    }
}

/// A prefix that a path may follow. What it is not is said without repeating it: it may hold
/// credentials.
fn checked(prefix: &str) -> Result<&str, Error> {
    let refused = |reason: &str| Err(Error::refused("url_prefix", reason));
    if prefix.contains(['?', '#']) {
        return refused("has a query or a fragment, behind which no path can stand");
    }
    // What a file below it would be called.
    let probe = DataChunk {
        id: [0; 32],
        dataset_id: [0; 32],
        block_range: 0..1,
        files: HashMap::from([(
            "f".to_owned(),
            format!("{}/f", prefix.trim_end_matches('/')),
        )]),
    };
    match ChunkSpec::check(probe) {
        Ok(_) => Ok(prefix),
        Err(_) => refused("is not a valid URL (RFC 3986)"),
    }
}

fn encoded(path: &Path) -> String {
    percent_encode(path.as_os_str().as_bytes(), SPECIAL).to_string()
}

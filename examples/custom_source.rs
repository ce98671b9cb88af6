//! A source for a scheme of one's own: `cas:<sha256>`, a directory in which every file has the name
//! of its digest, as build caches, container registries and backup tools keep theirs.
//!
//! The source is complete. It is registered on the builder, a chunk is downloaded through it and
//! read back; then, where this is built with the feature `conformance`, the suite that every source
//! should pass runs on it:
//!
//! ```text
//! cargo run --features conformance --example custom_source
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use data_encoding::HEXLOWER;
use data_manager::ErrorKind;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::DataManagerImpl;
use data_manager::data_source::{DataSource, OpenRequest, Opened, SourceError};
use sha2::{Digest, Sha256};

/// Serves `cas:<64 hex digits>` from a directory.
#[derive(Clone, Debug)]
struct ContentStore {
    dir: PathBuf,
}

impl ContentStore {
    /// Keeps `content`, and returns its URL. It appears in one rename: who opens it sees all of it.
    fn add(&self, content: &[u8]) -> io::Result<String> {
        let digest = HEXLOWER.encode(&Sha256::digest(content));
        let new = self.dir.join(format!("{digest}.new"));
        fs::write(&new, content)?;
        fs::rename(new, self.path(&digest))?;
        Ok(format!("cas:{digest}"))
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(digest)
    }
}

/// The digest in a URL. What is no digest could be a path that leads out of the directory.
fn digest_of(url: &str) -> anyhow::Result<&str> {
    let digest = url.strip_prefix("cas:").unwrap_or_default();
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    // The URL is not repeated: whoever wrote it knows it, and it might hold a secret.
    ensure!(
        digest.len() == 64 && digest.bytes().all(is_hex),
        "is not cas: and 64 hexadecimal digits"
    );
    Ok(digest)
}

impl DataSource for ContentStore {
    /// By the text alone: a caller waits.
    fn check(&self, url: &str) -> anyhow::Result<()> {
        digest_of(url).map(|_| ())
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let digest = digest_of(request.url()).map_err(SourceError::permanent)?;
        let opened = File::open(self.path(digest));
        let mut file = opened.map_err(|error| failure(error, "open the file"))?;
        let metadata = file.metadata();
        let len = metadata
            .map_err(|error| failure(error, "look at the file"))?
            .len();
        // The name says what the content is, so it is the perfect validator: it cannot go stale.
        if request.unless_validator() == Some(digest) {
            return Err(SourceError::unchanged());
        }
        let is_same = request.validator() == Some(digest);
        let start = if is_same {
            request.offset().min(len)
        } else {
            0
        };
        file.seek(SeekFrom::Start(start))
            .map_err(|error| failure(error, "seek"))?;
        Ok(Opened::new(file)
            .starting_at(start)
            .with_total(len)
            .with_validator(digest))
    }
}

/// Whether trying again can help: a file that is not there will not come by itself, a disk that
/// fails may recover.
fn failure(error: io::Error, action: &str) -> SourceError {
    let kind = error.kind();
    let cause = anyhow::Error::new(error).context(format!("cannot {action}"));
    match kind {
        io::ErrorKind::NotFound => SourceError::permanent(cause),
        _ => SourceError::transient(cause).with_kind(ErrorKind::Io),
    }
}

fn main() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let store = ContentStore {
        dir: place.path().join("store"),
    };
    fs::create_dir(&store.dir)?;
    download_and_read(&store, &place.path().join("data"))?;
    ensure!(suite::run(store), "the source does not conform");
    Ok(())
}

fn download_and_read(store: &ContentStore, data_dir: &Path) -> anyhow::Result<()> {
    let content = b"a block, another block".repeat(10_000);
    let url = store.add(&content)?;
    // With the digest declared, the manager checks what the name promises.
    let declared = format!("{url}#sha256={}", &url["cas:".len()..]);

    let manager = DataManagerImpl::builder()
        .data_dir(data_dir)
        .source("cas", store.clone())
        .open()?;
    let chunk = DataChunk {
        id: [1; 32],
        dataset_id: [1; 32],
        block_range: 0..35,
        files: HashMap::from([("blocks.bin".to_owned(), declared)]),
    };
    manager.download_chunk(chunk).wait()?;
    let chunk = manager.find_chunk([1; 32], 34).context("no chunk")?;
    let read = fs::read(chunk.path().join("blocks.bin"))?;
    ensure!(read == content, "other bytes came back");
    println!("{} bytes of {url} came and were read back", read.len());
    Ok(())
}

#[cfg(feature = "conformance")]
mod suite {
    //! What the suite needs to know of the place behind the source.

    use std::collections::HashMap;
    use std::io::Write;
    use std::sync::Mutex;

    use data_manager::data_source::conformance::{self, Origin};

    use super::*;

    struct Behind {
        store: ContentStore,
        /// Name to URL.
        held: Mutex<HashMap<String, String>>,
    }

    impl Origin for Behind {
        fn put(&self, name: &str, content: &[u8]) -> String {
            let url = self.store.add(content).expect("the directory is ours");
            let mut held = self.held.lock().expect("nobody panics with it");
            held.insert(name.to_owned(), url.clone());
            url
        }

        fn remove(&self, name: &str) {
            let mut held = self.held.lock().expect("nobody panics with it");
            if let Some(url) = held.remove(name) {
                let _ = fs::remove_file(self.store.path(&url["cas:".len()..]));
            }
        }

        /// A file with a hole. Its name is not its digest, which nobody here will notice.
        fn put_huge(&self, _name: &str, len_bytes: u64, tail: &[u8]) -> Option<String> {
            let digest = "5".repeat(64);
            let mut file = File::create(self.store.path(&digest)).ok()?;
            let start = len_bytes.checked_sub(tail.len() as u64)?;
            file.seek(SeekFrom::Start(start)).ok()?;
            file.write_all(tail).ok()?;
            Some(format!("cas:{digest}"))
        }
    }

    pub(super) fn run(store: ContentStore) -> bool {
        let behind = Behind {
            store: store.clone(),
            held: Mutex::default(),
        };
        let report = conformance::run(store, behind);
        print!("{report}");
        report.is_sound()
    }
}

#[cfg(not(feature = "conformance"))]
mod suite {
    pub(super) fn run(_store: super::ContentStore) -> bool {
        println!("the suite runs with --features conformance");
        true
    }
}

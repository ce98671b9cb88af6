//! What every [`DataSource`] has to keep, as a suite that whoever writes one runs in their tests.
//!
//! The tester implements [`Origin`] for what stands behind the source: a way to put content there,
//! to replace and to remove it, and as much of the rest as it can. [`run`] then asks the source
//! for that content in every way that this crate does. A case that the origin or the source cannot
//! take part in is reported as skipped, with the reason: it never passes silently.
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//!
//! use data_manager::data_source::conformance::{Origin, run};
//! use data_manager::data_source::{DataSource, OpenRequest, Opened, SourceError};
//!
//! /// Serves `shelf:NAME` from memory, always from the first byte.
//! #[derive(Clone, Debug, Default)]
//! struct Shelf(Arc<Mutex<HashMap<String, Vec<u8>>>>);
//!
//! impl DataSource for Shelf {
//!     fn check(&self, url: &str) -> anyhow::Result<()> {
//!         anyhow::ensure!(url.starts_with("shelf:"), "is not shelf:NAME");
//!         Ok(())
//!     }
//!
//!     fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
//!         let content = self.0.lock().unwrap().get(request.url()).cloned();
//!         let content = content.ok_or_else(|| SourceError::permanent(anyhow::anyhow!("not there")))?;
//!         let len_bytes = content.len() as u64;
//!         Ok(Opened::new(std::io::Cursor::new(content)).with_total(len_bytes))
//!     }
//! }
//!
//! impl Origin for Shelf {
//!     fn put(&self, name: &str, content: &[u8]) -> String {
//!         let url = format!("shelf:{name}");
//!         self.0.lock().unwrap().insert(url.clone(), content.to_vec());
//!         url
//!     }
//!
//!     fn remove(&self, name: &str) {
//!         self.0.lock().unwrap().remove(&format!("shelf:{name}"));
//!     }
//! }
//!
//! let shelf = Shelf::default();
//! let report = run(shelf.clone(), shelf);
//! println!("{report}");
//! report.assert();
//! ```
//!
//! # What a source promises
//!
//! A *version* is the content of a URL between two changes of it. The caller keeps what has
//! arrived of a version with its validator and its total. It presents both, and appends what
//! follows only if the source starts exactly where it was asked to, and names no other validator
//! and no other total. It takes a file for whole if the reader ended without an error at the told
//! total, or without a total where the reader's end is said to prove it. Then:
//!
//! * **Whole means one version.** What the caller takes for whole is byte for byte one version,
//!   whatever was broken off, replaced or removed in between. A source that cannot go on with the
//!   same version ends in an error, or ends short of the total, or says that its end proves
//!   nothing.
//! * **A validator stands for one version of its URL.** It stays the same while the content does,
//!   and bytes come under the validator of their own version, never under that of an older or a
//!   newer one. A source that cannot tell versions apart gives none.
//! * **The start is honest.** A request to go on is answered from the offset, or from 0 with the
//!   version of now. With a validator of anything else it is answered from 0. At exactly the end,
//!   nothing follows, or the file starts again, or there is a failure that is not permanent.
//! * **A total is right** wherever it is told, in an answer with the rest as well.
//! * **What is not there** is a permanent failure of kind `NotFound`, at `open`. A transfer that
//!   breaks off is never permanent.
//! * **`unless`** may be ignored. Who honours it says `Unchanged` of the version with that
//!   validator and of no other.
//! * **`check`** looks at the URL's text alone, and refuses schemes that the source does not serve.
//! * **Cancelling** frees `open` and a read within a second, also where the origin stalls. What
//!   ends by it is not taken for whole.
//! * **Errors** repeat neither user info nor query of a URL, in no form.
//! * **Calls from many threads** at once give each its own bytes, and a reader that is dropped half
//!   way spoils nothing for the next.

mod cases;
mod client;
mod report;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use report::{Case, Outcome, Report};

use super::DataSource;
use crate::data_chunk::{ChunkId, DatasetId};

/// What stands behind a source under test. Called from several threads at once.
///
/// Names are made of `a-z`, `0-9` and `-`. What the methods with a default return as `None` they
/// cannot do; the cases that need it are skipped then. These methods may be asked for a name only
/// once.
pub trait Origin: Send + Sync {
    /// Holds `content` under `name` from now on, and returns its URL. What was there is replaced
    /// at once, as a rename does, never byte by byte. The same name should have the same URL every
    /// time; where other content has another URL, the cases about changes are skipped.
    fn put(&self, name: &str, content: &[u8]) -> String;

    /// Holds nothing under `name` any more. Nothing happens if it did not.
    fn remove(&self, name: &str);

    /// A URL of `content` whose transfers are all cut off after `after_bytes` of it, as a dying
    /// peer does.
    fn put_cut(&self, name: &str, content: &[u8], after_bytes: usize) -> Option<String> {
        let _ = (name, content, after_bytes);
        None
    }

    /// A URL of `content` whose transfers all stop after `after_bytes` of it without an end, until
    /// the other side goes away. `None` for `after_bytes` stops before anything is said of the file.
    fn put_stalled(
        &self,
        name: &str,
        content: &[u8],
        after_bytes: Option<usize>,
    ) -> Option<String> {
        let _ = (name, content, after_bytes);
        None
    }

    /// A URL of a file of `len_bytes` bytes, all zero but for the last, which are `tail`. It is
    /// above 5 GB: a file with a hole, or one that is made up as it is read. Never read whole.
    fn put_huge(&self, name: &str, len_bytes: u64, tail: &[u8]) -> Option<String> {
        let _ = (name, len_bytes, tail);
        None
    }

    /// A URL under which the source lists exactly `chunks`, laid out in the way it knows.
    fn put_chunks(&self, name: &str, chunks: &[ChunkContent]) -> Option<String> {
        let _ = (name, chunks);
        None
    }
}

/// An origin that others use, too.
impl<O: Origin + ?Sized> Origin for Arc<O> {
    fn put(&self, name: &str, content: &[u8]) -> String {
        (**self).put(name, content)
    }

    fn remove(&self, name: &str) {
        (**self).remove(name);
    }

    fn put_cut(&self, name: &str, content: &[u8], after_bytes: usize) -> Option<String> {
        (**self).put_cut(name, content, after_bytes)
    }

    fn put_stalled(
        &self,
        name: &str,
        content: &[u8],
        after_bytes: Option<usize>,
    ) -> Option<String> {
        (**self).put_stalled(name, content, after_bytes)
    }

    fn put_huge(&self, name: &str, len_bytes: u64, tail: &[u8]) -> Option<String> {
        (**self).put_huge(name, len_bytes, tail)
    }

    fn put_chunks(&self, name: &str, chunks: &[ChunkContent]) -> Option<String> {
        (**self).put_chunks(name, chunks)
    }
}

/// A chunk with its bytes, for an origin to hold.
#[derive(Clone)]
#[non_exhaustive]
pub struct ChunkContent {
    /// The chunk's identity.
    pub id: ChunkId,
    /// The dataset it belongs to.
    pub dataset_id: DatasetId,
    /// The blocks it holds, half-open.
    pub block_range: Range<u64>,
    /// File name to content.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for ChunkContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkContent")
            .field("block_range", &self.block_range)
            .field("files", &self.files.keys())
            .finish_non_exhaustive()
    }
}

/// Runs every case of the suite, one after the other. A minute each at the most; where a source
/// hangs, its thread is left behind.
pub fn run(source: impl DataSource + 'static, origin: impl Origin + 'static) -> Report {
    run_cases(Arc::new(source), Arc::new(origin), |_| true)
}

/// Runs the cases of these names alone, as [`run`] does: for looking into one that failed.
pub fn run_only(
    names: &[&str],
    source: impl DataSource + 'static,
    origin: impl Origin + 'static,
) -> Report {
    let is_meant = |name: &str| names.contains(&name);
    run_cases(Arc::new(source), Arc::new(origin), is_meant)
}

fn run_cases(
    source: Arc<dyn DataSource>,
    origin: Arc<dyn Origin>,
    is_meant: impl Fn(&str) -> bool,
) -> Report {
    let bench = cases::Bench { source, origin };
    Report {
        cases: cases::run(&bench, is_meant),
    }
}

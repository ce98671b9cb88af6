//! A source in memory that can do all that the suite asks for, and, one at a time, each of the
//! mistakes that the suite is there to find.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use anyhow::anyhow;
use data_manager::ErrorKind;
use data_manager::data_chunk::DataChunk;
use data_manager::data_source::conformance::{ChunkContent, Origin};
use data_manager::data_source::{
    CancelToken, DataSource, ListRequest, OpenRequest, Opened, SourceError,
};

/// What the source does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Defect {
    #[default]
    None,
    /// Starts with the first byte, and says that it goes on.
    IgnoresOffset,
    /// Goes on whatever the validator stands for.
    ResumesAnything,
    /// Promises a byte more.
    LiesAboutTotal,
    /// The end of a cut looks like the end of the file.
    SwallowsCut,
    /// The URL is in the text of its errors.
    LeaksQuery,
    /// The URL is in a cause behind its errors.
    LeaksInCause,
    /// Stalls until the origin moves, whoever cancels.
    IgnoresCancel,
    /// A cancelled transfer looks like a whole file.
    CancelIsEnd,
    /// What is not there may come.
    MissingIsTransient,
    /// What is not there is a refusal.
    MissingIsDenied,
    /// Breaking off is for good.
    CutIsPermanent,
    /// Reads what is there at each read.
    MixesVersions,
    /// The new validator over the old bytes.
    ValidatorOfOther,
    /// Every opening has another validator.
    ValidatorDrifts,
    /// Nothing ever changes.
    AlwaysUnchanged,
    /// Offsets have 32 bits.
    NarrowOffset,
    /// Serves anything, as far as it knows.
    AcceptsAnyScheme,
    /// Knows at once what is not there.
    ChecksByLooking,
    /// Asked for nothing more, gives up for good.
    EndIsPermanent,
    /// All readers have one position.
    SharesPosition,
    /// An empty file is a missing one.
    EmptyIsMissing,
    /// Finds each chunk twice.
    ListsTwice,
    /// Finds chunks at URLs that are not theirs.
    ListsWrongUrls,
    /// Falls over.
    Panics,
}

#[derive(Clone)]
struct Entry {
    /// The zeros before `bytes`.
    hole: u64,
    bytes: Arc<Vec<u8>>,
    version: u64,
    fate: Fate,
}

#[derive(Clone, Copy)]
enum Fate {
    Whole,
    CutAt(u64),
    StallAt(Option<u64>),
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    chunks: HashMap<String, Vec<DataChunk>>,
    versions: u64,
}

/// The source, and what stands behind it.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
    shared_position: Arc<AtomicU64>,
    pub(crate) defect: Defect,
}

// Without the bytes, which are many.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("defect", &self.defect)
            .finish_non_exhaustive()
    }
}

impl Memory {
    pub(crate) fn with(defect: Defect) -> Self {
        Memory {
            defect,
            ..Memory::default()
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn insert(&self, name: &str, hole: u64, bytes: &[u8], fate: Fate) -> String {
        let mut state = self.state.lock().unwrap();
        state.versions += 1;
        let entry = Entry {
            hole,
            bytes: Arc::new(bytes.to_vec()),
            version: state.versions,
            fate,
        };
        let url = format!("memory://shelf/{name}");
        state.entries.insert(url.clone(), entry);
        url
    }

    fn entry(&self, url: &str) -> Result<Entry, SourceError> {
        let entry = self.state.lock().unwrap().entries.get(url).cloned();
        let entry = entry.filter(|entry| {
            !self.has(Defect::EmptyIsMissing) || entry.hole + entry.bytes.len() as u64 > 0
        });
        entry.ok_or_else(|| {
            let cause = if self.has(Defect::LeaksQuery) {
                anyhow!("there is no {url}")
            } else if self.has(Defect::LeaksInCause) {
                anyhow!("there is no {url}").context("there is none")
            } else {
                anyhow!("there is none")
            };
            match self.defect {
                Defect::MissingIsTransient => SourceError::transient(cause),
                Defect::MissingIsDenied => {
                    SourceError::permanent(cause).with_kind(ErrorKind::Denied)
                }
                _ => SourceError::permanent(cause),
            }
        })
    }
}

impl Origin for Memory {
    fn put(&self, name: &str, content: &[u8]) -> String {
        self.insert(name, 0, content, Fate::Whole)
    }

    fn remove(&self, name: &str) {
        let url = format!("memory://shelf/{name}");
        self.state.lock().unwrap().entries.remove(&url);
    }

    fn put_cut(&self, name: &str, content: &[u8], after_bytes: usize) -> Option<String> {
        Some(self.insert(name, 0, content, Fate::CutAt(after_bytes as u64)))
    }

    fn put_stalled(
        &self,
        name: &str,
        content: &[u8],
        after_bytes: Option<usize>,
    ) -> Option<String> {
        let fate = Fate::StallAt(after_bytes.map(|after| after as u64));
        Some(self.insert(name, 0, content, fate))
    }

    fn put_huge(&self, name: &str, len_bytes: u64, tail: &[u8]) -> Option<String> {
        Some(self.insert(name, len_bytes - tail.len() as u64, tail, Fate::Whole))
    }

    fn put_chunks(&self, name: &str, chunks: &[ChunkContent]) -> Option<String> {
        let describe = |(n, chunk): (usize, &ChunkContent)| DataChunk {
            id: chunk.id,
            dataset_id: chunk.dataset_id,
            block_range: chunk.block_range.clone(),
            files: (chunk.files.iter())
                .map(|(file, bytes)| (file.clone(), self.put(&format!("{name}/{n}/{file}"), bytes)))
                .collect(),
        };
        let described = chunks.iter().enumerate().map(describe).collect();
        let url = format!("memory://shelf/{name}");
        self.state
            .lock()
            .unwrap()
            .chunks
            .insert(url.clone(), described);
        Some(url)
    }
}

impl DataSource for Memory {
    fn check(&self, url: &str) -> anyhow::Result<()> {
        if self.has(Defect::ChecksByLooking) {
            self.entry(url)?;
        }
        let fine = url.starts_with("memory://") || self.has(Defect::AcceptsAnyScheme);
        anyhow::ensure!(fine, "is not memory://");
        Ok(())
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        assert!(!self.has(Defect::Panics), "this source panics");
        let entry = self.entry(request.url())?;
        if matches!(entry.fate, Fate::CutAt(_)) && self.has(Defect::CutIsPermanent) {
            return Err(SourceError::permanent(anyhow!("broken off")));
        }
        if matches!(entry.fate, Fate::StallAt(None)) {
            return Err(SourceError::transient(stall(
                self.has(Defect::IgnoresCancel),
                request.cancel(),
            )));
        }
        let validator = match self.defect {
            Defect::ValidatorDrifts => self
                .shared_position
                .fetch_add(1, Ordering::SeqCst)
                .to_string(),
            Defect::ValidatorOfOther => "always".to_owned(),
            _ => format!("v{}", entry.version),
        };
        if let Some(known) = request.unless_validator()
            && (known == validator || self.has(Defect::AlwaysUnchanged))
        {
            return Err(SourceError::unchanged());
        }
        let total = entry.hole + entry.bytes.len() as u64;
        let same = request.validator() == Some(&*validator) || self.has(Defect::ResumesAnything);
        let start = if same { request.offset().min(total) } else { 0 };
        if same && start == total && total > 0 && self.has(Defect::EndIsPermanent) {
            return Err(SourceError::permanent(anyhow!("nothing is left")));
        }
        let at = match self.defect {
            Defect::IgnoresOffset => 0,
            Defect::NarrowOffset => start & 0xffff_ffff,
            _ => start,
        };
        if self.has(Defect::SharesPosition) {
            self.shared_position.store(at, Ordering::SeqCst);
        }
        let body = MemoryBody {
            memory: self.clone(),
            url: request.url().to_owned(),
            cancel: request.cancel().clone(),
            entry,
            at,
        };
        let opened = Opened::new(body)
            .starting_at(start)
            .with_validator(validator);
        Ok(match self.defect {
            Defect::LiesAboutTotal => opened.with_total(total + 1),
            Defect::SwallowsCut | Defect::CancelIsEnd => opened,
            _ => opened.with_total(total),
        })
    }

    fn list(
        &self,
        request: &ListRequest<'_>,
        found: &mut dyn FnMut(DataChunk),
    ) -> Result<(), SourceError> {
        let url = request.url().trim_end_matches('/');
        let chunks = self.state.lock().unwrap().chunks.get(url).cloned();
        for mut chunk in chunks.unwrap_or_default() {
            if self.has(Defect::ListsTwice) {
                found(chunk.clone());
            }
            if self.has(Defect::ListsWrongUrls) {
                chunk.files.values_mut().for_each(|url| url.push('x'));
            }
            found(chunk);
        }
        Ok(())
    }
}

/// Waits until the transfer is cancelled; for ever if nobody listens.
fn stall(deaf: bool, cancel: &CancelToken) -> io::Error {
    let over = Arc::new((Mutex::new(false), Condvar::new()));
    let waker = over.clone();
    let _hook = cancel.on_cancel(move || {
        *waker.0.lock().unwrap() = !deaf;
        waker.1.notify_all();
    });
    let guard = over.0.lock().unwrap();
    drop(over.1.wait_while(guard, |over| !*over).unwrap());
    io::Error::other("cancelled")
}

struct MemoryBody {
    memory: Memory,
    url: String,
    cancel: CancelToken,
    entry: Entry,
    at: u64,
}

impl MemoryBody {
    fn end(&self) -> u64 {
        let total = self.entry.hole + self.entry.bytes.len() as u64;
        match self.entry.fate {
            Fate::CutAt(end) | Fate::StallAt(Some(end)) => end,
            _ => total,
        }
    }
}

impl Read for MemoryBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.memory.has(Defect::MixesVersions)
            && let Ok(entry) = self.memory.entry(&self.url)
        {
            self.entry = entry;
        }
        if self.memory.has(Defect::SharesPosition) {
            self.at = self.memory.shared_position.load(Ordering::SeqCst);
        }
        if self.cancel.is_cancelled() && self.memory.has(Defect::CancelIsEnd) {
            return Ok(0);
        }
        if self.at >= self.end() {
            return match self.entry.fate {
                Fate::CutAt(_) if !self.memory.has(Defect::SwallowsCut) => {
                    Err(io::Error::other("cut off"))
                }
                Fate::StallAt(_) => {
                    Err(stall(self.memory.has(Defect::IgnoresCancel), &self.cancel))
                }
                _ => Ok(0),
            };
        }
        let left = usize::try_from(self.end() - self.at).unwrap_or(usize::MAX);
        let count = buffer.len().min(left).min(60_000);
        let buffer = &mut buffer[..count];
        let zeros = self.entry.hole.saturating_sub(self.at).min(count as u64);
        let zeros = usize::try_from(zeros).unwrap();
        buffer[..zeros].fill(0);
        let from = (self.at + zeros as u64).saturating_sub(self.entry.hole);
        let from = usize::try_from(from).unwrap();
        let rest = &self.entry.bytes[from..];
        // What was promised beyond the end is zeros.
        let there = rest.len().min(count - zeros);
        buffer[zeros..zeros + there].copy_from_slice(&rest[..there]);
        buffer[zeros + there..].fill(0);
        self.at += count as u64;
        if self.memory.has(Defect::SharesPosition) {
            self.memory.shared_position.store(self.at, Ordering::SeqCst);
        }
        Ok(count)
    }
}

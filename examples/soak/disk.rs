//! The data directory as a stranger reads it, without the library.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use data_manager::data_chunk::ChunkId;

use crate::plan::Plan;
use crate::pool::{self, Content};
use crate::words::Figures;

/// What is there.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// The chunks' directories.
    pub(crate) chunks: Vec<Found>,
    /// Generations that have a tombstone.
    pub(crate) tombstones: BTreeSet<u64>,
    pub(crate) staging: Heap,
    pub(crate) trash: Heap,
    pub(crate) quarantine: Heap,
}

/// A chunk's directory.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
    pub(crate) generation: u64,
}

/// What lies in one of the library's own directories.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    pub(crate) entries: usize,
    /// Of contents: what the library writes for itself is not in it.
    pub(crate) bytes: u64,
}

impl Disk {
    pub(crate) fn look(data_dir: &Path) -> anyhow::Result<Disk> {
        let mut disk = Disk::default();
        for entry in fs::read_dir(data_dir)? {
            let path = entry?.path();
            match name(&path).as_str() {
                "_lock" => {}
                "_staging" => disk.staging = Heap::look(&path)?,
                "_trash" => disk.trash = Heap::look(&path)?,
                "_quarantine" => disk.quarantine = Heap::look(&path)?,
                "_tombstones" => {
                    for tombstone in fs::read_dir(&path)? {
                        let name = name(&tombstone?.path());
                        let generation = name.split('-').next().unwrap_or_default();
                        disk.tombstones.insert(generation.parse()?);
                    }
                }
                dataset if dataset.starts_with("dataset_id=") => {
                    for chunk in fs::read_dir(&path)? {
                        disk.chunks.push(Found::parse(chunk?.path())?);
                    }
                }
                other => anyhow::bail!("the directory has something called {other}"),
            }
        }
        Ok(disk)
    }

    /// What a start has to show: what has no tombstone, and of an id the latest.
    pub(crate) fn visible(&self) -> BTreeMap<u32, u32> {
        let mut chunks: Vec<&Found> = self.chunks.iter().collect();
        chunks.retain(|found| !self.tombstones.contains(&found.generation));
        chunks.sort_by_key(|found| found.generation);
        let revision = |found: &&Found| (found.content.n, found.content.revision);
        chunks.iter().map(revision).collect()
    }

    /// Whether each chunk is what it says it is, every byte.
    pub(crate) fn check_contents(&self) -> anyhow::Result<()> {
        for found in &self.chunks {
            let whole = found.content.check(&found.path);
            whole.with_context(|| found.path.display().to_string())?;
        }
        Ok(())
    }

    /// Whether what is wanted is there, once, and nothing else is.
    pub(crate) fn check_set(&self, plan: &Plan) -> anyhow::Result<()> {
        let mut found: Vec<Content> = self.chunks.iter().map(|found| found.content).collect();
        found.sort();
        let wanted: Vec<Content> = plan.all().collect();
        let only = |of: &[Content], other: &[Content]| -> Vec<Content> {
            let other: BTreeSet<_> = other.iter().collect();
            let only = of.iter().filter(|content| !other.contains(content));
            only.copied().collect()
        };
        let (surplus, missing) = (only(&found, &wanted), only(&wanted, &found));
        ensure!(
            surplus.is_empty() && missing.is_empty() && found.len() == wanted.len(),
            "{} directories for {} chunks: {} are not wanted, such as {:?}, {} are missing, such as {:?}",
            found.len(),
            wanted.len(),
            surplus.len(),
            surplus.first(),
            missing.len(),
            missing.first(),
        );
        Ok(())
    }

    /// Whether the library's figures are what is here, and nothing is left over.
    pub(crate) fn check_ledger(&self, figures: &Figures) -> anyhow::Result<()> {
        let mut committed = 0;
        for found in &self.chunks {
            committed += content_bytes(&found.path)?;
        }
        for (what, counted, found) in [
            ("committed bytes", figures.committed_bytes, committed),
            ("staged bytes", figures.staged_bytes, self.staging.bytes),
            ("partial bytes", figures.partial_bytes, self.staging.bytes),
            (
                "partial chunks",
                figures.partial_chunks as u64,
                self.staging.entries as u64,
            ),
            ("trash bytes", figures.trash_bytes, 0),
            ("quarantine bytes", figures.quarantine_bytes, 0),
            ("reserved bytes", figures.reserved_bytes, 0),
            ("corrected bytes", figures.corrected_bytes, 0),
            ("things in trash", 0, self.trash.entries as u64),
            ("things in quarantine", 0, self.quarantine.entries as u64),
            ("tombstones", 0, self.tombstones.len() as u64),
        ] {
            ensure!(
                counted == found,
                "{what}: the ledger has {counted}, and there are {found}"
            );
        }
        Ok(())
    }
}

impl Found {
    /// `chunk=<start>-<end>-<id>-<bytes>-<generation>-<fingerprint>`, and perhaps the boot.
    fn parse(path: PathBuf) -> anyhow::Result<Found> {
        let name = name(&path);
        let parse = || {
            let mut words = name.strip_prefix("chunk=")?.split('-');
            let (_, _) = (words.next()?, words.next()?);
            let id = parse_id(words.next()?)?;
            let _bytes = words.next()?;
            let generation = words.next()?.parse().ok()?;
            Some((id, generation))
        };
        let (id, generation) = parse().with_context(|| format!("{name} is no chunk"))?;
        let n = pool::number(&id);
        ensure!(pool::id(n) == id, "{name} is nobody's");
        let files = fs::read_dir(&path)?;
        let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        let content = names
            .filter_map(|file| Content::of_file(n, &file))
            .next()
            .with_context(|| format!("{name} has no file"))?;
        Ok(Found {
            path,
            content,
            generation,
        })
    }
}

impl Heap {
    fn look(dir: &Path) -> anyhow::Result<Heap> {
        let mut heap = Heap::default();
        for entry in fs::read_dir(dir)? {
            heap.entries += 1;
            heap.bytes += content_bytes(&entry?.path())?;
        }
        Ok(heap)
    }
}

/// The bytes of the files below, without those that the library writes for itself.
fn content_bytes(path: &Path) -> anyhow::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        let own = name(path).ends_with(".json");
        return Ok(if own { 0 } else { metadata.len() });
    }
    let entries = fs::read_dir(path)?;
    entries.map(|entry| content_bytes(&entry?.path())).sum()
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn parse_id(hex: &str) -> Option<ChunkId> {
    let digit = |at: usize| u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).map(digit).collect();
    bytes?.try_into().ok().filter(|_| hex.len() == 64)
}

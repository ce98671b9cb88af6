//! What the checks share: chunks and their sources, a store, and the world outside of it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use data_manager::data_chunk::{ChunkId, DataChunk};
use data_manager::data_manager::{ChunkGuard, DataManagerBuilder, DataManagerImpl, Events};

/// How long something that has to happen may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// How long something that may never happen is waited for.
pub(super) const A_WHILE: Duration = Duration::from_millis(700);

/// The directory of one check.
pub(super) struct Ground {
    root: PathBuf,
}

/// A chunk of so many files of so many bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) n: u8,
    pub(super) files: u8,
    pub(super) len_bytes: usize,
}

impl Chunk {
    pub(super) fn small(n: u8) -> Chunk {
        Chunk {
            n,
            files: 2,
            len_bytes: 5000,
        }
    }

    fn bytes(self, file: u8) -> Vec<u8> {
        let mut bytes = vec![0; self.len_bytes];
        fastrand::Rng::with_seed(u64::from(self.n) << 8 | u64::from(file)).fill(&mut bytes);
        bytes
    }

    /// Whether a guard shows the whole chunk, in regular files below the data directory.
    pub(super) fn is_whole(self, ground: &Ground, guard: &ChunkGuard) -> anyhow::Result<()> {
        let data = ground.data().canonicalize()?;
        ensure!(
            guard.path().canonicalize()?.starts_with(data),
            "chunk {} is seen through a link",
            self.n
        );
        for entry in fs::read_dir(guard.path())? {
            let entry = entry?;
            let plain = entry.file_type()?.is_file();
            ensure!(plain, "{} is no file", entry.path().display());
        }
        for file in 0..self.files {
            let read = fs::read(guard.path().join(name(file)))?;
            ensure!(
                read == self.bytes(file),
                "{} of {} is broken",
                name(file),
                self.n
            );
        }
        Ok(())
    }
}

fn name(file: u8) -> String {
    format!("f{file}.parquet")
}

pub(super) fn id(n: u8) -> ChunkId {
    [n + 1; 32]
}

/// Chunk 2 is alone in its dataset.
fn dataset(n: u8) -> [u8; 32] {
    [0xd0 + u8::from(n == 2); 32]
}

impl Ground {
    pub(super) fn at(root: &Path) -> Ground {
        Ground {
            root: root.to_owned(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The data directory; the store makes it.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("room/data")
    }

    /// What the store has no business with; a check makes it.
    pub(super) fn outside(&self) -> PathBuf {
        self.root.join("outside")
    }

    /// What the data directory lies in; where a check mounts.
    pub(super) fn room(&self) -> anyhow::Result<PathBuf> {
        let room = self.root.join("room");
        fs::create_dir_all(&room)?;
        Ok(room)
    }

    /// The directory of chunk `n`'s dataset.
    pub(super) fn dataset_dir(&self, n: u8) -> PathBuf {
        let hex = format!("{:02x}", dataset(n)[0]).repeat(32);
        self.data().join(format!("dataset_id={hex}"))
    }

    /// The directory of chunk `n`, which is there.
    pub(super) fn chunk_dir(&self, n: u8) -> anyhow::Result<PathBuf> {
        let hex = format!("-{:02x}{:02x}", n + 1, n + 1);
        find(&self.dataset_dir(n), |name| name.contains(&hex))
    }

    pub(super) fn builder(&self) -> DataManagerBuilder {
        DataManagerImpl::builder()
            .data_dir(self.data())
            .serve_files_from(self.root.join("sources"))
            .first_backoff(Duration::from_millis(20))
            .longest_backoff(Duration::from_millis(200))
    }

    pub(super) fn open(&self) -> anyhow::Result<DataManagerImpl> {
        self.builder().open().context("the start is stopped")
    }

    /// The description of a chunk, whose files can be fetched from then on.
    pub(super) fn describe(&self, chunk: Chunk) -> anyhow::Result<DataChunk> {
        let sources = self.root.join("sources");
        fs::create_dir_all(&sources)?;
        for file in 0..chunk.files {
            let source = sources.join(format!("{}-{file}", chunk.n));
            // What is written again would look like another file to who goes on with it.
            if !source.exists() {
                fs::write(&source, chunk.bytes(file))?;
            }
        }
        Ok(self.described(chunk))
    }

    /// The same where the files were made before.
    pub(super) fn described(&self, chunk: Chunk) -> DataChunk {
        let sources = self.root.join("sources");
        let url = |file| format!("file://{}/{}-{file}", sources.display(), chunk.n);
        let files: HashMap<_, _> = (0..chunk.files)
            .map(|file| (name(file), url(file)))
            .collect();
        let start = u64::from(chunk.n) * 10;
        DataChunk {
            id: id(chunk.n),
            dataset_id: dataset(chunk.n),
            block_range: start..start + 10,
            files,
        }
    }

    /// A data directory with these small chunks, and nobody in it.
    pub(super) fn prepare(&self, chunks: &[u8]) -> anyhow::Result<()> {
        self.room()?;
        let manager = self.open()?;
        for n in chunks {
            let task = manager.download_chunk(self.describe(Chunk::small(*n))?);
            task.wait_timeout(PATIENCE).context("no end")??;
        }
        close(&manager)
    }

    /// Leaves a part of chunk `n` in staging; returns its staging directory.
    pub(super) fn break_off(&self, n: u8) -> anyhow::Result<PathBuf> {
        let big = Chunk {
            n,
            files: 1,
            len_bytes: 2 << 20,
        };
        let manager = self.builder().bandwidth_limit(400_000).open()?;
        let _task = manager.download_chunk(self.describe(big)?);
        let staging = self.data().join("_staging");
        until("something is staged", || {
            let key = find(&staging, |_| true).ok()?;
            let part = fs::metadata(key.join("_parts/0.part")).ok()?;
            (part.len() > 0).then_some(())
        })?;
        close(&manager)?;
        find(&staging, |_| true)
    }
}

/// The first entry of a directory whose name will do.
pub(super) fn find(dir: &Path, will_do: impl Fn(&str) -> bool) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        if will_do(&entry.file_name().to_string_lossy()) {
            return Ok(entry.path());
        }
    }
    bail!("nothing of that name in {}", dir.display())
}

pub(super) fn close(manager: &DataManagerImpl) -> anyhow::Result<()> {
    manager.shutdown(PATIENCE).context("shutdown")
}

/// Waits until there is an answer.
pub(super) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Some(answer) => return Ok(answer),
            None if Instant::now() > deadline => bail!("in vain: {what}"),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Why downloads wait for the disk, if they do.
pub(super) fn shortage(manager: &DataManagerImpl) -> Option<String> {
    let stats = serde_json::to_value(manager.stats()).ok()?;
    let reason = match stats.get("space") {
        Some(space) => space["waits_for"].clone(),
        None => stats["waits_for_space"].clone(),
    };
    let waits = !reason.is_null() && reason != false;
    waits.then(|| reason.to_string())
}

/// What was told so far, as JSON.
pub(super) fn told(events: &Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(|event| serde_json::to_string(&event).ok())
        .collect()
}

/// Everything below a directory, as far as a change would show.
pub(super) fn snapshot(dir: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = path.symlink_metadata()?;
        let content = if metadata.is_file() {
            xxhash_rust::xxh3::xxh3_64(&fs::read(&path)?)
        } else {
            0
        };
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        }
        let looks = format!(
            "mode {:o} of {}, {} bytes, changed {}.{:09}, content {content:x}",
            metadata.mode(),
            metadata.uid(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        );
        found.insert(path, looks);
    }
    Ok(found)
}

/// Holds two snapshots against each other.
pub(super) fn unchanged(
    before: &BTreeMap<PathBuf, String>,
    after: &BTreeMap<PathBuf, String>,
) -> anyhow::Result<()> {
    for path in before.keys() {
        ensure!(after.contains_key(path), "{} was deleted", path.display());
    }
    for (path, looks) in after {
        match before.get(path) {
            None => bail!("{} was created", path.display()),
            Some(was) => ensure!(was == looks, "{} changed: {was}; {looks}", path.display()),
        }
    }
    Ok(())
}

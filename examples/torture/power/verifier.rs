//! What is there after a cut: to a stranger who reads the directory, and to a store that opens it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use data_manager::data_manager::DataManagerImpl;
use serde::{Deserialize, Serialize};

use super::victim::Orders;
use super::words::{Due, Promises};
use super::world::{CHUNKS, Content, id};

/// A start after a cut has little to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a start found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Findings {
    /// The revision of each id that is visible.
    pub(crate) visible: Vec<Option<u8>>,
    /// Visible, and not what it says it is.
    pub(crate) broken: Vec<String>,
    /// Acknowledged, and not there.
    pub(crate) lost: Vec<String>,
    /// Acknowledged to be gone, and there.
    pub(crate) came_back: Vec<String>,
    /// Anything else that may not be.
    pub(crate) other: Vec<String>,
    /// Until the chunks were visible.
    pub(crate) open_ms: u64,
}

/// The child process: opens the directory and prints its findings. The promises come on stdin.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let orders = Orders::parse(args)?;
    let mut promises = String::new();
    std::io::stdin().read_to_string(&mut promises)?;
    let promises: Promises = serde_json::from_str(&promises)?;
    let findings = look(&orders, &promises)?;
    println!("{}", serde_json::to_string(&findings)?);
    Ok(())
}

fn look(orders: &Orders, promises: &Promises) -> anyhow::Result<Findings> {
    let started = Instant::now();
    let manager = orders.open()?;
    let mut findings = Findings {
        open_ms: u64::try_from(started.elapsed().as_millis())?,
        ..Findings::default()
    };
    // At once, before anything was looked at behind the start, and once more after that.
    visible(&manager, &mut findings);
    let idle = manager.wait_idle(PATIENCE);
    findings.visible = visible(&manager, &mut findings);
    if !idle {
        findings.other.push("not idle in time".to_owned());
    }
    // Only the full level promises anything about single chunks.
    if orders.durability == "full" {
        compare(promises, &mut findings);
    }
    let stats = serde_json::to_value(manager.stats())?;
    let set_aside = &stats["totals"]["quarantined"];
    if orders.durability != "none" && set_aside.as_u64() != Some(0) {
        findings.other.push(format!("{set_aside} quarantined"));
    }
    // What opening guessed is measured behind the start.
    let began = Instant::now();
    loop {
        let stats = serde_json::to_value(manager.stats())?;
        match ledger_agrees(&stats, &orders.data_dir) {
            Ok(()) => break,
            Err(error) if began.elapsed() > PATIENCE => {
                findings.other.push(format!("{error:#}"));
                break;
            }
            Err(_) => std::thread::yield_now(),
        }
    }
    if let Err(error) = manager.shutdown(PATIENCE) {
        findings.other.push(format!("shutdown: {error}"));
    }
    Ok(findings)
}

/// The revisions that the manager shows; what is broken is noted.
fn visible(manager: &DataManagerImpl, findings: &mut Findings) -> Vec<Option<u8>> {
    let shown = manager.list_chunks();
    let ours = (0..CHUNKS).filter(|n| shown.contains(&id(*n))).count();
    if ours != shown.len() {
        findings
            .other
            .push("a chunk that nobody asked for".to_owned());
    }
    let revision = |n: u8| {
        let guard = manager.get_chunk(&id(n))?;
        let content = Content::of_block(guard.block_range().start).filter(|found| found.n == n);
        let outcome = content.context("a range that nobody asked for");
        if let Err(error) = outcome.and_then(|content| content.is_whole(guard.path())) {
            findings.broken.push(format!("chunk {n}: {error:#}"));
        }
        content.map(|content| content.revision)
    };
    (0..CHUNKS).map(revision).collect()
}

fn compare(promises: &Promises, findings: &mut Findings) {
    for (n, due) in promises.all() {
        let found = findings.visible[usize::from(n)];
        match (due, found) {
            (Due::There(revision), found) if found != Some(revision) => findings
                .lost
                .push(format!("chunk {n}: revision {revision}, found {found:?}")),
            (Due::Gone, Some(found)) => findings
                .came_back
                .push(format!("chunk {n}: revision {found}")),
            _ => {}
        }
    }
}

/// What a stranger sees: every directory that is called a chunk is one. Returns what is not.
pub(crate) fn stranger(data_dir: &Path) -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    let Ok(datasets) = fs::read_dir(data_dir) else {
        return Ok(broken);
    };
    for dataset in datasets {
        let dataset = dataset?;
        if !starts_with(&dataset, "dataset_id=") {
            continue;
        }
        for chunk in fs::read_dir(dataset.path())? {
            let chunk = chunk?;
            if !starts_with(&chunk, "chunk=") {
                continue;
            }
            let name = chunk.file_name().to_string_lossy().into_owned();
            let start = name.get(6..26).and_then(|digits| digits.parse().ok());
            let outcome = start
                .and_then(Content::of_block)
                .context("nobody asked for it")
                .and_then(|content| content.is_whole(&chunk.path()));
            if let Err(error) = outcome {
                broken.push(format!("{name}: {error:#}"));
            }
        }
    }
    Ok(broken)
}

fn starts_with(entry: &fs::DirEntry, prefix: &str) -> bool {
    entry.file_name().to_string_lossy().starts_with(prefix)
}

/// Whether the ledger of bytes says what is on disk, where the library keeps one.
fn ledger_agrees(stats: &serde_json::Value, data_dir: &Path) -> anyhow::Result<()> {
    let Some(space) = stats.get("space") else {
        return Ok(());
    };
    let manifests = |name: &str| name != "_chunk.json";
    let records = |name: &str| {
        Path::new(name)
            .extension()
            .is_none_or(|kind| kind != "json")
    };
    let mut committed = 0;
    for dataset in fs::read_dir(data_dir)? {
        let dataset = dataset?;
        if starts_with(&dataset, "dataset_id=") {
            committed += bytes_below(&dataset.path(), &manifests)?;
        }
    }
    let own = |name: &str, counts: &dyn Fn(&str) -> bool| bytes_below(&data_dir.join(name), counts);
    for (name, found) in [
        ("committed_bytes", committed),
        ("staged_bytes", own("_staging", &records)?),
        ("trash_bytes", own("_trash", &manifests)?),
        ("quarantine_bytes", own("_quarantine", &manifests)?),
    ] {
        let said = &space[name];
        ensure!(
            said.as_u64() == Some(found),
            "{name} is {said}, on disk are {found}"
        );
    }
    Ok(())
}

/// The bytes of the regular files below `dir` whose names count.
fn bytes_below(dir: &Path, counts: &dyn Fn(&str) -> bool) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.path().symlink_metadata()?;
        if metadata.is_dir() {
            bytes += bytes_below(&entry.path(), counts)?;
        } else if metadata.is_file() && counts(&entry.file_name().to_string_lossy()) {
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}

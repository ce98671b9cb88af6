//! `open`, in turn with a bare walk that reads the same names and does nothing with them.
//!
//! Each is a process of its own, as a start is, and so is its memory. What opens ends without a shutdown
//! as soon as `open` returned: the check behind the start has no part in the time.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use data_manager::data_manager::{DataManagerImpl, Durability};

use crate::figures::{median, median_ratio};
use crate::options::Options;
use crate::world::{BLOCKS, Gate, chunk, id};

/// Up to so many chunks are whole. Beyond, each is an empty directory: nothing else is read before
/// `open` returns, and the files of a million chunks take longer to make than all else here.
const WHOLE: usize = 100_000;

/// What a process says that walked or opened.
struct Said {
    millis: f64,
    chunks: usize,
    peak_mib: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let (chunks, datasets) = (options.chunks, options.datasets.max(1));
    let root = options.dir.join(format!("opening-{chunks}-{datasets}"));
    make_tree(&root, chunks, datasets)?;
    println!(
        "opening: {chunks} chunks in {datasets} datasets, {} rounds",
        options.rounds
    );
    let (mut walks, mut opens, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    // One round more, for the caches of the system.
    for round in 0..=options.rounds {
        let walk = in_a_process("walk-once", &root)?;
        let open = in_a_process("open-once", &root)?;
        println!(
            "  walk {:8.1} ms ({} names)   open {:8.1} ms ({} visible)",
            walk.millis, walk.chunks, open.millis, open.chunks
        );
        if round > 0 {
            walks.push(walk.millis);
            opens.push(open.millis);
            peaks.push(open.peak_mib);
        }
    }
    let peak = median(&peaks);
    println!(
        "  medians: walk {:.1} ms, open {:.1} ms, ratio {:.2}; memory of the process at its peak {peak:.0} MiB, {:.0} bytes a chunk",
        median(&walks),
        median(&opens),
        median_ratio(&opens, &walks),
        peak * 1024.0 * 1024.0 / chunks as f64
    );
    println!("  the tree is kept for the next time: {}", root.display());
    Ok(())
}

fn in_a_process(part: &str, root: &Path) -> anyhow::Result<Said> {
    let output = Command::new(std::env::current_exe()?)
        .args([part, "--dir"])
        .arg(root)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let words: Vec<&str> = text.split_whitespace().collect();
    let [millis, chunks, peak_kib] = words[..] else {
        anyhow::bail!("{part} said {text:?} {errors}");
    };
    Ok(Said {
        millis: millis.parse()?,
        chunks: chunks.parse()?,
        peak_mib: peak_kib.parse::<f64>()? / 1024.0,
    })
}

/// The names of the directory and of the directories in it, and nothing else. Does not return.
pub(crate) fn walk_once(root: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (mut names, mut bytes) = (0, 0);
    for dataset in fs::read_dir(root)? {
        let dataset = dataset?;
        if !dataset
            .file_name()
            .to_string_lossy()
            .starts_with("dataset_id=")
        {
            continue;
        }
        for name in fs::read_dir(dataset.path())? {
            bytes += name?.file_name().len();
            names += 1;
        }
    }
    ensure!(bytes > names, "names have several bytes");
    end(begun.elapsed(), names)
}

/// Opens the directory, and asks for one chunk. Does not return.
pub(crate) fn open_once(root: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    let manager = DataManagerImpl::open(root)?;
    let took = begun.elapsed();
    let found = manager.find_chunk(dataset(0), 0);
    ensure!(found.is_some(), "the first block is there once it is open");
    end(took, manager.stats().chunks.available)
}

fn end(took: Duration, chunks: usize) -> ! {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next());
    println!(
        "{} {chunks} {}",
        took.as_secs_f64() * 1e3,
        peak.unwrap_or("0")
    );
    // What was printed is all there is to lose.
    let _ = std::io::stdout().flush();
    std::process::exit(0)
}

fn dataset(number: usize) -> [u8; 32] {
    let mut dataset = [0; 32];
    dataset[24..].copy_from_slice(&(number as u64).to_be_bytes());
    dataset
}

/// Makes the tree, unless it is there.
fn make_tree(root: &Path, chunks: usize, datasets: usize) -> anyhow::Result<()> {
    let done = root.with_extension("made");
    if done.exists() {
        return Ok(());
    }
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    println!("opening: making {}", root.display());
    if chunks <= WHOLE {
        download(root, chunks, datasets)?;
    } else {
        make_directories(root, chunks, datasets)?;
    }
    fs::write(done, "")?;
    Ok(())
}

fn download(root: &Path, chunks: usize, datasets: usize) -> anyhow::Result<()> {
    let gate = Gate::default();
    gate.open(chunks);
    let manager = DataManagerImpl::builder()
        .data_dir(root)
        .durability(Durability::None)
        .source("gate", gate)
        .open()?;
    let in_dataset = |n: usize| {
        let mut chunk = chunk("gate", n as u64);
        chunk.dataset_id = dataset(n % datasets);
        chunk
    };
    manager.set_assignment((0..chunks).map(in_dataset)).wait()?;
    manager
        .shutdown(Duration::from_secs(60))
        .context("the shutdown")
}

fn make_directories(root: &Path, chunks: usize, datasets: usize) -> anyhow::Result<()> {
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let dirs: Vec<PathBuf> = (0..datasets)
        .map(|number| root.join(format!("dataset_id={}", hex(&dataset(number)))))
        .collect();
    for dir in &dirs {
        fs::create_dir_all(dir)?;
    }
    for n in 0..chunks {
        let (number, start) = (n as u64, n as u64 * BLOCKS);
        let id = id(number);
        let name = format!(
            "chunk={start:020}-{:020}-{}-{}-{}-{:016x}",
            start + BLOCKS,
            hex(&id),
            200_000_000 + n,
            n + 1,
            number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        );
        fs::create_dir(dirs[n % datasets].join(name))?;
    }
    Ok(())
}

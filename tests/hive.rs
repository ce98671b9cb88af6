//! The data directory as it is, read by a Hive-aware reader, while the library is at work in it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use support::origin::{Origin, Reply};
use support::{DEADLINE, chunk, id, open, temp_dir};

const CHUNKS: [(u8, &str, u64); 2] = [(1, "chain-a/0-1000", 0), (2, "chain-a/1000-2000", 1000)];
const FILES: [&str; 3] = ["blocks.parquet", "logs.parquet", "transactions.parquet"];

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data")
            .join(path),
    )
    .unwrap()
}

/// Every file below `dir` that a glob for `**/*.parquet` finds.
fn parquet_files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in support::read_dir(dir) {
        if path.is_dir() {
            found.extend(parquet_files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn readers_see_committed_chunks_and_nothing_else() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    for (n, at, start) in CHUNKS {
        let files = FILES.map(|name| {
            let path = format!("{at}/{name}");
            origin.file(&path, fixture(&path));
            (name, origin.url(&path))
        });
        let task = manager.download_chunk(chunk(n, start..start + 1000, files));
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    // What a reader must not see: one chunk half there, one deleted and held, one quarantined.
    let blocks = Arc::new(fixture("chain-b/0-1000/blocks.parquet"));
    origin.serve("stalls", Reply::Stall(blocks.clone(), 9000));
    origin.serve("whole", Reply::File(blocks));
    let files = [
        ("blocks.parquet", origin.url("stalls")),
        ("more.parquet", origin.url("whole")),
    ];
    drop(manager.download_chunk(chunk(3, 0..9, files)));
    let staged = || {
        manager
            .chunk_status(&id(3))
            .map_or(0, |status| status.done_bytes)
    };
    let started = std::time::Instant::now();
    while staged() < 9000 + 28_711 {
        assert!(started.elapsed() < DEADLINE, "{} bytes staged", staged());
        std::thread::yield_now();
    }
    let seen = parquet_files(dir.path());
    assert_eq!(seen.len(), CHUNKS.len() * FILES.len(), "{seen:#?}");
    assert!(
        seen.iter().all(|path| path.contains("/dataset_id=")),
        "{seen:#?}"
    );

    let python = std::env::var("DATA_MANAGER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_with_duckdb.py");
    let Ok(output) = Command::new(&python).arg(script).arg(dir.path()).output() else {
        println!("skipped: needs python3");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(77) {
        println!("{text}");
        return;
    }
    assert!(
        output.status.success(),
        "{text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let dataset = "d5".repeat(32);
    assert_eq!(read[0]["dataset_id"], dataset.as_str(), "{read}");
    assert_eq!(
        (read[0]["chunks"].as_u64(), read[0]["files"].as_u64()),
        (Some(2), Some(6))
    );
    // Rows are counted by the script that wrote the files: 2 x 1000 blocks and what goes with them.
    assert!(read[0]["rows"].as_u64().unwrap() > 2000, "{read}");
    assert_eq!(read.as_array().unwrap().len(), 1, "{read}");
}

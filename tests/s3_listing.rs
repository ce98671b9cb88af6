//! A bucket that is laid out as a data directory is, on a real server.
#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::HashMap;
use std::path::Path;

use data_manager::data_chunk::{ChunkId, DataChunk};
use data_manager::data_manager::Durability;
use support::origin::Origin;
use support::s3::{content, list, open, server, source};
use support::{DEADLINE, builder, bytes, chunk, id, temp_dir};

/// Two chunks with several files, one of them with a digest; brought into `dir` by the library.
fn publish(dir: &Path) -> Vec<ChunkId> {
    let origin = Origin::start();
    origin.file("a", bytes(6, 5000));
    origin.file("b", bytes(7, 0));
    let digest = "#sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let manager = support::open(dir);
    let plain = chunk(
        1,
        0..5,
        [("a b.parquet", origin.url("a")), ("ü", origin.url("b"))],
    );
    let digested = [
        ("a", origin.url("a")),
        ("b", format!("{}{digest}", origin.url("b"))),
    ];
    for chunk in [plain, chunk(2, 5..9, digested)] {
        manager.download_chunk(chunk).wait().unwrap();
    }
    manager.list_chunks()
}

#[test]
fn a_data_directory_comes_back_out_of_a_bucket() {
    let Some(server) = server("published") else {
        return;
    };
    let (first, second) = (temp_dir(), temp_dir());
    let mut published = publish(first.path());
    server.upload("published", "w/1/", first.path());
    // A chunk that is only half there.
    let half = support::chunk_dirs(first.path())[0]
        .file_name()
        .unwrap()
        .to_owned();
    let half = half
        .to_str()
        .unwrap()
        .replace(&"01".repeat(32), &"03".repeat(32));
    let key = format!("w/1/dataset_id={}/{half}/a b.parquet", "d5".repeat(32));
    server.put("published", &key, b"less");

    let chunks = list(&source(server.options()), "s3://published/w/1");
    let files: HashMap<_, _> = chunks
        .iter()
        .flat_map(|chunk| chunk.files.clone())
        .collect();
    assert_eq!(chunks.len(), 2, "{chunks:?}");
    assert!(files["b"].contains("#sha256=e3b0c442"), "{files:?}");
    assert!(!files["a"].contains('#'), "{files:?}");
    let manager = builder(second.path()).s3(server.options());
    let manager = manager.open().unwrap();
    manager
        .set_assignment(chunks)
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    published.sort_unstable();
    let mut arrived = manager.list_chunks();
    arrived.sort_unstable();
    assert_eq!(arrived, published);
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert_eq!(
        std::fs::read(guard.path().join("a b.parquet")).unwrap(),
        bytes(6, 5000)
    );
    // The same description, digests included: the names of their directories say so.
    let fingerprints = |dir: &Path| -> Vec<String> {
        let dirs = support::chunk_dirs(dir).into_iter();
        let names = dirs.map(|dir| dir.file_name().unwrap().to_str().unwrap().to_owned());
        let mut all: Vec<_> = names
            .map(|n| n.rsplit('-').next().unwrap().to_owned())
            .collect();
        all.sort();
        all
    };
    assert_eq!(fingerprints(first.path()), fingerprints(second.path()));
}

#[test]
fn a_listing_of_more_than_a_page() {
    let Some(server) = server("pages") else {
        return;
    };
    // Of each chunk a file and its manifest.
    let count = 550;
    let (dir, origin) = (temp_dir(), temp_dir());
    std::fs::write(origin.path().join("f"), "data").unwrap();
    let url = format!("file://{}/f", origin.path().display());
    let manager = builder(dir.path()).serve_files_from(origin.path());
    let manager = manager.durability(Durability::None).open().unwrap();
    let chunks = (0..count).map(|n: u64| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        let files = [("f", url.clone())];
        DataChunk {
            id,
            ..chunk(0, n..n + 1, files)
        }
    });
    let task = manager.set_assignment(chunks);
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    drop(manager);
    server.upload("pages", "", dir.path());
    let chunks = list(&source(server.options()), "s3://pages/");
    assert_eq!(chunks.len() as u64, count);
    let opened = open(&source(server.options()), &chunks[17].files["f"]).unwrap();
    assert_eq!(content(opened), b"data");
}

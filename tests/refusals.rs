//! Bad input: refused before anything is touched, with the field named.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use data_manager::ErrorKind;
use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerBuilder, DataManagerImpl};
use support::origin::Origin;
use support::{DEADLINE, chunk, chunk_dirs, id, open, read_dir, temp_dir};

fn refused(manager: &DataManagerImpl, chunk: DataChunk, field: &str) {
    let id = chunk.id;
    let shown = format!("{chunk:?}");
    let task = manager.download_chunk(chunk);
    let error = task
        .wait_timeout(Duration::ZERO)
        .expect("refused at once")
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{shown}");
    assert!(
        error.to_string().starts_with(&format!("{field}: ")),
        "{shown}: {error}"
    );
    assert_eq!(error.chunk_id(), Some(id));
    assert!(manager.chunk_status(&id).is_none(), "{shown}");
}

#[test]
#[allow(clippy::reversed_empty_ranges)]
fn ranges_that_hold_no_block() {
    let dir = temp_dir();
    let manager = open(dir.path());
    for range in [0..0, 7..7, 7..6, u64::MAX..u64::MAX] {
        refused(
            &manager,
            chunk(1, range, [("f", "http://h/f".to_owned())]),
            "block_range",
        );
    }
    assert!(manager.wait_idle(DEADLINE) && manager.list_chunks().is_empty());
}

#[test]
fn files_that_cannot_be() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let manager = open(dir.path());
    refused(&manager, chunk(1, 0..1, []), "files");
    let url = origin.url("f");
    let long = "x".repeat(256);
    for name in [
        "",
        ".",
        "..",
        "/f",
        "/etc/passwd",
        "a/b",
        "../f",
        "a\\b",
        "a\0",
        "a\n",
        "\u{1b}[31m",
        &long,
        "_chunk.json",
        "_parts",
    ] {
        refused(&manager, chunk(1, 0..1, [(name, url.clone())]), "files");
    }
    for url in [
        "",
        "f",
        "/f",
        "http://",
        "http:///f",
        "http://h/a b",
        "http://[::1",
        "http://h/%4",
        "ftp://h/f",
        "s3://bucket/key",
        "gopher:x",
        "file:///etc/passwd",
        "file:etc",
        "http://h/f#sha256=12",
        "http://h/f#part",
        "data:,x",
    ] {
        refused(&manager, chunk(1, 0..1, [("f", url.to_owned())]), "files");
    }
    assert!(origin.requests().is_empty());
    assert!(read_dir(&dir.path().join("_staging")).is_empty() && chunk_dirs(dir.path()).is_empty());
}

#[test]
fn files_outside_the_directories_that_the_builder_names() {
    let (dir, served) = (temp_dir(), temp_dir());
    let (inside, secret) = (served.path().join("in"), served.path().join("secret"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(&secret, "secret").unwrap();
    std::os::unix::fs::symlink(&secret, inside.join("link")).unwrap();
    let manager = support::builder(dir.path())
        .serve_files_from(&inside)
        .open()
        .unwrap();
    let url = |path: PathBuf| format!("file://{}", path.display());
    for path in [secret, inside.join("../secret"), inside.join(".")] {
        refused(&manager, chunk(1, 0..1, [("f", url(path))]), "files");
    }
    // Where a link leads is found out when it is followed.
    let task = manager.download_chunk(chunk(1, 0..1, [("f", url(inside.join("link")))]));
    let error = task.wait_timeout(DEADLINE).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(manager.list_chunks().is_empty());
}

#[test]
fn a_refused_description_changes_nothing_about_the_chunk_that_is_there() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("f", b"content");
    let manager = open(dir.path());
    let good = chunk(1, 0..5, [("f", origin.url("f"))]);
    manager
        .download_chunk(good)
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    let task = manager.download_chunk(chunk(1, 5..5, [("f", origin.url("f"))]));
    assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(manager.list_chunks(), [id(1)]);
}

#[test]
fn settings_out_of_range() {
    let dir = temp_dir();
    type Set = fn(DataManagerBuilder) -> DataManagerBuilder;
    let cases: [(&str, Set); 9] = [
        ("slots", |b| b.slots(0)),
        ("threads", |b| b.threads(0)),
        ("first_backoff", |b| b.first_backoff(Duration::ZERO)),
        ("longest_backoff", |b| {
            b.longest_backoff(Duration::from_millis(1))
        }),
        ("stall_timeout", |b| b.stall_timeout(Duration::ZERO)),
        ("connect_timeout", |b| b.connect_timeout(Duration::ZERO)),
        ("bandwidth_limit", |b| b.bandwidth_limit(0)),
        ("dir_mode", |b| b.dir_mode(0o677)),
        ("file_mode", |b| b.file_mode(0o466)),
    ];
    for (field, set) in cases {
        let error = set(DataManagerImpl::builder().data_dir(dir.path()))
            .open()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(
            error.to_string().starts_with(&format!("{field}: ")),
            "{error}"
        );
    }
    assert!(
        read_dir(dir.path()).is_empty(),
        "refused before anything is touched"
    );
}

//! What a start finds: every whole chunk, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_manager::ErrorKind;
use data_manager::data_manager::Event;
use support::origin::{Origin, Reply};
use support::{DATASET, DEADLINE, bytes, chunk, chunk_dirs, id, open, read_dir, temp_dir};

/// Downloads `count` chunks with one file each: chunk `n` holds blocks `10n..10n+10`.
fn fill(dir: &Path, origin: &Origin, count: u8) {
    let manager = open(dir);
    for n in 0..count {
        let path = format!("{n}");
        origin.file(&path, bytes(u64::from(n), 1000));
        let start = u64::from(n) * 10;
        drop(manager.download_chunk(chunk(n, start..start + 10, [("f", origin.url(&path))])));
    }
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(manager.list_chunks().len(), usize::from(count));
    manager.shutdown(DEADLINE).unwrap();
}

fn dir_of(data_dir: &Path, n: u8) -> PathBuf {
    let hex = format!("{n:02x}").repeat(32);
    let is = |path: &PathBuf| path.to_string_lossy().contains(&format!("-{hex}-"));
    chunk_dirs(data_dir).into_iter().find(is).unwrap()
}

#[test]
fn what_was_complete_is_there_again_at_the_same_path() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 5);
    let before = chunk_dirs(dir.path());
    drop(origin);
    let manager = open(dir.path());
    assert_eq!(manager.list_chunks().len(), 5);
    for n in 0..5 {
        let guard = manager.find_chunk(DATASET, u64::from(n) * 10 + 9).unwrap();
        assert_eq!(guard.id(), &id(n));
        assert_eq!(
            std::fs::read(guard.path().join("f")).unwrap(),
            bytes(u64::from(n), 1000)
        );
        assert_eq!(guard.files()[0].len_bytes, 1000);
    }
    assert_eq!(chunk_dirs(dir.path()), before);
    // The same description is a no-op although nobody serves it; another one is refused.
    let same = chunk(1, 10..20, [("f", "http://127.0.0.1:1/".to_owned())]);
    manager
        .download_chunk(same)
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    let other = chunk(1, 10..21, [("f", "http://127.0.0.1:1/".to_owned())]);
    let error = manager
        .download_chunk(other)
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(manager.get_chunk(&id(1)).is_some());
}

#[test]
fn what_was_deleted_stays_deleted_also_while_it_is_held() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 3);
    {
        let manager = open(dir.path());
        let guard = manager.get_chunk(&id(1)).unwrap();
        let held = manager.delete_chunk(id(1));
        manager
            .delete_chunk(id(0))
            .wait_timeout(DEADLINE)
            .unwrap()
            .unwrap();
        assert!(
            manager.wait_idle(DEADLINE),
            "a chunk that waits for references is idle"
        );
        assert!(held.wait_timeout(Duration::ZERO).is_none());
        manager.shutdown(DEADLINE).unwrap();
        assert_eq!(held.wait().unwrap_err().kind(), ErrorKind::ShutDown);
        assert_eq!(
            std::fs::read(guard.path().join("f")).unwrap(),
            bytes(1, 1000)
        );
    }
    let manager = open(dir.path());
    assert_eq!(manager.list_chunks(), [id(2)]);
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(chunk_dirs(dir.path()).len(), 1);
    for own in ["_tombstones", "_trash", "_quarantine"] {
        assert!(read_dir(&dir.path().join(own)).is_empty(), "{own}");
    }
}

#[test]
fn an_unfinished_download_is_resumed_when_it_is_asked_for_again() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let content = bytes(1, 400_000);
    origin.file("done", bytes(2, 1000));
    origin.serve("f", Reply::Stall(content.clone().into(), 250_000));
    let description = chunk(
        1,
        0..5,
        [("f", origin.url("f")), ("done", origin.url("done"))],
    );
    {
        let manager = open(dir.path());
        let task = manager.download_chunk(description.clone());
        let staged = || {
            manager
                .chunk_status(&id(1))
                .map_or(0, |status| status.done_bytes)
        };
        let started = std::time::Instant::now();
        while staged() < 251_000 {
            assert!(started.elapsed() < DEADLINE, "{} bytes staged", staged());
            std::thread::yield_now();
        }
        origin.wait_for_hits("done", 1);
        manager.shutdown(DEADLINE).unwrap();
        assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::ShutDown);
    }
    origin.file("f", content.clone());
    let manager = open(dir.path());
    assert!(manager.list_chunks().is_empty());
    assert!(
        manager.wait_idle(Duration::ZERO),
        "unfinished requests are not remembered"
    );
    let task = manager.download_chunk(description);
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert!(std::fs::read(guard.path().join("f")).unwrap() == content);
    let last = origin
        .requests()
        .into_iter()
        .rfind(|request| request.path == "/f")
        .unwrap();
    assert!(last.headers.contains_key("range"), "{:?}", last.headers);
}

#[test]
fn what_strangers_put_there_is_left_alone() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 1);
    let root = dir.path();
    let dataset = chunk_dirs(root)[0].parent().unwrap().to_owned();
    let strange = [
        root.join("notes.txt"),
        root.join("_own"),
        dataset.join("chunk=1-2-x"),
        dataset.join("README"),
        root.join("_staging/mine"),
        root.join("_trash/mine"),
        root.join("_tombstones/mine"),
    ];
    for path in &strange {
        std::fs::write(path, "mine").unwrap();
    }
    let outside = temp_dir();
    symlink(
        outside.path(),
        root.join(format!("dataset_id={}", "ab".repeat(32))),
    )
    .unwrap();
    let manager = open(root);
    assert_eq!(manager.list_chunks(), [id(0)]);
    assert!(manager.stats().totals.foreign >= 7, "{:?}", manager.stats());
    manager
        .delete_chunk(id(0))
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    for path in &strange {
        assert_eq!(std::fs::read(path).unwrap(), b"mine", "{path:?}");
    }
}

#[test]
fn a_strangers_file_in_a_chunk_survives_the_chunk() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 1);
    std::fs::write(dir_of(dir.path(), 0).join("notes.txt"), "mine").unwrap();
    let manager = open(dir.path());
    manager
        .delete_chunk(id(0))
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    assert!(chunk_dirs(dir.path()).is_empty());
    let kept = &read_dir(&dir.path().join("_quarantine"))[0];
    assert_eq!(read_dir(kept), [kept.join("notes.txt")]);
}

#[test]
fn damage_is_found_and_never_stops_the_start() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 6);
    let at = |n| dir_of(dir.path(), n);
    std::fs::write(at(0).join("_chunk.json"), "{").unwrap();
    std::fs::remove_file(at(1).join("_chunk.json")).unwrap();
    std::fs::write(at(2).join("f"), "short").unwrap();
    std::fs::remove_file(at(3).join("f")).unwrap();
    let renamed = at(4)
        .to_string_lossy()
        .replace("=00000000000000000040", "=00000000000000000039");
    std::fs::rename(at(4), renamed).unwrap();
    let manager = open(dir.path());
    let started = std::time::Instant::now();
    while manager.list_chunks() != [id(5)] || !manager.wait_idle(DEADLINE) {
        assert!(
            started.elapsed() < DEADLINE,
            "{:?}",
            manager.list_chunks().len()
        );
        std::thread::yield_now();
    }
    assert_eq!(read_dir(&dir.path().join("_quarantine")).len(), 5);
    assert_eq!(manager.stats().totals.quarantined, 5);
    // What was damaged is fetched again when it is asked for.
    let again = chunk(2, 20..30, [("f", origin.url("2"))]);
    manager
        .download_chunk(again)
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    assert_eq!(manager.list_chunks(), [id(2), id(5)]);
}

#[test]
fn of_two_contents_of_an_id_the_later_one_counts() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 1);
    let first = dir_of(dir.path(), 0);
    // A crash after a later commit and before the earlier content was removed leaves both.
    let kept = temp_dir();
    copy_dir(&first, &kept.path().join("copy"));
    {
        let manager = open(dir.path());
        manager
            .delete_chunk(id(0))
            .wait_timeout(DEADLINE)
            .unwrap()
            .unwrap();
        let other = chunk(0, 0..7, [("f", origin.url("0"))]);
        manager
            .download_chunk(other)
            .wait_timeout(DEADLINE)
            .unwrap()
            .unwrap();
        manager.shutdown(DEADLINE).unwrap();
    }
    copy_dir(&kept.path().join("copy"), &first);
    assert_eq!(chunk_dirs(dir.path()).len(), 2);
    let manager = open(dir.path());
    assert_eq!(manager.get_chunk(&id(0)).unwrap().block_range(), 0..7);
    assert!(manager.wait_idle(DEADLINE));
    assert_eq!(chunk_dirs(dir.path()).len(), 1);
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in read_dir(from) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

#[test]
fn what_opening_found_is_told_to_the_first_subscriber() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 2);
    std::fs::write(dir_of(dir.path(), 0).join("_chunk.json"), "{").unwrap();
    std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let manager = open(dir.path());
    let events = manager.events();
    let name = |event| -> String {
        let event = serde_json::to_value(event).unwrap();
        event["event"].as_str().unwrap().to_owned()
    };
    // What is wrong with a chunk is found behind the start, before or after somebody listens.
    let mut seen: Vec<String> = Vec::new();
    while !seen.iter().any(|name| name == "quarantined") {
        seen.push(name(events.recv_timeout(DEADLINE).unwrap()));
    }
    assert_eq!(seen, ["foreign", "damaged", "quarantined"]);
    assert!(manager.events().try_recv().is_err());
}

#[test]
fn what_was_found_wrong_waits_for_the_first_subscriber() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 2);
    std::fs::remove_file(dir_of(dir.path(), 0).join("f")).unwrap();
    let manager = open(dir.path());
    let started = std::time::Instant::now();
    while manager.stats().totals.quarantined == 0 {
        assert!(started.elapsed() < DEADLINE);
        std::thread::yield_now();
    }
    let first = manager.events().recv_timeout(DEADLINE).unwrap();
    assert!(matches!(first, Event::Damaged { chunk_id, .. } if chunk_id == id(0)));
}

#[test]
fn what_cannot_be_read_leaves_the_view_and_is_left_alone() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 3);
    let manifest = dir_of(dir.path(), 1).join("_chunk.json");
    // A format of the future: root may read everything, so permissions say nothing here.
    let text = std::fs::read_to_string(&manifest).unwrap();
    let later = text.replace("\"version\": 1", "\"version\": 2");
    assert_ne!(text, later);
    std::fs::write(&manifest, &later).unwrap();
    let manager = open(dir.path());
    let events = manager.events();
    while !matches!(
        events.recv_timeout(DEADLINE).unwrap(),
        Event::Unreadable { .. }
    ) {}
    assert_eq!(manager.list_chunks(), [id(0), id(2)]);
    assert_eq!(manager.stats().totals.unreadable, 1);
    assert!(manager.wait_idle(DEADLINE));
    // It may be asked for again, and lives beside the other one.
    let again = chunk(1, 10..20, [("f", origin.url("1"))]);
    let task = manager.download_chunk(again);
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(manager.list_chunks().len(), 3);
    assert_eq!(std::fs::read_to_string(&manifest).unwrap(), later);
}

#[test]
fn a_chunk_that_is_gone_already_can_be_deleted() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 2);
    let manager = open(dir.path());
    std::fs::remove_dir_all(chunk_dirs(dir.path())[0].parent().unwrap()).unwrap();
    for n in 0..2 {
        manager
            .delete_chunk(id(n))
            .wait_timeout(DEADLINE)
            .unwrap()
            .unwrap();
    }
    assert!(manager.wait_idle(DEADLINE));
}

#[test]
fn a_tombstone_is_for_one_chunk_only() {
    let (dir, origin) = (temp_dir(), Origin::start());
    fill(dir.path(), &origin, 1);
    let other = format!("_tombstones/1-{}", "ee".repeat(32));
    std::fs::write(dir.path().join(other), "").unwrap();
    assert_eq!(open(dir.path()).list_chunks(), [id(0)]);
}

//! `get` and `rm`.

use std::io::Write;
use std::process::Stdio;

use data_manager::data_manager::DataManagerImpl;

use crate::support::origin::Origin;
use crate::support::{id, temp_dir};
use crate::tool::{Said, assignment, described, run, served, tool};

#[test]
fn chunks_are_fetched_by_their_descriptions_and_others_stay() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let (data_dir, file) = (dir.path().join("data"), dir.path().join("chunk.json"));
    std::fs::write(
        &file,
        serde_json::to_string_pretty(&served(&origin, 1)).unwrap(),
    )
    .unwrap();
    let said = run(&data_dir, &["get", file.to_str().unwrap()]).ended_with(0);
    assert!(said.out.starts_with("1 of 1 chunk there"), "{said:?}");
    let both = [served(&origin, 2), served(&origin, 3)];
    let both: String = both
        .iter()
        .map(|c| serde_json::to_string(c).unwrap() + "\n")
        .collect();
    let mut get = tool(&data_dir, &["get", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    get.stdin
        .take()
        .unwrap()
        .write_all(both.as_bytes())
        .unwrap();
    let said = Said::from(get.wait_with_output().unwrap()).ended_with(0);
    assert!(said.out.starts_with("2 of 2 chunks there"), "{said:?}");
    let manager = DataManagerImpl::open(&data_dir).unwrap();
    assert_eq!(manager.list_chunks(), [id(1), id(2), id(3)]);
}

#[test]
fn chunks_are_fetched_by_id_out_of_an_assignment() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let file = assignment(dir.path(), [served(&origin, 1), served(&origin, 2)]);
    origin.file("a.json", std::fs::read(&file).unwrap());
    let (one, two, nine) = ("01".repeat(32), "02".repeat(32), "09".repeat(32));
    run(&data_dir, &["get", &two, "--assignment", &file]).ended_with(0);
    assert_eq!(
        DataManagerImpl::open(&data_dir).unwrap().list_chunks(),
        [id(2)]
    );
    run(
        &data_dir,
        &["get", &one, "--assignment", &origin.url("a.json")],
    )
    .ended_with(0);
    for from in [&file, &origin.url("a.json")] {
        let said = run(&data_dir, &["get", &one, &nine, "--assignment", from]).ended_with(4);
        assert!(said.err.contains(&nine), "{said:?}");
    }
    // An id alone says nothing of where it is.
    let said = run(&data_dir, &["get", &one]).ended_with(4);
    assert!(said.err.contains("--assignment"), "{said:?}");
}

#[test]
fn what_cannot_be_had_is_named() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let (data_dir, file) = (dir.path().join("data"), dir.path().join("chunk.json"));
    let file = file.to_str().unwrap();
    run(
        &data_dir,
        &[
            "get",
            "--assignment",
            &assignment(dir.path(), [served(&origin, 1)]),
            &"01".repeat(32),
        ],
    )
    .ended_with(0);
    // Another content under the same id, and one that is not there.
    let mut other = served(&origin, 1);
    other.block_range = 5..6;
    let gone = described(2, origin.url("gone"));
    let both: String = [other, gone]
        .iter()
        .map(|c| serde_json::to_string(c).unwrap())
        .collect();
    std::fs::write(file, both).unwrap();
    let said = run(&data_dir, &["get", file]).ended_with(1);
    assert!(said.out.starts_with("0 of 2 chunks there"), "{said:?}");
    assert_eq!(said.err.matches("failed: ").count(), 2, "{said:?}");
    std::fs::write(file, r#"{"id": "https://user:canary@h/"}"#).unwrap();
    let said = run(&data_dir, &["get", file]).ended_with(2);
    assert!(
        said.err.contains("line 1") && !said.err.contains("canary"),
        "{said:?}"
    );
}

#[test]
fn chunks_are_removed_and_what_is_not_there_is_told() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let file = assignment(dir.path(), (1..=3).map(|n| served(&origin, n)));
    run(&data_dir, &["sync", "--assignment", &file]).ended_with(0);
    let (one, two, nine) = ("01".repeat(32), "02".repeat(32), "09".repeat(32));
    let said = run(&data_dir, &["rm", &one]).ended_with(0);
    assert_eq!(said.out, format!("removed {one}, 1.0 kB\n"));
    let said = run(&data_dir, &["--json", "rm", &two, &nine]).ended_with(4);
    assert_eq!(said.json()[0]["chunk_id"], two);
    assert!(said.err.contains(&nine), "{said:?}");
    run(&data_dir, &["rm", "-f", &nine]).ended_with(0);
    assert_eq!(
        DataManagerImpl::open(&data_dir).unwrap().list_chunks(),
        [id(3)]
    );
    let none = dir.path().join("none");
    run(&none, &["rm", &one]).ended_with(4);
    assert!(!none.exists());
    run(&data_dir, &["rm", "01"]).ended_with(2);
}

#[test]
fn what_is_named_twice_is_removed_once() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let file = assignment(dir.path(), [served(&origin, 1)]);
    run(&data_dir, &["sync", "--assignment", &file]).ended_with(0);
    let one = "01".repeat(32);
    let said = run(&data_dir, &["rm", &one, &one]).ended_with(0);
    assert_eq!(said.out, format!("removed {one}, 1.0 kB\n"));
}

#[test]
fn what_the_disk_does_not_let_go_is_told_and_not_waited_for() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let file = assignment(dir.path(), [served(&origin, 1)]);
    run(&data_dir, &["sync", "--assignment", &file]).ended_with(0);
    // Strangers have all the names that the trash can have.
    std::fs::remove_dir(data_dir.join("_trash")).unwrap();
    for name in (2..=9).map(|n| format!("_trash-{n}")) {
        std::fs::write(data_dir.join(name), "").unwrap();
    }
    std::fs::write(data_dir.join("_trash"), "").unwrap();
    let one = "01".repeat(32);
    let said = run(&data_dir, &["rm", &one]).ended_with(1);
    assert!(said.err.starts_with("not removed: "), "{said:?}");
}

#[test]
fn what_is_there_and_not_whole_is_fetched_again() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let file = assignment(dir.path(), (1..=3).map(|n| served(&origin, n)));
    let sync = ["sync", "--assignment", &file];
    run(&data_dir, &sync).ended_with(0);
    let get = ["get", "--assignment", &file, &"01".repeat(32)];
    for again in [&sync[..], &get] {
        let damaged = file_of_chunk(&data_dir, 1);
        std::fs::write(&damaged, "cut").unwrap();
        let said = run(&data_dir, again).ended_with(0);
        assert!(said.out.contains("1 fetched"), "{said:?}");
        let whole = std::fs::read(file_of_chunk(&data_dir, 1)).unwrap();
        assert_eq!(whole.len(), 1000);
    }
}

#[test]
fn what_nobody_reads_is_no_good_end() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let file = assignment(dir.path(), [served(&origin, 1)]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let data_dir = dir.path().join("data");
    let mut sync = tool(&data_dir, &["--json", "sync", "--assignment", &file]);
    let sync = sync.stdout(writer).stderr(Stdio::piped());
    let said = Said::from(sync.spawn().unwrap().wait_with_output().unwrap());
    assert_eq!(said.ended_with(130).err, "");
}

/// The one file of chunk `n`.
fn file_of_chunk(data_dir: &std::path::Path, n: u8) -> std::path::PathBuf {
    let manager = DataManagerImpl::open(data_dir).unwrap();
    manager.get_chunk(&id(n)).unwrap().path().join("f.parquet")
}

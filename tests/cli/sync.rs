//! `sync`, once.

use std::path::Path;

use data_manager::data_manager::DataManagerImpl;

use crate::support::origin::{Origin, Reply};
use crate::support::{bytes, id, temp_dir};
use crate::tool::{assignment, described, run, served};

fn listed(data_dir: &Path) -> Vec<[u8; 32]> {
    DataManagerImpl::open(data_dir).unwrap().list_chunks()
}

#[test]
fn what_the_assignment_says_is_there_and_a_second_run_does_nothing() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let files = dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("three"), bytes(3, 500)).unwrap();
    let three = described(3, format!("file://{}", files.join("three").display()));
    let chunks = [served(&origin, 1), served(&origin, 2), three];
    let file = assignment(dir.path(), chunks.clone());
    let from = files.to_str().unwrap();
    let args = ["sync", "--assignment", &file, "--serve-files-from", from];
    let said = run(&data_dir, &args).ended_with(0);
    assert_eq!(
        said.out,
        "3 of 3 chunks there, 2.5 kB; 3 fetched, 0 removed\n"
    );
    assert_eq!(said.err, "");
    assert_eq!(listed(&data_dir), [id(1), id(2), id(3)]);
    let said = run(&data_dir, &args).ended_with(0);
    assert_eq!(said.out, "nothing to do: 3 chunks there, 2.5 kB\n");
    assert_eq!(origin.requests().len(), 2);
    // And what it drops goes.
    assignment(dir.path(), [chunks[1].clone()]);
    let said = run(&data_dir, &args).ended_with(0);
    assert_eq!(
        said.out,
        "1 of 1 chunk there, 1.0 kB; 0 fetched, 2 removed\n"
    );
    assert_eq!(listed(&data_dir), [id(2)]);
}

#[test]
fn the_assignment_may_come_over_http_or_from_a_file_url() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let file = assignment(dir.path(), [served(&origin, 1)]);
    origin.file("a.json", std::fs::read(&file).unwrap());
    let data_dir = dir.path().join("data");
    let said = run(&data_dir, &["sync", "--assignment", &origin.url("a.json")]).ended_with(0);
    assert!(said.out.starts_with("1 of 1 chunk there"), "{said:?}");
    let url = format!("file://{file}");
    let from = dir.path().to_str().unwrap();
    let args = ["sync", "--assignment", &url, "--serve-files-from", from];
    let said = run(&data_dir, &args).ended_with(0);
    assert!(said.out.starts_with("nothing to do"), "{said:?}");
    let said = run(&data_dir, &["sync", "--assignment", &origin.url("none")]).ended_with(4);
    assert!(
        said.err.contains("404") && said.err.lines().count() == 1,
        "{said:?}"
    );
}

#[test]
fn a_chunk_that_cannot_be_had_is_named_and_spoils_nothing() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let gone = described(
        2,
        origin.url("gone").replace("http://", "http://user:canary@") + "?canary",
    );
    let odd = described(3, "nobody://user:canary@h/f".to_owned());
    let file = assignment(
        dir.path(),
        [served(&origin, 1), gone, odd, served(&origin, 4)],
    );
    let data_dir = dir.path().join("data");
    let said = run(&data_dir, &["sync", "--assignment", &file]).ended_with(1);
    assert_eq!(
        said.out,
        "2 of 4 chunks there, 2.0 kB; 2 fetched, 0 removed, 2 failed\n"
    );
    let lines: Vec<&str> = said.err.lines().collect();
    assert_eq!(lines.len(), 2, "{said:?}");
    assert!(
        lines[0].starts_with("failed: ") && lines[0].contains(&"02".repeat(32)),
        "{lines:?}"
    );
    assert!(
        lines[0].contains("404") && lines[0].ends_with("ask whoever serves it"),
        "{lines:?}"
    );
    assert!(
        lines[1].contains(&"03".repeat(32)) && lines[1].contains("nobody"),
        "{lines:?}"
    );
    assert!(!said.err.contains("canary") && !said.out.contains("canary"));
    assert_eq!(listed(&data_dir), [id(1), id(4)]);
}

#[test]
fn json_is_a_line_for_each_event_and_one_for_the_end() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let gone = described(2, origin.url("gone"));
    let file = assignment(dir.path(), [served(&origin, 1), gone]);
    let data_dir = dir.path().join("data");
    let said = run(&data_dir, &["sync", "--json", "--assignment", &file]).ended_with(1);
    let lines = said.json();
    let of = |name: &str| lines.iter().find(|line| line["event"] == name).cloned();
    assert_eq!(of("available").unwrap()["chunk_id"], "01".repeat(32));
    assert_eq!(of("failed").unwrap()["chunk_id"], "02".repeat(32));
    let end = lines.last().unwrap();
    assert_eq!(end["event"], "ended");
    assert_eq!((&end["wanted"], &end["available"]), (&2.into(), &1.into()));
    assert_eq!(end["failed"][0]["chunk_id"], "02".repeat(32));
    assert_eq!(end["failed"][0]["error"]["kind"], "not_found");
    assert_eq!(said.err, "");
}

#[test]
fn what_does_not_come_is_given_up() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let file = assignment(dir.path(), [served(&origin, 1), served(&origin, 2)]);
    origin.serve("chunk-2", Reply::Status(503));
    let data_dir = dir.path().join("data");
    let args = ["sync", "--assignment", &file, "--give-up-after", "1s"];
    let said = run(&data_dir, &args).ended_with(1);
    assert!(said.out.starts_with("1 of 2 chunks there"), "{said:?}");
    let line = said
        .err
        .lines()
        .find(|line| line.starts_with("failed: "))
        .unwrap();
    assert!(
        line.contains("503") && line.contains(&"02".repeat(32)),
        "{line}"
    );
    let last = said.err.lines().last().unwrap();
    assert!(last.contains("nothing has moved for 1 s"), "{last}");
}

#[test]
fn a_directory_that_is_owned_says_by_whom() {
    let dir = temp_dir();
    let _owner = DataManagerImpl::open(dir.path()).unwrap();
    let file = assignment(dir.path(), []);
    let owner = format!("process {}", std::process::id());
    for args in [
        ["sync", "--assignment", &file],
        ["rm", "--force", &"01".repeat(32)],
    ] {
        let said = run(dir.path(), &args).ended_with(3);
        assert!(
            said.err.contains(&owner) && said.err.lines().count() == 1,
            "{said:?}"
        );
        assert_eq!(said.out, "");
    }
    let said = run(dir.path(), &["--json", "sync", "--assignment", &file]).ended_with(3);
    let error: serde_json::Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!(error["error"]["exit_code"], 3);
}

#[test]
fn what_cannot_be_understood_touches_nothing() {
    let dir = temp_dir();
    let data_dir = dir.path().join("data");
    let bad = dir.path().join("bad.json");
    std::fs::write(&bad, r#"{"chunks": [{"id": "https://u:canary@h"}]}"#).unwrap();
    let bad = bad.to_str().unwrap();
    let cases: [(&[&str], i32); 5] = [
        (&["sync", "--assignment", bad], 2),
        (&["sync", "--assignment", "/none/such.json"], 4),
        (&["sync", "--assignment", bad, "--slots", "many"], 2),
        (&["sync", "--assignment", "-", "--watch"], 2),
        (&["sync"], 2),
    ];
    for (args, code) in cases {
        let said = run(&data_dir, args).ended_with(code);
        assert!(
            !said.err.is_empty() && !said.err.contains("canary"),
            "{said:?}"
        );
        assert!(!data_dir.exists(), "{args:?}");
    }
}

#[test]
fn quiet_says_only_what_failed() {
    let (dir, origin) = (temp_dir(), Origin::start());
    let data_dir = dir.path().join("data");
    let file = assignment(dir.path(), [served(&origin, 1)]);
    let said = run(&data_dir, &["-q", "sync", "--assignment", &file]).ended_with(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    let file = assignment(dir.path(), [described(2, origin.url("gone"))]);
    let said = run(&data_dir, &["-q", "sync", "--assignment", &file]).ended_with(1);
    assert!(
        said.out.is_empty() && said.err.starts_with("failed: "),
        "{said:?}"
    );
}

//! The commands that look into a directory, while a manager of this process holds it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Output};

use data_manager::data_chunk::AssignmentDocument;
use data_manager::data_manager::DataManagerImpl;
use serde_json::Value;
use support::{DATASET, DEADLINE, builder, bytes, chunk, id, temp_dir};

/// A data directory, and what runs the tool on it.
struct World {
    dir: tempfile::TempDir,
    manager: Option<DataManagerImpl>,
}

/// What the tool did.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// Each line of the output as JSON.
    fn objects(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl World {
    /// With the chunks 1 and 2 of the blocks 0..20, and 3 of 30..40.
    fn new() -> World {
        let dir = temp_dir();
        fs::create_dir(dir.path().join("source")).unwrap();
        let manager = builder(&dir.path().join("data")).serve_files_from(dir.path().join("source"));
        let manager = Some(manager.open().unwrap());
        let world = World { dir, manager };
        world.get(1, 0..10);
        world.get(2, 10..20);
        world.get(3, 30..40);
        world
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn manager(&self) -> &DataManagerImpl {
        self.manager.as_ref().unwrap()
    }

    fn get(&self, n: u8, blocks: Range<u64>) {
        let path = self.dir.path().join(format!("source/{n}"));
        fs::write(&path, bytes(n.into(), 1000)).unwrap();
        let url = format!("file://{}", path.display());
        let chunk = chunk(n, blocks, [("a.parquet", url)]);
        self.manager().download_chunk(chunk).wait().unwrap();
    }

    fn tool(&self) -> Command {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_data-manager"));
        tool.env_remove("DATA_MANAGER_DIR");
        tool.arg("--data-dir").arg(self.data());
        tool
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.tool().args(args).output().unwrap().into()
    }
}

fn hex(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

#[test]
fn chunks_are_listed_beside_a_worker() {
    let world = World::new();
    let ran = world.run(&["ls"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("DATASET"), "{ran:?}");
    let cells: Vec<_> = lines[2].split_whitespace().collect();
    let dataset = "d5".repeat(4);
    assert_eq!(
        cells,
        [
            &dataset,
            "10..20",
            &"02".repeat(4),
            "1.0",
            "kB",
            "available"
        ]
    );

    let ran = world.run(&["ls", "--json", "--range", "19..31", "--dataset", "d5"]);
    let rows = ran.objects();
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [hex(2), hex(3)]);
    assert_eq!(rows[0]["dataset_id"], hex(0xd5));
    assert_eq!(
        (&rows[0]["len_bytes"], &rows[0]["block_range"]["end"]),
        (&1000.into(), &20.into())
    );
    assert!(PathBuf::from(rows[0]["path"].as_str().unwrap()).is_dir());
    assert!(world.run(&["ls", "--dataset", "d6"]).stdout.is_empty());
    assert!(world.run(&["ls", "--state", "partial"]).stdout.is_empty());

    let ran = world.run(&["ls", "--files", "--range", "0..1"]);
    let file = ran.stdout.lines().nth(2).unwrap();
    assert!(
        file.contains("a.parquet") && file.contains("xxh3="),
        "{ran:?}"
    );
}

#[test]
fn what_is_deleted_and_held_is_listed_as_leaving() {
    let world = World::new();
    let guard = world.manager().get_chunk(&id(2)).unwrap();
    drop(world.manager().delete_chunk(id(2)));
    // The tombstone is written in the background.
    let tombstones = world.data().join("_tombstones");
    let started = std::time::Instant::now();
    while support::read_dir(&tombstones).is_empty() {
        assert!(started.elapsed() < DEADLINE);
        std::thread::yield_now();
    }
    let ids = |args: &[&str]| -> Vec<String> {
        let rows = world.run(args).objects();
        rows.iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&["ls", "--json"]), [hex(1), hex(3)]);
    assert_eq!(ids(&["ls", "--json", "--state", "leaving"]), [hex(2)]);
    assert_eq!(
        ids(&["ls", "--json", "--state", "all"]),
        [hex(1), hex(3), hex(2)]
    );
    let ran = world.run(&["find", "d5", "15"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{ran:?}");
    drop(guard);
}

#[test]
fn a_block_is_found() {
    let world = World::new();
    let path = world.manager().get_chunk(&id(2)).unwrap().path().to_owned();
    let ran = world.run(&["find", "d5", "19"]);
    assert_eq!(
        (ran.code, ran.stdout.trim_end()),
        (0, path.to_str().unwrap()),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(&hex(2)), "{ran:?}");
    let ran = world.run(&["find", &hex(0xd5), "19", "--json", "-q"]);
    assert_eq!(ran.objects()[0]["files"][0]["name"], "a.parquet");
    assert_eq!(ran.stderr, "");
    for (args, code) in [
        (["find", "d5", "20"], 4),
        (["find", "d6", "5"], 4),
        (["find", "xy", "5"], 2),
    ] {
        let ran = world.run(&args);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran:?}");
    }
}

#[test]
fn gaps_are_shown() {
    let world = World::new();
    let ran = world.run(&["cover", "d5", "0..50"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    let wanted = [
        "0..20\tpresent",
        "20..30\tmissing",
        "30..40\tpresent",
        "40..50\tmissing",
    ];
    assert_eq!(lines, wanted);
    assert!(
        ran.stderr.contains("30 of 50 blocks in 3 chunks, 2 gaps"),
        "{ran:?}"
    );
    assert_eq!(world.run(&["cover", "d5", "5..20"]).code, 0);
    // From the first to the last that is there.
    assert_eq!(world.run(&["cover", "d5"]).stdout.lines().count(), 3);
    let ran = world.run(&["cover", "d5", "0..50", "--json"]);
    let object = &ran.objects()[0];
    assert_eq!(object["missing_blocks"], 20);
    assert_eq!(object["missing"][0]["start"], 20);
    assert_eq!(object["chunks"][1]["id"], hex(2));
    assert_eq!(world.run(&["cover", "d5", "5..5"]).code, 2);
}

#[test]
fn a_bar_is_drawn_on_a_terminal() {
    let world = World::new();
    let tool = world.tool();
    let words = tool.get_args().map(|arg| arg.to_str().unwrap());
    let words: Vec<_> = [tool.get_program().to_str().unwrap()]
        .into_iter()
        .chain(words)
        .collect();
    // `script` is the tool of util-linux that gives a command a terminal.
    let mut script = Command::new("script");
    script.args([
        "-qec",
        &format!("{} cover d5 0..64", words.join(" ")),
        "/dev/null",
    ]);
    let Ok(output) = script.output() else {
        println!("skipped: needs script (util-linux)");
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let bar = format!(
        "│{}{}{}{}│",
        "█".repeat(20),
        " ".repeat(10),
        "█".repeat(10),
        " ".repeat(24)
    );
    assert!(text.contains(&bar), "{text}");
    assert!(text.contains("missing 20..30 (10)"), "{text}");
}

#[test]
fn the_status_says_who_holds_the_directory() {
    let mut world = World::new();
    let pid = std::process::id();
    let ran = world.run(&["status"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(&format!("process {pid}")), "{ran:?}");
    assert!(
        ran.stdout.contains("3 chunks of 1 dataset, 3.0 kB"),
        "{ran:?}"
    );
    let object = &world.run(&["status", "--json"]).objects()[0];
    assert_eq!(object["chunks"], 3);
    assert_eq!(object["datasets"][0]["dataset_id"], hex(0xd5));
    assert_eq!(object["space"]["chunks_bytes"], 3000);
    world.manager = None;
    let ran = world.run(&["status"]);
    assert!(
        !ran.stdout.contains(&format!("held by      process {pid}")),
        "{ran:?}"
    );
}

#[test]
fn damage_is_told_and_is_an_exit_code() {
    let world = World::new();
    let ran = world.run(&["verify"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
    let file = world
        .manager()
        .get_chunk(&id(2))
        .unwrap()
        .path()
        .join("a.parquet");
    let mut content = fs::read(&file).unwrap();
    content[999] ^= 1;
    fs::write(&file, content).unwrap();
    let ran = world.run(&["verify"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 1);
    assert!(
        ran.stdout.starts_with(&format!("damaged {}", hex(2))),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("rm with the id"), "{ran:?}");
    let ran = world.run(&["verify", "01", &hex(3), "--json"]);
    let outcomes: Vec<_> = ran
        .objects()
        .iter()
        .map(|row| row["outcome"].clone())
        .collect();
    assert_eq!(
        (ran.code, outcomes),
        (0, vec!["whole".into(), "whole".into()])
    );
    assert_eq!(world.run(&["verify", "0"]).code, 2);
    assert_eq!(world.run(&["verify", "77"]).code, 4);
}

#[test]
fn an_export_is_an_assignment() {
    let world = World::new();
    let ran = world.run(&["export"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let document = AssignmentDocument::from_json(ran.stdout.as_bytes()).unwrap();
    let other = builder(&world.dir.path().join("other")).serve_files_from(world.data());
    let other = other.open().unwrap();
    other.set_assignment(document.chunks).wait().unwrap();
    assert_eq!(other.list_chunks(), [id(1), id(2), id(3)]);

    let ran = world.run(&[
        "export",
        "--url-prefix",
        "https://user:secret@h/x",
        "--dataset",
        "d5",
    ]);
    let document = AssignmentDocument::from_json(ran.stdout.as_bytes()).unwrap();
    assert_eq!(document.chunks[0].dataset_id, DATASET);
    let url = &document.chunks[0].files["a.parquet"];
    assert!(
        url.starts_with("https://user:secret@h/x/dataset_id=d5"),
        "{url}"
    );
    assert!(!ran.stderr.contains("secret"), "{ran:?}");
    let ran = world.run(&["export", "--url-prefix", "https://h/?token=secret"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(!ran.stderr.contains("secret"), "{ran:?}");

    fs::write(
        world
            .manager()
            .get_chunk(&id(2))
            .unwrap()
            .path()
            .join("a.parquet"),
        "x",
    )
    .unwrap();
    let ran = world.run(&["export", "--quiet"]);
    let document = AssignmentDocument::from_json(ran.stdout.as_bytes()).unwrap();
    assert_eq!((ran.code, document.chunks.len()), (5, 2), "{ran:?}");
    assert!(
        ran.stderr.contains("left out") && ran.stderr.contains(&hex(2)),
        "{ran:?}"
    );
}

#[test]
fn pruning_waits_for_no_worker() {
    let mut world = World::new();
    let key = format!("{}-{:016x}", hex(9), 5);
    let part = world
        .data()
        .join("_staging")
        .join(key)
        .join("_parts/0.part");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, "half").unwrap();
    // Beside a worker it is told, and nothing is done.
    let ran = world.run(&["prune", "--dry-run", "--older-than", "0s", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let row = &ran.objects()[0];
    assert_eq!(
        (&row["action"], &row["kind"]),
        (&"would_remove".into(), &"partial".into())
    );
    assert_eq!(
        (&row["chunk_id"], &row["len_bytes"]),
        (&hex(9).into(), &4.into())
    );
    let ran = world.run(&["prune", "--older-than", "0s"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.stderr
            .contains(&format!("held by process {}", std::process::id())),
        "{ran:?}"
    );
    assert!(part.exists());
    world.manager = None;
    assert_eq!(world.run(&["prune"]).code, 0);
    assert!(part.exists(), "it is not old");
    assert_eq!(
        world
            .run(&["prune", "--older-than", "0s", "--only", "quarantine"])
            .code,
        0
    );
    assert!(part.exists(), "it was not meant");
    let ran = world.run(&["prune", "--older-than", "0s"]);
    assert!(!part.exists() && ran.stdout.contains("partial"), "{ran:?}");
    assert_eq!(world.run(&["ls", "--json"]).objects().len(), 3);
}

#[test]
fn a_directory_that_is_not_there_is_not_made() {
    let world = World::new();
    let nowhere = world.dir.path().join("nowhere");
    for command in [
        &["ls"][..],
        &["status"],
        &["verify"],
        &["export"],
        &["prune"],
        &["prune", "-n"],
    ] {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_data-manager"));
        let ran: Ran = tool
            .arg("--data-dir")
            .arg(&nowhere)
            .args(command)
            .output()
            .unwrap()
            .into();
        assert_eq!(ran.code, 4, "{command:?} {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(ran.stderr.contains("--data-dir"), "{ran:?}");
        assert!(!nowhere.exists());
    }
}

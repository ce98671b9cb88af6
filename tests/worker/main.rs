//! The example worker, as a process: what it answers, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../examples/worker/main.rs"]
#[allow(dead_code, reason = "its `main` is not used")]
mod example;
mod garbage;
mod health;
mod outliving;
mod process;
#[path = "../support/mod.rs"]
mod support;
mod tables;

use std::io::Write;

use serde_json::{Value, json};
use support::chunk_dirs;

use process::{ARGS, FILE, Place, Worker, dataset};
use tables::Table;

/// Not a test of its own: a worker process.
#[test]
fn worker_process() {
    let Ok(args) = std::env::var(ARGS) else {
        return;
    };
    example::start(args.lines().map(str::to_owned)).unwrap();
}

/// Two chunks side by side, and one behind a gap.
fn three_chunks() -> (Place, Worker, [Table; 3]) {
    let place = Place::new();
    let tables = [0..100, 100..200, 300..400].map(Table::new);
    let chunks = tables
        .iter()
        .zip(1..)
        .map(|(table, n)| place.chunk(n, table));
    place.assign(chunks);
    let worker = place.start(&[]);
    worker.wait_for_chunks(3);
    (place, worker, tables)
}

/// The parts of each line that a query shows of these rows.
fn only(rows: Vec<Value>, columns: &[&str]) -> Vec<Value> {
    let pick = |row: Value| {
        let picked = columns
            .iter()
            .map(|name| ((*name).to_owned(), row[name].clone()));
        Value::Object(picked.collect())
    };
    rows.into_iter().map(pick).collect()
}

fn rows_of(tables: &[Table], blocks: &std::ops::Range<u64>) -> Vec<Value> {
    tables
        .iter()
        .flat_map(|table| table.rows(blocks.clone()))
        .collect()
}

#[test]
fn find_and_cover_say_what_is_here_and_what_is_missing() {
    let (_place, worker, _) = three_chunks();
    let dataset = dataset();
    let (status, found) = worker.json(&format!("/find/{dataset}/150"));
    assert_eq!((status, &found["id"]), (200, &json!("02".repeat(32))));
    assert_eq!(found["block_range"], json!({"start": 100, "end": 200}));
    assert_eq!(found["files"][0]["name"], FILE);
    assert_eq!(worker.json(&format!("/find/{dataset}/200")).0, 404);

    let (status, cover) = worker.json(&format!("/cover/{dataset}/50..450"));
    assert_eq!(status, 200);
    let gaps = json!([{"start": 200, "end": 300}, {"start": 400, "end": 450}]);
    assert_eq!(cover["missing"], gaps);
    let ids: Vec<&Value> = cover["chunks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chunk| &chunk["id"])
        .collect();
    assert_eq!(
        ids,
        ["01", "02", "03"]
            .map(|n| n.repeat(32))
            .iter()
            .collect::<Vec<_>>()
    );
    for bad in [
        "find/xyz/1".to_owned(),
        format!("find/{dataset}/-1"),
        format!("cover/{dataset}/9..3"),
    ] {
        let (status, answer) = worker.json(&format!("/{bad}"));
        assert_eq!(status, 400, "{bad}: {answer}");
    }
}

#[test]
fn a_query_gives_the_rows_of_its_blocks_and_no_others() {
    let (_place, worker, tables) = three_chunks();
    let mut answer = worker.query(&format!("95..305?file={FILE}"));
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("application/x-ndjson"),
        "{}",
        answer.head
    );
    let cover = answer.next_line();
    assert_eq!(
        cover["cover"]["missing"],
        json!([{"start": 200, "end": 300}])
    );
    let (rows, last) = answer.rows();
    assert_eq!(rows, rows_of(&tables, &(95..305)));
    assert_eq!(last["end"]["rows"], rows.len());
    assert_eq!(last["end"]["is_whole"], false, "{last}");
    // Ten row groups of ten blocks in each of the three files: 1 of the first, all of the second, 1 of the third.
    assert_eq!(last["end"]["row_groups"], 30, "{last}");
    assert_eq!(last["end"]["row_groups_skipped"], 18, "{last}");

    let (rows, last) = worker
        .query(&format!("0..200?file={FILE}&columns=amount"))
        .rows();
    assert_eq!(rows, only(rows_of(&tables, &(0..200)), &["amount"]));
    assert_eq!(last["end"]["is_whole"], true, "{last}");

    let (rows, last) = worker.query(&format!("98..200?file={FILE}&limit=8")).rows();
    assert_eq!(rows, rows_of(&tables, &(98..200))[..8]);
    assert_eq!(
        (&last["end"]["met_limit"], &last["end"]["is_whole"]),
        (&json!(true), &json!(false))
    );

    let (rows, last) = worker.query(&format!("200..300?file={FILE}")).rows();
    assert_eq!((rows.len(), &last["end"]["is_whole"]), (0, &json!(false)));
}

#[test]
fn a_query_that_cannot_be_answered_says_why_before_it_begins() {
    let (_place, worker, _) = three_chunks();
    for (rest, why) in [
        ("0..10", "file="),
        ("0..10?file=logs.parquet", "no file"),
        (
            &format!("0..10?file={FILE}&columns=amount,colour"),
            "colour",
        ),
        (&format!("0..10?file={FILE}&block_column=height"), "height"),
        (
            &format!("0..10?file={FILE}&block_column=payload"),
            "whole numbers",
        ),
        (&format!("0..10?file={FILE}&limit=many"), "limit"),
        (&format!("0..10?file={FILE}&order=amount"), "order"),
        (&format!("10..10?file={FILE}"), "less than"),
    ] {
        let answer = worker.query(rest);
        let (status, text) = (answer.status, answer.text());
        assert!(
            status == 400 && text.contains(why),
            "{rest}: {status} {text}"
        );
    }
}

#[test]
fn another_column_may_say_the_block() {
    let place = Place::new();
    let table = Table {
        block_column: "number",
        ..Table::new(0..100)
    };
    place.assign([place.chunk(1, &table)]);
    let worker = place.start(&[]);
    worker.wait_for_chunks(1);
    let answer = worker.query(&format!("37..52?file={FILE}&block_column=number"));
    let (rows, last) = answer.rows();
    assert_eq!(rows, table.rows(37..52));
    assert_eq!(last["end"]["row_groups_skipped"], 7, "{last}");
}

#[test]
fn health_follows_the_assignment() {
    let place = Place::new();
    let worker = place.start(&["--stale", "0.5"]);
    let (status, answer) = worker.json("/healthz");
    assert_eq!((status, &answer["is_healthy"]), (503, &json!(false)));
    let reason = answer["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with("no assignment was taken yet"),
        "{reason}"
    );

    place.assign([place.chunk(1, &Table::new(0..10))]);
    let is_healthy = |status, answer: &Value| {
        status == 200 && *answer == json!({ "is_healthy": true, "reasons": [] })
    };
    worker.wait_for("/healthz", is_healthy);
    place.assign_text("{\"chunks\": [");
    worker.wait_for("/healthz", |status, answer| {
        let reason = answer["reasons"][0].as_str().unwrap_or_default();
        status == 503 && reason.starts_with("the assignment is ")
    });
    place.assign([]);
    worker.wait_for("/healthz", is_healthy);
}

#[test]
fn a_scraper_reads_the_metrics() {
    let (_place, worker, _) = three_chunks();
    let answer = worker.get("/metrics");
    assert!(answer.head.contains("text/plain"), "{}", answer.head);
    let text = answer.text();
    let lines = text.lines().map(|line| Ok(line.to_owned()));
    let scrape = prometheus_parse::Scrape::parse(lines).unwrap();
    let value = |name: &str, label: (&str, &str)| {
        let mut samples = scrape.samples.iter();
        let is_it = |sample: &&prometheus_parse::Sample| {
            let of = sample.labels.get(label.0).unwrap_or_default();
            sample.metric == name && of == label.1
        };
        match samples.find(is_it).unwrap().value {
            prometheus_parse::Value::Gauge(value) | prometheus_parse::Value::Counter(value) => {
                value
            }
            ref other => panic!("{name} is {other:?}"),
        }
    };
    let available = value("data_manager_chunks", ("state", "available"));
    let downloaded = value("data_manager_downloaded_chunks_total", ("", ""));
    let healthy = value("worker_healthy", ("", ""));
    assert_eq!((available, downloaded, healthy), (3.0, 3.0, 1.0));
    assert!(value("worker_assignment_age_seconds", ("", "")) < 60.0);
}

#[test]
fn a_hundred_queries_at_once_are_all_answered() {
    let (_place, worker, tables) = three_chunks();
    let expected = rows_of(&tables, &(0..400));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let (rows, last) = worker.query(&format!("0..400?file={FILE}")).rows();
                assert_eq!(last["end"]["rows"], expected.len());
                assert!(rows == expected);
            });
        }
        scope.spawn(|| assert_eq!(worker.json("/healthz").0, 200));
    });
}

#[test]
fn a_chunk_that_a_query_cannot_read_is_verified_and_comes_again() {
    let (place, worker, tables) = three_chunks();
    let first = chunk_dirs(place.data.path()).remove(0).join(FILE);
    let bytes = std::fs::metadata(&first).unwrap().len();
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(&first)
        .unwrap();
    // Over the footer; the length stays.
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(bytes - 100)).unwrap();
    file.write_all(&[0; 100]).unwrap();
    let answer = worker.query(&format!("0..100?file={FILE}"));
    let (status, text) = (answer.status, answer.text());
    assert!(
        status == 500 && text.contains(&"01".repeat(32)),
        "{status} {text}"
    );
    let deadline = std::time::Instant::now() + support::DEADLINE;
    loop {
        let answer = worker.query(&format!("0..100?file={FILE}"));
        if answer.status == 200 {
            let (rows, last) = answer.rows();
            if last["end"]["is_whole"] == true {
                assert_eq!(rows, tables[0].rows(0..100));
                return;
            }
        }
        assert!(
            std::time::Instant::now() < deadline,
            "it does not come again"
        );
    }
}

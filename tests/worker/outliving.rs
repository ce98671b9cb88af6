//! Queries that outlive their chunks, or the wish to go on.

use std::io::Read;

use data_manager::data_manager::DataManagerImpl;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::{FILE, Place, Response, Worker, dataset, wait_until};
use crate::rows_of;
use crate::support::chunk_dirs;
use crate::tables::Table;

/// Enough that the worker cannot have sent it all while the client reads nothing.
fn large_table(blocks: std::ops::Range<u64>) -> Table {
    Table {
        rows_per_block: 1,
        blocks_per_row_group: 5000,
        payload: 400,
        ..Table::new(blocks)
    }
}

/// A worker with two large chunks, and a query over both of which one line was read.
fn query_under_way(place: &Place) -> (Worker, Response, Vec<Value>) {
    let tables = [0..15_000, 15_000..30_000].map(large_table);
    place.assign([place.chunk(1, &tables[0]), place.chunk(2, &tables[1])]);
    let worker = place.start(&[]);
    worker.wait_for_chunks(2);
    // Before the query: a client that reads nothing for some seconds is cut.
    let expected = rows_of(&tables, &(0..30_000));
    let mut answer = worker.query(&format!("0..30000?file={FILE}"));
    assert_eq!(answer.next_line()["cover"]["missing"], json!([]));
    (worker, answer, expected)
}

#[test]
fn what_a_query_reads_stays_until_it_is_read() {
    let place = Place::new();
    let (worker, answer, expected) = query_under_way(&place);
    assert_eq!(chunk_dirs(place.data.path()).len(), 2);
    place.assign([]);
    worker.wait_for_chunks(0);
    worker.wait_for("/status", |_, status| {
        let chunks = &status["stats"]["chunks"];
        chunks["held"] == 2 && chunks["removing"] == 0
    });
    assert_eq!(chunk_dirs(place.data.path()).len(), 2);
    let (rows, last) = answer.rows();
    assert_eq!(last["end"]["is_whole"], true, "{last}");
    assert!(
        rows == expected,
        "{} rows of {}",
        rows.len(),
        expected.len()
    );
    wait_until("the chunks go", || chunk_dirs(place.data.path()).is_empty());
}

#[test]
fn a_signal_lets_a_query_end_whole_and_gives_the_directory_back() {
    let place = Place::new();
    let (mut worker, answer, expected) = query_under_way(&place);
    worker.signal(Signal::TERM);
    wait_until("nobody is let in", || worker.connect().is_err());
    let (rows, last) = answer.rows();
    assert_eq!(last["end"]["is_whole"], true, "{last}");
    assert!(
        rows == expected,
        "{} rows of {}",
        rows.len(),
        expected.len()
    );
    assert_eq!(worker.exit_status().code(), Some(0));
    let manager = DataManagerImpl::open(place.data.path()).unwrap();
    assert_eq!(manager.list_chunks().len(), 2);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let (mut worker, _answer, _) = query_under_way(&place);
    worker.signal(Signal::INT);
    wait_until("nobody is let in", || worker.connect().is_err());
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit_status().code(), Some(128 + 15));
}

#[test]
fn a_query_that_outlives_the_grace_is_cut() {
    let place = Place::new();
    let table = large_table(0..30_000);
    place.assign([place.chunk(1, &table)]);
    let mut worker = place.start(&["--grace", "0.2"]);
    worker.wait_for_chunks(1);
    let mut answer = worker.query(&format!("0..30000?file={FILE}"));
    answer.next_line();
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit_status().code(), Some(0));
    DataManagerImpl::open(place.data.path()).unwrap();
}

#[test]
fn a_client_that_does_not_read_keeps_no_chunk() {
    let place = Place::new();
    let chunk = place.chunk(1, &Table::new(0..10));
    // More than two sockets have room for.
    std::fs::write(place.origin.path().join("1.parquet"), vec![0; 32_000_000]).unwrap();
    place.assign([chunk]);
    let worker = place.start(&["--within", "0.5"]);
    worker.wait_for_chunks(1);
    let mut answer = worker.get(&format!("/read/{}/5/{FILE}", dataset()));
    assert_eq!(answer.status, 200);
    place.assign([]);
    wait_until("the chunk goes", || {
        chunk_dirs(place.data.path()).is_empty()
    });
    let (mut sent, mut buffer) = (0, [0; 8192]);
    while let Ok(read @ 1..) = answer.read(&mut buffer) {
        sent += read;
    }
    assert!(sent < 32_000_000, "{sent}");
}

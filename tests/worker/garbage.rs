//! Clients that are broken, slow, hostile or too many.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::process::{FILE, Place, Response, Worker, wait_until};
use crate::tables::Table;

fn worker(more: &[&str]) -> (Place, Worker) {
    let place = Place::new();
    let table = Table {
        payload: 5000,
        ..Table::new(0..10)
    };
    place.assign([place.chunk(1, &table)]);
    let worker = place.start(more);
    worker.wait_for_chunks(1);
    (place, worker)
}

#[test]
fn what_is_no_request_is_refused_and_harms_nobody() {
    let (_place, worker) = worker(&[]);
    let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
    let long_header = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
    for (sent, status) in [
        ("GET /nothing HTTP/1.1\r\n\r\n", 404),
        ("GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        ("GET /find/%00/%ff HTTP/1.1\r\n\r\n", 400),
        ("POST /chunks HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("DELETE /chunks HTTP/1.1\r\n\r\n", 405),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n", 400),
        ("GET\r\n\r\n", 400),
        (&long_path, 431),
        (&long_header, 431),
        (&many_headers, 431),
    ] {
        let answer = worker.send(sent.as_bytes());
        let (got, text) = (answer.status, answer.text());
        assert_eq!(got, status, "{:?}: {text}", &sent[..sent.len().min(40)]);
    }
    assert_eq!(worker.json("/healthz").0, 200);
}

#[test]
fn a_client_that_drips_is_told_that_its_time_is_over() {
    let (_place, worker) = worker(&[]);
    let mut stream = worker.connect().unwrap();
    let mut dripping = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Until the worker hangs up.
            while dripping.write_all(b"G").is_ok() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    });
}

#[test]
fn a_half_closed_client_and_one_that_sends_more_get_their_answer() {
    let (_place, worker) = worker(&[]);
    let mut half = worker.connect().unwrap();
    half.write_all(b"GET /chunks HTTP/1.1\r\n\r\n").unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Response::read(half).text().matches("01").count(), 32);

    // What is not read of this when the worker closes would reset the connection, and the client, which has
    // little room, would lose what it did not read yet.
    let path = format!("/query/{}/0..10?file={FILE}", crate::dataset());
    let pipelined = format!("GET {path} HTTP/1.1\r\n\r\n").repeat(500);
    let mut stream = worker.connect().unwrap();
    stream.write_all(pipelined.as_bytes()).unwrap();
    wait_until("the worker has said it all", || {
        !is_established(worker.address.port(), stream.local_addr().unwrap().port())
    });
    let answer = Response::read(stream);
    assert!(answer.head.contains("Connection: close"), "{}", answer.head);
    assert_eq!(answer.rows().0.len(), 30);

    let cut = worker.connect().unwrap();
    (&cut).write_all(b"GET /chu").unwrap();
    cut.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Response::read(cut).status, 400);
}

#[test]
fn head_has_no_body_and_old_clients_get_no_chunks() {
    let (_place, worker) = worker(&[]);
    let path = format!("/query/{}/0..10?file={FILE}", crate::dataset());
    for path in ["/chunks", &path] {
        let mut stream = worker.connect().unwrap();
        write!(stream, "HEAD {path} HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
    }
    let old = worker.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
    assert!(!old.head.contains("chunked"), "{}", old.head);
    let (rows, last) = old.rows();
    assert_eq!((rows.len(), &last["end"]["rows"]), (30, &30.into()));
}

#[test]
fn too_many_are_told_so_and_a_place_that_is_free_is_given_again() {
    let (_place, worker) = worker(&["--connections", "2"]);
    let idle = [worker.connect().unwrap(), worker.connect().unwrap()];
    worker.wait_for("/chunks", |status, _| status == 503);
    drop(idle);
    worker.wait_for("/chunks", |status, _| status == 200);
}

/// Whether a connection over loopback is open on both sides, as the system sees it on this one.
fn is_established(local: u16, remote: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = [local, remote].map(|port| format!("0100007F:{port:04X}"));
    table.contains(&format!("{} {} 01 ", ends[0], ends[1]))
}

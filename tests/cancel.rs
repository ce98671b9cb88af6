//! A transfer that is stuck, at whatever stage: it is gone within a second of the delete or the
//! shutdown, and its slot is another's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_manager::{DataManagerImpl, Durability};
use socket2::{Domain, Socket, Type};
use support::origin::{Origin, Reply};
use support::{DEADLINE, builder, bytes, chunk, id, temp_dir};

/// What a cancellation has.
const LIMIT: Duration = Duration::from_secs(1);

/// A place to get stuck in.
struct Stage {
    url: String,
    /// Returns once the transfer is stuck there.
    reached: Box<dyn Fn()>,
}

/// One transfer at a time, and no time limit that would end it.
fn patient(dir: &std::path::Path) -> DataManagerImpl {
    builder(dir)
        .slots(1)
        .connect_timeout(DEADLINE)
        .stall_timeout(DEADLINE)
        .durability(Durability::None)
        .open()
        .unwrap()
}

fn a_delete_frees_the_slot(stage: &Stage) {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.file("other", bytes(2, 10));
    let manager = patient(dir.path());
    let stuck = manager.download_chunk(chunk(1, 0..5, [("f", stage.url.clone())]));
    (stage.reached)();
    let other = manager.download_chunk(chunk(2, 5..9, [("f", origin.url("other"))]));
    assert_eq!(manager.stats().files_in_flight, 1);
    assert!(other.wait_timeout(Duration::ZERO).is_none());
    let started = Instant::now();
    let delete = manager.delete_chunk(id(1));
    delete.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    other.wait_timeout(DEADLINE).unwrap().unwrap();
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    assert_eq!(stuck.wait().unwrap_err().kind(), ErrorKind::Superseded);
}

fn a_shutdown_does_not_wait_for_it(stage: &Stage) {
    let dir = temp_dir();
    let manager = patient(dir.path());
    let stuck = manager.download_chunk(chunk(1, 0..5, [("f", stage.url.clone())]));
    (stage.reached)();
    let started = Instant::now();
    manager.shutdown(DEADLINE).unwrap();
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    assert_eq!(stuck.wait().unwrap_err().kind(), ErrorKind::ShutDown);
}

fn stuck_in(stage: impl Fn() -> Stage) {
    a_delete_frees_the_slot(&stage());
    a_shutdown_does_not_wait_for_it(&stage());
}

/// An origin that answers with `reply`, which ends in waiting for the client to go away.
fn stuck_in_an_answer(reply: &Reply) {
    stuck_in(|| {
        let origin = Origin::start();
        origin.serve("f", reply.clone());
        Stage {
            url: origin.url("f"),
            reached: Box::new(move || origin.wait_for_hits("f", 1)),
        }
    });
}

/// Whether a socket of this machine waits for an answer of `address` to its first packet.
fn connects_to(address: SocketAddr) -> bool {
    const SYN_SENT: &str = "02";
    let remote = format!("0100007F:{:04X}", address.port());
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    sockets.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next() == Some(&remote) && fields.next() == Some(SYN_SENT)
    })
}

/// Nobody accepts and the queue is full, so the system does not answer another connection.
#[test]
#[cfg(target_os = "linux")]
fn connecting() {
    stuck_in(|| {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let soon = Duration::from_millis(200);
        let fill = || TcpStream::connect_timeout(&address, soon).ok();
        let queue: Vec<_> = std::iter::from_fn(fill).collect();
        let reached = move || {
            let _open = (&listener, &queue);
            let deadline = Instant::now() + DEADLINE;
            while !connects_to(address) {
                assert!(Instant::now() < deadline, "nobody connects");
                std::thread::yield_now();
            }
        };
        Stage {
            url: format!("http://{address}/f"),
            reached: Box::new(reached),
        }
    });
}

/// A server that takes the client's first words and says nothing.
#[test]
fn shaking_hands_over_tls() {
    stuck_in(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/f", listener.local_addr().unwrap());
        let (heard, hears) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                let _ = heard.send(());
            }
        });
        let reached = move || hears.recv_timeout(DEADLINE).unwrap();
        Stage {
            url,
            reached: Box::new(reached),
        }
    });
}

#[test]
fn before_the_headers() {
    stuck_in_an_answer(&Reply::Silence);
}

#[test]
fn in_the_middle_of_the_headers() {
    stuck_in_an_answer(&Reply::Hold(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()));
}

#[test]
fn in_a_redirect_that_does_not_end() {
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: /g\r\nContent-Length: 100\r\n\r\nsee";
    stuck_in_an_answer(&Reply::Hold(redirect.to_vec()));
}

#[test]
fn in_the_body() {
    stuck_in_an_answer(&Reply::Stall(bytes(1, 300_000).into(), 100_000));
}

#[test]
fn between_two_pieces_of_the_body() {
    let piece = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    stuck_in_an_answer(&Reply::Hold(piece.to_vec()));
}

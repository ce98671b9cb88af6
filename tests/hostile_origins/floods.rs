//! Answers without an end, answers that do not begin, and those that ask for too much: of memory,
//! of disk, of patience.

use std::path::Path;
use std::time::{Duration, Instant};

use data_manager::ErrorKind::{Network, NoSpace, Protocol, Unavailable};
use data_manager::data_manager::Event;

use super::support::origin::{Drip, Reply};
use super::support::{DEADLINE, bytes, id, read_dir};
use super::{World, answer, each_ends, each_passes, each_passes_with, ok, raw, sound};

const MIB: u64 = 1 << 20;

/// `first`, then `again` until the client has enough.
fn endless(first: &str, again: impl AsRef<[u8]>) -> Reply {
    Reply::Endless(first.as_bytes().to_vec(), again.as_ref().to_vec())
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn headers_without_end() {
    let lines = "X-Filler: y\r\n".repeat(1000);
    each_passes(&[
        (
            "a line",
            endless("HTTP/1.1 200 OK\r\nX: ", [b'x'; 65536]),
            Protocol,
        ),
        (
            "a name",
            endless("HTTP/1.1 200 OK\r\n", [b'x'; 65536]),
            Protocol,
        ),
        (
            "a reason",
            endless("HTTP/1.1 200 ", [b'x'; 65536]),
            Protocol,
        ),
        (
            "many lines",
            endless("HTTP/1.1 200 OK\r\n", &lines),
            Protocol,
        ),
        ("empty lines", endless("", [b'\n'; 65536]), Protocol),
        ("no lines", endless("", [b'x'; 65536]), Protocol),
        (
            "many, with an end",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{lines}Content-Length: 5\r\n\r\nwrong"
            )),
            Protocol,
        ),
        (
            "long, with an end",
            ok(
                &format!("X: {}\r\nContent-Length: 5", "x".repeat(70_000)),
                "wrong",
            ),
            Protocol,
        ),
    ]);
}

/// Framing and hints without end bring bytes all the time, and never a file.
#[test]
fn nothing_without_end() {
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let started = Instant::now();
    each_passes_with(
        |builder| builder.stall_timeout(Duration::from_millis(500)),
        &[
            (
                "hints that drip",
                Reply::Drip(Drip {
                    bytes: hints.repeat(500).into_bytes(),
                    first: 0,
                    step: hints.len(),
                    pause: Duration::from_millis(50),
                }),
                Network,
            ),
            ("a chunk's size", endless(CHUNKED, [b'0'; 65536]), Network),
            (
                "an extension",
                endless(&format!("{CHUNKED}5;x="), [b'x'; 65536]),
                Network,
            ),
            (
                "trailers",
                endless(
                    &format!("{CHUNKED}5\r\nwrong\r\n0\r\n"),
                    "X: y\r\n".repeat(1000),
                ),
                Network,
            ),
            (
                "a trailer",
                endless(&format!("{CHUNKED}5\r\nwrong\r\n0\r\nX: "), [b'x'; 65536]),
                Network,
            ),
        ],
    );
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

/// Whether the limit on headers or the one on time is met first is the scheduler's.
#[test]
fn hints_without_end() {
    let hint = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let mut world = World::new(|builder| builder.stall_timeout(Duration::from_millis(500)));
    for (n, hints) in (0..).zip([hint.to_owned(), hint.repeat(10_000)]) {
        world.ask(n, vec![endless("", hints), Reply::File(sound())]);
    }
    for error in world.first_failures(2).values() {
        assert!(matches!(error.kind(), Network | Protocol), "{error}");
    }
    assert!(world.manager.wait_idle(DEADLINE));
    assert!([0, 1].iter().all(|n| world.content(*n) == *sound()));
    world.nothing_is_staged();
}

/// Whatever the bytes are, they stop at the limit; the chunk fails, and nobody else.
#[test]
fn bodies_without_end_stop_at_the_limit() {
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 65536], b"\r\n".to_vec()].concat();
    let mut world = World::new(|builder| builder.max_bytes(4 * MIB));
    let chunked = world.ask(1, vec![endless(CHUNKED, &chunk)]);
    let digest = format!("#sha256={}", "00".repeat(32));
    let open_end = endless("HTTP/1.1 200 OK\r\n\r\n", [b'x'; 65536]);
    let open_end = world.ask_for(2, vec![open_end], &digest);
    for (name, task) in [("chunked", chunked), ("open", open_end)] {
        let error = task.wait_timeout(DEADLINE).expect(name).unwrap_err();
        assert_eq!(error.kind(), NoSpace, "{name}: {error}");
    }
    world.others_go_on();
    world.nothing_is_visible();
    for n in [1, 2] {
        let gone = world.manager.delete_chunk(id(n));
        gone.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    world.nothing_is_staged();
}

fn len_on_disk(dir: &Path) -> u64 {
    let len = |path: &std::path::PathBuf| match path.is_dir() {
        true => len_on_disk(path),
        false => path.metadata().map_or(0, |data| data.len()),
    };
    read_dir(dir).iter().map(len).sum()
}

/// A length that no disk has: the promise is not believed, let alone kept.
#[test]
fn lengths_beyond_all_disks() {
    let lengths = [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1 << 60];
    let cases = |kind| {
        lengths.map(|length| {
            let head = answer(&format!("Content-Length: {length}"), "wrong");
            ("a length", Reply::Hold(head), kind)
        })
    };
    let started = Instant::now();
    each_ends(|builder| builder, &cases(Protocol));
    // Where the user set no limit that means anything, the disk does.
    each_ends(|builder| builder.max_file_bytes(u64::MAX), &cases(NoSpace));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

/// It would fit if others went, so it is tried again; others have the room meanwhile.
#[test]
fn a_length_that_does_not_fit_yet_holds_nobody_up() {
    let mut world = World::new(|builder| builder.max_bytes(10 * MIB));
    let large = bytes(1, 6 << 20);
    let first = world.ask(1, vec![Reply::File(large.clone().into())]);
    first.wait_timeout(DEADLINE).unwrap().unwrap();
    while world.events.try_recv().is_ok() {}
    let claim = answer(&format!("Content-Length: {}", 8 * MIB), "wrong");
    let liars: Vec<_> = (100..110)
        .map(|n| world.ask(n, vec![Reply::Hold(claim.clone())]))
        .collect();
    world.first_failures(5);
    for n in 2..20 {
        let task = world.ask(n, vec![Reply::File(sound())]);
        task.wait_timeout(DEADLINE).expect("starved").unwrap();
    }
    assert!(
        liars
            .iter()
            .all(|liar| liar.wait_timeout(Duration::ZERO).is_none())
    );
    assert!(world.content(1) == large, "nothing visible ever goes");
    assert!(len_on_disk(world.dir.path()) < 7 * MIB);
    for n in 100..110 {
        let gone = world.manager.delete_chunk(id(n));
        gone.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    world.nothing_is_staged();
}

#[test]
fn silence_in_every_place() {
    let hold = |text: &str| Reply::Hold(text.as_bytes().to_vec());
    each_passes_with(
        |builder| builder.stall_timeout(Duration::from_millis(500)),
        &[
            ("before the answer", Reply::Silence, Network),
            ("in the status", hold("HTTP/1.1 2"), Network),
            (
                "in a header",
                hold("HTTP/1.1 200 OK\r\nContent-Le"),
                Network,
            ),
            (
                "before the end of the headers",
                hold("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r"),
                Network,
            ),
            (
                "after a hint",
                hold("HTTP/1.1 100 Continue\r\n\r\n"),
                Network,
            ),
            (
                "after the headers",
                Reply::Hold(answer("Content-Length: 5", "")),
                Network,
            ),
            (
                "before the last byte",
                Reply::Hold(answer("Content-Length: 6", "wrong")),
                Network,
            ),
            ("in a size", hold(&format!("{CHUNKED}5")), Network),
            ("in a chunk", hold(&format!("{CHUNKED}5\r\nwro")), Network),
            (
                "before the last chunk",
                hold(&format!("{CHUNKED}5\r\nwrong\r\n")),
                Network,
            ),
            (
                "before the last line",
                hold(&format!("{CHUNKED}5\r\nwrong\r\n0\r\n")),
                Network,
            ),
        ],
    );
}

/// Nobody is asked to wait for longer than the longest backoff.
#[test]
fn rests_that_nobody_can_take() {
    let delays = [
        "31536000",
        "99999999999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "-31536000",
        "1e9",
        "soon",
        "",
        "0",
    ];
    let mut world = World::new(|builder| builder.longest_backoff(Duration::from_millis(300)));
    let tasks: Vec<_> = (0..)
        .zip(delays)
        .map(|(n, delay)| {
            let busy =
                format!("HTTP/1.1 503 Busy\r\nRetry-After: {delay}\r\nContent-Length: 0\r\n\r\n");
            world.ask(n, vec![raw(busy), Reply::File(sound())])
        })
        .collect();
    for (task, delay) in tasks.into_iter().zip(delays) {
        task.wait_timeout(DEADLINE).expect(delay).unwrap();
    }
    let mut retried = 0;
    while let Ok(event) = world.events.try_recv() {
        if let Event::Retried {
            delay_ms, error, ..
        } = event
        {
            assert_eq!(error.kind(), Unavailable);
            assert!(delay_ms <= 300, "{delay_ms} ms: {error}");
            retried += 1;
        }
    }
    assert_eq!(retried, delays.len());
}

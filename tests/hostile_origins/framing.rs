//! Where an answer begins, where its body ends, and whether it is the file.

use std::sync::Arc;

use data_manager::ErrorKind::{Network, Protocol};

use super::support::origin::{Gate, Origin, Reply};
use super::support::{DEADLINE, builder, bytes, chunk, id, temp_dir};
use super::{answer, each_ends, each_is_taken, each_passes, ok, raw};

#[test]
fn lengths_that_are_none_or_two() {
    let lengths = [
        "-5",
        "+5",
        "0x5",
        "5x",
        "5 5",
        "5.0",
        "",
        ",",
        "5,",
        "five",
        "18446744073709551616",
        "99999999999999999999999999",
        "\u{ff15}",
        "5, 6",
    ];
    let headers = lengths.map(|length| format!("Content-Length: {length}"));
    let two = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 6\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: -5",
        "Content-Length: 5\r\nContent-Length: 5, 6",
    ];
    let headers = headers.iter().map(String::as_str).chain(two);
    let cases = headers.map(|headers| (headers, ok(headers, "wrong"), Protocol));
    each_passes(&cases.collect::<Vec<_>>());
}

/// The same length twice is one length. What comes after it is not the file's.
#[test]
fn lengths_that_can_be_understood() {
    each_is_taken(&[
        (
            "twice",
            ok("Content-Length: 5\r\nContent-Length: 5", "right"),
            b"right",
        ),
        ("a list", ok("Content-Length: 5, 5", "right"), b"right"),
        (
            "zeros before it",
            ok("Content-Length: 0005", "right"),
            b"right",
        ),
        ("in any case", ok("cOnTeNt-LeNgTh:\t5\t", "right"), b"right"),
        (
            "more than promised",
            ok("Content-Length: 5", "rightwrong"),
            b"right",
        ),
        ("an empty file", ok("Content-Length: 0", "wrong"), b""),
        (
            "empty in two ways",
            ok("Content-Length: 0\r\nContent-Length: 00", "wrong"),
            b"",
        ),
        (
            "not encoded",
            ok("Content-Encoding: Identity\r\nContent-Length: 5", "right"),
            b"right",
        ),
        (
            "by the old protocol",
            raw("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nright"),
            b"right",
        ),
    ]);
}

/// Answers that two readers would understand differently, and codings that nobody asked for.
#[test]
fn shapes_that_smuggle() {
    let chunked = "5\r\nwrong\r\n0\r\n\r\n";
    let headers = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 15\r\nTransfer-Encoding: identity",
        "Content-Length: 15\r\nTransfer-Encoding: xchunked",
        "Content-Length: 15\r\nTransfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: ",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding : chunked",
        "Content-Length : 15",
        "Content-Length: 15\r\n folded",
        "Content-Length\u{0}: 15",
        "X: a\u{0}\r\nContent-Length: 15",
        "no colon\r\nContent-Length: 15",
        ": no name\r\nContent-Length: 15",
    ];
    let cases = headers.map(|headers| (headers, ok(headers, chunked), Protocol));
    let old = raw(format!(
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"
    ));
    let old = ("chunks by the old protocol", old, Protocol);
    let empty = ok(headers[0], "0\r\n\r\n");
    let empty = ("nothing, in chunks and by length", empty, Protocol);
    let cases: Vec<_> = cases.into_iter().chain([old, empty]).collect();
    each_passes(&cases);
}

#[test]
fn bodies_that_are_compressed() {
    let encodings = [
        "Content-Encoding: gzip",
        "Content-Encoding: x-gzip",
        "Content-Encoding: br",
        "Content-Encoding: identity, gzip",
        "Content-Encoding: identity\r\nContent-Encoding: gzip",
        "Content-Encoding: gzip\r\nContent-Encoding: identity",
    ];
    let headers = encodings.map(|encoding| format!("Content-Length: 5\r\n{encoding}"));
    let cases = headers
        .iter()
        .map(|headers| (headers.as_str(), ok(headers, "wrong"), Protocol));
    each_passes(&cases.collect::<Vec<_>>());
}

#[test]
fn answers_that_are_none() {
    let garbage: [(&str, &[u8]); 18] = [
        ("HTTP/0.9", b"wrong"),
        ("HTTP/0.9, in lines", b"wrong\r\nwrong\r\n\r\nwrong"),
        (
            "HTTP/2's settings",
            b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\0\xff\xff\0\x05\0\0\x40\0",
        ),
        ("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (
            "HTTP/2's name",
            b"HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
        ),
        (
            "HTTP/2.0",
            b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
        ),
        (
            "HTTP/9.9",
            b"HTTP/9.9 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
        ),
        (
            "HTTP/1.2",
            b"HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
        ),
        ("ICY", b"ICY 200 OK\r\nContent-Length: 5\r\n\r\nwrong"),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("TLS", b"\x15\x03\x01\0\x02\x02\x46\r\n\r\n"),
        (
            "no status",
            b"HTTP/1.1 OK\r\nContent-Length: 5\r\n\r\nwrong",
        ),
        (
            "a status too large",
            b"HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nwrong",
        ),
        (
            "a status too small",
            b"HTTP/1.1 020 OK\r\nContent-Length: 5\r\n\r\nwrong",
        ),
        (
            "a negative status",
            b"HTTP/1.1 -20 OK\r\nContent-Length: 5\r\n\r\nwrong",
        ),
        ("a request", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("nothing but ends of lines", &[b'\n'; 70_000]),
        ("noise", &[0xa7; 100]),
    ];
    let cases = garbage.map(|(name, bytes)| (name, raw(bytes), Protocol));
    each_passes(&cases);
}

/// A good answer that has no file in it will not have one the next time.
#[test]
fn statuses_without_a_file() {
    no_files([101, 201, 203, 204, 205, 226, 304, 418, 600, 999]);
}

/// They name no other place, so there is nothing to follow.
#[test]
fn redirections_that_lead_nowhere() {
    no_files([300, 301, 302, 303, 305, 306, 307, 308, 310, 399]);
}

fn no_files<const N: usize>(statuses: [u16; N]) {
    let names = statuses.map(|status| status.to_string());
    let cases = names.each_ref().map(|status| {
        let text = format!("HTTP/1.1 {status} X\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\nwrong");
        (status.as_str(), raw(text), Protocol)
    });
    each_ends(|builder| builder, &cases);
}

#[test]
fn bodies_that_are_cut() {
    let chunked = |body: &str| ok("Transfer-Encoding: chunked", body);
    each_passes(&[
        (
            "shorter than promised",
            ok("Content-Length: 10", "wrong"),
            Network,
        ),
        ("nothing of it", ok("Content-Length: 10", ""), Network),
        ("no chunk", chunked(""), Network),
        ("in a size", chunked("5"), Network),
        ("before a chunk", chunked("5\r\n"), Network),
        ("in a chunk", chunked("5\r\nwro"), Network),
        ("behind a chunk", chunked("5\r\nwrong"), Network),
        ("between two", chunked("5\r\nwrong\r\n"), Network),
        ("in the last size", chunked("5\r\nwrong\r\n0"), Network),
        (
            "in a trailer",
            chunked("5\r\nwrong\r\n0\r\nX: 1\r"),
            Network,
        ),
    ]);
}

#[test]
fn chunks_that_are_none() {
    let bodies = [
        "z\r\nwrong\r\n0\r\n\r\n",
        "-5\r\nwrong\r\n0\r\n\r\n",
        "\r\nwrong\r\n0\r\n\r\n",
        " \r\nwrong\r\n0\r\n\r\n",
        ";\r\nwrong\r\n0\r\n\r\n",
        "5 5\r\nwrong\r\n0\r\n\r\n",
        "0x5\r\nwrong\r\n0\r\n\r\n",
        "4\r\nwrong\r\n0\r\n\r\n",
        "6\r\nwrong\r\n0\r\n\r\n",
        "5\r\nwrong0\r\n\r\n",
        "5\rwrong\r\n0\r\n\r\n",
        "5\nwrong\n0\n\n",
        "10000000000000005\r\nwrong\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFFFFFFFFF\r\nwrong\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF\r\nwrong\r\n0\r\n\r\n",
    ];
    let cases = bodies.map(|body| (body, ok("Transfer-Encoding: chunked", body), Network));
    each_passes(&cases);
}

#[test]
fn chunks_that_can_be_understood() {
    let chunked = |body: &str| ok("Transfer-Encoding: Chunked", body);
    each_is_taken(&[
        ("two", chunked("2\r\nri\r\n3\r\nght\r\n0\r\n\r\n"), b"right"),
        (
            "zeros before it",
            chunked("000005\r\nright\r\n0\r\n\r\n"),
            b"right",
        ),
        (
            "an extension",
            chunked("5;a=\"b\"\r\nright\r\n0;c\r\n\r\n"),
            b"right",
        ),
        (
            "trailers",
            chunked("5\r\nright\r\n0\r\nContent-Length: 3\r\nETag: \"x\"\r\n\r\n"),
            b"right",
        ),
        (
            "more behind it",
            chunked("5\r\nright\r\n0\r\n\r\n5\r\nwrong\r\n0\r\n\r\n"),
            b"right",
        ),
        (
            "only the last line is missing",
            chunked("5\r\nright\r\n0\r\n"),
            b"right",
        ),
        ("an empty file", chunked("0\r\n\r\n"), b""),
    ]);
}

/// Answers that come before the answer.
#[test]
fn what_is_said_in_advance() {
    let file = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright";
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\nContent-Length: 3\r\n\r\n";
    let processing = "HTTP/1.1 102 Processing\r\n\r\n".repeat(50);
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    each_is_taken(&[
        ("hints", raw(format!("{hints}{file}")), b"right"),
        ("processing", raw(format!("{processing}{file}")), b"right"),
        ("continue", raw(format!("{go_on}{go_on}{file}")), b"right"),
        (
            "all of them",
            raw(format!("{go_on}{hints}{processing}{file}")),
            b"right",
        ),
    ]);
}

/// Two answers to one question: the second is not taken for the answer to the next question,
/// whether it came with the first or later.
#[test]
fn what_nobody_asked_for_is_nobody_s_answer() {
    let (right, wrong) = (
        answer("Content-Length: 5", "right"),
        answer("Content-Length: 5", "wrong"),
    );
    let chunked = answer("Transfer-Encoding: chunked", "5\r\nright\r\n0\r\n\r\n");
    let none = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_vec();
    let gate = Gate::default();
    gate.open();
    for reply in [
        Reply::Keep([&right[..], &wrong].concat()),
        Reply::Keep([&chunked[..], &wrong].concat()),
        Reply::Keep([&none[..], &wrong].concat()),
        Reply::Surplus(right.clone(), gate.clone(), wrong.clone()),
        Reply::Surplus(chunked, Gate::default(), wrong.clone()),
        Reply::Surplus(none, Gate::default(), wrong),
    ] {
        let (dir, origin) = (temp_dir(), Origin::start());
        let manager = builder(dir.path()).slots(1).open().unwrap();
        origin.script("first", vec![reply.clone(), Reply::Status(404)]);
        origin.file("next", bytes(2, 1000));
        let first = chunk(1, 0..1, [("f", origin.url("first"))]);
        let _either = manager
            .download_chunk(first)
            .wait_timeout(DEADLINE)
            .unwrap();
        if let Reply::Surplus(_, gate, _) = &reply {
            gate.open();
        }
        origin.wait_until_inactive();
        let next = chunk(2, 0..1, [("f", origin.url("next"))]);
        let next = manager.download_chunk(next);
        next.wait_timeout(DEADLINE).unwrap().unwrap();
        let guard = manager.get_chunk(&id(2)).unwrap();
        let content = std::fs::read(guard.path().join("f")).unwrap();
        assert!(content == bytes(2, 1000), "{reply:?}");
    }
}

/// Nothing is asked for that would have to be undone.
#[test]
fn no_coding_is_asked_for() {
    let (dir, origin) = (temp_dir(), Origin::start());
    origin.serve("f", Reply::File(Arc::new(bytes(1, 10))));
    let manager = builder(dir.path()).open().unwrap();
    let task = manager.download_chunk(chunk(1, 0..1, [("f", origin.url("f"))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let asked = &origin.requests()[0].headers;
    assert_eq!(asked["accept-encoding"], "identity");
    assert!(!asked.contains_key("te"), "{asked:?}");
}

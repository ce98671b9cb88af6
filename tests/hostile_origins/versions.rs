//! Parts, and what they are parts of: two contents are never mixed, whatever an origin says.

use data_manager::ErrorKind::Protocol;

use super::support::bytes;
use super::support::origin::{Reply, etag};
use super::{World, answer, each_passes, ok, raw};

/// Two contents of one length.
fn old() -> Vec<u8> {
    bytes(1, 3000)
}

fn new() -> Vec<u8> {
    bytes(2, 3000)
}

const LONG_AGO: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

/// The first 1000 bytes of the old content, with these headers; then the connection is closed.
fn cut(headers: &str) -> Reply {
    ok(
        &format!("Content-Length: 3000\r\n{headers}"),
        &old()[..1000],
    )
}

fn tagged() -> Reply {
    cut("ETag: \"old\"")
}

/// A 206 with these headers and this body.
fn part(headers: &str, body: &[u8]) -> Reply {
    let head = format!("HTTP/1.1 206 Partial Content\r\n{headers}\r\n\r\n");
    raw([head.as_bytes(), body].concat())
}

/// All that is left of the old content, as it should be; with these headers too.
fn rest(headers: &str) -> Reply {
    let range = "Content-Range: bytes 1000-2999/3000\r\nContent-Length: 2000";
    part(&format!("{range}{headers}"), &old()[1000..])
}

fn whole(content: Vec<u8>) -> Reply {
    Reply::File(content.into())
}

const ALL: Option<&str> = None;
const REST: Option<&str> = Some("bytes=1000-");

/// Has the replies given in turn, and checks what was asked for and what arrived.
fn plays(name: &str, replies: Vec<Reply>, asked: &[Option<&str>], content: &[u8]) {
    let mut world = World::new(|builder| builder);
    let task = world.ask(1, replies);
    let outcome = task.wait_timeout(super::DEADLINE).expect(name);
    assert!(outcome.is_ok(), "{name}: {outcome:?}");
    let requests = world.origins[0].requests();
    let ranges: Vec<_> = requests
        .iter()
        .map(|request| request.headers.get("range").map(String::as_str))
        .collect();
    assert_eq!(ranges, asked, "{name}");
    for request in &requests {
        let both = ["range", "if-range"].map(|header| request.headers.contains_key(header));
        assert_eq!(both[0], both[1], "{name}: a range of nothing in particular");
    }
    assert!(world.content(1) == content, "{name}");
    world.nothing_is_staged();
}

/// What nothing certain is known of is not resumed, however sure the origin is of its parts.
#[test]
fn without_a_strong_validator_it_starts_again() {
    for headers in [
        "X: no validator at all",
        "ETag: W/\"old\"",
        "ETag: w/\"old\"",
        "ETag: old",
        "ETag: \"old",
        "ETag: ",
        &format!("ETag: W/\"old\"\r\nLast-Modified: {LONG_AGO}\r\nDate: {LATER}"),
        &format!("Last-Modified: {LONG_AGO}"),
        &format!("Last-Modified: {LONG_AGO}\r\nDate: {LONG_AGO}"),
        &format!("Last-Modified: {LATER}\r\nDate: {LONG_AGO}"),
        &format!("Last-Modified: yesterday\r\nDate: {LATER}"),
    ] {
        plays(
            headers,
            vec![cut(headers), whole(new())],
            &[ALL, ALL],
            &new(),
        );
    }
}

#[test]
fn with_one_it_goes_on() {
    let dated = format!("Last-Modified: {LONG_AGO}\r\nDate: {LATER}");
    for (headers, again) in [
        ("ETag: \"old\"", "\r\nETag: \"old\""),
        ("ETag: \"\"", "\r\nETag: \"\""),
        (
            &dated,
            &*format!("\r\nLast-Modified: {LONG_AGO}\r\nDate: {LONG_AGO}"),
        ),
        (&dated, ""),
    ] {
        let replies = vec![cut(headers), rest(again), whole(new())];
        plays(headers, replies, &[ALL, REST], &old());
    }
    let chunked = [&b"7d0\r\n"[..], &old()[1000..], b"\r\n0\r\n\r\n"].concat();
    let headers =
        "Content-Range: bytes 1000-2999/3000\r\nETag: \"old\"\r\nTransfer-Encoding: chunked";
    let replies = vec![tagged(), part(headers, &chunked), whole(new())];
    plays("in chunks", replies, &[ALL, REST], &old());
}

/// The file changed between the attempts, and is as long as before.
#[test]
fn what_changed_meanwhile_is_taken_from_the_start() {
    let tag = |content: &[u8]| format!("Content-Length: 3000\r\nETag: {}", etag(content));
    plays(
        "all of it",
        vec![tagged(), whole(new())],
        &[ALL, REST],
        &new(),
    );
    let same = ok("Content-Length: 3000\r\nETag: \"old\"", old());
    plays("no ranges", vec![tagged(), same], &[ALL, REST], &old());
    // It changes each time.
    let replies = vec![
        tagged(),
        ok(&tag(&new()), &new()[..1500]),
        Reply::Cut(old().into(), 1000),
        whole(new()),
    ];
    let asked = [ALL, REST, Some("bytes=1500-"), REST];
    plays("again and again", replies, &asked, &new());
    // It is broken off in the rest, and changes then.
    let partly = part(
        "Content-Range: bytes 1000-2999/3000\r\nContent-Length: 2000\r\nETag: \"old\"",
        &old()[1000..2000],
    );
    let replies = vec![tagged(), partly, whole(new())];
    plays("late", replies, &[ALL, REST, Some("bytes=2000-")], &new());
}

/// Answers to "the rest of it" that are none: all of it is asked for next, and comes.
#[test]
fn parts_that_do_not_fit_are_not_put_together() {
    let of_new = |headers: &str| {
        let range = "Content-Range: bytes 1000-2999/3000\r\nContent-Length: 2000";
        part(&format!("{range}{headers}"), &new()[1000..])
    };
    let tail = &new()[1000..];
    let dated = || cut(&format!("Last-Modified: {LONG_AGO}\r\nDate: {LATER}"));
    let modified = format!("\r\nLast-Modified: {LATER}\r\nDate: {LATER}");
    let range = "Content-Range: bytes 1000-2999/3000";
    for (name, first, second) in [
        ("another tag", tagged(), of_new("\r\nETag: \"new\"")),
        ("no tag", tagged(), of_new("")),
        ("a weak tag", tagged(), of_new("\r\nETag: W/\"old\"")),
        (
            "two tags",
            tagged(),
            of_new("\r\nETag: \"old\"\r\nETag: \"new\""),
        ),
        ("another date", dated(), of_new(&modified)),
        (
            "no range",
            tagged(),
            part("Content-Length: 2000\r\nETag: \"old\"", tail),
        ),
        (
            "two ranges",
            tagged(),
            of_new(&format!("\r\n{range}\r\nETag: \"old\"")),
        ),
        (
            "a length of its own",
            tagged(),
            part(
                &format!("{range}\r\nContent-Length: 1999\r\nETag: \"old\""),
                tail,
            ),
        ),
        (
            "too few of an unknown total",
            tagged(),
            part(
                "Content-Range: bytes 1000-1999/*\r\nContent-Length: 1000\r\nETag: \"old\"",
                &tail[..1000],
            ),
        ),
        (
            "another unit",
            tagged(),
            part(
                "Content-Range: items 1000-2999/3000\r\nContent-Length: 2000\r\nETag: \"old\"",
                tail,
            ),
        ),
        (
            "several parts",
            tagged(),
            part(
                "Content-Type: multipart/byteranges; boundary=b\r\nContent-Length: 2000\r\nETag: \"old\"",
                tail,
            ),
        ),
        (
            "a part that says it is all",
            tagged(),
            ok(&format!("{range}\r\nContent-Length: 2000"), tail),
        ),
        (
            "more than the rest",
            tagged(),
            part(
                &format!("{range}\r\nETag: \"old\"\r\nTransfer-Encoding: chunked"),
                b"7d1\r\n",
            ),
        ),
        (
            "out of range",
            tagged(),
            raw("HTTP/1.1 416 No\r\nContent-Range: bytes */3000\r\nContent-Length: 0\r\n\r\n"),
        ),
    ] {
        let second = match (name, second) {
            ("more than the rest", Reply::Raw(head)) => {
                raw([&head, tail, b"x\r\n0\r\n\r\n"].concat())
            }
            (_, second) => second,
        };
        let replies = vec![first, second, whole(new())];
        plays(name, replies, &[ALL, REST, ALL], &new());
    }
}

/// How long it is was never said, so a part that claims to end anywhere proves nothing.
#[test]
fn a_part_of_something_of_unknown_length() {
    let chunked = [&b"7d0\r\n"[..], &old()[..1000]].concat();
    let first = ok("Transfer-Encoding: chunked\r\nETag: \"old\"", &chunked);
    let some = "Content-Range: bytes 1000-1999/*\r\nContent-Length: 1000\r\nETag: \"old\"";
    let replies = vec![first.clone(), part(some, &old()[1000..2000]), whole(old())];
    plays("of an unknown total", replies, &[ALL, REST, ALL], &old());
    plays(
        "of a known one",
        vec![first, rest("\r\nETag: \"old\""), whole(new())],
        &[ALL, REST],
        &old(),
    );
}

#[test]
fn parts_that_nobody_asked_for() {
    let whole = "Content-Range: bytes 0-4/5\r\nContent-Length: 5";
    let partial = "Content-Range: bytes 5-9/10\r\nContent-Length: 5";
    each_passes(&[
        ("all of it", part(whole, b"wrong"), Protocol),
        ("a part", part(partial, b"wrong"), Protocol),
        ("of nothing", part("Content-Length: 5", b"wrong"), Protocol),
        ("called all of it", ok(partial, "wrong"), Protocol),
        (
            "of too few",
            ok("Content-Range: bytes 0-4/6\r\nContent-Length: 5", "wrong"),
            Protocol,
        ),
        (
            "of what is longer",
            ok("Content-Range: bytes 0-4/5\r\nContent-Length: 6", "wrong!"),
            Protocol,
        ),
        (
            "called nonsense",
            ok("Content-Range: x\r\nContent-Length: 5", "wrong"),
            Protocol,
        ),
        (
            "out of range",
            raw("HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n"),
            Protocol,
        ),
    ]);
    let all = Reply::Raw(answer(whole, "right"));
    plays("superfluous, and true", vec![all], &[ALL], b"right");
}

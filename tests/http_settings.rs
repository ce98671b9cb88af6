//! What the builder says about HTTP: headers, caps on bodies, bodies without an end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;

use data_manager::data_manager::DataManagerBuilder;
use data_manager::data_source::{HttpOptions, HttpSource};
use data_manager::{Error, ErrorKind};
use support::origin::{Origin, Reply};
use support::{DEADLINE, builder, bytes, chunk, id, read_dir, temp_dir};

const CANARY: &str = "canary7f3a";

fn outcome(
    dir: &Path,
    url: &str,
    set: impl Fn(DataManagerBuilder) -> DataManagerBuilder,
) -> Result<Vec<u8>, Error> {
    let manager = set(builder(dir)).open().unwrap();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", url.to_owned())]));
    task.wait_timeout(DEADLINE).unwrap()?;
    let guard = manager.get_chunk(&id(1)).unwrap();
    Ok(std::fs::read(guard.path().join("f")).unwrap())
}

#[test]
fn a_header_is_sent_to_its_host_only() {
    let (origin, other) = (Origin::start(), Origin::start_at("127.0.0.2"));
    let address = origin.address();
    let set = |builder: DataManagerBuilder| {
        builder
            .http_header(format!("http://{address}"), "X-Token", CANARY)
            // For `https`, as nothing else is said.
            .http_header(address.to_string(), "X-Secure", CANARY)
            // Another port.
            .http_header(format!("http://{}", address.ip()), "X-Other", CANARY)
    };
    for origin in [&origin, &other] {
        origin.file("f", bytes(1, 10));
        outcome(temp_dir().path(), &origin.url("f"), set).unwrap();
    }
    let sent = &origin.requests()[0].headers;
    assert_eq!(sent["x-token"], CANARY);
    assert!(
        !sent.contains_key("x-secure") && !sent.contains_key("x-other"),
        "{sent:?}"
    );
    let sent = &other.requests()[0].headers;
    assert!(sent.values().all(|value| value != CANARY), "{sent:?}");
    let agent = concat!("data_manager/", env!("CARGO_PKG_VERSION"));
    assert_eq!(sent["user-agent"], agent);
}

#[test]
fn what_cannot_be_worked_with_is_refused() {
    let dir = temp_dir();
    let refused = |builder: DataManagerBuilder, field: &str| {
        let error = builder.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(
            error.to_string().starts_with(&format!("{field}: ")),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
    };
    for (host, name, value) in [
        (CANARY, "Host", CANARY),
        (CANARY, "X Token", CANARY),
        (CANARY, CANARY, "canary7f3a\r\nX-Other: x"),
        ("http://user:canary7f3a@h", "X-Token", CANARY),
        ("http://h/canary7f3a", "X-Token", CANARY),
        ("", "X-Token", CANARY),
    ] {
        refused(
            builder(dir.path()).http_header(host, name, value),
            "http_header",
        );
    }
    refused(builder(dir.path()).max_file_bytes(0), "max_file_bytes");
}

#[test]
fn secrets_of_settings_are_not_shown() {
    let dir = temp_dir();
    let builder = builder(dir.path())
        .http_header("http://user:canary7f3a@h", "X-Token", CANARY)
        .http_header("h", CANARY, CANARY)
        .proxy(format!("http://me:{CANARY}@h:1"));
    let mut options = HttpOptions::default();
    options.add_header("h", "X-Token", CANARY);
    options.set_proxy(format!("http://me:{CANARY}@h:1"));
    let mut shown = format!("{builder:?} {builder:#?} {options:?}");
    shown += &format!("{:?}", HttpSource::new(options));
    let manager = support::builder(&dir.path().join("d"))
        .http_header("h", "X-Token", CANARY)
        .proxy(format!("http://me:{CANARY}@h:1"))
        .open()
        .unwrap();
    shown += &format!("{manager:?}");
    assert!(!shown.contains(CANARY), "{shown}");
}

/// How many bytes of content there are anywhere below `dir`.
fn kept(dir: &Path) -> u64 {
    let of = |path: std::path::PathBuf| match path.is_dir() {
        true => kept(&path),
        false => path.metadata().unwrap().len(),
    };
    read_dir(dir).into_iter().map(of).sum()
}

#[test]
fn a_file_has_a_limit() {
    let origin = Origin::start();
    let content = bytes(1, 100_000);
    let chunked = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n",
        &content[..],
        b"\r\n0\r\n\r\n",
    ];
    origin.file("whole", content.clone());
    origin.serve("chunked", Reply::Raw(chunked.concat()));
    for name in ["whole", "chunked"] {
        let (dir, url) = (temp_dir(), origin.url(name));
        let error = outcome(dir.path(), &url, |b| b.max_file_bytes(99_999)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{name}: {error}");
        assert!(error.to_string().contains("max_file_bytes"), "{error}");
        assert_eq!(origin.hits(name), 1, "{name}: no retry can help");
        assert_eq!(kept(&dir.path().join("_staging")), 0, "{name}");
        let fetched = outcome(dir.path(), &url, |b| b.max_file_bytes(100_000));
        assert!(fetched.unwrap() == content, "{name}");
    }
}

/// It says that it has no end, or that it has one beyond all measure.
#[test]
fn a_body_without_end_is_not_written_without_end() {
    let origin = Origin::start();
    let megabyte = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    origin.serve(
        "chunked",
        Reply::Hold([head, &megabyte.repeat(4)].concat().into_bytes()),
    );
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", u64::MAX);
    origin.serve("declared", Reply::Hold(head.into_bytes()));
    for name in ["chunked", "declared"] {
        let dir = temp_dir();
        let limit = |builder: DataManagerBuilder| builder.max_file_bytes(3 << 20);
        let error = outcome(dir.path(), &origin.url(name), limit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{name}: {error}");
        assert_eq!(kept(&dir.path().join("_staging")), 0, "{name}");
    }
}

#[test]
fn a_body_without_framing_is_taken_only_if_that_is_wished() {
    let origin = Origin::start();
    let content = bytes(1, 5000);
    let reply = [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        &content[..],
    ]
    .concat();
    origin.serve("f", Reply::Raw(reply));
    let url = origin.url("f");
    let error = outcome(temp_dir().path(), &url, |builder| builder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let accept = |builder: DataManagerBuilder| builder.accept_unframed(true);
    assert!(outcome(temp_dir().path(), &url, accept).unwrap() == content);
    // A digest says as much as a length.
    let digest = data_encoding::HEXLOWER.encode(&{
        use sha2::Digest;
        sha2::Sha256::digest(&content)
    });
    let url = format!("{url}#sha256={digest}");
    assert!(outcome(temp_dir().path(), &url, |builder| builder).unwrap() == content);
}

//! `s3://` against a real server of that protocol.
#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use data_manager::ErrorKind;
use data_manager::data_manager::DataManagerImpl;
use data_manager::data_source::{CancelToken, DataSource, ListRequest, OpenRequest, S3Options};
use support::relay::Relay;
use support::s3::{KEY, PUBLIC, SECRET, content, list, open, server, source};
use support::{DEADLINE, builder, bytes, chunk, id, temp_dir};

fn manager(dir: &Path, options: S3Options) -> DataManagerImpl {
    builder(dir).s3(options).open().unwrap()
}

/// Downloads one file, and gives its bytes.
fn fetched(manager: &DataManagerImpl, n: u8, url: &str) -> Vec<u8> {
    let task = manager.download_chunk(chunk(n, 0..5, [("f", url.to_owned())]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(n)).unwrap();
    std::fs::read(guard.path().join("f")).unwrap()
}

#[test]
fn whatever_a_key_is_made_of() {
    let Some(server) = server("keys") else { return };
    let (dir, body) = (temp_dir(), bytes(1, 100_000));
    let manager = manager(dir.path(), server.options());
    let keys = [
        ("plain", "plain"),
        ("a b+c", "a%20b+c"),
        ("per%25cent", "per%2525cent"),
        ("ü/🐘", "%C3%BC/%F0%9F%90%98"),
        ("two//slashes", "two//slashes"),
        ("q?a=b&c#d", "q%3Fa=b&c%23d"),
        ("!'()*,;:@$[]", "!'()*,;:@$%5B%5D"),
    ];
    for (n, (key, path)) in (1..).zip(keys) {
        server.put("keys", key, &body);
        assert_eq!(
            fetched(&manager, n, &format!("s3://keys/{path}")),
            body,
            "{key}"
        );
    }
    server.put("keys", "empty", b"");
    assert_eq!(fetched(&manager, 100, "s3://keys/empty"), b"");
}

#[test]
fn who_may_read_what() {
    let Some(server) = server("private") else {
        return;
    };
    server.put("private", "k", b"private");
    server.put(PUBLIC, "k", b"public");
    let anybody = source(server.anybody().anonymous());
    assert_eq!(content(open(&anybody, "s3://public/k").unwrap()), b"public");
    assert_eq!(list(&anybody, "s3://public").len(), 0);

    let wrong_id = server.options().access_key("nobody");
    let wrong_key = server.options().secret_key("canary");
    let unknown_token = server.options().session_token("canary");
    for options in [
        server.anybody().anonymous(),
        wrong_id,
        wrong_key,
        unknown_token,
    ] {
        let source = source(options);
        assert!(!format!("{source:?}").contains("canary"));
        let error = open(&source, "s3://private/k").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.is_permanent(), "{error}");
        let cancel = CancelToken::new();
        let request = ListRequest::new("s3://private", &cancel);
        let error = source.list(&request, &mut |_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }
    for url in ["s3://private/missing", "s3://nobodys-bucket/k"] {
        let error = open(&source(server.options()), url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.is_permanent(), "{error}");
    }
}

/// Keys are not guessed: where none are set, nobody is asked.
#[test]
fn without_keys_a_url_is_refused_at_the_door() {
    let dir = temp_dir();
    let error = builder(dir.path()).s3(S3Options::new()).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("keys"), "{error}");
    let options = S3Options::new().anonymous();
    let manager = manager(dir.path(), options.endpoint("http://127.0.0.1:9"));
    for url in ["s3://b", "s3:///k", "s3://b/a/../k", "s3://u:canary@b/k"] {
        let task = manager.download_chunk(chunk(1, 0..5, [("f", url.to_owned())]));
        let error = task.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

/// What authorises is nowhere to be seen: not in errors and events, and not on the disk.
#[test]
fn nothing_of_a_signature_is_left_behind() {
    let Some(server) = server("secrets") else {
        return;
    };
    server.put("secrets", "k", b"content");
    let dir = temp_dir();
    let manager = manager(dir.path(), server.options());
    let events = manager.events();
    assert_eq!(fetched(&manager, 1, "s3://secrets/k"), b"content");
    let missing = chunk(2, 5..9, [("f", "s3://secrets/missing".to_owned())]);
    let error = manager.download_chunk(missing).wait().unwrap_err();
    let mut shown = format!("{error} {error:?} {manager:?} {:?}", server.options());
    shown.extend(std::iter::from_fn(|| events.try_recv().ok()).map(|event| format!("{event:?}")));
    drop(manager);
    let mut dirs = vec![dir.path().to_owned()];
    while let Some(path) = dirs.pop() {
        match path.is_dir() {
            true => dirs.extend(support::read_dir(&path)),
            false => shown += &String::from_utf8_lossy(&std::fs::read(path).unwrap()),
        }
    }
    for secret in [SECRET, "X-Amz", "Signature"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert!(error.to_string().contains("NoSuchKey"), "{error}");
}

#[test]
fn an_expired_signature_may_be_tried_again() {
    let Some(server) = server("expired") else {
        return;
    };
    server.put("expired", "k", b"content");
    for options in [
        server.options().clock_offset_secs(-3600),
        server
            .options()
            .clock_offset_secs(-5)
            .expires_in(Duration::from_secs(1)),
    ] {
        let error = open(&source(options), "s3://expired/k").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(!error.is_permanent(), "{error}");
    }
}

/// The first request is kept back until its signature has expired. The second one has its own.
#[test]
fn what_has_expired_is_signed_anew() {
    let Some(server) = server("anew") else { return };
    server.put("anew", "k", b"content");
    let (dir, relay) = (temp_dir(), Relay::to(server.port()));
    let second = Duration::from_secs(1);
    let signed = SystemTime::now();
    relay.hold_next(move || {
        while SystemTime::now() < signed + 3 * second {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let options = server
        .options()
        .endpoint(relay.endpoint())
        .expires_in(second);
    assert_eq!(
        fetched(&manager(dir.path(), options), 1, "s3://anew/k"),
        b"content"
    );
    let requests = relay.requests();
    let signatures: Vec<_> = requests
        .iter()
        .filter_map(|head| head.split("X-Amz-Signature=").nth(1))
        .map(|rest| rest.split(' ').next().unwrap())
        .collect();
    assert!(signatures.len() >= 2, "{requests:?}");
    assert_ne!(signatures[0], signatures[signatures.len() - 1]);
}

#[test]
fn a_cut_transfer_goes_on() {
    let Some(server) = server("cut") else { return };
    let body = bytes(2, 3_000_000);
    server.put("cut", "k", &body);
    let (dir, relay) = (temp_dir(), Relay::to(server.port()));
    relay.cut_after(1_000_000);
    let manager = manager(dir.path(), server.options().endpoint(relay.endpoint()));
    assert_eq!(fetched(&manager, 1, "s3://cut/k"), body);
    let requests = relay.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    let second = requests[1].to_lowercase();
    assert!(second.contains("\r\nrange: bytes=") && second.contains("\r\nif-range: \""));
}

/// What changes under way is not mixed. This server does not know `If-Range`.
#[test]
fn an_object_that_changes_is_fetched_again() {
    let Some(server) = server("changes") else {
        return;
    };
    let (old, new) = (bytes(3, 3_000_000), bytes(4, 3_000_000));
    server.put("changes", "k", &old);
    let source = source(server.options());
    let validator = open(&source, "s3://changes/k")
        .unwrap()
        .validator()
        .unwrap()
        .to_owned();
    let cancel = CancelToken::new();
    let rest = OpenRequest::new("s3://changes/k", &cancel).resume(1_000_000, &validator);
    let opened = source.open(&rest).unwrap();
    assert_eq!(
        (opened.start(), opened.total()),
        (1_000_000, Some(3_000_000))
    );
    assert_eq!(content(opened), old[1_000_000..]);
    server.put("changes", "k", &new);
    let opened = source.open(&rest).unwrap();
    assert_eq!(opened.start(), 0);
    assert_ne!(opened.validator(), Some(&*validator));
    assert_eq!(content(opened), new);

    server.put("changes", "k", &old);
    let (dir, relay) = (temp_dir(), Relay::to(server.port()));
    relay.cut_after(1_000_000);
    let (changing, replaced) = (server.clone(), new.clone());
    let manager = manager(dir.path(), server.options().endpoint(relay.endpoint()));
    let events = manager.events();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", "s3://changes/k".to_owned())]));
    relay.hold_next(|| ());
    while relay.requests().is_empty() {
        std::thread::yield_now();
    }
    relay.hold_next(move || changing.put("changes", "k", &replaced));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    drop(events);
    let guard = manager.get_chunk(&id(1)).unwrap();
    let got = std::fs::read(guard.path().join("f")).unwrap();
    assert!(got == old || got == new, "two versions are mixed");
    assert!(got == new, "the second request came after the change");
}

#[test]
fn what_has_not_changed_is_not_sent() {
    let Some(server) = server("polled") else {
        return;
    };
    server.put("polled", "k", b"one");
    let (source, cancel) = (source(server.options()), CancelToken::new());
    let request = OpenRequest::new("s3://polled/k", &cancel);
    let first = source.open(&request).unwrap();
    let validator = first.validator().unwrap().to_owned();
    assert_eq!(content(first), b"one");
    let unchanged = source.open(&request.unless(&validator)).unwrap_err();
    assert_eq!(unchanged.kind(), ErrorKind::Unchanged);
    server.put("polled", "k", b"two");
    let changed = source.open(&request.unless(&validator)).unwrap();
    assert_eq!(content(changed), b"two");
}

#[test]
fn a_large_object() {
    let Some(server) = server("large") else {
        return;
    };
    // Each megabyte is another one.
    let megabyte = bytes(5, 1 << 20);
    let mut body = megabyte.repeat(200);
    for (n, byte) in (0..200u8).zip(body.iter_mut().step_by(1 << 20)) {
        *byte = n;
    }
    server.put("large", "k", &body);
    let dir = temp_dir();
    let manager = manager(dir.path(), server.options());
    assert!(fetched(&manager, 1, "s3://large/k") == body);
}

#[test]
fn thirty_two_at_once() {
    let Some(server) = server("many") else { return };
    let dir = temp_dir();
    let manager = builder(dir.path()).slots(32).s3(server.options());
    let manager = manager.open().unwrap();
    let body = |n: u8| bytes(u64::from(n), 200_000);
    let start = |n: u8| {
        server.put("many", &n.to_string(), &body(n));
        let url = format!("s3://many/{n}");
        (n, manager.download_chunk(chunk(n, 0..5, [("f", url)])))
    };
    for (n, task) in (0..32).map(start).collect::<Vec<_>>() {
        task.wait_timeout(DEADLINE).unwrap().unwrap();
        let guard = manager.get_chunk(&id(n)).unwrap();
        assert_eq!(std::fs::read(guard.path().join("f")).unwrap(), body(n));
    }
}

#[test]
fn the_bucket_in_the_host() {
    let Some(server) = server("hosted") else {
        return;
    };
    server.put("hosted", "k", b"content");
    let host = format!("hosted.localhost:{}", server.port());
    let resolves = host
        .to_socket_addrs()
        .is_ok_and(|mut all| all.all(|a| a.ip().is_loopback()));
    if !resolves {
        println!("skipped: needs *.localhost to resolve");
        return;
    }
    let options = server.options().path_style(false);
    let options = options.endpoint(format!("http://localhost:{}", server.port()));
    let hosted = source(options);
    assert_eq!(content(open(&hosted, "s3://hosted/k").unwrap()), b"content");
    assert!(list(&hosted, "s3://hosted").is_empty());
}

/// What the environment says is enough.
#[test]
fn keys_of_the_environment() {
    const CHILD: &str = "DATA_MANAGER_TEST_S3_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let dir = temp_dir();
        let manager = support::open(dir.path());
        assert_eq!(fetched(&manager, 1, "s3://env/k"), b"content");
        return;
    }
    let Some(server) = server("env") else { return };
    server.put("env", "k", b"content");
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keys_of_the_environment"])
        .env(CHILD, "1")
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_ENDPOINT_URL_S3", server.endpoint())
        .env_remove("AWS_SESSION_TOKEN")
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );
}

//! Requests through a proxy: one that was named, one of the environment, and none.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::{Command, Output};

use data_manager::data_manager::{DataManagerBuilder, DataManagerImpl, Event};
use data_manager::{Error, ErrorKind};
use support::origin::{Origin, Reply};
use support::proxy::Proxy;
use support::{DEADLINE, builder, bytes, chunk, id, temp_dir};

const CANARY: &str = "canary7f3a";

fn outcome(
    url: &str,
    set: impl Fn(DataManagerBuilder) -> DataManagerBuilder,
) -> Result<Vec<u8>, Error> {
    let dir = temp_dir();
    let manager = set(builder(dir.path())).open().unwrap();
    first_outcome(&manager, url)?;
    let guard = manager.get_chunk(&id(1)).unwrap();
    Ok(std::fs::read(guard.path().join("f")).unwrap())
}

/// That of the first attempt, which may be tried again for ever.
fn first_outcome(manager: &DataManagerImpl, url: &str) -> Result<(), Error> {
    let events = manager.events();
    drop(manager.download_chunk(chunk(1, 0..5, [("f", url.to_owned())])));
    loop {
        match events.recv_timeout(DEADLINE).unwrap() {
            Event::Retried { error, .. } | Event::Failed { error, .. } => return Err(error),
            Event::Available { .. } => return Ok(()),
            _ => {}
        }
    }
}

/// The name is one that only the proxy knows.
#[test]
fn a_proxy_finds_the_host_and_gets_nothing_of_it() {
    let origin = Origin::start();
    let proxy = Proxy::start(origin.address());
    for n in ["f", "g"] {
        origin.file(n, bytes(1, 1000));
    }
    let (dir, url) = (
        temp_dir(),
        format!("http://user:{CANARY}@files.test/f?{CANARY}"),
    );
    let password = "p%40ss";
    let manager = builder(dir.path())
        .slots(1)
        .proxy(format!("http://me:{password}@{}", proxy.address()))
        .http_header("http://files.test", "X-Token", CANARY)
        .open()
        .unwrap();
    origin.file(&format!("f?{CANARY}"), bytes(1, 1000));
    first_outcome(&manager, &url).unwrap();
    let task = manager.download_chunk(chunk(2, 5..9, [("g", "http://files.test/g".to_owned())]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1, "one tunnel is enough: {heads:?}");
    assert!(
        heads[0].starts_with("CONNECT files.test:80 HTTP/1.1\r\n"),
        "{heads:?}"
    );
    assert!(!heads[0].contains(CANARY), "{heads:?}");
    let credentials = data_encoding::BASE64.encode(b"me:p@ss");
    assert!(
        heads[0].contains(&format!("Proxy-Authorization: Basic {credentials}")),
        "{heads:?}"
    );
    for request in origin.requests() {
        assert_eq!(request.headers["host"], "files.test");
        assert_eq!(request.headers["x-token"], CANARY);
        assert!(
            !request.headers.contains_key("proxy-authorization"),
            "{request:?}"
        );
    }
}

#[test]
fn a_proxy_that_refuses_is_told_and_not_passed_over() {
    let origin = Origin::start();
    origin.file("f", bytes(1, 10));
    for status in ["407 Who Are You", "502 Bad Gateway"] {
        let proxy = Proxy::answering(origin.address(), status);
        let url = format!("http://me:{CANARY}@{}", proxy.address());
        let error = outcome(&origin.url("f"), |builder| builder.proxy(&url)).unwrap_err();
        assert!(error.to_string().contains("proxy"), "{error}");
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Network);
    }
    assert!(origin.requests().is_empty());
}

/// Where the proxy finds the address, what the URL says is all there is to go by.
#[test]
fn behind_a_proxy_redirects_are_judged_by_what_they_say() {
    let origin = Origin::start();
    origin.file("g", bytes(1, 10));
    let proxy = Proxy::start(origin.address());
    let url = format!("http://{}", proxy.address());
    let lead_to = |location: &str| {
        let reply = format!(
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        origin.serve("f", Reply::Raw(reply.into_bytes()));
    };
    for private in [
        "127.0.0.1",
        "[::1]",
        "10.0.0.1",
        "localhost",
        "a.localhost",
        "127.1",
        "0x7f.1",
    ] {
        lead_to(&format!("http://{private}/g"));
        let error = outcome("http://files.test/f", |builder| builder.proxy(&url)).unwrap_err();
        assert!(
            error.to_string().contains("not public"),
            "{private}: {error}"
        );
        let allowed = outcome("http://files.test/f", |builder| {
            builder.proxy(&url).allow_private_redirects(true)
        });
        assert_eq!(allowed.unwrap(), bytes(1, 10), "{private}");
        // A host that is private itself.
        outcome("http://localhost/f", |builder| builder.proxy(&url)).unwrap();
    }
    lead_to("http://other.test/g");
    outcome("http://files.test/f", |builder| builder.proxy(&url)).unwrap();
    let last = proxy.heads().pop().unwrap();
    assert!(last.starts_with("CONNECT other.test:80 "), "{last}");
}

#[test]
fn what_is_no_proxy_is_refused() {
    let dir = temp_dir();
    for url in [
        format!("socks5://me:{CANARY}@h:1"),
        format!("http://me:{CANARY}@h/path"),
        format!("{CANARY} "),
        String::new(),
    ] {
        let builder = builder(dir.path()).proxy(if url.contains("://") { &url } else { "" });
        let shown = format!("{builder:?}");
        assert!(!shown.contains(CANARY), "{shown}");
        let error = builder.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().starts_with("proxy: "), "{error}");
        assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
    }
}

/// Runs one of the tests below with these variables, and none other about proxies.
fn run(test: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.envs(variables.iter().copied());
    command
        .args(["--exact", "--ignored", test])
        .output()
        .unwrap()
}

fn passes(test: &str, variables: &[(&str, &str)]) {
    let output = run(test, variables);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[test]
fn the_environment_says_which_proxy() {
    let origin = Origin::start();
    origin.file("f", bytes(1, 10));
    let proxy = Proxy::start(origin.address());
    let url = format!("http://{}", proxy.address());
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        passes("in_the_environment_is_a_proxy", &[(variable, &url)]);
    }
    passes(
        "in_the_environment_is_a_proxy",
        &[("http_proxy", &proxy.address().to_string())],
    );
    assert_eq!(proxy.heads().len(), 5);
    passes("in_the_environment_is_none", &[]);
    passes("in_the_environment_is_none", &[("https_proxy", &url)]);
    passes(
        "in_the_environment_is_none",
        &[("http_proxy", &url), ("NO_PROXY", "a, 127.0.0.1")],
    );
    passes("and_it_is_not_wanted", &[("all_proxy", &url)]);
    passes(
        "a_named_one_comes_before_it",
        &[("all_proxy", "http://127.0.0.1:1"), ("no_proxy", "*")],
    );
    assert_eq!(proxy.heads().len(), 5);
    passes(
        "in_the_environment_is_nonsense",
        &[("ALL_PROXY", "socks5://user:canary7f3a@h:1")],
    );
}

#[test]
#[ignore = "run by the_environment_says_which_proxy"]
fn in_the_environment_is_a_proxy() {
    outcome("http://files.test/f", |builder| builder).unwrap();
}

#[test]
#[ignore = "run by the_environment_says_which_proxy"]
fn in_the_environment_is_none() {
    let origin = Origin::start();
    origin.file("here", bytes(1, 10));
    outcome(&origin.url("here"), |builder| builder).unwrap();
}

#[test]
#[ignore = "run by the_environment_says_which_proxy"]
fn and_it_is_not_wanted() {
    let origin = Origin::start();
    origin.file("here", bytes(1, 10));
    outcome(&origin.url("here"), DataManagerBuilder::no_proxy).unwrap();
}

#[test]
#[ignore = "run by the_environment_says_which_proxy"]
fn a_named_one_comes_before_it() {
    let origin = Origin::start();
    origin.file("here", bytes(1, 10));
    let proxy = Proxy::start(origin.address());
    let url = format!("http://{}", proxy.address());
    outcome("http://files.test/here", |builder| builder.proxy(&url)).unwrap();
    assert_eq!(proxy.heads().len(), 1);
}

#[test]
#[ignore = "run by the_environment_says_which_proxy"]
fn in_the_environment_is_nonsense() {
    let dir = temp_dir();
    let error = builder(dir.path()).open().unwrap_err();
    assert!(error.to_string().starts_with("proxy: "), "{error}");
    assert!(error.to_string().contains("ALL_PROXY"), "{error}");
    assert!(!format!("{error:?}").contains(CANARY), "{error:?}");
}

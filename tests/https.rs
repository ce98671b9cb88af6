//! `https://`: a server with a certificate that leads to a trusted one, and one without.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;
#[path = "support/tls.rs"]
mod tls;

use data_manager::ErrorKind;
use rcgen::{CertificateParams, date_time_ymd};
use support::proxy::Proxy;
use support::{DEADLINE, builder, bytes, chunk, id, temp_dir};
use tls::{serve, serve_with};

#[test]
fn a_trusted_server_is_downloaded_from() {
    let dir = temp_dir();
    let content = bytes(1, 500_000);
    let (host, certificate) = serve("localhost", content.clone(), 1);
    let manager = builder(dir.path())
        .root_certificate(certificate)
        .open()
        .unwrap();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", format!("https://{host}/f"))]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert!(std::fs::read(guard.path().join("f")).unwrap() == content);
}

/// The proxy makes the tunnel, and the certificate is looked for at its other end.
#[test]
fn a_server_behind_a_proxy() {
    // Long enough to be read straight from its socket, if anybody took that for a plain one.
    let (dir, content) = (temp_dir(), bytes(1, 8_000_000));
    let (host, certificate) = serve("localhost", content.clone(), 1);
    let port: u16 = host.rsplit(':').next().unwrap().parse().unwrap();
    let url = format!("https://{host}/f");
    let proxy = Proxy::start(([127, 0, 0, 1], port).into());
    let manager = builder(dir.path())
        .root_certificate(certificate)
        .proxy(format!("http://{}", proxy.address()))
        .http_header(format!("localhost:{port}"), "X-Token", "canary7f3a")
        .open()
        .unwrap();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", url)]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert!(std::fs::read(guard.path().join("f")).unwrap() == content);
    let head = proxy.heads().remove(0);
    assert!(head.starts_with(&format!("CONNECT localhost:{port} ")) && !head.contains("canary"));
}

#[test]
fn an_untrusted_server_ends_the_task() {
    let (host, _) = serve("localhost", bytes(1, 10), usize::MAX);
    let (_, another) = serve("localhost", bytes(1, 10), 0);
    for trusted in [None, Some(another)] {
        let dir = temp_dir();
        let mut builder = builder(dir.path());
        if let Some(certificate) = trusted {
            builder = builder.root_certificate(certificate);
        }
        let manager = builder.open().unwrap();
        let task = manager.download_chunk(chunk(1, 0..5, [("f", format!("https://{host}/f"))]));
        let error = task.wait_timeout(DEADLINE).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network);
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(manager.list_chunks().is_empty());
    }
}

/// It leads to one that is trusted, and is no good all the same.
#[test]
fn a_certificate_that_is_not_for_now_or_not_for_here_ends_the_task() {
    let of_name = |name: &str| CertificateParams::new([name.to_owned()]).unwrap();
    let (mut expired, mut early) = (of_name("localhost"), of_name("localhost"));
    expired.not_after = date_time_ymd(2001, 1, 1);
    early.not_before = date_time_ymd(4000, 1, 1);
    for (name, params, says) in [
        ("expired", expired, "expired"),
        ("not valid yet", early, "not valid yet"),
        (
            "of another host",
            of_name("example.com"),
            "not valid for name",
        ),
    ] {
        let dir = temp_dir();
        let (host, certificate) = serve_with(&params, bytes(1, 10), usize::MAX);
        let builder = builder(dir.path()).root_certificate(certificate);
        let manager = builder.open().unwrap();
        let url = format!("https://{host}/f");
        let task = manager.download_chunk(chunk(1, 0..5, [("f", url)]));
        let error = task.wait_timeout(DEADLINE).expect(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network, "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
        assert!(manager.list_chunks().is_empty(), "{name}");
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let dir = temp_dir();
    let error = builder(dir.path())
        .root_certificate("nonsense")
        .open()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().starts_with("root_certificate: "),
        "{error}"
    );
}

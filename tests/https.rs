//! `https://`: a server with a certificate that leads to a trusted one, and one without.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use data_manager::ErrorKind;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::proxy::Proxy;
use support::{DEADLINE, builder, bytes, chunk, id, temp_dir};

/// Serves `content` under every path, to `connections` clients; returns its address and its
/// certificate.
fn serve(name: &str, content: Vec<u8>, connections: usize) -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("https://{name}:{}/f", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten().take(connections) {
            // A client that does not trust us hangs up.
            let _ = answer(stream, &config, &content);
        }
    });
    (url, cert.pem())
}

fn answer(stream: TcpStream, config: &Arc<ServerConfig>, content: &[u8]) -> std::io::Result<()> {
    let connection = ServerConnection::new(config.clone()).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    let _request = stream.read(&mut [0; 4096])?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        content.len()
    )?;
    stream.write_all(content)?;
    stream.flush()
}

#[test]
fn a_trusted_server_is_downloaded_from() {
    let dir = temp_dir();
    let content = bytes(1, 500_000);
    let (url, certificate) = serve("localhost", content.clone(), 1);
    let manager = builder(dir.path())
        .root_certificate(certificate)
        .open()
        .unwrap();
    let task = manager.download_chunk(chunk(1, 0..5, [("f", url)]));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    let guard = manager.get_chunk(&id(1)).unwrap();
    assert!(std::fs::read(guard.path().join("f")).unwrap() == content);
}

/// The proxy makes the tunnel, and the certificate is looked for at its other end.
#[test]
fn a_server_behind_a_proxy() {
    // Long enough to be read straight from its socket, if anybody took that for a plain one.
    let (dir, content) = (temp_dir(), bytes(1, 8_000_000));
    let (url, certificate) = serve("localhost", content.clone(), 1);
    let port: u16 = url.rsplit([':', '/']).nth(1).unwrap().parse().unwrap();
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
    let (url, _) = serve("localhost", bytes(1, 10), 3);
    let (_, another) = serve("localhost", bytes(1, 10), 0);
    for trusted in [None, Some(another)] {
        let dir = temp_dir();
        let mut builder = builder(dir.path());
        if let Some(certificate) = trusted {
            builder = builder.root_certificate(certificate);
        }
        let manager = builder.open().unwrap();
        let task = manager.download_chunk(chunk(1, 0..5, [("f", url.clone())]));
        let error = task.wait_timeout(DEADLINE).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network);
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(manager.list_chunks().is_empty());
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

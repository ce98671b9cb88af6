//! A server that speaks TLS, with a certificate that a test makes.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, as a module"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves `content` under every path, with a self-signed certificate for `name`, to so many
/// clients; returns host and port, and the certificate.
pub fn serve(name: &str, content: Vec<u8>, connections: usize) -> (String, String) {
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    serve_with(&params, content, connections)
}

/// The same with any certificate.
pub fn serve_with(
    params: &CertificateParams,
    content: Vec<u8>,
    connections: usize,
) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten().take(connections) {
            // A client that does not trust us hangs up.
            let _ = answer(stream, &config, &content);
        }
    });
    (host, certificate.pem())
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

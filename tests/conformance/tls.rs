//! `https://`, from a server with a certificate of its own; also files that are made up.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use data_manager::data_source::HttpSource;
use data_manager::data_source::conformance::Origin;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::conforms;
use crate::http::patient;

/// A file: so many zeros, then these bytes.
#[derive(Clone)]
struct Entry {
    hole: u64,
    bytes: Arc<Vec<u8>>,
    etag: String,
    ends: Ends,
}

#[derive(Clone, Copy)]
enum Ends {
    Whole,
    Cut(u64),
    Stall(Option<u64>),
}

type Entries = Arc<Mutex<HashMap<String, Entry>>>;

struct Server {
    entries: Entries,
    versions: AtomicU64,
    port: u16,
}

impl Server {
    /// The server, and its certificate.
    fn start() -> (Server, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
        let server = Server {
            entries: Entries::default(),
            versions: AtomicU64::new(0),
            port: listener.local_addr().unwrap().port(),
        };
        let entries = server.entries.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (entries, config) = (entries.clone(), config.clone());
                // Ends when the client hangs up.
                std::thread::spawn(move || serve(stream, &config, &entries));
            }
        });
        (server, cert.pem())
    }

    fn insert(&self, name: &str, hole: u64, bytes: &[u8], ends: Ends) -> String {
        let version = self.versions.fetch_add(1, Ordering::SeqCst);
        let entry = Entry {
            hole,
            bytes: Arc::new(bytes.to_vec()),
            etag: format!("\"v{version}\""),
            ends,
        };
        self.entries
            .lock()
            .unwrap()
            .insert(format!("/{name}"), entry);
        format!("https://localhost:{}/{name}", self.port)
    }
}

impl Origin for Server {
    fn put(&self, name: &str, content: &[u8]) -> String {
        self.insert(name, 0, content, Ends::Whole)
    }

    fn remove(&self, name: &str) {
        self.entries.lock().unwrap().remove(&format!("/{name}"));
    }

    fn put_cut(&self, name: &str, content: &[u8], after_bytes: usize) -> Option<String> {
        Some(self.insert(name, 0, content, Ends::Cut(after_bytes as u64)))
    }

    fn put_stalled(
        &self,
        name: &str,
        content: &[u8],
        after_bytes: Option<usize>,
    ) -> Option<String> {
        let after = after_bytes.map(|after| after as u64);
        Some(self.insert(name, 0, content, Ends::Stall(after)))
    }

    fn put_huge(&self, name: &str, len_bytes: u64, tail: &[u8]) -> Option<String> {
        Some(self.insert(name, len_bytes - tail.len() as u64, tail, Ends::Whole))
    }
}

fn serve(stream: TcpStream, config: &Arc<ServerConfig>, entries: &Entries) -> io::Result<()> {
    let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let (mut path, mut range, mut if_range) = (String::new(), None, None);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            match line.split_once(':') {
                _ if line.is_empty() => break,
                Some((name, value)) if name.eq_ignore_ascii_case("range") => {
                    let value = value.trim().strip_prefix("bytes=");
                    range = value.and_then(|v| v.strip_suffix('-')?.parse::<u64>().ok());
                }
                Some((name, value)) if name.eq_ignore_ascii_case("if-range") => {
                    if_range = Some(value.trim().to_owned());
                }
                _ if path.is_empty() => path = line.split(' ').nth(1).unwrap_or("").to_owned(),
                _ => {}
            }
        }
        let entry = entries.lock().unwrap().get(&path).cloned();
        let start = range.filter(|_| if_range == entry.as_ref().map(|entry| entry.etag.clone()));
        if !answer(&mut stream, entry, start)? {
            return Ok(());
        }
    }
}

/// Answers; true if the connection may serve another request.
fn answer<S: Read + Write>(
    stream: &mut BufReader<S>,
    entry: Option<Entry>,
    start: Option<u64>,
) -> io::Result<bool> {
    let Some(Entry {
        hole,
        bytes,
        etag,
        ends,
    }) = entry
    else {
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    };
    if matches!(ends, Ends::Stall(None)) {
        let _ = stream.read(&mut [0]);
        return Ok(false);
    }
    let total = hole + bytes.len() as u64;
    let out = stream.get_mut();
    match start {
        Some(start) if start < total => write!(
            out,
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}\r\n\
             Content-Length: {}\r\nETag: {etag}\r\n\r\n",
            total - 1,
            total - start
        )?,
        Some(_) => {
            out.write_all(b"HTTP/1.1 416 Beyond\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        None => write!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Length: {total}\r\nETag: {etag}\r\n\r\n"
        )?,
    }
    let end = match ends {
        Ends::Cut(end) | Ends::Stall(Some(end)) => end,
        _ => total,
    };
    let mut at = start.unwrap_or(0);
    while at < end {
        let count = usize::try_from(end - at).unwrap_or(usize::MAX).min(16_384);
        let byte = |n: u64| {
            n.checked_sub(hole)
                .map_or(0, |n| bytes[usize::try_from(n).unwrap()])
        };
        let part: Vec<u8> = (at..at + count as u64).map(byte).collect();
        out.write_all(&part)?;
        at += count as u64;
    }
    out.flush()?;
    if matches!(ends, Ends::Stall(_)) {
        let _ = stream.read(&mut [0]);
    }
    Ok(matches!(ends, Ends::Whole))
}

#[test]
fn https_conforms() {
    let (server, certificate) = Server::start();
    let mut options = patient();
    options.root_certificates = vec![certificate.into_bytes()];
    conforms(HttpSource::new(options), server, &["list"]);
}

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;

use super::*;
use crate::data_source::http::agents::AgentPool;
use crate::data_source::http::resolve::Names;
use crate::data_source::http::{HttpOptions, HttpSource};
use crate::data_source::{CancelToken, DataSource, OpenRequest, Opened};

const LONG_BYTES: usize = 3 << 20;
/// Never reached, unless a test fails.
const LATE: Duration = Duration::from_secs(60);

/// What a long body has in it: no two places within a buffer look the same.
fn content() -> Vec<u8> {
    (0..LONG_BYTES as u64 / 8)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

/// A server that gives each request to `answer`, which says whether the connection goes on, and
/// the numbers of the connections that the requests came on.
fn serve(
    answer: impl Fn(&mut TcpStream) -> bool + Send + Clone + 'static,
) -> (String, mpsc::Receiver<usize>) {
    serve_at("127.0.0.1", answer)
}

/// The same on the addresses of `ip`.
fn serve_at(
    ip: &str,
    answer: impl Fn(&mut TcpStream) -> bool + Send + Clone + 'static,
) -> (String, mpsc::Receiver<usize>) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    let (asked, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let (answer, asked) = (answer.clone(), asked.clone());
            std::thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                    let _ = asked.send(number);
                    if !answer(&mut stream) {
                        return;
                    }
                }
            });
        }
    });
    (url, requests)
}

fn head(len_bytes: usize, more: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {len_bytes}\r\n{more}\r\n")
}

fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body);
}

fn open(source: &HttpSource, url: &str, cancel: &CancelToken) -> Opened {
    source.open(&OpenRequest::new(url, cancel)).unwrap()
}

fn read(source: &HttpSource, url: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let cancel = CancelToken::new();
    let read = open(source, url, &cancel).reader.read_to_end(&mut bytes);
    read.map(|_| bytes)
}

#[test]
fn long_and_short_bodies_share_a_connection() {
    let long = content();
    let (url, requests) = serve(move |stream| {
        send(stream, &head(long.len(), ""), &long);
        // The next request is for a short one.
        let _ = stream.read(&mut [0; 4096]);
        send(stream, &head(2, ""), b"ab");
        true
    });
    let source = HttpSource::new(HttpOptions::default());
    for _ in 0..3 {
        assert!(read(&source, &url).unwrap() == content());
        assert_eq!(read(&source, &url).unwrap(), b"ab");
    }
    assert!(requests.try_iter().all(|connection| connection == 0));
}

#[test]
fn a_connection_that_the_server_ends_is_not_kept() {
    for more in ["Connection: close\r\n", "Connection: keep-alive, close\r\n"] {
        let long = content();
        let (url, requests) = serve(move |stream| {
            send(stream, &head(long.len(), more), &long);
            true
        });
        let source = HttpSource::new(HttpOptions::default());
        for connection in 0..2 {
            assert!(read(&source, &url).unwrap() == content());
            assert_eq!(requests.recv_timeout(LATE), Ok(connection), "{more}");
        }
    }
}

/// A connection that is kept is to an address, and not to a name.
#[test]
fn a_name_that_leads_elsewhere_by_now_is_asked_there() {
    let long = content();
    let (url, requests) = serve_at("0.0.0.0", move |stream| {
        send(stream, &head(long.len(), ""), &long);
        true
    });
    let url = url.replace("0.0.0.0", "moves.example");
    let moved = Arc::new(AtomicBool::new(false));
    let has_moved = moved.clone();
    let names = Names::resolved_by(move |_| {
        let last = if has_moved.load(Ordering::SeqCst) {
            2
        } else {
            1
        };
        Ok(vec![[127, 0, 0, last].into()])
    });
    let source = HttpSource {
        agents: Arc::new(AgentPool::new(HttpOptions::default(), names)),
    };
    for (move_before, connection) in [(false, 0), (false, 0), (true, 1), (true, 1)] {
        moved.store(move_before, Ordering::SeqCst);
        assert!(read(&source, &url).unwrap() == content());
        assert_eq!(requests.recv_timeout(LATE), Ok(connection));
    }
}

#[test]
fn what_follows_the_body_is_neither_taken_nor_an_answer() {
    let long = content();
    let (url, requests) = serve(move |stream| {
        send(stream, &head(long.len(), ""), &long);
        send(stream, &head(6, ""), b"hijack");
        true
    });
    let source = HttpSource::new(HttpOptions::default());
    for connection in 0..2 {
        assert!(read(&source, &url).unwrap() == content());
        assert_eq!(requests.recv_timeout(LATE), Ok(connection));
    }
}

#[test]
fn a_long_body_that_is_cut_is_an_error_at_each_place() {
    for sent in [0, 1000, 256 * 1024, 1 << 20, LONG_BYTES - 1] {
        let long = content();
        let (url, _requests) = serve(move |stream| {
            send(stream, &head(long.len(), ""), &long[..sent]);
            false
        });
        let source = HttpSource::new(HttpOptions::default());
        let error = read(&source, &url).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{sent}");
    }
}

/// Serves a long body that stops after `sent` bytes, with the connection open.
fn stalling(sent: usize) -> (String, mpsc::Receiver<usize>) {
    let long = content();
    serve(move |stream| {
        send(stream, &head(long.len(), ""), &long[..sent]);
        true
    })
}

#[test]
fn a_long_body_that_stalls_is_given_up() {
    let limit = Duration::from_millis(300);
    let options = HttpOptions {
        stall_timeout: limit,
        ..HttpOptions::default()
    };
    let source = HttpSource::new(options);
    for sent in [0, 1 << 20] {
        let (url, _requests) = stalling(sent);
        let started = Instant::now();
        let error = read(&source, &url).unwrap_err();
        assert!(error.to_string().contains("timeout"), "{error}");
        let waited = started.elapsed();
        assert!(waited >= limit && waited < limit + Duration::from_secs(5));
    }
}

#[test]
fn a_long_body_that_stalls_is_cancelled() {
    let options = HttpOptions {
        stall_timeout: LATE,
        ..HttpOptions::default()
    };
    let source = HttpSource::new(options);
    let sent = 1 << 20;
    let (url, _requests) = stalling(sent);
    let cancel = CancelToken::new();
    let mut reader = open(&source, &url, &cancel).reader;
    let mut bytes = vec![0; sent];
    reader.read_exact(&mut bytes).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| reader.read(&mut bytes));
        let started = Instant::now();
        cancel.cancel();
        let read = waits.join().unwrap();
        assert!(read.is_err() && started.elapsed() < Duration::from_secs(1));
    });
}

/// Copies into `target` what the kernel does, and reads the rest: all of it, and how much was copied.
fn copy(opened: Opened, target: &File) -> io::Result<(Vec<u8>, usize)> {
    let (mut body, mut copied, mut rest) = (opened.reader, 0, Vec::new());
    let mut buffer = vec![0; 100_000];
    loop {
        if rest.is_empty() && body.copies_from().is_some() {
            let count = body.copy_into(target, copied as u64, 100_000).count;
            copied += count;
            if count > 0 {
                continue;
            }
        }
        // What comes before the first copy goes in front of it.
        match body.read(&mut buffer)? {
            0 => break,
            count if copied == 0 && body.copies_from().is_some() => {
                target.write_all_at(&buffer[..count], 0)?;
                copied = count;
            }
            count => rest.extend_from_slice(&buffer[..count]),
        }
    }
    let mut bytes = vec![0; copied];
    target.read_exact_at(&mut bytes, 0)?;
    bytes.append(&mut rest);
    Ok((bytes, copied))
}

fn serve_long() -> String {
    let long = content();
    let (url, _) = serve(move |stream| {
        send(stream, &head(long.len(), ""), &long);
        true
    });
    url
}

/// Reads until the kernel may copy.
fn drained(mut opened: Opened) -> (Opened, Vec<u8>) {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 100_000]);
    while opened.reader.copies_from().is_none() {
        let count = opened.reader.read(&mut buffer).unwrap();
        assert!(count > 0, "it never may");
        bytes.extend_from_slice(&buffer[..count]);
    }
    (opened, bytes)
}

#[test]
fn the_kernel_copies_what_the_buffer_of_the_client_has_not() {
    let source = HttpSource::new(HttpOptions::default());
    let (url, cancel) = (serve_long(), CancelToken::new());
    for _ in 0..2 {
        let (opened, mut bytes) = drained(open(&source, &url, &cancel));
        let target = tempfile::tempfile().unwrap();
        let (rest, copied) = copy(opened, &target).unwrap();
        assert!(copied > LONG_BYTES / 2, "{copied}");
        bytes.extend(rest);
        assert!(bytes == content());
    }
}

/// One that is full, or takes nothing at all: what was on its way is read, and none of it is lost.
#[test]
fn what_a_file_does_not_take_is_read() {
    let source = HttpSource::new(HttpOptions::default());
    let (url, cancel) = (serve_long(), CancelToken::new());
    for room in [0, 1, 100_000, 150_000, 1_000_001] {
        let flags = rustix::fs::MemfdFlags::ALLOW_SEALING;
        let target = File::from(rustix::fs::memfd_create("target", flags).unwrap());
        target.set_len(room).unwrap();
        rustix::fs::fcntl_add_seals(&target, rustix::fs::SealFlags::GROW).unwrap();
        let (mut opened, mut bytes) = drained(open(&source, &url, &cancel));
        let mut copied = 0;
        while opened.reader.copies_from().is_some() {
            let count = opened.reader.copy_into(&target, copied, 100_000).count;
            copied += count as u64;
            if count == 0 {
                break;
            }
        }
        assert!(copied <= room, "{copied} of {room}");
        let mut taken = vec![0; copied as usize];
        target.read_exact_at(&mut taken, 0).unwrap();
        bytes.extend(taken);
        opened.reader.read_to_end(&mut bytes).unwrap();
        assert!(bytes == content(), "{room}");
    }
}

#[test]
fn a_copy_that_stalls_or_breaks_off_is_an_error() {
    let long = content();
    let (url, _) = serve(move |stream| {
        send(stream, &head(LONG_BYTES, ""), &long[..LONG_BYTES / 2]);
        // Until the client goes away.
        let _ = stream.read(&mut [0; 1]);
        false
    });
    let options = HttpOptions {
        stall_timeout: Duration::from_secs(3),
        ..HttpOptions::default()
    };
    let (source, cancel) = (HttpSource::new(options), CancelToken::new());
    let (opened, _) = drained(open(&source, &url, &cancel));
    let started = Instant::now();
    let error = copy(opened, &tempfile::tempfile().unwrap()).unwrap_err();
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(2900) && took < Duration::from_millis(5500),
        "{took:?}: {error}"
    );
    let long = content();
    let (url, _) = serve(move |stream| {
        send(stream, &head(LONG_BYTES, ""), &long[..LONG_BYTES / 2]);
        false
    });
    let (opened, _) = drained(open(&source, &url, &cancel));
    assert!(copy(opened, &tempfile::tempfile().unwrap()).is_err());
}

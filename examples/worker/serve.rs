//! A blocking HTTP/1.1 server for GET, one request for each connection, on a few threads.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use data_manager::data_manager::ChunkGuard;

/// How many requests are answered at a time.
const THREADS: usize = 4;
/// What a client may take for its request, and for each piece of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest request that is read.
const MAX_REQUEST_BYTES: u64 = 16 * 1024;

/// What a request is answered with.
#[derive(Debug)]
pub(crate) enum Answer {
    Json(serde_json::Value),
    /// A file of a chunk, which is kept until it is sent.
    File(File, ChunkGuard),
    NotFound(String),
}

/// Answers requests until the listener fails: for as long as the process lives.
pub(crate) fn serve(
    listener: &TcpListener,
    answer: impl Fn(&str) -> Answer + Sync,
) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let work = || -> io::Result<()> {
            loop {
                let (stream, _) = listener.accept()?;
                // A client that goes away does not concern the others.
                let _ = respond(stream, &answer);
            }
        };
        let threads: Vec<_> = (1..THREADS).map(|_| scope.spawn(work)).collect();
        let mut outcome = work();
        for thread in threads {
            outcome = outcome.and(thread.join().unwrap_or(Ok(())));
        }
        Ok(outcome?)
    })
}

fn respond(mut stream: TcpStream, answer: &impl Fn(&str) -> Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(path) = requested(&stream)? else {
        return head(&mut stream, "400 Bad Request", "text/plain", 0);
    };
    match answer(&path) {
        Answer::Json(value) => text(
            &mut stream,
            "200 OK",
            "application/json",
            &value.to_string(),
        ),
        Answer::NotFound(reason) => text(&mut stream, "404 Not Found", "text/plain", &reason),
        Answer::File(mut file, chunk) => {
            let len = file.metadata()?.len();
            head(&mut stream, "200 OK", "application/octet-stream", len)?;
            io::copy(&mut file, &mut stream)?;
            drop(chunk);
            Ok(())
        }
    }
}

/// The path of a GET, once the whole request was read.
fn requested(stream: &TcpStream) -> io::Result<Option<String>> {
    let mut lines = BufReader::new(stream.take(MAX_REQUEST_BYTES)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines.by_ref() {
        if line?.is_empty() {
            let mut words = first.split(' ');
            let path = (words.next() == Some("GET"))
                .then(|| words.next())
                .flatten();
            return Ok(path.map(str::to_owned));
        }
    }
    Ok(None)
}

fn text(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> io::Result<()> {
    head(stream, status, kind, body.len() as u64)?;
    stream.write_all(body.as_bytes())
}

fn head(stream: &mut TcpStream, status: &str, kind: &str, len: u64) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n"
    )
}

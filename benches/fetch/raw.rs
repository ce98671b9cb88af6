//! A process of a loop: four threads, each with one connection that is kept alive, and the next file of all until
//! there is none. A file is asked for, created, and written as its bytes come.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow, ensure};
use xxhash_rust::xxh3::Xxh3;

use crate::options::{Place, Way};
use crate::splice::Pipe;

const THREADS: usize = 4;
/// The longest head of an answer.
const HEAD_BYTES: usize = 4096;

/// What a thread of the loop has.
struct Worker {
    connection: TcpStream,
    buffer: Vec<u8>,
    way: Way,
    pipe: Option<Pipe>,
}

pub(crate) fn run(way: Way, place: &Place) -> anyhow::Result<()> {
    fs::create_dir_all(&place.dir)?;
    let next = AtomicUsize::new(0);
    let worker = || -> anyhow::Result<()> {
        let mut worker = Worker {
            connection: TcpStream::connect(place.origin)?,
            buffer: vec![0; way.piece_bytes.max(HEAD_BYTES)],
            way,
            pipe: way
                .splices
                .then(|| Pipe::new(way.piece_bytes))
                .transpose()?,
        };
        worker.connection.set_nodelay(true)?;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= place.files {
                return Ok(());
            }
            worker.fetch(n, place)?;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| {
            let ended = worker.join().map_err(|_| anyhow!("it panicked"))?;
            ended.context("it failed")
        })
    })
}

impl Worker {
    fn fetch(&mut self, n: usize, place: &Place) -> anyhow::Result<()> {
        let request = format!("GET /{n} HTTP/1.1\r\nHost: origin\r\n\r\n");
        self.connection.write_all(request.as_bytes())?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(place.dir.join(n.to_string()))?;
        let (filled, head) = read_head(&mut self.connection, &mut self.buffer)?;
        let length = content_length(&self.buffer[..head])?;
        ensure!(length == place.file_bytes, "it has another length");
        // What came with the head goes out at once; then each read is written as it came.
        let mut hash = self.way.hashes.then(Xxh3::new);
        let rest = &self.buffer[head..filled];
        file.write_all(rest)?;
        update(&mut hash, rest);
        let mut done = rest.len() as u64;
        while done < length {
            let left = usize::try_from(length - done)?.min(self.way.piece_bytes);
            let count = match &self.pipe {
                Some(pipe) => {
                    let count = pipe.pass(&self.connection, &file, done, left)?;
                    if let Some(hash) = &mut hash {
                        read_back(&file, &mut self.buffer[..count], done)?;
                        hash.update(&self.buffer[..count]);
                    }
                    count
                }
                None => {
                    let count = self.connection.read(&mut self.buffer[..left])?;
                    file.write_all(&self.buffer[..count])?;
                    update(&mut hash, &self.buffer[..count]);
                    count
                }
            };
            ensure!(count > 0, "it is cut");
            done += count as u64;
        }
        std::hint::black_box(hash.map(|hash| hash.digest()));
        Ok(())
    }
}

fn update(hash: &mut Option<Xxh3>, bytes: &[u8]) {
    if let Some(hash) = hash {
        hash.update(bytes);
    }
}

fn read_back(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

/// Reads until the answer's head is there: how much of the buffer is full, and where the body begins.
fn read_head(connection: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<(usize, usize)> {
    let mut filled = 0;
    loop {
        let count = connection.read(&mut buffer[filled..])?;
        ensure!(count > 0, "no answer");
        filled += count;
        let end = buffer[..filled]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            return Ok((filled, end + 4));
        }
    }
}

fn content_length(head: &[u8]) -> anyhow::Result<u64> {
    let head = std::str::from_utf8(head)?;
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    Ok(line.context("no length")?.trim().parse()?)
}

//! A process of the loop: four threads, each with one connection that is kept alive, one buffer of 256 KiB, and
//! the next file of all until there is none. A file is asked for, created, read and written in pieces of the
//! buffer's size, synced if that is asked for, and closed.
//!
//! The directory of a chunk is made by whoever comes to its first file, before the loop begins with it. No
//! manifest, no rename, no directory is synced; nothing is hashed or checked but the length.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow};

use crate::options::Place;

const THREADS: usize = 4;
const BUFFER_BYTES: usize = 256 * 1024;

pub(crate) fn run(fsync: bool, place: &Place) -> anyhow::Result<()> {
    let load = place.load;
    for chunk in 0..load.chunks {
        fs::create_dir_all(place.dir.join(format!("{chunk:06}")))?;
    }
    let next = AtomicUsize::new(0);
    let worker = || -> anyhow::Result<()> {
        let mut connection = TcpStream::connect(place.origin)?;
        connection.set_nodelay(true)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= load.chunks * load.files {
                return Ok(());
            }
            let path = format!("{:06}/file-{}.parquet", n / load.files, n % load.files);
            let file = fetch(&mut connection, &mut buffer, &place.dir, &path)?;
            if fsync {
                file.sync_all()?;
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| anyhow!("it panicked"))?
                .context("it failed")
        })
    })
}

fn fetch(
    connection: &mut TcpStream,
    buffer: &mut [u8],
    dir: &Path,
    path: &str,
) -> anyhow::Result<File> {
    let request = format!("GET /{path} HTTP/1.1\r\nHost: origin\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut file = File::create(dir.join(path))?;
    let (mut filled, head) = read_head(connection, buffer)?;
    let mut left = content_length(&buffer[..head])?;
    // What came with the head goes out at once; then each read is written as it came.
    let mut begin = head;
    loop {
        file.write_all(&buffer[begin..filled])?;
        left -= (filled - begin) as u64;
        if left == 0 {
            return Ok(file);
        }
        let room = usize::try_from(left).map_or(BUFFER_BYTES, |left| left.min(BUFFER_BYTES));
        (begin, filled) = (0, connection.read(&mut buffer[..room])?);
        if filled == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Reads until the answer's head is there: how much of the buffer is full, and where the body begins.
fn read_head(connection: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<(usize, usize)> {
    let mut filled = 0;
    loop {
        let count = connection.read(&mut buffer[filled..])?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
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

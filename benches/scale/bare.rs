//! The least that a thousand chunks can cost: the same requests and the same calls on the file system, and
//! nothing else. No checks, no plan, no hash, no HTTP but the length of an answer that is known.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use tempfile::TempDir;

use crate::options::Options;
use crate::origin::Origin;

/// As long as the manifest of a chunk of one file.
const MANIFEST: [u8; 480] = [b' '; 480];

/// Seconds for the same work, on as many threads as there are slots.
pub(crate) fn fetch(options: &Options, origin: &Origin) -> anyhow::Result<f64> {
    let place = TempDir::new_in(&options.dir)?;
    let (staging, dataset) = (place.path().join("_staging"), place.path().join("dataset"));
    fs::create_dir(&staging)?;
    fs::create_dir(&dataset)?;
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let worker = || -> io::Result<()> {
        let mut connection = TcpStream::connect(origin.address())?;
        let mut answer = vec![0; origin.answer_len()];
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= options.files {
                return Ok(());
            }
            bring(&mut connection, &mut answer, (&staging, &dataset), n)?;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.slots).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .ok()
                .context("it panicked")?
                .context("it failed")
        })
    })?;
    Ok(begun.elapsed().as_secs_f64())
}

fn bring(
    connection: &mut TcpStream,
    answer: &mut [u8],
    (staging, dataset): (&Path, &Path),
    n: usize,
) -> io::Result<()> {
    let at = staging.join(format!("{n:060}"));
    let parts = at.join("_parts");
    fs::create_dir(&at)?;
    fs::create_dir(&parts)?;
    let request = format!("GET /files/{n:06}.parquet HTTP/1.1\r\nHost: origin\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    connection.read_exact(answer)?;
    let part = parts.join("0.part");
    fs::write(&part, &answer[..])?;
    fs::write(at.join("_chunk.json"), MANIFEST)?;
    fs::rename(part, at.join("blocks.parquet"))?;
    fs::remove_dir(parts)?;
    fs::rename(at, dataset.join(format!("{n:060}")))
}

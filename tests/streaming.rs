//! A file of any size goes to disk through one buffer: memory does not grow with it. The files
//! come from a source that the test registers for a scheme of its own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::Read;

use data_manager::data_manager::Durability;
use data_manager::data_source::{DataSource, OpenRequest, Opened, SourceError};
use support::{DEADLINE, builder, chunk, id, temp_dir};

const MIB: u64 = 1 << 20;

/// Serves `zeros:N`: a file of N bytes that are all 0.
#[derive(Debug)]
struct Zeros;

impl DataSource for Zeros {
    fn check(&self, url: &str) -> anyhow::Result<()> {
        len_of(url).map(drop)
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let len = len_of(request.url()).map_err(SourceError::permanent)?;
        let rest = std::io::repeat(0).take(len - request.offset());
        Ok(Opened::new(rest)
            .starting_at(request.offset())
            .with_total(len)
            .with_validator("0"))
    }
}

fn len_of(url: &str) -> anyhow::Result<u64> {
    Ok(url.strip_prefix("zeros:").unwrap_or_default().parse()?)
}

/// The most memory that this process ever had at once, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn memory_does_not_grow_with_a_files_size() {
    let dir = temp_dir();
    let manager = builder(dir.path())
        .source("zeros", Zeros)
        .durability(Durability::None)
        .open()
        .unwrap();
    let download = |n: u8, len: u64| {
        let files = ["a", "b"].map(|name| (name, format!("zeros:{len}")));
        let task = manager.download_chunk(chunk(n, 0..5, files));
        task.wait_timeout(DEADLINE).unwrap().unwrap();
        assert_eq!(manager.get_chunk(&id(n)).unwrap().files()[0].len_bytes, len);
    };
    download(1, MIB);
    let before = peak_memory();
    download(2, 64 * MIB);
    let grown = peak_memory() - before;
    assert!(
        grown < 4 * MIB,
        "{grown} bytes more for files of {}",
        64 * MIB
    );
}

#[test]
fn a_source_refuses_at_the_door() {
    let dir = temp_dir();
    let manager = builder(dir.path()).source("Zeros", Zeros).open().unwrap();
    let error = manager
        .download_chunk(chunk(1, 0..5, [("f", "zeros:many".to_owned())]))
        .wait();
    assert!(error.unwrap_err().to_string().starts_with("files: "));
    manager
        .download_chunk(chunk(1, 0..5, [("f", "ZEROS:0".to_owned())]))
        .wait()
        .unwrap_err();
}

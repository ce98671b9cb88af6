//! From a socket into a file through a pipe: the kernel hands pages on, and no byte comes to us.

use std::fs::File;
use std::io::{self, Read};
use std::net::TcpStream;

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// What a pipe holds. With less it costs more than reading and writing does.
const PIPE_BYTES: usize = 256 * 1024;

/// Empty between two calls.
#[derive(Debug)]
pub(super) struct Pipe {
    read: File,
    write: File,
}

impl Pipe {
    /// `None` if the system gives no pipe of that size.
    pub(super) fn new() -> Option<Pipe> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        fcntl_setpipe_size(&write, PIPE_BYTES).ok()?;
        let (read, write) = (read.into(), write.into());
        Some(Pipe { read, write })
    }

    /// Takes up to `len` bytes out of the socket, as a read would: 0 at its end.
    pub(super) fn fill(&self, socket: &TcpStream, len: usize) -> Result<usize, Errno> {
        let len = len.min(PIPE_BYTES);
        splice(socket, None, &self.write, None, len, SpliceFlags::MOVE)
    }

    /// Puts the `count` bytes that it holds to byte `at` of `file`; returns how many, which is fewer
    /// if the file does not take them all.
    pub(super) fn empty_into(&self, file: &File, mut at: u64, count: usize) -> usize {
        let mut left = count;
        while left > 0 {
            let moved = retry_on_intr(|| {
                splice(
                    &self.read,
                    None,
                    file,
                    Some(&mut at),
                    left,
                    SpliceFlags::MOVE,
                )
            });
            match moved {
                Ok(moved @ 1..) => left -= moved,
                Ok(0) | Err(_) => break,
            }
        }
        count - left
    }

    /// The `count` bytes that it still holds.
    pub(super) fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.read.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

//! From a socket into a file through a pipe, without a buffer of this process.

use std::fs::File;
use std::io;
use std::net::TcpStream;

use rustix::fd::OwnedFd;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice};

pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    pub(crate) fn new(len_bytes: usize) -> io::Result<Pipe> {
        let (read, write) = pipe()?;
        fcntl_setpipe_size(&write, len_bytes)?;
        Ok(Pipe { read, write })
    }

    /// Moves up to `len` bytes into `file` at `at`; 0 at the end of the stream.
    pub(crate) fn pass(
        &self,
        from: &TcpStream,
        file: &File,
        at: u64,
        len: usize,
    ) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::MORE;
        let count = splice(from, None, &self.write, None, len, flags)?;
        let (mut at, mut left) = (at, count);
        while left > 0 {
            left -= splice(&self.read, None, file, Some(&mut at), left, flags)?;
        }
        Ok(count)
    }
}

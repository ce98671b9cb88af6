//! SIGTERM and SIGINT: the first asks the worker to stop, the second ends it at once.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

/// A stream that can be read from once a signal came.
///
/// In a handler hardly anything may be done. One byte into a socket may, and whoever waits for the other
/// end wakes up on a thread of its own, where everything may be done.
pub(crate) fn first() -> io::Result<UnixStream> {
    let (heard, told) = UnixStream::pair()?;
    let one_came = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag down, and raises it; the second finds it up.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&one_came))?;
        flag::register(signal, Arc::clone(&one_came))?;
        pipe::register(signal, told.try_clone()?)?;
    }
    Ok(heard)
}

//! What a person or a supervisor says to a tool that runs: stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

use crate::exit::Exit;

/// Calls back at the first SIGINT or SIGTERM; a second one ends the process on the spot, which the
/// data directory survives. Dropping it ends its thread; the signals stay caught.
pub(crate) struct OnSignal {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl OnSignal {
    pub(crate) fn start(stop: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first one finds the flag down.
            let status = i32::from(Exit::Interrupted.code());
            flag::register_conditional_shutdown(signal, status, stopping.clone())?;
            flag::register(signal, stopping.clone())?;
        }
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let wait = move || {
            if signals.forever().next().is_some() {
                stop();
            }
        };
        let thread = std::thread::Builder::new().name("cli-signals".to_owned());
        let thread = Some(thread.spawn(wait)?);
        Ok(OnSignal { handle, thread })
    }
}

impl Drop for OnSignal {
    fn drop(&mut self) {
        self.handle.close();
        // It has nothing to say.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

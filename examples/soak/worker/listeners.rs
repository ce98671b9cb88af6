//! Two subscribers: a quick one, which knows from events alone what is visible, and one that is too
//! slow. Whatever one of them is told or told to have missed, the other one is, too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::ensure;
use data_manager::data_manager::{DataManagerImpl, Event, Events, RecvError};
use parking_lot::{Condvar, Mutex};

use super::broken;
use crate::pool;
use crate::words::{Account, Accounts};

/// Nothing came for so long: the queue is empty.
const QUIET: Duration = Duration::from_millis(50);
/// What the slow one waits after each event, divided by the chunks: fewer of them make fewer events.
const DAWDLE: Duration = Duration::from_secs(20);

pub(super) struct Listeners {
    quick: Listener,
    slow: Listener,
}

struct Listener {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    dawdles: AtomicBool,
    state: Mutex<State>,
    /// The queue was found empty once more.
    quiet: Condvar,
}

#[derive(Default)]
struct State {
    account: Account,
    /// How often the queue was found empty.
    quiet: u64,
    visible: BTreeSet<u32>,
}

impl Listeners {
    pub(super) fn start(manager: &DataManagerImpl, chunks: u32) -> Listeners {
        // Both subscribe before anything is asked for.
        let (quick, slow) = (manager.events(), manager.events());
        Listeners {
            quick: Listener::start(quick, Duration::ZERO),
            slow: Listener::start(slow, DAWDLE / chunks),
        }
    }

    /// What was visible before the first event, or where some were missed, is now.
    pub(super) fn begin_with(&self, visible: impl Iterator<Item = u32>) {
        self.quick.shared.state.lock().visible = visible.collect();
    }

    /// What both were told, once they heard all of it; and what is visible by that.
    pub(super) fn hear_out(&self, deadline: Instant) -> anyhow::Result<(Accounts, BTreeSet<u32>)> {
        self.slow.shared.dawdles.store(false, Ordering::SeqCst);
        let (mut quick, _) = self.quick.hear_out(deadline)?;
        loop {
            let (slow, _) = self.slow.hear_out(deadline)?;
            let before = quick.total();
            let visible;
            (quick, visible) = self.quick.hear_out(deadline)?;
            // Nothing came while the slow one was asked.
            if quick.total() == before {
                self.slow.shared.dawdles.store(true, Ordering::SeqCst);
                return Ok((Accounts { quick, slow }, visible));
            }
        }
    }

    /// The manager is shut down, so both end.
    pub(super) fn join(self) -> anyhow::Result<()> {
        self.slow.shared.dawdles.store(false, Ordering::SeqCst);
        for listener in [self.quick, self.slow] {
            ensure!(listener.thread.join().is_ok(), "a subscriber panicked");
        }
        Ok(())
    }
}

impl Listener {
    fn start(events: Events, dawdle: Duration) -> Listener {
        let shared = Arc::new(Shared {
            dawdles: AtomicBool::new(!dawdle.is_zero()),
            ..Shared::default()
        });
        let for_thread = shared.clone();
        let thread = std::thread::spawn(move || for_thread.listen(&events, dawdle));
        Listener { shared, thread }
    }

    fn hear_out(&self, deadline: Instant) -> anyhow::Result<(Account, BTreeSet<u32>)> {
        let mut state = self.shared.state.lock();
        // The second time from now on was found empty after now.
        let enough = state.quiet + 2;
        let quiet = &self.shared.quiet;
        let wait = quiet.wait_while_until(&mut state, |state| state.quiet < enough, deadline);
        ensure!(!wait.timed_out(), "events do not come to an end");
        Ok((state.account.clone(), state.visible.clone()))
    }
}

impl Shared {
    fn listen(&self, events: &Events, dawdle: Duration) {
        loop {
            match events.recv_timeout(QUIET) {
                Ok(event) => self.hear(&event),
                Err(RecvError::Closed) => return,
                Err(_) => {
                    self.state.lock().quiet += 1;
                    self.quiet.notify_all();
                    continue;
                }
            }
            if self.dawdles.load(Ordering::SeqCst) {
                std::thread::sleep(dawdle);
            }
        }
    }

    fn hear(&self, event: &Event) {
        let mut state = self.state.lock();
        if let Event::Lagged { missed, .. } = event {
            state.account.missed += missed;
            return;
        }
        *state.account.received.entry(name(event)).or_default() += 1;
        match event {
            Event::Available { chunk_id, .. } => {
                state.visible.insert(pool::number(chunk_id));
            }
            Event::Wanted { chunk_id, .. } | Event::Unwanted { chunk_id, .. } => {
                state.visible.remove(&pool::number(chunk_id));
            }
            Event::Damaged { .. }
            | Event::Quarantined { .. }
            | Event::Foreign { .. }
            | Event::Unreadable { .. }
            | Event::LedgerOff { .. }
            | Event::SpaceShort { .. }
            | Event::DiskTrouble { .. } => broken(&format!(
                "nothing is wrong with the disk, and yet: {event:?}"
            )),
            _ => {}
        }
    }
}

/// What kind of event it is.
fn name(event: &Event) -> String {
    let text = format!("{event:?}");
    let end = text.find(|letter: char| !letter.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

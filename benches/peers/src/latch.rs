//! How the measuring thread waits for tasks: one counter, the same for every executor.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};

/// Tasks that have not reported yet.
static LEFT: AtomicUsize = AtomicUsize::new(0);
/// The thread that measures; there is only one.
static OWNER: OnceLock<Thread> = OnceLock::new();

/// Expects that many reports.
pub(crate) fn arm(reports: usize) {
    OWNER.get_or_init(thread::current);
    LEFT.store(reports, Ordering::Release);
}

/// One report. The last one wakes the thread that waits.
pub(crate) fn count_down() {
    if LEFT.fetch_sub(1, Ordering::AcqRel) == 1
        && let Some(owner) = OWNER.get()
    {
        owner.unpark();
    }
}

/// Sleeps until all have reported.
pub(crate) fn wait() {
    while LEFT.load(Ordering::Acquire) != 0 {
        thread::park();
    }
}

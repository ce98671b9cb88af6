//! How a transfer is told to stop, also while it is stuck in a read.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// Says that nobody wants a transfer's bytes any more. Clones are the same token.
///
/// A reader looks at [`is_cancelled`](Self::is_cancelled) between two reads. A source whose reads
/// can stall registers with [`on_cancel`](Self::on_cancel) a way to break them off, such as
/// closing the socket.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<Inner>);

type Hook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    next_key: AtomicU64,
    /// What to run at cancellation. Hooks are taken out and run without the lock.
    hooks: Mutex<Vec<(u64, Hook)>>,
}

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the transfer should stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Makes [`is_cancelled`](Self::is_cancelled) true at once, without running the hooks: cheap
    /// enough for a caller that must not wait. [`cancel`](Self::cancel) has to follow.
    pub(crate) fn mark(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
    }

    /// Cancels: marks the token, then runs every registered hook, on this thread.
    pub fn cancel(&self) {
        self.mark();
        let hooks = std::mem::take(&mut *self.0.hooks.lock());
        for (_, hook) in hooks {
            hook();
        }
    }

    /// Runs `hook` when the token is cancelled (at once if it is), unless the returned
    /// registration was dropped before. It must not block: it runs on a thread that polls
    /// tasks, or on that of whoever shuts the manager down or stops following a document.
    pub fn on_cancel(&self, hook: impl FnOnce() + Send + 'static) -> CancelHook {
        let key = self.0.next_key.fetch_add(1, Ordering::Relaxed);
        self.0.hooks.lock().push((key, Box::new(hook)));
        // A `cancel` that took the hooks before the push has set the flag before that: one of the
        // two sees the hook, and taking it out of the list makes sure that only one runs it.
        if self.is_cancelled() {
            let late = take_hook(&self.0.hooks, key);
            if let Some(hook) = late {
                hook();
            }
        }
        CancelHook {
            token: self.clone(),
            key,
        }
    }
}

fn take_hook(hooks: &Mutex<Vec<(u64, Hook)>>, key: u64) -> Option<Hook> {
    let mut hooks = hooks.lock();
    let at = hooks.iter().position(|(k, _)| *k == key)?;
    Some(hooks.swap_remove(at).1)
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// A registration made by [`CancelToken::on_cancel`]; dropping it takes the hook back.
#[must_use = "dropping it takes the hook back"]
#[derive(Debug)]
pub struct CancelHook {
    token: CancelToken,
    key: u64,
}

impl Drop for CancelHook {
    fn drop(&mut self) {
        drop(take_hook(&self.token.0.hooks, self.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn counter() -> (Arc<AtomicUsize>, impl FnOnce() + Send + 'static) {
        let count = Arc::new(AtomicUsize::new(0));
        let inner = count.clone();
        (count, move || {
            inner.fetch_add(1, Ordering::SeqCst);
        })
    }

    #[test]
    fn a_hook_runs_once_whether_registered_before_or_after() {
        let token = CancelToken::new();
        let (before, hook) = counter();
        let _kept = token.on_cancel(hook);
        token.clone().cancel();
        token.cancel();
        assert!(token.is_cancelled());
        assert_eq!(before.load(Ordering::SeqCst), 1);
        let (after, hook) = counter();
        let _kept = token.on_cancel(hook);
        assert_eq!(after.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_dropped_registration_does_not_run() {
        let token = CancelToken::new();
        let (count, hook) = counter();
        drop(token.on_cancel(hook));
        token.cancel();
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_mark_alone_is_seen_and_a_later_cancel_still_runs_the_hooks() {
        let token = CancelToken::new();
        let (count, hook) = counter();
        let _kept = token.on_cancel(hook);
        token.mark();
        assert!(token.is_cancelled());
        assert_eq!(count.load(Ordering::SeqCst), 0);
        token.cancel();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}

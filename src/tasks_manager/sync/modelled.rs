//! loom's primitives under the names and with the signatures of the real ones, as far as they are used.

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// A lock as in `parking_lot`: without poisoning.
///
/// For loom, a release is no step by itself: nobody could tell when it comes, but one who only tries the lock. So
/// where it was tried, it is given back in a step, which whoever tries it the next time may come before.
#[derive(Debug)]
pub(crate) struct Mutex<T> {
    inner: loom::sync::Mutex<T>,
    /// Written by both, for nothing.
    tries: AtomicU8,
}

pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    tried: bool,
    /// `None` only while a condition is being waited for.
    inner: Option<loom::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            inner: loom::sync::Mutex::new(value),
            tries: AtomicU8::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.guard(false, self.inner.lock().expect("loom poisons no lock"))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.tries.fetch_or(1, Ordering::Relaxed);
        let inner = self.inner.try_lock().ok()?;
        Some(self.guard(true, inner))
    }

    pub(crate) fn into_inner(self) -> T {
        self.inner.into_inner().expect("loom poisons no lock")
    }

    fn guard<'a>(&'a self, tried: bool, inner: loom::sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard {
            mutex: self,
            tried,
            inner: Some(inner),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("nobody looks during a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("nobody looks during a wait")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if self.tried {
            self.mutex.tries.fetch_or(1, Ordering::Relaxed);
        }
    }
}

/// A condition as in `parking_lot`. Here a wait for no time is over at once, with the lock released in between; no other
/// one ever times out, and none ends without a call.
pub(crate) struct Condvar(loom::sync::Condvar);

pub(crate) struct WaitTimeoutResult(bool);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(inner) = guard.inner.take() {
            guard.inner = Some(self.0.wait(inner).expect("loom poisons no lock"));
        }
    }

    pub(crate) fn wait_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        time: Duration,
    ) -> WaitTimeoutResult {
        if time.is_zero() {
            guard.inner = None;
            *guard = guard.mutex.lock();
        } else {
            self.wait(guard);
        }
        WaitTimeoutResult(time.is_zero())
    }

    pub(crate) fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        _: Instant,
    ) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult(false)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

/// A value for each thread, as in `std`; loom runs all threads of a model on one of the system's.
macro_rules! modelled_thread_local {
    ($(#[$meta:meta])* static $name:ident: $type:ty = const { $init:expr };) => {
        loom::thread_local! { $(#[$meta])* static $name: $type = $init; }
    };
}
pub(crate) use modelled_thread_local as thread_local;

/// As much of `std::thread` as the executor uses.
pub(crate) mod thread {
    pub(crate) use loom::thread::{Builder, JoinHandle, ThreadId, spawn, yield_now};

    use super::{Condvar, Mutex};
    use std::sync::Arc;
    use std::time::Duration;

    /// A thread, and the token that `park` waits for.
    ///
    /// loom has a `park` of its own, in which a call is no step by itself: it happens together with the step before
    /// it, and hands over memory even if it comes before the sleep. Both would hide mistakes of the flag in
    /// front of it. With a token made of loom's parts, each is a step, and only a token that is used up hands
    /// over memory, as the standard library promises it.
    #[derive(Clone, Debug)]
    pub(crate) struct Thread {
        id: ThreadId,
        token: Arc<Token>,
    }

    struct Token {
        given: Mutex<bool>,
        news: Condvar,
    }

    loom::thread_local! {
        static CURRENT: Thread = Thread {
            id: loom::thread::current().id(),
            token: Arc::new(Token { given: Mutex::new(false), news: Condvar::new() }),
        };
    }

    pub(crate) fn current() -> Thread {
        CURRENT.with(Thread::clone)
    }

    pub(crate) fn park() {
        let token = current().token;
        let mut given = token.given.lock();
        while !*given {
            token.news.wait(&mut given);
        }
        *given = false;
    }

    /// The time is over at once. So whatever relies on it is found, and whatever should not is a step later
    /// than in any other order.
    pub(crate) fn park_timeout(_: Duration) {
        *current().token.given.lock() = false;
    }

    impl Thread {
        pub(crate) fn id(&self) -> ThreadId {
            self.id
        }

        pub(crate) fn unpark(&self) {
            *self.token.given.lock() = true;
            self.token.news.notify_one();
        }
    }

    impl std::fmt::Debug for Token {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Token")
        }
    }
}

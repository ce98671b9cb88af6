//! loom's primitives under the names and with the signatures of the real ones, as far as they are used.

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// A lock as in `parking_lot`: without poisoning.
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

/// `None` only while a condition is being waited for.
pub(crate) struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().expect("loom poisons no lock")))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().expect("loom poisons no lock")
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("nobody looks during a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("nobody looks during a wait")
    }
}

/// A condition as in `parking_lot`. Here no wait ever times out, and none ends without a call.
pub(crate) struct Condvar(loom::sync::Condvar);

pub(crate) struct WaitTimeoutResult;

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(inner) = guard.0.take() {
            guard.0 = Some(self.0.wait(inner).expect("loom poisons no lock"));
        }
    }

    pub(crate) fn wait_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        _: Duration,
    ) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult
    }

    pub(crate) fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        _: Instant,
    ) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult
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
        false
    }
}

/// As much of `std::thread` as the executor uses.
pub(crate) mod thread {
    pub(crate) use loom::thread::{Builder, JoinHandle, ThreadId, spawn};

    use super::{Condvar, Mutex};
    use std::sync::Arc;

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

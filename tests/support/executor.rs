//! What the tests of the executor have in common.
//!
//! No test sleeps in order to wait for something: it waits for the thing, for [`DEADLINE`] at the most.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take. Only a test that fails takes that long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// Counts rounds of a race: so many, or as many as a machine with better things to do gets through in a while.
pub(crate) fn rounds(most: usize) -> impl Iterator<Item = usize> {
    let start = Instant::now();
    (0..most).take_while(move |_| start.elapsed() < Duration::from_secs(2))
}

/// A counter that can be waited for.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<(Mutex<usize>, Condvar)>);

impl Count {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(&self) -> usize {
        let mut count = self.0.0.lock().unwrap();
        *count += 1;
        self.0.1.notify_all();
        *count
    }

    pub(crate) fn subtract(&self) {
        *self.0.0.lock().unwrap() -= 1;
    }

    pub(crate) fn get(&self) -> usize {
        *self.0.0.lock().unwrap()
    }

    /// Waits until the count is this or more.
    pub(crate) fn wait_for(&self, count: usize) {
        let guard = self.0.0.lock().unwrap();
        let (guard, timeout) = self
            .0
            .1
            .wait_timeout_while(guard, DEADLINE, |now| *now < count)
            .unwrap();
        let now = *guard;
        drop(guard);
        assert!(!timeout.timed_out(), "still at {now}, waiting for {count}");
    }

    /// A value that counts its drop.
    pub(crate) fn on_drop(&self) -> CountDrop {
        CountDrop(self.clone())
    }
}

/// Counts its drop.
pub(crate) struct CountDrop(Count);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// Runs code when dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Closed at first; threads wait in front of it, and can be waited for there.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    arrived: Count,
    open: Count,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Blocks until the gate is open.
    pub(crate) fn pass(&self) {
        self.arrived.add();
        self.open.wait_for(1);
    }

    /// Waits until somebody stands in front of the gate.
    pub(crate) fn wait_for_arrival(&self) {
        self.arrived.wait_for(1);
    }

    pub(crate) fn open(&self) {
        self.open.add();
    }
}

/// Runs code on a thread of its own, and fails where it hangs.
pub(crate) fn in_time<R: Send + 'static>(code: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = channel();
    let thread = thread::spawn(move || {
        let _ = sender.send(code());
    });
    match receiver.recv_timeout(DEADLINE) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(payload) => std::panic::resume_unwind(payload),
            Ok(()) => unreachable!("it ended without a result"),
        },
    }
}

/// Waits until something is true that nobody can announce.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "never came: {what}");
        thread::yield_now();
    }
}

/// What a [`probe`] has been through.
#[derive(Clone, Default)]
pub(crate) struct Probe {
    pub(crate) polls: Count,
    pub(crate) drops: Count,
    waker: Arc<Mutex<Option<Waker>>>,
    ready: Arc<AtomicBool>,
}

/// A future that counts, leaves its waker, and is pending until told otherwise.
pub(crate) fn probe() -> (Probe, ProbeFuture) {
    let probe = Probe::default();
    (probe.clone(), ProbeFuture(probe))
}

impl Probe {
    /// The waker of the last poll; waits for the first.
    pub(crate) fn waker(&self) -> Waker {
        self.polls.wait_for(1);
        self.waker.lock().unwrap().clone().unwrap()
    }

    /// Lets the next poll be the last, and asks for it.
    pub(crate) fn finish(&self) {
        let waker = self.waker();
        self.ready.store(true, Ordering::SeqCst);
        waker.wake();
    }

    /// Drops the waker that the probe keeps.
    pub(crate) fn forget_waker(&self) {
        *self.waker.lock().unwrap() = None;
    }
}

pub(crate) struct ProbeFuture(Probe);

impl Future for ProbeFuture {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Asked before the poll is counted: who waits for the count decides about the next poll, not this one.
        let ready = self.0.ready.load(Ordering::SeqCst);
        *self.0.waker.lock().unwrap() = Some(cx.waker().clone());
        self.0.polls.add();
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for ProbeFuture {
    fn drop(&mut self) {
        self.0.drops.add();
    }
}

/// A waker that counts its wakes, and the drop of its last clone.
#[derive(Default)]
pub(crate) struct CountingWake {
    pub(crate) wakes: Count,
    pub(crate) drops: Count,
}

impl Wake for CountingWake {
    fn wake(self: Arc<Self>) {
        self.wakes.add();
    }
}

impl Drop for CountingWake {
    fn drop(&mut self) {
        self.drops.add();
    }
}

pub(crate) fn counting_waker() -> (Waker, Count, Count) {
    let wake = CountingWake::default();
    let (wakes, drops) = (wake.wakes.clone(), wake.drops.clone());
    (Waker::from(Arc::new(wake)), wakes, drops)
}

/// A waker that runs code when woken, and other code when its last clone is dropped.
pub(crate) struct CodeWake<W: Fn() + Send + Sync, D: Fn() + Send + Sync> {
    pub(crate) on_wake: W,
    pub(crate) on_drop: D,
}

impl<W: Fn() + Send + Sync, D: Fn() + Send + Sync> Wake for CodeWake<W, D> {
    fn wake(self: Arc<Self>) {
        (self.on_wake)();
    }
}

impl<W: Fn() + Send + Sync, D: Fn() + Send + Sync> Drop for CodeWake<W, D> {
    fn drop(&mut self) {
        (self.on_drop)();
    }
}

pub(crate) fn code_waker(
    on_wake: impl Fn() + Send + Sync + 'static,
    on_drop: impl Fn() + Send + Sync + 'static,
) -> Waker {
    Waker::from(Arc::new(CodeWake { on_wake, on_drop }))
}

/// Polls once with this waker.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

thread_local! {
    static AT_EXIT: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
    static EXIT: ExitGuard = const { ExitGuard };
}

struct ExitGuard;

impl Drop for ExitGuard {
    fn drop(&mut self) {
        for code in AT_EXIT.take() {
            code();
        }
    }
}

/// Runs code in the destructor of a thread-local of the current thread.
pub(crate) fn at_thread_exit(code: impl FnOnce() + 'static) {
    // The order of registration is the reverse order of destruction: the list outlives the guard.
    AT_EXIT.with(|list| list.borrow_mut().push(Box::new(code)));
    EXIT.with(|_| {});
}

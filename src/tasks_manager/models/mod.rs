//! The executor under loom: each model is run in every order that its steps can come in.
//!
//! A model is a small world with two to five threads and one hazard. loom runs it again and again, each time in
//! another order, and with each value that a relaxed load may give. A thread that waits for a call that never comes is
//! a deadlock, and loom reports it: so a lost wake-up needs no assertion. Memory that has to be handed over is
//! written and read by relaxed operations, which hand over nothing themselves.
//!
//! Small models are explored to the end. Larger ones are bounded in how often a thread is interrupted where
//! it could have gone on; `LOOM_MAX_PREEMPTIONS` overrides these bounds. The crate in `tests/models` compiles this, and
//! `.ci/models` runs it.

mod outcome;
mod parker;
mod run_queue;
mod sleepers;
mod state;
mod task;

use super::sync::{AtomicBool, AtomicU8, Condvar, Mutex, Ordering};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// How far a model is explored, unless the environment says otherwise.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    /// Every order.
    None,
    /// Every order in which threads are interrupted so many times.
    Preemptions(usize),
}

/// Explores a model, and says how many orders there were.
pub(crate) fn explore(bound: Bound, model: impl Fn() + Send + Sync + 'static) {
    count_panics();
    let runs = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    if let (Bound::Preemptions(most), None) = (bound, builder.preemption_bound) {
        builder.preemption_bound = Some(most);
    }
    let start = Instant::now();
    let counted = Arc::clone(&runs);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    // A failed assertion inside a poll is caught by the executor, as any panic is. Not by this.
    assert_eq!(PANICS.get(), 0, "a panic was contained");
    let runs = runs.load(Ordering::Relaxed);
    assert!(runs > 1, "nothing happens at the same time in this model");
    let bound = builder.preemption_bound;
    let bound = bound.map_or("none".to_owned(), |most| format!("{most} preemptions"));
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    println!(
        "{name}: {runs} orders, bound: {bound}, {:.1} s",
        start.elapsed().as_secs_f64()
    );
}

std::thread_local! {
    /// loom runs all threads of a model on the thread of the test.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            print(info);
        }));
    });
}

/// Its drop is a step of the model, and hands over nothing: whoever relies on it has to come after it.
pub(crate) struct Dropped(Drops);

/// How many times a [`Dropped`] was dropped.
#[derive(Clone)]
pub(crate) struct Drops(Arc<AtomicU8>);

impl Dropped {
    pub(crate) fn new() -> (Self, Drops) {
        let drops = Drops(Arc::new(AtomicU8::new(0)));
        (Self(drops.clone()), drops)
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drops {
    pub(crate) fn count(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where two meet: neither goes on before both have come.
pub(crate) struct Meeting {
    missing: Mutex<u8>,
    news: Condvar,
}

impl Meeting {
    pub(crate) fn new() -> Self {
        Self {
            missing: Mutex::new(2),
            news: Condvar::new(),
        }
    }

    pub(crate) fn meet(&self) {
        *self.missing.lock() -= 1;
        self.news.notify_all();
        self.wait();
    }

    /// Until both have come, as a third.
    pub(crate) fn wait(&self) {
        let mut missing = self.missing.lock();
        while *missing > 0 {
            self.news.wait(&mut missing);
        }
    }
}

/// A condition that a future waits for, and that a thread brings about.
struct Gate {
    open: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            open: AtomicBool::new(false),
            waker: Mutex::new(None),
        })
    }

    /// Opens it, and wakes who waits.
    fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Wakes for nothing.
    fn wake(&self) {
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Waits for a gate, and holds something that tells when the future is dropped.
struct Passage {
    gate: Arc<Gate>,
    _held: Dropped,
}

impl Future for Passage {
    type Output = u8;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u8> {
        let stale = self.gate.waker.lock().replace(cx.waker().clone());
        drop(stale);
        if self.gate.open.load(Ordering::Relaxed) {
            Poll::Ready(7)
        } else {
            Poll::Pending
        }
    }
}

//! The task's state machine alone. Whoever has to put the task in the queue runs it on the spot, as if a
//! worker were free at once: that is the tightest race there is.

use super::{Bound, explore};
use crate::tasks_manager::sync::{AtomicBool, AtomicU8, Ordering, thread};
use crate::tasks_manager::task::{Begin, Pause, State};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// A task without its future, its queue and its handle.
struct Bare {
    state: State,
    /// Stands for the future: each touch adds one, in two steps. Two owners at once, or one that does not see what
    /// the one before did, lose a touch.
    future: AtomicU8,
    touches: AtomicUsize,
    drops: AtomicUsize,
    /// Written by wakers before their wakes.
    news: [AtomicBool; 2],
    /// What the last poll saw of that.
    seen: [AtomicBool; 2],
    /// The polls end the task.
    ready: bool,
}

impl Bare {
    fn new(ready: bool) -> Arc<Self> {
        Arc::new(Self {
            state: State::scheduled(),
            future: AtomicU8::new(0),
            touches: AtomicUsize::new(0),
            drops: AtomicUsize::new(0),
            news: [AtomicBool::new(false), AtomicBool::new(false)],
            seen: [AtomicBool::new(false), AtomicBool::new(false)],
            ready,
        })
    }

    /// What a worker does with a task.
    fn run(&self) {
        loop {
            match self.state.begin() {
                Begin::Poll => {}
                Begin::End => return self.end(),
                Begin::Leave => return,
            }
            self.poll();
            if self.ready {
                return self.end();
            }
            match self.state.pause() {
                Pause::Forget => return,
                Pause::Requeue => {}
                Pause::End => return self.end(),
            }
        }
    }

    fn touch(&self) {
        let before = self.future.load(Ordering::Relaxed);
        self.future.store(before + 1, Ordering::Relaxed);
        self.touches.fetch_add(1, Ordering::Relaxed);
    }

    fn poll(&self) {
        for (news, seen) in self.news.iter().zip(&self.seen) {
            seen.store(news.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.touch();
    }

    fn end(&self) {
        self.touch();
        self.drops.fetch_add(1, Ordering::Relaxed);
        self.state.finish();
    }

    fn wake_with_news(&self, number: usize) {
        self.news[number].store(true, Ordering::Relaxed);
        if self.state.wake() {
            self.run();
        }
    }

    fn cancel(&self) {
        if self.state.cancel() {
            self.run();
        }
    }

    fn seize(&self) {
        if self.state.seize() {
            self.end();
        }
    }

    /// After all threads have been joined: one owner at a time, and each saw what the one before did.
    fn assert_no_touch_was_lost(&self) {
        let future = self.future.load(Ordering::Relaxed);
        assert_eq!(usize::from(future), count(&self.touches));
    }
}

/// The counters are no part of the model: to count is no step.
fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::Relaxed)
}

/// Runs the first poll here and the other two on threads of their own, and waits for all.
fn against(task: &Arc<Bare>, first: fn(&Bare), second: fn(&Bare)) {
    let threads = [first, second].map(|act| {
        let task = Arc::clone(task);
        thread::spawn(move || act(&task))
    });
    task.run();
    for thread in threads {
        thread.join().unwrap();
    }
    task.assert_no_touch_was_lost();
}

/// Without a bound it takes half a minute, and passes.
#[test]
fn two_wakes_and_a_poll() {
    explore(Bound::Preemptions(6), || {
        let task = Bare::new(false);
        against(&task, |t| t.wake_with_news(0), |t| t.wake_with_news(1));
        // The last poll began after both wakes, or after the bit that both had set was taken away.
        for seen in &task.seen {
            assert!(seen.load(Ordering::Relaxed), "a wake was lost");
        }
        assert!(count(&task.touches) <= 3, "a needless poll");
    });
}

#[test]
fn a_cancel_a_wake_and_a_poll() {
    explore(Bound::None, || {
        let task = Bare::new(false);
        against(&task, Bare::cancel, |t| t.wake_with_news(0));
        assert_eq!(count(&task.drops), 1);
    });
}

#[test]
fn a_cancel_a_seizure_and_a_poll() {
    explore(Bound::None, || {
        let task = Bare::new(false);
        against(&task, Bare::cancel, Bare::seize);
        assert_eq!(count(&task.drops), 1);
    });
}

#[test]
fn two_seizures_and_a_poll() {
    explore(Bound::None, || {
        let task = Bare::new(false);
        against(&task, Bare::seize, Bare::seize);
        assert_eq!(count(&task.drops), 1);
    });
}

#[test]
fn a_cancel_a_seizure_and_the_last_poll() {
    explore(Bound::None, || {
        let task = Bare::new(true);
        against(&task, Bare::cancel, Bare::seize);
        assert_eq!(count(&task.drops), 1);
    });
}

#[test]
fn a_wake_a_seizure_and_the_last_poll() {
    explore(Bound::None, || {
        let task = Bare::new(true);
        against(&task, |t| t.wake_with_news(0), Bare::seize);
        assert_eq!(count(&task.drops), 1);
        // The end is the end.
        assert!(!task.state.wake() && !task.state.cancel() && !task.state.seize());
    });
}

//! Waiting for a moment, without holding a thread.
//!
//! One thread serves the whole process: it sleeps until the first deadline of all, wakes who is due, and sleeps
//! again. It is started by the first sleep that has to wait, and never ends: it is the one thread that
//! nobody joins, because no value owns it.

use super::TasksManager;
use super::contain::drop_contained;
// Not from `sync`: this lock lives in a static, outside of anything that a model could explore.
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// How many wakers are taken out under one hold of the lock, so that a million deadlines at the same moment do
/// not keep everybody else out.
const DUE_AT_ONCE: usize = 256;

/// A future that is ready `duration` after this call, whether or not it was polled before.
///
/// Late by the time that the thread takes to wake and the task to be polled, never early. A duration
/// that the clock cannot hold ([`Duration::MAX`]) never ends. Needs no [`TasksManager`]: it wakes whatever waker
/// it is polled with. Dropping it removes it from the timer.
///
/// Where the system refuses the timer thread, a sleep wakes its task at once, again and again, and so tries
/// again with each poll: it is on time, at the price of a busy thread.
///
/// # Examples
///
/// ```
/// use data_manager::tasks_manager::{block_on, sleep};
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// block_on(sleep(Duration::from_millis(5)));
/// assert!(start.elapsed() >= Duration::from_millis(5));
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        deadline: Instant::now().checked_add(duration),
        entry: None,
    }
}

/// A wait for a moment; made by [`sleep`].
#[derive(Debug)]
#[must_use = "a sleep waits only where it is awaited"]
pub struct Sleep {
    /// `None`: beyond the clock, never.
    deadline: Option<Instant>,
    /// Where the timer keeps this sleep's waker, since the first poll that had to wait.
    entry: Option<Key>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        // The clock alone decides. A waker that fired is not asked about, so none can be missed: if the timer
        // has taken this entry out, the deadline is past.
        if Instant::now() >= deadline {
            self.forget();
            return Poll::Ready(());
        }
        let entry = TIMER.register(deadline, self.entry, cx.waker());
        self.entry = Some(entry);
        Poll::Pending
    }
}

impl Sleep {
    fn forget(&mut self) {
        if let Some(entry) = self.entry.take() {
            TIMER.remove(entry);
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}

/// The deadline, then a number that no other sleep of the process has.
type Key = (Instant, u64);

static TIMER: Timer = Timer {
    state: Mutex::new(TimerState {
        waiting: BTreeMap::new(),
        numbers_given: 0,
        has_thread: false,
    }),
    earlier: Condvar::new(),
};

struct Timer {
    /// Under this lock wakers move in and out. They are cloned, woken and dropped outside.
    state: Mutex<TimerState>,
    /// A deadline came in that is before all others; only the timer thread waits here.
    earlier: Condvar,
}

struct TimerState {
    /// Wakers by deadline, the first one first. As many as there are sleeps that wait.
    waiting: BTreeMap<Key, Waker>,
    numbers_given: u64,
    /// The thread runs, or is being started.
    has_thread: bool,
}

impl Timer {
    /// Leaves a waker for the deadline, in place of the one that was left before.
    fn register(&self, deadline: Instant, entry: Option<Key>, waker: &Waker) -> Key {
        if let Some(key) = entry {
            let state = self.state.lock();
            if state.waiting.get(&key).is_some_and(|w| w.will_wake(waker)) {
                return key;
            }
        }
        let fresh = waker.clone();
        let mut state = self.state.lock();
        let key = entry.unwrap_or_else(|| {
            state.numbers_given += 1;
            (deadline, state.numbers_given)
        });
        let stale = state.waiting.insert(key, fresh);
        // The thread sleeps until what was the first deadline; only a new first one concerns it.
        let is_first = state.waiting.keys().next() == Some(&key);
        let start = !std::mem::replace(&mut state.has_thread, true);
        drop(state);
        if start {
            self.start();
        } else if is_first && stale.is_none() {
            self.earlier.notify_one();
        }
        drop_contained(stale);
        key
    }

    fn remove(&self, key: Key) {
        let waker = self.state.lock().waiting.remove(&key);
        drop_contained(waker);
    }

    fn start(&self) {
        let started: io::Result<_> = Builder::new()
            .name("tasks-manager-timer".to_owned())
            .spawn(|| TIMER.run());
        if started.is_err() {
            // Nobody would ever wake those who wait: they are all sent to try again.
            let waiting = {
                let mut state = self.state.lock();
                state.has_thread = false;
                std::mem::take(&mut state.waiting)
            };
            wake_all(waiting.into_values());
        }
    }

    /// The timer thread.
    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            let due = state.take_due(Instant::now());
            if !due.is_empty() {
                MutexGuard::unlocked(&mut state, || wake_all(due.into_iter()));
                continue;
            }
            let first = state.waiting.keys().next().map(|&(deadline, _)| deadline);
            match first {
                Some(deadline) => {
                    self.earlier.wait_until(&mut state, deadline);
                }
                None => self.earlier.wait(&mut state),
            }
        }
    }
}

impl TimerState {
    /// Takes out who is due at this moment, up to a bound.
    fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while due.len() < DUE_AT_ONCE
            && let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        due
    }
}

fn wake_all(wakers: impl Iterator<Item = Waker>) {
    for waker in wakers {
        TasksManager::wake(&waker);
        drop_contained(waker);
    }
}

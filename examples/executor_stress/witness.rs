//! What is known of one future: everything that it went through is written down here and checked on the way.

use crate::handle::Handle;
use crate::level::Level;
use crate::promise::{Ledger, Output};
use crate::report::{hold, panic_on_purpose};
use crate::stage::Stage;
use crate::thread_exit::count_thread;
use crate::watched::Watched;
use data_manager::tasks_manager::TasksManager;
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

/// Stands for every number of news to come: the future is gone.
pub(crate) const GONE: u64 = u64::MAX;

/// The record of one future.
pub(crate) struct Witness {
    pub(crate) id: u64,
    /// Whose part it plays, for reports.
    pub(crate) kind: &'static str,
    /// Where it is polled.
    pub(crate) stage: Arc<Stage>,
    ledger: Arc<Ledger>,
    /// It is not expected to end by itself.
    stays: bool,
    /// The number of the latest wake; the spawn is the first. Written before the wake, and relaxed: the wake itself has
    /// to bring it to the poll.
    news: AtomicU64,
    /// The news that the latest poll has found. [`GONE`] once the future is dropped.
    pub(crate) seen: Level,
    /// The task's waker, since the first poll.
    waker: Mutex<Option<Waker>>,
    polls: AtomicU64,
    /// The number of the last poll that may begin: a cancellation has returned.
    last_poll: AtomicU64,
    in_poll: AtomicBool,
    ready: AtomicBool,
    panicked: AtomicBool,
    spawned: AtomicBool,
    drops: AtomicU64,
    cancels: AtomicU64,
}

impl Witness {
    pub(crate) fn new(
        (id, kind): (u64, &'static str),
        stage: &Arc<Stage>,
        ledger: &Arc<Ledger>,
        stays: bool,
    ) -> Self {
        Self {
            id,
            kind,
            stage: Arc::clone(stage),
            ledger: Arc::clone(ledger),
            stays,
            news: AtomicU64::new(1),
            seen: Level::default(),
            waker: Mutex::default(),
            polls: AtomicU64::new(0),
            last_poll: AtomicU64::new(u64::MAX),
            in_poll: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            spawned: AtomicBool::new(false),
            drops: AtomicU64::new(0),
            cancels: AtomicU64::new(0),
        }
    }

    /// Gives the future to the manager. `None` where that is gone; then the future is dropped here.
    pub(crate) fn spawn<F>(self: &Arc<Self>, future: F) -> Option<Handle>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let manager = self.stage.manager();
        let watched = Watched::new(future, self);
        let manager = manager?;
        self.spawned.store(true, Ordering::Relaxed);
        self.stage.enter(self.stays);
        Some(Handle::new(manager.spawn(watched), Arc::clone(self)))
    }

    /// Wakes the task, and says the number of this wake. `None` before the first poll: there is nobody to wake, and that
    /// poll will see what was written before this call.
    pub(crate) fn wake(&self) -> Option<u64> {
        let waker = self.waker.lock().clone()?;
        let number = self.has_news();
        match number % 3 {
            0 => waker.wake(),
            1 => waker.wake_by_ref(),
            _ => TasksManager::wake(&waker),
        }
        Some(number)
    }

    /// Wakes the task, and blocks until a poll that began after this wake has ended, or the future is gone.
    pub(crate) fn wake_and_wait(&self) {
        self.seen.wait_for(1);
        if let Some(number) = self.wake() {
            self.seen.wait_for(number);
        }
    }

    /// The number of a wake that is about to be made.
    pub(crate) fn has_news(&self) -> u64 {
        self.news.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Blocks until every wake so far was followed by a poll.
    pub(crate) fn wait_until_up_to_date(&self) {
        self.seen.wait_for(self.news.load(Ordering::Relaxed));
    }

    /// Blocks until the future is dropped.
    pub(crate) fn wait_until_gone(&self) {
        self.seen.wait_for(GONE);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.seen.get() == GONE
    }

    /// Panics in the name of this future.
    pub(crate) fn panic(&self) -> ! {
        self.panicked.store(true, Ordering::Relaxed);
        panic_on_purpose()
    }

    /// To be called before a cancellation.
    pub(crate) fn is_being_cancelled(&self) {
        self.cancels.fetch_add(1, Ordering::Relaxed);
    }

    /// To be called when it has returned: no poll begins from now on, but one may have begun before and not be counted.
    pub(crate) fn was_cancelled(&self) {
        let polls = self.polls.load(Ordering::Relaxed);
        self.last_poll.fetch_min(polls + 1, Ordering::Relaxed);
    }

    /// Wakes made by the library are counted as well, by a waker around the task's own. Some futures are left alone, so
    /// that the library also meets its own wakers.
    pub(crate) fn is_counted(&self) -> bool {
        !self.id.is_multiple_of(4)
    }

    fn hold(&self, holds: bool, promise: &str) {
        hold(holds, || format!("{promise}: {self:?}"));
    }

    /// Checks that a poll may begin. It ends with the drop of the value.
    pub(crate) fn poll_begins(self: &Arc<Self>, waker: &Waker) -> InPoll<'_> {
        count_thread(&self.stage.workers);
        self.hold(
            !self.in_poll.swap(true, Ordering::AcqRel),
            "two polls at a time",
        );
        self.hold(!self.is_over(), "a poll after the last one");
        let poll = self.polls.fetch_add(1, Ordering::Relaxed) + 1;
        let news = self.news.load(Ordering::Relaxed);
        if self.is_counted() {
            self.hold(poll <= news, "more polls than wakes");
        }
        let last_poll = self.last_poll.load(Ordering::Relaxed);
        self.hold(poll <= last_poll, "a poll after a cancellation");
        let mut own = self.waker.lock();
        if own.as_ref().is_none_or(|own| !own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
        InPoll {
            witness: self,
            news,
        }
    }

    fn is_over(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
            || self.panicked.load(Ordering::Relaxed)
            || self.drops.load(Ordering::Relaxed) > 0
    }

    /// The future is dropped, with everything in it.
    pub(crate) fn is_dropped(&self) {
        self.hold(
            !self.in_poll.load(Ordering::Acquire),
            "dropped during a poll",
        );
        self.hold(
            self.drops.fetch_add(1, Ordering::Relaxed) == 0,
            "dropped twice",
        );
        self.seen.raise(GONE);
        if self.spawned.load(Ordering::Relaxed) {
            self.stage.leave(self.stays);
        }
    }

    /// The poll was the last one: the output.
    pub(crate) fn is_ready(&self) -> Output {
        self.ready.store(true, Ordering::Relaxed);
        Output::new(self.id, &self.ledger)
    }

    /// Checks what a handle says. The future's whole life is over by then.
    pub(crate) fn settle(&self, result: Result<(), HowItEnded>) {
        let was_dropped = self.drops.load(Ordering::Relaxed) == 1;
        self.hold(was_dropped, "a handle resolved before the future's drop");
        let panicked = self.panicked.load(Ordering::Relaxed);
        let ready = self.ready.load(Ordering::Relaxed);
        let asked = self.cancels.load(Ordering::Relaxed) > 0 || self.stage.is_closing();
        let is_right = match result {
            Ok(()) => ready && !panicked,
            Err(HowItEnded::Panicked) => panicked,
            Err(HowItEnded::Cancelled) => !ready && !panicked && asked,
            Err(HowItEnded::Wrong) => false,
        };
        hold(is_right, || {
            format!("a handle said {result:?} for {self:?}")
        });
    }

    /// What has to be so when the world is over.
    pub(crate) fn check_at_the_end(&self) {
        let expected = u64::from(self.spawned.load(Ordering::Relaxed));
        let drops = self.drops.load(Ordering::Relaxed);
        self.hold(drops >= expected, "never dropped");
    }

    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    pub(crate) fn wakes(&self) -> u64 {
        self.news.load(Ordering::Relaxed) - 1
    }

    pub(crate) fn cancels(&self) -> u64 {
        self.cancels.load(Ordering::Relaxed)
    }

    pub(crate) fn lives(&self) -> bool {
        self.spawned.load(Ordering::Relaxed) && !self.is_gone()
    }
}

/// What a handle says of a task without an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HowItEnded {
    Cancelled,
    Panicked,
    /// With a panic or an output of somebody else.
    Wrong,
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (", self.kind, self.id)?;
        let (polls, news) = (self.polls(), self.wakes() + 1);
        match self.seen.get() {
            GONE => write!(f, "gone, polled {polls}, wakes {}", news - 1)?,
            seen => write!(
                f,
                "polled {polls}, wakes {}, seen {seen} of {news}",
                news - 1
            )?,
        }
        for (what, flag) in [
            ("in a poll", &self.in_poll),
            ("ready", &self.ready),
            ("panicked", &self.panicked),
        ] {
            if flag.load(Ordering::Relaxed) {
                write!(f, ", {what}")?;
            }
        }
        write!(f, ", cancelled {})", self.cancels())
    }
}

/// A poll that is under way; it may end in a panic.
pub(crate) struct InPoll<'a> {
    witness: &'a Witness,
    news: u64,
}

impl Drop for InPoll<'_> {
    fn drop(&mut self) {
        self.witness.in_poll.store(false, Ordering::Release);
        // The last thing that is done: whoever waits for it wakes again while the executor ends the poll.
        self.witness.seen.raise(self.news);
    }
}

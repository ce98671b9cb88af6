//! Workers without a task: who searches, who sleeps, who watches, and who is called.
//!
//! A worker without a task is one of these:
//!
//! | from | event | to | what it does |
//! | --- | --- | --- | --- |
//! | at work | finds its own queue empty | searching | looks into all queues |
//! | searching | finds a task | at work | calls a sleeper if there is more ([`leave`](Sleepers::leave)) |
//! | searching | finds none | asleep | [lies down](Sleepers::lie_down), *then* looks once more, then sleeps |
//! | searching | finds none, others are at work, and nobody watches | asleep, watching | the same, but sleeps for a [moment](WATCH) only |
//! | asleep, watching or not | was called, or finds a task at that last look | searching | looks again |
//! | asleep, watching | its time is up | searching | takes what was left lying |
//!
//! A push calls a sleeper only if nobody searches: a searcher comes by anyway, and a call costs as much as fifty
//! polls.
//!
//! # Why no task is left lying
//!
//! The two sides meet at the lock of the queue. The one that pushes does so under it, and reads `counts`
//! afterwards. The worker changes `counts` first, and then looks at every queue under its lock. Whichever of the two
//! has the lock first: if it is the push, the look finds the task; if it is the look, then the push reads
//! what the worker had written before, and calls it. That look leaves nothing but a single task in another worker's own
//! queue, and never without a watch.
//!
//! # The watch
//!
//! A worker that pushes one task into its empty queue is most likely to take it itself, as soon as the present
//! poll ends. To call another for it would cost more than the task. But the poll may go on for long, or even wait for that very
//! task. So one of the sleepers *watches* while others are at work: it sleeps for a
//! [moment](WATCH) only, and then takes what has been lying there since before. Who pushes a single task relies on
//! the watch. Where nobody watches, it calls a sleeper, who will. A watcher on whom nobody has
//! relied for a whole round goes to sleep for good, so the watch ends when the work does.

use super::padded::Padded;
use super::parker::Parker;
use super::sync::{AtomicUsize, Mutex, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// How long a watcher sleeps. A task that its worker does not come back to is taken after two such moments at the
/// most: one that sees it and passes it by, one that finds it still there. Thousands of polls long, so that watching costs nothing.
pub(crate) const WATCH: Duration = Duration::from_millis(1);

/// One of the sleepers watches.
const WATCHED: usize = 1;
/// Somebody relied on the watch in its present round.
const RELIED: usize = 2;
/// Counts searchers in the bits from here to [`SLEEPER`].
const SEARCHER: usize = 1 << 2;
/// Counts sleepers, in the rest.
const SLEEPER: usize = 1 << (usize::BITS / 2 + 1);

/// A look at [`Sleepers::counts`].
#[derive(Clone, Copy)]
struct Counts(usize);

impl Counts {
    fn anyone_searches(self) -> bool {
        self.0 & (SLEEPER - SEARCHER) != 0
    }

    fn asleep(self) -> usize {
        self.0 / SLEEPER
    }

    fn has(self, bit: usize) -> bool {
        self.0 & bit != 0
    }
}

/// The workers of one manager that have no task.
#[derive(Debug)]
pub(crate) struct Sleepers {
    /// Both numbers and both bits in one word, so that a push needs one look.
    counts: Padded<AtomicUsize>,
    /// Asleep or about to be; the last to lie down is called first, its caches are the warmest. Under this lock
    /// parkers move in and out, together with their share of `counts`; nobody is called under it.
    asleep: Mutex<Vec<Arc<Parker>>>,
    /// How many workers there are in all.
    workers: usize,
}

impl Sleepers {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            counts: Padded(AtomicUsize::new(0)),
            asleep: Mutex::new(Vec::new()),
            workers,
        }
    }

    fn counts(&self) -> Counts {
        // Relaxed is enough: the lock of the queue is what orders this look (see the header).
        Counts(self.counts.load(Ordering::Relaxed))
    }

    /// Says that there is a task for anybody.
    pub(crate) fn task_for_anyone(&self) {
        let counts = self.counts();
        if counts.asleep() > 0 && !counts.anyone_searches() {
            self.call();
        }
    }

    /// Says that there is one task, in the queue of a worker that is likely to take it.
    pub(crate) fn task_for_its_worker(&self) {
        let counts = self.counts();
        if counts.asleep() == 0 || counts.anyone_searches() {
            // A searcher's last look comes after this push: it takes the task, or sees to it that somebody watches.
            return;
        }
        if !counts.has(WATCHED) {
            self.call();
        } else if !counts.has(RELIED) {
            // Only asks for one more round. Where the watcher is just getting up, this bit comes too late and means
            // nothing, but then its look comes after the push.
            self.counts.fetch_or(RELIED, Ordering::Relaxed);
        }
    }

    /// Calls one sleeper, and counts it as a searcher from this moment.
    fn call(&self) {
        let mut asleep = self.asleep.lock();
        // Others who came to call at the same time have seen the same count: one call is enough for all.
        if self.counts().anyone_searches() {
            return;
        }
        let Some(worker) = asleep.pop() else {
            return;
        };
        self.turn(SLEEPER, SEARCHER);
        drop(asleep);
        worker.unpark();
    }

    /// The calling worker begins to search.
    pub(crate) fn search(&self) {
        self.counts.fetch_add(SEARCHER, Ordering::AcqRel);
    }

    /// The calling worker has found a task. True where nobody searches any more and somebody sleeps: whatever
    /// was pushed meanwhile has called nobody, so the caller looks if there is more, and has somebody called.
    pub(crate) fn leave(&self) -> bool {
        let before = self.counts.fetch_sub(SEARCHER, Ordering::AcqRel);
        let after = Counts(before - SEARCHER);
        after.asleep() > 0 && !after.anyone_searches()
    }

    /// The calling searcher can be called from here on. To be followed by a last look, and then by
    /// [`rise`](Self::rise), whether it sleeps or not. True where it is the one to watch, if it wants to.
    pub(crate) fn lie_down(&self, parker: &Arc<Parker>, wants_to_watch: bool) -> bool {
        let mut asleep = self.asleep.lock();
        asleep.push(Arc::clone(parker));
        let counts = self.counts();
        // Where all others sleep, nobody pushes a task that only its worker is called for.
        let others_work = counts.asleep() + 1 < self.workers;
        let watches = wants_to_watch && others_work && !counts.has(WATCHED);
        if watches {
            self.counts.fetch_or(WATCHED, Ordering::AcqRel);
        }
        self.turn(SEARCHER, SLEEPER);
        watches
    }

    /// The calling worker is up, because it was called or by itself, and a searcher again. True where it was relied
    /// upon as a watcher.
    pub(crate) fn rise(&self, parker: &Arc<Parker>, watched: bool) -> bool {
        {
            let mut asleep = self.asleep.lock();
            // Who was called is not in the list any more, and was counted by the caller.
            if let Some(place) = asleep.iter().position(|p| Arc::ptr_eq(p, parker)) {
                asleep.remove(place);
                self.turn(SLEEPER, SEARCHER);
            }
        }
        if !watched {
            return false;
        }
        // A searcher first, no watcher second: a push in between finds at least one of the two.
        let before = self.counts.fetch_and(!(WATCHED | RELIED), Ordering::AcqRel);
        Counts(before).has(RELIED)
    }

    /// True while one of the sleepers watches.
    pub(crate) fn are_watched(&self) -> bool {
        self.counts().has(WATCHED)
    }

    /// Counts one less of these, and one more of those.
    fn turn(&self, from: usize, to: usize) {
        self.counts
            .fetch_add(to.wrapping_sub(from), Ordering::AcqRel);
    }

    /// Calls everybody, for the last time.
    pub(crate) fn call_all(&self) {
        let asleep = {
            let mut asleep = self.asleep.lock();
            for _ in asleep.iter() {
                self.turn(SLEEPER, SEARCHER);
            }
            std::mem::take(&mut *asleep)
        };
        for worker in asleep {
            worker.unpark();
        }
    }
}

/// What the models cannot find, because no task is lost by it: needless calls.
#[cfg(test)]
mod tests {
    use super::{Arc, Parker, Sleepers};

    /// A worker that lies down, and whether it watches. All of them are this thread, and none sleeps.
    fn lie_down(sleepers: &Sleepers) -> (Arc<Parker>, bool) {
        let parker = Arc::new(Parker::new());
        sleepers.search();
        let watches = sleepers.lie_down(&parker, true);
        (parker, watches)
    }

    fn asleep(sleepers: &Sleepers) -> usize {
        sleepers.counts().asleep()
    }

    #[test]
    fn who_searches_is_enough() {
        let sleepers = Sleepers::new(3);
        let _both = [lie_down(&sleepers), lie_down(&sleepers)];
        sleepers.task_for_anyone();
        assert_eq!(asleep(&sleepers), 1);
        sleepers.task_for_anyone();
        sleepers.task_for_its_worker();
        sleepers.call();
        assert_eq!(asleep(&sleepers), 1);
        assert!(sleepers.leave(), "one sleeps, and nobody searches");
        sleepers.task_for_anyone();
        assert_eq!(asleep(&sleepers), 0);
    }

    #[test]
    fn a_single_task_relies_on_the_watch() {
        let sleepers = Sleepers::new(3);
        let ((watcher, watches), (_, second)) = (lie_down(&sleepers), lie_down(&sleepers));
        assert!(watches && !second, "one is enough");
        sleepers.task_for_its_worker();
        assert_eq!(asleep(&sleepers), 2);
        assert!(sleepers.rise(&watcher, true));
        // The next round, in which nothing comes.
        assert!(sleepers.lie_down(&watcher, true));
        assert!(!sleepers.rise(&watcher, true));
        // And no watch.
        sleepers.lie_down(&watcher, false);
        sleepers.task_for_its_worker();
        assert_eq!(asleep(&sleepers), 1);
    }

    #[test]
    fn nobody_watches_over_sleepers() {
        let sleepers = Sleepers::new(2);
        let ((watcher, watches), _) = (lie_down(&sleepers), lie_down(&sleepers));
        assert!(watches);
        sleepers.rise(&watcher, true);
        assert!(!sleepers.lie_down(&watcher, true));
    }
}

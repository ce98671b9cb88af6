//! What the queries share with the thread that calls: the manager, what has to be there, and whether
//! they work or rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use data_manager::data_manager::DataManagerImpl;
use parking_lot::{Condvar, Mutex};

use crate::histogram::Histogram;
use crate::plan::Plan;
use crate::pool::Content;
use crate::process::Footprint;
use crate::words;

/// What the queries do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Busy,
    /// They hold nothing and ask for nothing.
    Rest,
    End,
}

struct Moods {
    now: Mood,
    /// How often it changed: who comes late to a rest that is over rests in the next one.
    changes: u64,
    resting: usize,
}

pub(super) struct Scene {
    pub(super) manager: DataManagerImpl,
    pub(super) find_chunk: Histogram,
    pub(super) find_range: Histogram,
    pub(super) stats: Histogram,
    pub(super) checked_chunks: AtomicU64,
    pub(super) checked_late: AtomicU64,
    /// Odd while what is wanted changes, and until it is known for the first time.
    epoch: AtomicU64,
    plan: Mutex<Arc<Plan>>,
    mood: Mutex<Moods>,
    /// The mood changed, or one more rests.
    changed: Condvar,
}

impl Scene {
    pub(super) fn new(manager: DataManagerImpl, plan: Plan) -> Scene {
        Scene {
            manager,
            find_chunk: Histogram::default(),
            find_range: Histogram::default(),
            stats: Histogram::default(),
            checked_chunks: AtomicU64::default(),
            checked_late: AtomicU64::default(),
            epoch: AtomicU64::new(1),
            plan: Mutex::new(Arc::new(plan)),
            mood: Mutex::new(Moods {
                now: Mood::Busy,
                changes: 0,
                resting: 0,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn plan(&self) -> Arc<Plan> {
        self.plan.lock().clone()
    }

    /// Carries out calls after which `plan` is what is wanted.
    pub(super) fn change(&self, plan: Arc<Plan>, calls: impl FnOnce(&DataManagerImpl)) {
        self.epoch.fetch_or(1, Ordering::SeqCst);
        calls(&self.manager);
        *self.plan.lock() = plan;
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of the time in which nothing that is wanted changes; `None` while it does.
    pub(super) fn epoch(&self) -> Option<u64> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        epoch.is_multiple_of(2).then_some(epoch)
    }

    /// Whether this content is wanted, if that was so or not so for all the time since `epoch`.
    pub(super) fn is_wanted_since(&self, epoch: Option<u64>, content: Content) -> Option<bool> {
        let plan = self.plan();
        let same = epoch.is_some() && self.epoch() == epoch;
        same.then(|| plan.wanted(content.n) == Some(content))
    }

    pub(super) fn mood(&self) -> Mood {
        self.mood.lock().now
    }

    pub(super) fn set_mood(&self, new: Mood) {
        let mut mood = self.mood.lock();
        mood.now = new;
        mood.changes += 1;
        mood.resting = 0;
        self.changed.notify_all();
    }

    /// One of the queries rests, until the mood changes.
    pub(super) fn rest(&self) {
        let mut mood = self.mood.lock();
        if mood.now != Mood::Rest {
            return;
        }
        mood.resting += 1;
        self.changed.notify_all();
        let changes = mood.changes;
        let same = |mood: &mut Moods| mood.changes == changes;
        self.changed.wait_while(&mut mood, same);
    }

    /// Whether so many rest, in time.
    pub(super) fn wait_for_rest(&self, count: usize, deadline: Instant) -> bool {
        let mut mood = self.mood.lock();
        let waits = |mood: &mut Moods| mood.resting < count;
        let wait = self.changed.wait_while_until(&mut mood, waits, deadline);
        !wait.timed_out()
    }

    pub(super) fn queries(&self) -> words::Queries {
        words::Queries {
            find_chunk: self.find_chunk.counts(),
            find_range: self.find_range.counts(),
            stats: self.stats.counts(),
            checked_chunks: self.checked_chunks.load(Ordering::Relaxed),
            checked_late: self.checked_late.load(Ordering::Relaxed),
        }
    }
}

/// What the process has, once that is no more than what it had, or after a second. The system shows a
/// thread for a moment after it was joined.
pub(super) fn footprint_like(before: &Footprint) -> anyhow::Result<Footprint> {
    let began = Instant::now();
    loop {
        let now = Footprint::look()?;
        let timer = now.threads.iter().filter(|name| is_timer(name)).count();
        if now.threads.len() <= before.threads.len() + timer
            || began.elapsed() > Duration::from_secs(1)
        {
            return Ok(now);
        }
        std::thread::yield_now();
    }
}

/// The one thread that the library leaves behind. The system cuts names at 15 bytes.
pub(crate) fn is_timer(name: &str) -> bool {
    "tasks-manager-timer".starts_with(name) && name.len() == 15
}

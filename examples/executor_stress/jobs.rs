//! The blocking pool of a world, if it has one, and the records of its jobs.

use crate::level::{Count, Level};
use crate::promise::{Operation, Promise};
use crate::report::hold;
use crate::thread_exit::count_thread;
use data_manager::io_operation::BlockingPool;
use fastrand::Rng;
use parking_lot::{Mutex, RwLock};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Far more than any job takes.
const SHUTDOWN: Duration = Duration::from_secs(3600);

/// How long idle threads of the pool wait. The last one: a job for which nobody was called hangs.
const IDLE: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_secs(10),
    SHUTDOWN,
];

/// What a pool is like at its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolPlan {
    max_threads: usize,
    idle: Duration,
}

impl PoolPlan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self {
            max_threads: rng.usize(1..=3),
            idle: IDLE[rng.usize(..IDLE.len())],
        }
    }
}

/// A pool that is there until somebody ends it.
pub(crate) struct Jobs {
    /// Taken out by whoever ends it. Held for reading while a job is handed in, which runs nothing.
    pool: RwLock<Option<BlockingPool>>,
    accepted: Mutex<Vec<Arc<Promise>>>,
    /// Jobs that have not run.
    pending: Arc<Count>,
    /// Threads that ran a job and have not ended.
    threads: Arc<Count>,
    /// All of the world that ends by itself, jobs included.
    busy: Arc<Count>,
}

impl Jobs {
    pub(crate) fn new(plan: Option<PoolPlan>, busy: &Arc<Count>) -> Self {
        let pool = plan.map(|plan| {
            let pool = BlockingPool::new(plan.max_threads);
            pool.set_idle_timeout(plan.idle);
            pool
        });
        Self {
            pool: RwLock::new(pool),
            accepted: Mutex::default(),
            pending: Arc::default(),
            threads: Arc::default(),
            busy: Arc::clone(busy),
        }
    }

    pub(crate) fn run(
        &self,
        promise: &Arc<Promise>,
        urgent: bool,
        job: impl FnOnce(&Promise) + Send + 'static,
    ) -> Option<Operation> {
        let pool = self.pool.read();
        let pool = pool.as_ref()?;
        self.accepted.lock().push(Arc::clone(promise));
        let (until_it_ran, threads) = (Unrun::new(self), Arc::clone(&self.threads));
        let record = Arc::clone(promise);
        let job = move || {
            let _until_it_ran = until_it_ran;
            count_thread(&threads);
            record.runs();
            job(&record);
            record.output()
        };
        let operation = if urgent {
            pool.run_urgent(job)
        } else {
            pool.run(job)
        };
        Some(promise.keep(operation))
    }

    /// Sets another bound, or another time for idle threads.
    pub(crate) fn change(&self, rng: &mut Rng) {
        if let Some(pool) = self.pool.read().as_ref() {
            if rng.bool() {
                pool.set_max_threads(rng.usize(1..=3));
            } else {
                pool.set_idle_timeout(IDLE[rng.usize(..IDLE.len())]);
            }
        }
    }

    /// Ends the pool, in one of the ways there are. Then every job that it accepted has run.
    pub(crate) fn end(&self, rng: &mut Rng) {
        let Some(pool) = self.pool.write().take() else {
            return;
        };
        match rng.u8(..4) {
            0 => {
                let ended = pool.shut_down(SHUTDOWN);
                hold(ended, || "a shutdown gave up before its time".to_owned());
            }
            1 => {
                self.end_on_its_own_thread(pool);
                self.pending.wait_for_none();
                self.threads.wait_for_none();
            }
            _ => drop(pool),
        }
        let threads = self.threads.get();
        hold(threads == 0, || {
            format!("{threads} threads outlived their pool")
        });
        for promise in self.accepted.lock().iter() {
            promise.check_that_it_ran();
        }
    }

    /// Has one of its jobs drop it.
    fn end_on_its_own_thread(&self, pool: BlockingPool) {
        let parcel = Arc::new((Level::default(), Mutex::new(None)));
        let inside = Arc::clone(&parcel);
        let threads = Arc::clone(&self.threads);
        let dropper = pool.run(move || {
            count_thread(&threads);
            inside.0.wait_for(1);
            let pool: Option<BlockingPool> = inside.1.lock().take();
            drop(pool);
        });
        *parcel.1.lock() = Some(pool);
        parcel.0.raise(1);
        hold(dropper.wait().is_ok(), || {
            "the job that drops its pool did not end well".to_owned()
        });
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.lock().len() as u64
    }
}

/// Counts a job until it has run.
struct Unrun {
    pending: Arc<Count>,
    busy: Arc<Count>,
}

impl Unrun {
    fn new(jobs: &Jobs) -> Self {
        jobs.pending.add();
        jobs.busy.add();
        Self {
            pending: Arc::clone(&jobs.pending),
            busy: Arc::clone(&jobs.busy),
        }
    }
}

impl Drop for Unrun {
    fn drop(&mut self) {
        self.pending.subtract();
        self.busy.subtract();
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pool = self.pool.read();
        write!(
            f,
            "{pool:?}, {} jobs accepted, {} threads have run one and not ended",
            self.accepted(),
            self.threads.get()
        )
    }
}

//! Operations and the pool under loom; see `tasks_manager::models`.

use super::{BlockingPool, IoOperation};
use crate::tasks_manager::block_on;
use crate::tasks_manager::models::{Bound, Dropped, Meeting, explore};
use crate::tasks_manager::sync::{AtomicBool, Ordering, thread};
use std::sync::Arc;
use std::time::Duration;

/// What was written before the completion is seen by the one who waited for it.
#[test]
fn an_operation_is_completed_elsewhere() {
    explore(Bound::None, || {
        let (operation, completer) = IoOperation::new();
        let written = Arc::new(AtomicBool::new(false));
        let job = {
            let written = Arc::clone(&written);
            thread::spawn(move || {
                written.store(true, Ordering::Relaxed);
                completer.complete(5);
            })
        };
        assert_eq!(block_on(operation).unwrap(), 5);
        assert!(written.load(Ordering::Relaxed));
        job.join().unwrap();
    });
}

#[test]
fn a_lost_completer_ends_the_operation() {
    explore(Bound::None, || {
        let (operation, completer) = IoOperation::<u8>::new();
        let job = thread::spawn(move || drop(completer));
        assert!(operation.wait().unwrap_err().is_cancelled());
        job.join().unwrap();
    });
}

#[test]
fn a_lost_operation_drops_its_value_once() {
    explore(Bound::None, || {
        let (operation, completer) = IoOperation::new();
        let (value, drops) = Dropped::new();
        let job = thread::spawn(move || completer.complete(value));
        drop(operation);
        job.join().unwrap();
        assert_eq!(drops.count(), 1);
    });
}

/// A job that was accepted runs, though the pool goes at once.
#[test]
fn a_dropped_pool_runs_its_job() {
    explore(Bound::None, || {
        let pool = BlockingPool::new(1);
        let operation = pool.run(|| 5);
        drop(pool);
        assert_eq!(operation.wait().unwrap(), 5);
    });
}

/// The second job comes while the only thread is on its way to sleep: it is called.
#[test]
fn a_second_job_finds_the_thread() {
    explore(Bound::Preemptions(7), || {
        let pool = BlockingPool::new(1);
        assert_eq!(pool.run(|| 5).wait().unwrap(), 5);
        assert_eq!(pool.run(|| 6).wait().unwrap(), 6);
        drop(pool);
    });
}

/// A job that ends only once another one has begun.
fn meets(pool: &BlockingPool, meeting: &Arc<Meeting>) -> IoOperation<()> {
    let meeting = Arc::clone(meeting);
    pool.run(move || meeting.meet())
}

/// Two jobs that meet.
fn pair(pool: &BlockingPool) -> [IoOperation<()>; 2] {
    let meeting = Arc::new(Meeting::new());
    [meets(pool, &meeting), meets(pool, &meeting)]
}

/// Both sleepers are called for the second pair, one by the other.
#[test]
fn two_jobs_find_two_sleepers() {
    explore(Bound::Preemptions(2), || {
        let pool = BlockingPool::new(2);
        for _ in 0..2 {
            for job in pair(&pool) {
                job.wait().unwrap();
            }
        }
        drop(pool);
    });
}

/// Each job comes while a thread has waited long enough, and goes: it is run by that one or by another, and neither is
/// counted on after it has gone. The third one comes to a thread that does not tire.
#[test]
fn a_job_comes_while_the_thread_goes() {
    explore(Bound::Preemptions(4), || {
        let pool = BlockingPool::new(1);
        pool.set_idle_timeout(Duration::ZERO);
        assert_eq!(pool.run(|| 5).wait().unwrap(), 5);
        pool.set_idle_timeout(Duration::MAX);
        assert_eq!(pool.run(|| 6).wait().unwrap(), 6);
        assert_eq!(pool.run(|| 7).wait().unwrap(), 7);
        drop(pool);
    });
}

/// The bound is raised while a job waits: it need not wait for the one that runs.
#[test]
fn a_higher_bound_is_used_at_once() {
    explore(Bound::Preemptions(3), || {
        let pool = BlockingPool::new(1);
        let jobs = pair(&pool);
        pool.set_max_threads(2);
        for job in jobs {
            job.wait().unwrap();
        }
        drop(pool);
    });
}

/// The thread that is called for a job goes, because the bound is lower now: one that stays takes it.
#[test]
fn a_lower_bound_strands_no_job() {
    explore(Bound::Preemptions(2), || {
        let pool = Arc::new(BlockingPool::new(2));
        for job in pair(&pool) {
            job.wait().unwrap();
        }
        let owner = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.set_max_threads(1))
        };
        assert_eq!(pool.run(|| 5).wait().unwrap(), 5);
        owner.join().unwrap();
    });
}

/// A result that nobody asks for, and whose drop lasts until the next job has begun: that job counted on this thread, and
/// gets another.
#[test]
fn a_drop_that_lasts_gets_another_thread_started() {
    struct Meets(Arc<Meeting>);
    impl Drop for Meets {
        fn drop(&mut self) {
            self.0.meet();
        }
    }
    explore(Bound::Preemptions(3), || {
        let pool = BlockingPool::new(2);
        let meeting = Arc::new(Meeting::new());
        let (dropped, result) = (Arc::new(Meeting::new()), Meets(Arc::clone(&meeting)));
        let operation = {
            let dropped = Arc::clone(&dropped);
            pool.run(move || {
                dropped.meet();
                result
            })
        };
        drop(operation);
        dropped.meet();
        meets(&pool, &meeting).wait().unwrap();
        drop(pool);
    });
}

/// The last thread tells who waits for it that it goes.
#[test]
fn a_pool_is_shut_down_after_its_job() {
    explore(Bound::None, || {
        let pool = BlockingPool::new(1);
        let operation = pool.run(|| 5);
        assert!(pool.shut_down(Duration::MAX));
        assert_eq!(operation.wait().unwrap(), 5);
    });
}

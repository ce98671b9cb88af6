//! Operations and the pool under loom; see `tasks_manager::models`.

use super::{BlockingPool, IoOperation};
use crate::tasks_manager::block_on;
use crate::tasks_manager::models::{Bound, Dropped, explore};
use crate::tasks_manager::sync::{AtomicBool, Ordering, thread};
use std::sync::Arc;

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
    explore(Bound::Preemptions(5), || {
        let pool = BlockingPool::new(1);
        let operation = pool.run(|| 5);
        drop(pool);
        assert_eq!(operation.wait().unwrap(), 5);
    });
}

/// The second job comes while the only thread is on its way to sleep: it is called.
#[test]
fn a_second_job_finds_the_thread() {
    explore(Bound::Preemptions(5), || {
        let pool = BlockingPool::new(1);
        assert_eq!(pool.run(|| 5).wait().unwrap(), 5);
        assert_eq!(pool.run(|| 6).wait().unwrap(), 6);
        drop(pool);
    });
}

//! Hazard: a blocking pool that grows without end, loses a job, or dies of one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::io_operation::{BlockingPool, IoOperation};
use data_manager::tasks_manager::TasksManager;
use std::hint::spin_loop;
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;
use support::{Count, Gate, OnDrop, at_thread_exit, eventually, in_time, rounds};

/// As many jobs as there may be threads, each waiting for all of the others.
fn assert_reaches(pool: &BlockingPool, threads: usize) {
    let barrier = Arc::new(Barrier::new(threads));
    let jobs: Vec<_> = (0..threads)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            pool.run(move || {
                barrier.wait();
            })
        })
        .collect();
    in_time(|| jobs.into_iter().for_each(|job| job.wait().unwrap()));
}

/// Keeps one thread of the pool busy.
fn block(pool: &BlockingPool) -> (Gate, IoOperation<()>) {
    let gate = Gate::new();
    let inside = gate.clone();
    let job = pool.run(move || inside.pass());
    gate.wait_for_arrival();
    (gate, job)
}

#[test]
fn a_job_gives_its_value_on_a_thread_of_the_pool() {
    let pool = BlockingPool::new(2);
    assert_eq!(pool.threads(), 0);
    let name = pool
        .run(|| thread::current().name().map(str::to_owned))
        .wait()
        .unwrap();
    assert_eq!(name.as_deref(), Some("blocking-pool-0"));
    let manager = TasksManager::new(1);
    let job = pool.run(|| 5);
    assert_eq!(
        manager
            .spawn(async move { job.await.unwrap() })
            .wait()
            .unwrap(),
        5
    );
}

#[test]
fn it_grows_on_demand_to_its_bound_and_no_further() {
    const BOUND: usize = 3;
    let pool = Arc::new(BlockingPool::new(BOUND));
    assert_reaches(&pool, BOUND);
    let (now, most, ran) = (Count::new(), Arc::new(AtomicUsize::new(0)), Count::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let (now, most, ran) = (now.clone(), Arc::clone(&most), ran.clone());
                    pool.run(move || {
                        most.fetch_max(now.add(), Ordering::SeqCst);
                        thread::yield_now();
                        now.subtract();
                        ran.add();
                    });
                    assert!(pool.threads() <= BOUND);
                }
            });
        }
    });
    ran.wait_for(1000);
    assert!((1..=BOUND).contains(&most.load(Ordering::SeqCst)));
}

/// Nothing but a call wakes them: none of them gives up waiting within this test.
fn with_patient_threads(max_threads: usize) -> BlockingPool {
    let pool = BlockingPool::new(max_threads);
    pool.set_idle_timeout(Duration::from_secs(3600));
    pool
}

#[test]
fn all_sleepers_are_called_when_all_are_needed() {
    let pool = with_patient_threads(4);
    for _ in rounds(200) {
        assert_reaches(&pool, 4);
        // Gives them the time to fall asleep, most of the times.
        (0..100).for_each(|_| thread::yield_now());
    }
}

#[test]
fn a_sleeper_is_called_after_jobs_that_called_nobody() {
    let pool = with_patient_threads(1);
    for _ in rounds(200) {
        let alone = pool.run(|| ());
        in_time(|| alone.wait()).unwrap();
        (0..100).for_each(|_| thread::yield_now());
        let (gate, first) = block(&pool);
        let second = pool.run(|| ());
        gate.open();
        in_time(|| first.wait().and(second.wait())).unwrap();
    }
}

#[test]
fn zero_threads_are_one() {
    let pool = BlockingPool::new(0);
    assert_eq!(in_time(move || pool.run(|| 1).wait()).unwrap(), 1);
}

/// Whoever runs one job after the other needs one thread.
#[test]
fn jobs_in_sequence_use_one_thread() {
    let pool = BlockingPool::new(8);
    for round in rounds(2_000) {
        assert_eq!(pool.run(move || round).wait().unwrap(), round);
        assert_eq!((pool.threads(), pool.running(), pool.queued()), (1, 0, 0));
    }
}

#[test]
fn idle_threads_go_and_come_back() {
    let pool = BlockingPool::new(3);
    pool.set_idle_timeout(Duration::from_millis(5));
    let exits = Count::new();
    for round in 1..=5 {
        let barrier = Arc::new(Barrier::new(3));
        for _ in 0..3 {
            let (exits, barrier) = (exits.clone(), Arc::clone(&barrier));
            pool.run(move || {
                at_thread_exit(move || {
                    exits.add();
                });
                barrier.wait();
            });
        }
        exits.wait_for(3 * round);
        eventually("an empty pool", || pool.threads() == 0);
    }
    assert_eq!(exits.get(), 15);
}

/// A job that comes at the very moment in which its thread goes.
#[test]
fn a_job_that_meets_a_thread_on_its_way_out_is_run() {
    let pool = Arc::new(BlockingPool::new(2));
    pool.set_idle_timeout(Duration::ZERO);
    let stop = Arc::new(AtomicBool::new(false));
    // Somebody else at the lock gives the thread a harder time between its time-out and its last look.
    let crowd = {
        let (pool, stop) = (Arc::clone(&pool), Arc::clone(&stop));
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let _ = pool.queued();
                thread::yield_now();
            }
        })
    };
    in_time(move || {
        for round in rounds(20_000) {
            assert_eq!(pool.run(move || round).wait().unwrap(), round);
            (0..round % 256).for_each(|_| spin_loop());
        }
    });
    stop.store(true, Ordering::Relaxed);
    crowd.join().unwrap();
}

#[test]
fn urgent_jobs_go_first() {
    let pool = BlockingPool::new(1);
    let (gate, _job) = block(&pool);
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = Arc::clone(&order);
        move || order.lock().unwrap().push(name)
    };
    let jobs = [
        pool.run(note("normal 1")),
        pool.run_urgent(note("urgent 1")),
        pool.run(note("normal 2")),
        pool.run_urgent(note("urgent 2")),
    ];
    assert_eq!((pool.queued(), pool.running()), (4, 1));
    gate.open();
    in_time(|| jobs.into_iter().for_each(|job| job.wait().unwrap()));
    assert_eq!(
        *order.lock().unwrap(),
        ["urgent 1", "urgent 2", "normal 1", "normal 2"]
    );
    assert_eq!((pool.queued(), pool.running()), (0, 0));
}

#[test]
fn a_panic_ends_its_job_alone() {
    let pool = BlockingPool::new(2);
    for round in 0..20 {
        let error = pool.run(move || panic!("job {round}")).wait().unwrap_err();
        assert_eq!(error.to_string(), format!("panicked: job {round}"));
        assert!(error.into_panic().is::<String>());
        // Nobody waits for these: a panic, one that drops badly, and a value that does.
        drop(pool.run(|| panic!("unseen")));
        drop(pool.run(|| panic_any(OnDrop(|| panic!("payload")))));
        drop(pool.run(|| OnDrop(|| panic!("value"))));
    }
    assert_reaches(&pool, 2);
    in_time(move || drop(pool));
}

#[test]
fn a_dropped_operation_does_not_stop_its_job() {
    let pool = BlockingPool::new(1);
    let (gate, _job) = block(&pool);
    let (ran, drops) = (Count::new(), Count::new());
    for _ in 0..10 {
        let (ran, value) = (ran.clone(), drops.on_drop());
        drop(pool.run(move || {
            ran.add();
            value
        }));
    }
    gate.open();
    in_time(move || drop(pool));
    assert_eq!((ran.get(), drops.get()), (10, 10));
}

/// The drop of a result that nobody wants takes its time; the bound has room for another thread meanwhile.
#[test]
fn a_job_does_not_wait_for_the_drop_of_the_result_before() {
    for _ in 0..20 {
        let pool = BlockingPool::new(2);
        let gate = Gate::new();
        let inside = gate.clone();
        let operation_dropped = Gate::new();
        let wait = operation_dropped.clone();
        drop(pool.run(move || {
            // Else the result is dropped by whoever drops the operation.
            wait.pass();
            OnDrop(move || inside.pass())
        }));
        operation_dropped.open();
        gate.wait_for_arrival();
        let job = pool.run(|| 1);
        assert_eq!(in_time(|| job.wait()).unwrap(), 1);
        gate.open();
    }
}

#[test]
fn the_drop_of_the_pool_runs_all_and_joins_all() {
    for threads in [1, 3] {
        let pool = BlockingPool::new(threads);
        let (ran, exits) = (Count::new(), Count::new());
        let (gate, job) = block(&pool);
        let jobs: Vec<_> = (0..100)
            .map(|i| {
                let (ran, exits) = (ran.clone(), exits.clone());
                pool.run(move || {
                    if i == 99 {
                        at_thread_exit(move || {
                            exits.add();
                        });
                    }
                    ran.add();
                    i
                })
            })
            .collect();
        gate.open();
        in_time(move || drop(pool));
        assert_eq!((ran.get(), exits.get()), (100, 1));
        job.wait().unwrap();
        for (i, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.wait().unwrap(), i);
        }
    }
}

/// Threads that went before are joined as well, by those that went after them, and by the drop.
#[test]
fn the_drop_of_the_pool_joins_those_that_went_before() {
    for _ in 0..5 {
        let pool = BlockingPool::new(3);
        pool.set_idle_timeout(Duration::ZERO);
        let (exits, barrier) = (Count::new(), Arc::new(Barrier::new(3)));
        for _ in 0..3 {
            let (exits, barrier) = (exits.clone(), Arc::clone(&barrier));
            pool.run(move || {
                at_thread_exit(move || {
                    // A slow end, so that a drop that does not wait for it is seen.
                    thread::sleep(Duration::from_millis(20));
                    exits.add();
                });
                barrier.wait();
            });
        }
        eventually("an empty pool", || pool.threads() == 0);
        in_time(move || drop(pool));
        assert_eq!(exits.get(), 3);
    }
}

#[test]
fn dropped_on_one_of_its_own_threads() {
    for threads in [1, 2] {
        let pool = Arc::new(BlockingPool::new(threads));
        let gate = Gate::new();
        let (inside, held) = (gate.clone(), Arc::clone(&pool));
        let ran = Count::new();
        let dropper = pool.run(move || {
            inside.pass();
            drop(held);
        });
        gate.wait_for_arrival();
        let jobs: Vec<_> = (0..50)
            .map(|_| {
                let ran = ran.clone();
                pool.run(move || ran.add())
            })
            .collect();
        drop(pool);
        gate.open();
        in_time(|| dropper.wait()).unwrap();
        in_time(|| {
            for job in jobs {
                job.wait().unwrap();
            }
        });
        assert_eq!(ran.get(), 50);
    }
}

#[test]
fn a_job_may_run_jobs_and_wait_for_them() {
    let pool = Arc::new(BlockingPool::new(2));
    let inner = Arc::clone(&pool);
    let job = pool.run(move || inner.run(|| 3).wait().unwrap() + 1);
    assert_eq!(in_time(|| job.wait()).unwrap(), 4);
}

#[test]
fn a_higher_bound_helps_jobs_that_wait_already() {
    let pool = BlockingPool::new(1);
    let barrier = Arc::new(Barrier::new(4));
    let jobs: Vec<_> = (0..4)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            pool.run(move || {
                barrier.wait();
            })
        })
        .collect();
    assert_eq!(pool.threads(), 1);
    pool.set_max_threads(4);
    in_time(|| jobs.into_iter().for_each(|job| job.wait().unwrap()));
    assert_eq!(pool.threads(), 4);
}

#[test]
fn a_lower_bound_sends_idle_and_busy_threads_home() {
    let pool = with_patient_threads(4);
    assert_reaches(&pool, 4);
    let (gate, job) = block(&pool);
    pool.set_max_threads(1);
    // The idle ones go at once; the busy one is the one that stays, whatever 0 means.
    eventually("one thread", || pool.threads() == 1);
    pool.set_max_threads(0);
    let next = pool.run(|| 1);
    assert_eq!(pool.queued(), 1);
    gate.open();
    in_time(|| job.wait()).unwrap();
    assert_eq!(in_time(|| next.wait()).unwrap(), 1);
    assert_eq!(pool.threads(), 1);
    pool.set_max_threads(4);
    assert_reaches(&pool, 4);

    // Now all of them are busy.
    let gates: Vec<_> = (0..4).map(|_| block(&pool)).collect();
    pool.set_max_threads(2);
    assert_eq!(pool.threads(), 4);
    for (gate, _) in &gates {
        gate.open();
    }
    eventually("two threads", || pool.threads() == 2);
    assert_reaches(&pool, 2);
}

/// The bound goes up and down while jobs come in: none is lost.
#[test]
fn jobs_survive_a_bound_that_moves() {
    let pool = Arc::new(BlockingPool::new(4));
    let ran = Count::new();
    let moving = Arc::clone(&pool);
    let mover = thread::spawn(move || (0..2_000).for_each(|i| moving.set_max_threads(1 + i % 4)));
    in_time(move || {
        for _ in rounds(3_000) {
            let ran = ran.clone();
            let one = pool.run(move || ran.add());
            let two = pool.run_urgent(|| ());
            one.wait().unwrap();
            two.wait().unwrap();
        }
    });
    mover.join().unwrap();
}

#[test]
fn a_shutdown_runs_what_was_accepted_and_joins_the_threads() {
    let pool = BlockingPool::new(1);
    let (gate, first) = block(&pool);
    let exits = Count::new();
    let exit = exits.clone();
    let second = pool.run(move || at_thread_exit(move || drop(exit.on_drop())));
    gate.open();
    assert!(pool.shut_down(Duration::from_secs(60)));
    assert_eq!(exits.get(), 1, "returned before its thread had ended");
    first.wait().unwrap();
    second.wait().unwrap();
    assert_eq!(pool.threads(), 0);
    assert!(
        pool.shut_down(Duration::ZERO),
        "a second one finds nothing to do"
    );
}

#[test]
fn a_shutdown_does_not_wait_for_ever_and_neither_does_the_drop_after_it() {
    let pool = BlockingPool::new(1);
    let (gate, first) = block(&pool);
    let second = pool.run(|| 7);
    assert!(!pool.shut_down(Duration::from_millis(10)));
    in_time(move || drop(pool));
    gate.open();
    first.wait().unwrap();
    assert_eq!(
        second.wait().unwrap(),
        7,
        "what was accepted runs all the same"
    );
}

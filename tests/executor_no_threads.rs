//! Hazard: a system that refuses to start a thread.
//!
//! Each test starts this very program again, with a default stack that no address space can hold. There, every
//! `std::thread` is refused; the test inside runs on the main thread.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::io_operation::BlockingPool;
use data_manager::tasks_manager::{TasksManager, block_on, sleep};
use std::panic::catch_unwind;
use std::process::Command;
use std::time::{Duration, Instant};
use support::Count;

const MARK: &str = "EXECUTOR_TEST_WITHOUT_THREADS";

/// True inside the program that gets no threads; outside, runs it for this test.
fn without_threads(test: &str) -> bool {
    if std::env::var_os(MARK).is_some() {
        assert!(
            std::thread::Builder::new().spawn(|| ()).is_err(),
            "the trick does not work here"
        );
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1", "--nocapture"])
        .env(MARK, "1")
        .env("RUST_MIN_STACK", (1_u64 << 47).to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

#[test]
fn a_manager_is_an_error_or_a_panic_with_the_reason() {
    if without_threads("a_manager_is_an_error_or_a_panic_with_the_reason") {
        let error = TasksManager::try_new(2).unwrap_err();
        let payload = catch_unwind(|| TasksManager::new(2)).unwrap_err();
        let text = payload.downcast::<String>().unwrap();
        assert!(text.contains(&error.to_string()), "{text}");
    }
}

#[test]
fn a_job_is_an_error() {
    if without_threads("a_job_is_an_error") {
        let pool = BlockingPool::new(2);
        let (ran, drops) = (Count::new(), Count::new());
        for _ in 0..3 {
            let (ran, guard) = (ran.clone(), drops.on_drop());
            let job = pool.run(move || {
                drop(guard);
                ran.add()
            });
            assert!(job.wait().unwrap_err().is_cancelled());
            let bomb = support::OnDrop(|| panic!("job"));
            assert!(
                pool.run(move || drop(bomb))
                    .wait()
                    .unwrap_err()
                    .is_cancelled()
            );
        }
        assert_eq!((ran.get(), drops.get()), (0, 3));
        assert_eq!((pool.threads(), pool.queued(), pool.running()), (0, 0, 0));
    }
}

#[test]
fn a_sleep_is_on_time_all_the_same() {
    if without_threads("a_sleep_is_on_time_all_the_same") {
        let start = Instant::now();
        block_on(sleep(Duration::from_millis(30)));
        assert!(start.elapsed() >= Duration::from_millis(30));
    }
}

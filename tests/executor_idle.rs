//! Hazard: threads that wake up for nothing.
//!
//! Alone in its file: it looks at the threads of its whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::io_operation::BlockingPool;
use data_manager::tasks_manager::{TasksManager, sleep};
use std::collections::BTreeMap;
use std::fs;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use support::{Count, DEADLINE, Gate};

/// How long nothing may move: long enough for any polling loop to show.
const WINDOW: Duration = Duration::from_millis(700);

/// How often each thread of the executor left its processor so far, by its id.
fn switches() -> BTreeMap<String, u64> {
    let mut switches = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/task").unwrap() {
        let path = entry.unwrap().path();
        let name = fs::read_to_string(path.join("comm")).unwrap();
        if !name.starts_with("tasks-manager") && !name.starts_with("blocking-pool") {
            continue;
        }
        let status = fs::read_to_string(path.join("status")).unwrap();
        let count = status
            .lines()
            .filter(|line| line.contains("ctxt_switches"))
            .map(|line| {
                line.split_whitespace()
                    .last()
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
            })
            .sum();
        switches.insert(path.display().to_string(), count);
    }
    switches
}

/// Waits for a window in which none of the four threads moves: two workers, the timer, one of the pool.
///
/// They need a moment to lie down, and bear their names only once they run. A thread that polls for anything
/// never leaves such a window.
fn wait_for_quiet() {
    let start = Instant::now();
    loop {
        let before = switches();
        // The one sleep that is itself the measure.
        thread::sleep(WINDOW);
        let after = switches();
        if before == after && after.len() == 4 {
            return;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "never quiet: {before:?} {after:?}"
        );
    }
}

#[test]
fn an_idle_executor_makes_no_wake_ups() {
    const TASKS: usize = 1000;
    let manager = TasksManager::new(2);
    let pool = BlockingPool::new(2);
    pool.set_idle_timeout(Duration::from_secs(3600));
    pool.run(|| ()).wait().unwrap();
    let polls = Count::new();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let polls = polls.clone();
            let mut hour = sleep(Duration::from_secs(3600));
            manager.spawn(poll_fn(move |cx| {
                let answer = Pin::new(&mut hour).poll(cx);
                polls.add();
                answer
            }))
        })
        .collect();
    polls.wait_for(TASKS);
    wait_for_quiet();
    assert_eq!(polls.get(), TASKS);

    // And with nothing at all to wait for.
    for task in tasks {
        task.cancel();
        assert!(task.wait().unwrap_err().is_cancelled());
    }
    // One last deadline, after which the timer has none.
    manager
        .spawn(sleep(Duration::from_millis(1)))
        .wait()
        .unwrap();
    wait_for_quiet();

    // The other worker has watched over the child of one that blocks, and does not go on watching.
    let gate = Gate::new();
    let (inside, manager) = (gate.clone(), Arc::new(manager));
    let weak = Arc::downgrade(&manager);
    let parent = manager.spawn(async move {
        let child = weak.upgrade().unwrap().spawn(async {});
        child.wait().unwrap();
        inside.pass();
    });
    gate.wait_for_arrival();
    wait_for_quiet();
    gate.open();
    parent.wait().unwrap();

    // It is asleep, not dead.
    manager
        .spawn(sleep(Duration::from_millis(1)))
        .wait()
        .unwrap();
    pool.run(|| ()).wait().unwrap();
}

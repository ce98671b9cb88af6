//! The executor alone: spawn, await an operation, sleep, cancel, panic, shut down.
//!
//! `cargo run --example executor`
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use data_manager::io_operation::{BlockingPool, IoOperation};
use data_manager::tasks_manager::{JoinError, TasksManager, block_on, sleep};
use std::future::pending;
use std::thread;
use std::time::{Duration, Instant};

fn main() -> Result<(), JoinError> {
    let manager = TasksManager::new(2);
    let pool = BlockingPool::new(4);

    // A task is a future that somebody else polls. Its handle is a future as well; outside of tasks, `wait` for it.
    let task = manager.spawn(async { 6 * 7 });
    println!("spawn:    a task says {}", task.wait()?);

    // Blocking work goes to the other pool. The task that awaits it holds no thread.
    let listing = pool.run(|| std::fs::read_dir(".").map(Iterator::count));
    let task = manager.spawn(async move {
        match listing.await {
            Ok(Ok(entries)) => format!("{entries} entries in this directory"),
            Ok(Err(error)) => format!("this directory cannot be read: {error}"),
            Err(lost) => format!("the job was lost: {lost}"),
        }
    });
    println!("await:    {}", task.wait()?);

    // Whoever finishes some work can be the one to complete an operation: here a thread of our own.
    let (operation, completer) = IoOperation::new();
    let worker = thread::spawn(move || completer.complete("I am done with the job, hey, wake up"));
    println!("complete: {}", block_on(operation)?);
    let _ = worker.join();

    // A thousand sleeps at once hold no thread either.
    let start = Instant::now();
    let sleepers: Vec<_> = (0..1000)
        .map(|_| manager.spawn(sleep(Duration::from_millis(50))))
        .collect();
    for sleeper in sleepers {
        sleeper.wait()?;
    }
    println!(
        "sleep:    1000 tasks slept 50 ms each, in {:?}",
        start.elapsed()
    );

    // The future is dropped, with all that it holds, before the handle says that it is cancelled.
    let task = manager.spawn(pending::<()>());
    task.cancel();
    if let Err(error) = task.wait() {
        println!("cancel:   the task was {error}");
    }

    // A panic ends its task, or its job, and nothing else. The hook prints it first.
    let task = manager.spawn(async { divide(1, 0) });
    if let Err(error) = task.wait() {
        println!("panic:    the task {error}");
    }
    let job = pool.run(|| divide(2, 0));
    if let Err(error) = job.wait() {
        println!("panic:    the job {error}");
    }

    // The pool runs what it has accepted; the manager drops what is left, and both join their threads.
    let last = pool.run(|| "done all the same");
    drop(pool);
    println!("shutdown: the last job is {}", last.wait()?);
    let forgotten = manager.spawn(pending::<()>());
    drop(manager);
    if let Err(error) = forgotten.wait() {
        println!("shutdown: the task that was left is {error}");
    }
    Ok(())
}

/// Has a bug for zero.
fn divide(dividend: u32, divisor: u32) -> u32 {
    dividend / divisor
}

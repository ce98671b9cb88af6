//! Tasks, jobs and sleeps of the executor half, awaited on another one; and the other way round.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use data_manager::io_operation::{BlockingPool, IoOperation};
use data_manager::tasks_manager::{TasksManager, sleep};

use crate::runtimes::Runtime;

/// What is certainly shorter than what it waits for.
const A_MOMENT: Duration = Duration::from_millis(20);

/// A task of ours, to its value, its panic and its cancellation.
pub async fn a_join_handle_tells_how_it_went<R: Runtime>() {
    let tasks = TasksManager::new(1);
    let value = tasks.spawn(async {
        sleep(A_MOMENT).await;
        7
    });
    assert_eq!(value.await.expect("a value"), 7);
    let panicked = tasks.spawn(async { panic!("on purpose") }).await;
    assert!(panicked.expect_err("a panic").is_panic());
    let endless = tasks.spawn(std::future::pending::<()>());
    endless.cancel();
    assert!(endless.await.expect_err("no value").is_cancelled());
    let task = R::spawn(tasks.spawn(std::future::pending::<()>()));
    R::yield_now().await;
    // Joins its threads, so it goes where blocking is fine.
    R::blocking(move || drop(tasks)).await;
    assert!(R::join(task).await.expect_err("no value").is_cancelled());
}

/// A job waits for what another task of the runtime does: on one thread that runs only if the `await` sleeps.
pub async fn a_job_is_awaited<R: Runtime>() {
    let pool = BlockingPool::new(1);
    let (send, receive) = mpsc::channel();
    let job = pool.run(move || receive.recv());
    let sender = R::spawn(async move {
        R::yield_now().await;
        send.send(7)
    });
    assert_eq!(job.await.expect("a value"), Ok(7));
    R::join(sender).await.expect("a receiver");
    // The job's operation is dropped half way; the job runs all the same.
    let (send, receive) = mpsc::channel();
    let (done, ended) = mpsc::channel();
    let job = pool.run(move || {
        let got = receive.recv();
        let _ = done.send(got);
    });
    assert!(R::timeout(A_MOMENT, job).await.is_none());
    send.send(8).expect("a job that runs");
    assert_eq!(R::blocking(move || ended.recv()).await, Ok(Ok(8)));
}

/// Completed by a thread of the runtime, and lost by one.
pub async fn an_operation_is_completed_from_the_runtime<R: Runtime>() {
    let (operation, completer) = IoOperation::new();
    let waiter = R::spawn(operation);
    R::yield_now().await;
    R::blocking(move || completer.complete(7)).await;
    assert_eq!(R::join(waiter).await.expect("a value"), 7);
    let (operation, completer) = IoOperation::<()>::new();
    let waiter = R::spawn(operation);
    R::yield_now().await;
    drop(completer);
    assert!(R::join(waiter).await.expect_err("no value").is_cancelled());
}

/// A thousand sleeps that all end at about the same time, and some that are given up.
pub async fn sleeps_end_on_time<R: Runtime>() {
    let start = Instant::now();
    let length = Duration::from_millis(50);
    assert!(R::timeout(A_MOMENT, sleep(Duration::MAX)).await.is_none());
    let sleeps: Vec<_> = (0..1000).map(|_| R::spawn(sleep(length))).collect();
    for sleep in sleeps {
        R::join(sleep).await;
    }
    assert!(start.elapsed() >= length);
}

/// A task of the runtime, awaited on ours; which a value goes to and from.
pub async fn their_tasks_are_awaited_on_ours<R: Runtime>() {
    let tasks = TasksManager::new(1);
    let (operation, completer) = IoOperation::new();
    let theirs = R::spawn(async move { operation.await.expect("a value") + 1 });
    let ours = tasks.spawn(async move { R::join(theirs).await + 1 });
    completer.complete(1);
    assert_eq!(ours.await.expect("a value"), 3);
}

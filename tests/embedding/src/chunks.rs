//! Calls about chunks, awaited.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use data_manager::ErrorKind;
use data_manager::tasks_manager::sleep;

use crate::DEADLINE;
use crate::runtimes::Runtime;
use crate::world::{DATASET, World, gated, id, open};

/// What is certainly shorter than what it waits for.
const A_MOMENT: Duration = Duration::from_millis(20);

/// Download, find, delete: each ends when it says it does.
pub async fn a_chunk_comes_and_goes<R: Runtime>() {
    let world = World::new();
    world
        .manager
        .download_chunk(open(1))
        .await
        .expect("a chunk");
    let guard = world.manager.find_chunk(DATASET, 10).expect("the chunk");
    let path = guard.path().to_owned();
    assert_eq!(
        std::fs::read(path.join("f")).expect("the file"),
        b"some bytes"
    );
    let mut delete = world.manager.delete_chunk(id(1));
    assert!(
        R::timeout(A_MOMENT, &mut delete).await.is_none(),
        "a guard holds it"
    );
    // From another task; on one thread it can only run while this one waits.
    let reader = R::spawn(async move { drop(guard) });
    delete.await.expect("a delete");
    R::join(reader).await;
    assert!(!path.exists());
}

/// On one thread, an `await` that blocked it would keep out whoever opens the gate.
pub async fn awaiting_lets_others_run<R: Runtime>() {
    let world = World::new();
    let task = world.manager.download_chunk(gated(1));
    let gate = world.gate.clone();
    let opener = R::spawn(async move {
        R::yield_now().await;
        gate.open();
    });
    task.await.expect("a chunk");
    R::join(opener).await;
    assert!(world.is_visible(id(1)));
}

/// The wake-up comes from a thread of the manager, and from there only.
pub async fn the_manager_wakes_whoever_sleeps<R: Runtime>() {
    let world = World::new();
    let task = R::spawn(world.manager.download_chunk(gated(1)));
    let gate = world.gate.clone();
    let outside = std::thread::spawn(move || {
        gate.wait_for_reader();
        gate.open();
    });
    R::join(task).await.expect("a chunk");
    outside.join().expect("a thread that ends");
}

/// What was timed out is not over: the same task is awaited again.
pub async fn a_timeout_takes_nothing_away<R: Runtime>() {
    let world = World::new();
    let mut task = world.manager.download_chunk(gated(1));
    for _ in 0..3 {
        assert!(R::timeout(A_MOMENT, &mut task).await.is_none());
    }
    world.gate.open();
    let outcome = R::timeout(DEADLINE, &mut task).await.expect("a wake-up");
    outcome.expect("a chunk");
    // And once more: it gives the same outcome again.
    task.await.expect("a chunk");
}

/// Dropped half way, by a task that is cancelled or by a timeout, the work goes on.
pub async fn dropped_half_way_the_work_goes_on<R: Runtime>() {
    let world = World::new();
    let given_up = world.manager.download_chunk(gated(1));
    assert!(R::timeout(A_MOMENT, given_up).await.is_none());
    let task = world.manager.download_chunk(gated(2));
    let cancelled = R::spawn(async move { task.await.expect("a chunk") });
    R::yield_now().await;
    R::cancel(cancelled).await;
    world.gate.open();
    for n in [1, 2] {
        // Joins what is under way, or finds it there.
        world
            .manager
            .download_chunk(gated(n))
            .await
            .expect("a chunk");
        assert!(world.is_visible(id(n)));
    }
}

/// Polled by one task, then handed to another: who polled last is woken.
pub async fn it_may_move_between_tasks<R: Runtime>() {
    let world = World::new();
    let mut task = Some(world.manager.download_chunk(gated(1)));
    let first = R::spawn(poll_fn(move |cx| {
        let mut task = task.take().expect("one poll");
        assert!(Pin::new(&mut task).poll(cx).is_pending());
        Poll::Ready(task)
    }));
    let second = R::spawn(R::join(first).await);
    R::yield_now().await;
    world.gate.open();
    R::join(second).await.expect("a chunk");
}

/// Many tasks of the runtime, each with a call of its own, and joined ones.
pub async fn many_are_awaited_at_once<R: Runtime>() {
    let world = World::new();
    let download = |n| {
        let chunk = if n % 2 == 0 { gated(n) } else { open(n) };
        R::spawn(world.manager.download_chunk(chunk))
    };
    let tasks: Vec<_> = (1..=200).chain(1..=200).map(download).collect();
    world.gate.open();
    for task in tasks {
        R::join(task).await.expect("a chunk");
    }
    assert_eq!(world.manager.list_chunks().len(), 200);
    world
        .manager
        .set_assignment([])
        .await
        .expect("an empty directory");
    assert!(world.manager.list_chunks().is_empty());
}

/// The last call wins, and whoever awaits an earlier one is told.
pub async fn what_is_superseded_ends<R: Runtime>() {
    let world = World::new();
    let task = R::spawn(world.manager.download_chunk(gated(1)));
    R::yield_now().await;
    world.manager.delete_chunk(id(1)).await.expect("a delete");
    let error = R::join(task).await.expect_err("nothing there");
    assert_eq!(error.kind(), ErrorKind::Superseded);
}

/// `shutdown` blocks by its nature, so it goes to a thread that may; whoever awaits is told.
pub async fn a_shutdown_ends_every_wait<R: Runtime>() {
    let world = World::new();
    let tasks: Vec<_> = (1..=20)
        .map(|n| R::spawn(world.manager.download_chunk(gated(n))))
        .collect();
    R::yield_now().await;
    let manager = world.manager.clone();
    R::blocking(move || manager.shutdown(DEADLINE))
        .await
        .expect("a shutdown");
    for task in tasks {
        let error = R::join(task).await.expect_err("no manager");
        assert_eq!(error.kind(), ErrorKind::ShutDown);
    }
}

/// Ours and theirs race; whoever loses is dropped, and takes nothing along.
pub async fn our_sleep_bounds_a_wait<R: Runtime>() {
    let world = World::new();
    let mut task = world.manager.download_chunk(gated(1));
    let mut late = sleep(A_MOMENT);
    let first = poll_fn(|cx| {
        if let Poll::Ready(outcome) = Pin::new(&mut task).poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        Pin::new(&mut late).poll(cx).map(|()| None)
    });
    assert!(first.await.is_none());
    world.gate.open();
    task.await.expect("a chunk");
}

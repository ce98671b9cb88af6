//! What tokio's users write: `select!` in a loop, channels between its tasks and ours.

use std::time::Duration;

use data_manager::tasks_manager::{TasksManager, sleep};
use embedding::run;
use embedding::runtimes::{TokioOneThread, TokioThreads};
use embedding::world::{World, gated, id};
use tokio::sync::{mpsc, oneshot};

/// A loop that serves requests while a chunk arrives, and a tick of ours.
async fn a_loop_with_select() {
    let world = World::new();
    let (ask, mut asked) = mpsc::channel::<oneshot::Sender<bool>>(1);
    let gate = world.gate.clone();
    let client = tokio::spawn(async move {
        for n in 0..10 {
            let (send, receive) = oneshot::channel();
            ask.send(send).await.expect("a server");
            let visible = receive.await.expect("an answer");
            assert!(!visible, "{n}");
        }
        gate.open();
    });
    let mut task = world.manager.download_chunk(gated(1));
    let mut answered = 0;
    let mut ticks = 0;
    loop {
        tokio::select! {
            outcome = &mut task => {
                outcome.expect("a chunk");
                break;
            }
            Some(answer) = asked.recv() => {
                answered += 1;
                let _ = answer.send(world.is_visible(id(1)));
            }
            // Made anew each time, and mostly dropped before its time.
            () = sleep(Duration::from_millis(1)) => ticks += 1,
        }
    }
    client.await.expect("a client that ends");
    assert_eq!(answered, 10);
    assert!(world.is_visible(id(1)), "after {ticks} ticks");
}

#[test]
fn a_loop_on_threads() {
    run::<TokioThreads>(a_loop_with_select());
}

#[test]
fn a_loop_on_one_thread() {
    run::<TokioOneThread>(a_loop_with_select());
}

/// tokio's channels need no runtime, so tasks of ours may have them.
async fn channels_join_both() {
    let tasks = TasksManager::new(1);
    let (to_ours, mut from_theirs) = mpsc::channel::<u64>(1);
    let (to_theirs, mut from_ours) = mpsc::channel::<u64>(1);
    let ours = tasks.spawn(async move {
        while let Some(n) = from_theirs.recv().await {
            to_theirs.send(n + 1).await.expect("a receiver");
        }
    });
    for n in 0..1000 {
        to_ours.send(n).await.expect("a task");
        assert_eq!(from_ours.recv().await, Some(n + 1));
    }
    drop(to_ours);
    ours.await.expect("an end");
}

#[test]
fn channels_on_threads() {
    run::<TokioThreads>(channels_join_both());
}

#[test]
fn channels_on_one_thread() {
    run::<TokioOneThread>(channels_join_both());
}

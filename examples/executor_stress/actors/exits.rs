//! The executor, used in the destructors of thread-locals.

use super::parts::{spawn_child, yields};
use crate::scene::{Leaving, Scene, Stayer};
use crate::thread_exit::at_thread_exit;
use data_manager::tasks_manager::{block_on, sleep};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// On a thread that is no worker.
pub(crate) fn outside(scene: &mut Scene<'_>) {
    let (world, stage) = (Arc::clone(scene.world), scene.any_stage());
    let mut rng = scene.rng.fork();
    let (operation, completion) = world.operation();
    let awaiting = scene.witness("awaiting-exit");
    let handle = awaiting.spawn(operation);
    let woken = Arc::clone(&awaiting);
    let cancelled = scene.witness("yielding").spawn(yields(rng.fork(), 20));
    let at_exit = move || {
        woken.wake();
        completion.complete();
        if let Some(task) = spawn_child(&world, &stage, &mut rng) {
            task.wait();
        }
        if let Some(task) = cancelled {
            task.cancel();
            task.wait();
        }
        block_on(sleep(Duration::from_micros(rng.u64(..100))));
    };
    scene.errand(move || at_thread_exit(at_exit));
    scene.kept.extend(handle);
}

/// On a worker whose manager is gone.
pub(crate) fn of_a_worker(scene: &mut Scene<'_>) {
    let stage = scene.any_stage();
    let idler = scene.world.stayer(&stage, "idle");
    let Some(idle) = idler.spawn(pending()) else {
        return;
    };
    let stayer = scene.world.stayer(&stage, "awaits-worker-exit");
    let (operation, completion) = scene.world.operation();
    let waiting = stayer.spawn(operation);
    let leaving = Leaving::WithTheManager;
    scene
        .stayers
        .extend(waiting.map(|handle| Stayer { handle, leaving }));
    let (world, mut rng) = (Arc::clone(scene.world), scene.rng.fork());
    let handle = scene
        .world
        .witness(&stage, "worker-exit")
        .spawn(async move {
            yields(rng.fork(), 2).await;
            at_thread_exit(move || {
                idler.wake();
                idle.cancel();
                // The manager ends it, whoever drops that.
                idle.wait();
                completion.complete();
                let stage = Arc::clone(world.any_stage(&mut rng));
                drop(spawn_child(&world, &stage, &mut rng));
            });
        });
    scene.any_fate(handle);
}

/// On a thread of the blocking pool, which ends when it has had nothing to do for long enough, or with its pool.
pub(crate) fn of_a_pool_thread(scene: &mut Scene<'_>) {
    let stage = scene.any_stage();
    let stayer = scene.world.stayer(&stage, "awaits-pool-exit");
    let (operation, completion) = scene.world.operation();
    let waiting = stayer.spawn(operation);
    let leaving = Leaving::WithTheManager;
    scene
        .stayers
        .extend(waiting.map(|handle| Stayer { handle, leaving }));
    let (world, mut rng) = (Arc::clone(scene.world), scene.rng.fork());
    drop(scene.world.run_job(rng.bool(), move |_| {
        at_thread_exit(move || {
            completion.complete();
            if let Some(task) = spawn_child(&world, &stage, &mut rng) {
                task.cancel();
                task.wait();
            }
        });
    }));
}

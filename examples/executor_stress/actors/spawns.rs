//! Tasks that spawn tasks.

use super::parts::{handle_in_task, idle, pause, spawn_child, yields};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::world::World;
use fastrand::Rng;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

/// Each link spawns the next one, and waits for it or not.
pub(crate) fn chain(scene: &mut Scene<'_>) {
    let (links, rng) = (scene.few(40), scene.rng.fork());
    let first = scene.witness("chain");
    let future = link(
        Arc::clone(scene.world),
        Arc::clone(&first.stage),
        rng,
        links,
    );
    let handle = first.spawn(future);
    scene.any_fate(handle);
}

/// Boxed, because its type would contain itself.
fn link(
    world: Arc<World>,
    stage: Arc<Stage>,
    mut rng: Rng,
    left: u32,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let turns = rng.u32(..3);
        yields(rng.fork(), turns).await;
        if left == 0 {
            return;
        }
        let next = link(Arc::clone(&world), Arc::clone(&stage), rng.fork(), left - 1);
        if let Some(next) = world.witness(&stage, "chain").spawn(next) {
            handle_in_task(next, &mut rng).await;
        }
    })
}

/// A task that spawns some others and waits for all of them: one by one, or whenever any of them ends.
pub(crate) fn family(scene: &mut Scene<'_>) {
    let (children, mut rng) = (scene.few(24), scene.rng.fork());
    let (world, parent) = (Arc::clone(scene.world), scene.witness("parent"));
    let own = Arc::clone(&parent.stage);
    let handle = parent.spawn(async move {
        let mut handles = Vec::new();
        for _ in 0..children {
            let stage = if rng.u8(..4) == 0 {
                world.any_stage(&mut rng)
            } else {
                &own
            };
            handles.extend(spawn_child(&world, stage, &mut rng));
        }
        if rng.bool() {
            for handle in handles {
                handle_in_task(handle, &mut rng).await;
            }
        } else {
            poll_fn(|cx| {
                handles.retain_mut(|handle| Pin::new(handle).poll(cx).is_pending());
                if handles.is_empty() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    });
    scene.any_fate(handle);
}

/// A task that spawns some others out of the blue, waits for them, and so on.
pub(crate) fn bursts(scene: &mut Scene<'_>) {
    let (rounds, children, mut rng) = (scene.few(12), scene.few(12), scene.rng.fork());
    let (world, parent) = (Arc::clone(scene.world), scene.witness("bursts"));
    let stage = Arc::clone(&parent.stage);
    let handle = parent.spawn(async move {
        for _ in 0..rounds {
            idle(&world, &mut rng).await;
            let spawn = |_| spawn_child(&world, &stage, &mut rng);
            let handles: Vec<_> = (0..children).filter_map(spawn).collect();
            for handle in handles {
                handle.await;
            }
        }
    });
    scene.any_fate(handle);
}

/// Tasks spawned from outside; when all have ended, the next ones.
pub(crate) fn outside(scene: &mut Scene<'_>) {
    let (rounds, tasks, mut rng) = (scene.few(30), scene.few(12), scene.rng.fork());
    let (world, stage) = (Arc::clone(scene.world), scene.any_stage());
    scene.errand(move || {
        for _ in 0..rounds {
            let spawn = |_| spawn_child(&world, &stage, &mut rng);
            let handles: Vec<_> = (0..tasks).filter_map(spawn).collect();
            for handle in handles {
                handle.wait();
            }
            pause(&mut rng);
        }
    });
}

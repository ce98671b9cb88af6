//! Operations: two ends that meet in any order.

use super::parts::{pause, poll_once, yields};
use crate::promise::Completion;
use crate::scene::Scene;
use fastrand::Rng;

/// Operations that are awaited.
pub(crate) fn awaited(scene: &mut Scene<'_>) {
    for _ in 0..scene.few(12) {
        let (mut operation, completion) = scene.world.operation();
        let completed_first = scene.rng.u8(..8) == 0;
        let mut completion = Some(completion);
        if completed_first {
            give(scene, completion.take());
        }
        match scene.rng.u8(..3) {
            0 => {
                give(scene, completion.take());
                scene.errand(move || operation.wait());
            }
            way => {
                let mut rng = scene.rng.fork();
                let awaiting = scene.witness("awaiting");
                let handle = awaiting.spawn(async move {
                    if way == 1 {
                        yields(rng.fork(), 2).await;
                        if poll_once(&mut operation).await {
                            return;
                        }
                    }
                    operation.await;
                });
                give(scene, completion.take());
                scene.any_fate(handle);
            }
        }
    }
}

/// Operations that are dropped, perhaps after a poll, while the other end is on its way.
pub(crate) fn dropped(scene: &mut Scene<'_>) {
    for _ in 0..scene.few(12) {
        let (mut operation, completion) = scene.world.operation();
        let (mut rng, dropping) = (scene.rng.fork(), scene.witness("giving-up"));
        let handle = dropping.spawn(async move {
            yields(rng.fork(), rng.u32(..3)).await;
            poll_once(&mut operation).await;
            yields(rng.fork(), rng.u32(..3)).await;
        });
        give(scene, Some(completion));
        scene.any_fate(handle);
    }
}

/// Sends the other end to somebody who uses it, or drops it.
fn give(scene: &mut Scene<'_>, completion: Option<Completion>) {
    let Some(completion) = completion else {
        return;
    };
    let mut rng = scene.rng.fork();
    match rng.u8(..5) {
        0 => end(completion, &mut rng),
        1 | 2 => drop(scene.world.run_job(rng.bool(), move |_| {
            pause(&mut rng);
            end(completion, &mut rng);
        })),
        3 => {
            let completing = scene.witness("completing");
            let handle = completing.spawn(async move {
                let turns = rng.u32(..3);
                yields(rng.fork(), turns).await;
                end(completion, &mut rng);
            });
            scene.any_fate(handle);
        }
        _ => scene.errand(move || {
            pause(&mut rng);
            end(completion, &mut rng);
        }),
    }
}

fn end(completion: Completion, rng: &mut Rng) {
    if rng.u8(..6) > 0 {
        completion.complete();
    }
}

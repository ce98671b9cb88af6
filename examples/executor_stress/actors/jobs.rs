//! Jobs of the blocking pool.

use super::parts::{idle, pause, poll_once, spawn_child, yields};
use crate::scene::Scene;
use std::sync::Arc;

/// Jobs, some of which panic; their operations are awaited, waited for, and dropped.
pub(crate) fn awaited(scene: &mut Scene<'_>) {
    for _ in 0..scene.few(16) {
        let (urgent, panics) = (scene.rng.bool(), scene.rng.u8(..8) == 0);
        let mut inside = scene.rng.fork();
        let job = scene.world.run_job(urgent, move |promise| {
            pause(&mut inside);
            if panics {
                promise.panic();
            }
        });
        let Some(mut job) = job else {
            return;
        };
        let mut rng = scene.rng.fork();
        match rng.u8(..5) {
            0 => drop(job),
            1 => scene.errand(move || job.wait()),
            way => {
                let awaiting = scene.witness("awaiting-job");
                let handle = awaiting.spawn(async move {
                    yields(rng.fork(), rng.u32(..2)).await;
                    if way > 2 || !poll_once(&mut job).await {
                        job.await;
                    }
                });
                scene.any_fate(handle);
            }
        }
    }
}

/// Jobs that spawn tasks and block until they end.
pub(crate) fn that_wait(scene: &mut Scene<'_>) {
    let (world, stage) = (Arc::clone(scene.world), scene.any_stage());
    let mut rng = scene.rng.fork();
    let job = scene.world.run_job(rng.bool(), move |_| {
        for _ in 0..rng.u8(1..6) {
            if let Some(child) = spawn_child(&world, &stage, &mut rng) {
                child.wait();
            }
        }
    });
    drop(job);
}

/// One job after the other, while the pool's bound and its patience with idle threads change.
pub(crate) fn bounds(scene: &mut Scene<'_>) {
    let (rounds, mut rng) = (scene.few(40), scene.rng.fork());
    let world = Arc::clone(scene.world);
    if scene.rng.bool() {
        let asking = scene.witness("one-job-after-another");
        let handle = asking.spawn(async move {
            for _ in 0..rounds {
                idle(&world, &mut rng).await;
            }
        });
        scene.any_fate(handle);
        return;
    }
    scene.errand(move || {
        for _ in 0..rounds {
            let mut inside = rng.fork();
            let job = world.run_job(rng.bool(), move |_| pause(&mut inside));
            if rng.u8(..3) == 0 {
                world.jobs.change(&mut rng);
            }
            match job {
                Some(job) if rng.u8(..4) > 0 => job.wait(),
                job => drop(job),
            }
        }
    });
}

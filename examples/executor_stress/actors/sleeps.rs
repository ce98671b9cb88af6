//! Sleeps, which are never too short.

use super::parts::{poll_once, yields};
use crate::report::hold;
use crate::scene::Scene;
use data_manager::tasks_manager::{block_on, sleep};
use std::time::{Duration, Instant};

/// The longest sleep.
const LONGEST_US: u64 = 3_000;
/// Longer than any world.
const HOUR: Duration = Duration::from_secs(3600);

/// Sleeps that are waited for.
pub(crate) fn sleeping(scene: &mut Scene<'_>) {
    for _ in 0..scene.few(8) {
        let duration = Duration::from_micros(scene.rng.u64(..LONGEST_US));
        let sleeper = async move {
            let start = Instant::now();
            sleep(duration).await;
            let slept = start.elapsed();
            hold(slept >= duration, || {
                format!("a sleep of {duration:?} took {slept:?}")
            });
        };
        if scene.rng.u8(..5) == 0 {
            scene.errand(move || block_on(sleeper));
        } else {
            let handle = scene.witness("sleeping").spawn(sleeper);
            scene.any_fate(handle);
        }
    }
}

/// Sleeps that are dropped before their time, or at that very moment.
pub(crate) fn dropped(scene: &mut Scene<'_>) {
    for _ in 0..scene.few(8) {
        let (mut rng, duration) = (
            scene.rng.fork(),
            Duration::from_micros(scene.rng.u64(..300)),
        );
        let handle = scene.witness("sleep-dropping").spawn(async move {
            let mut short = sleep(duration);
            let mut long = sleep(HOUR);
            let _ = poll_once(&mut long).await;
            let _ = poll_once(&mut short).await;
            let turns = rng.u32(..20);
            yields(rng.fork(), turns).await;
            drop(long);
            if !poll_once(&mut short).await && rng.bool() {
                short.await;
            }
        });
        scene.any_fate(handle);
    }
}

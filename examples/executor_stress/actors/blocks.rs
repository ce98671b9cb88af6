//! Polls that block.

use super::parts::{idle, spawn_child, woken_until, yields};
use crate::handle::Handle;
use crate::scene::{Leaving, Scene, Stayer};
use crate::stage::Stage;
use crate::world::World;
use data_manager::tasks_manager::{block_on, sleep};
use fastrand::Rng;
use std::hint::spin_loop;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// A long poll. Workers that find nothing look around again after a millisecond.
const LONG_US: RangeInclusive<u64> = 900..=1_300;

/// A task that spawns children and blocks its worker until they end. Another worker has to take them out of
/// the queue of the one that is blocked.
pub(crate) fn on_children(scene: &mut Scene<'_>) {
    let (rounds, mut rng) = (scene.few(6), scene.rng.fork());
    let (world, blocked) = (Arc::clone(scene.world), scene.witness("blocked"));
    let stage = Arc::clone(&blocked.stage);
    let handle = blocked.spawn(async move {
        for _ in 0..rounds {
            idle(&world, &mut rng).await;
            if rng.u8(..3) == 0 {
                block_on_a_message(&world, &stage, &mut rng);
                continue;
            }
            let children: Vec<_> = (0..rng.u8(1..4))
                .filter_map(|_| spawn_child(&world, &stage, &mut rng))
                .collect();
            if let Some(_leave) = stage.let_block(1) {
                children.into_iter().for_each(Handle::wait);
            } else {
                for child in children {
                    child.await;
                }
            }
        }
    });
    scene.gentle_fate(handle);
}

/// Blocks on a channel that the executor knows nothing of.
fn block_on_a_message(world: &World, stage: &Arc<Stage>, rng: &mut Rng) {
    let Some(_leave) = stage.let_block(1) else {
        return;
    };
    let (sender, receiver) = channel();
    let turns = yields(rng.fork(), rng.u32(..3));
    let child = world.witness(stage, "messenger").spawn(async move {
        turns.await;
        // Nobody listens where the blocked task is being dropped.
        let _ = sender.send(());
    });
    // An error: the child was dropped, and the sender with it.
    let _ = receiver.recv();
    drop(child);
}

/// A task whose poll is so long that the others fall asleep, and which then spawns a child and blocks on it.
pub(crate) fn after_a_long_poll(scene: &mut Scene<'_>) {
    let (rounds, mut rng) = (scene.few(10), scene.rng.fork());
    let (world, blocked) = (Arc::clone(scene.world), scene.witness("long-poll"));
    let stage = Arc::clone(&blocked.stage);
    let handle = blocked.spawn(async move {
        for _ in 0..rounds {
            yields(rng.fork(), 1).await;
            let (start, time) = (Instant::now(), Duration::from_micros(rng.u64(LONG_US)));
            while start.elapsed() < time {
                spin_loop();
            }
            block_on_a_message(&world, &stage, &mut rng);
        }
    });
    scene.gentle_fate(handle);
}

/// A task that wakes an idle one and blocks until that one has been polled.
pub(crate) fn on_an_answer(scene: &mut Scene<'_>) {
    let (rounds, mut rng) = (scene.few(6), scene.rng.fork());
    let (world, blocked) = (Arc::clone(scene.world), scene.witness("asking"));
    let stage = Arc::clone(&blocked.stage);
    let idler = world.stayer(&stage, "asked");
    let finish = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&finish);
    let Some(handle) = idler.spawn(woken_until(move || told.load(Ordering::Relaxed))) else {
        return;
    };
    let leaving = Leaving::Finish(finish);
    scene.stayers.push(Stayer { handle, leaving });
    let handle = blocked.spawn(async move {
        for _ in 0..rounds {
            idle(&world, &mut rng).await;
            if let Some(_leave) = stage.let_block(1) {
                idler.wake_and_wait();
            } else {
                idler.wake();
            }
        }
    });
    scene.gentle_fate(handle);
}

/// A poll that runs an executor of its own, and leaves tokens of its thread's parking behind.
pub(crate) fn nested(scene: &mut Scene<'_>) {
    let (rounds, mut rng) = (scene.few(5), scene.rng.fork());
    let nested = scene.witness("nested");
    let handle = nested.spawn(async move {
        for _ in 0..rounds {
            yields(rng.fork(), 1).await;
            thread::current().unpark();
            match rng.u8(..4) {
                0 => block_on(sleep(Duration::from_micros(rng.u64(..500)))),
                1 => thread::park(),
                _ => block_on(yields(rng.fork(), 5)),
            }
            if rng.bool() {
                thread::current().unpark();
            }
        }
    });
    scene.any_fate(handle);
}

//! Futures that use the executor while they are dropped.

use super::parts::{OnDrop, pause, spawn_child, yields};
use crate::handle::Handle;
use crate::promise::{Completion, Operation};
use crate::scene::{Leaving, Scene, Stayer};
use crate::world::World;
use fastrand::Rng;
use std::future::pending;
use std::sync::Arc;

/// A future that, in its drop, spawns, wakes, cancels, completes and gives up, whoever drops it and why.
pub(crate) fn last_words(scene: &mut Scene<'_>) {
    let mut rng = scene.rng.fork();
    let stage = scene.any_stage();
    let ends = rng.bool();
    let me = if ends {
        scene.world.witness(&stage, "last-words")
    } else {
        scene.world.stayer(&stage, "last-words")
    };
    let mut last = LastWords::prepare(scene);
    let own = Arc::clone(&me);
    let guard = OnDrop(move || {
        own.wake();
        last.say();
    });
    let turns = rng.u32(..3);
    let handle = me.spawn(async move {
        let _guard = guard;
        yields(rng.fork(), turns).await;
        if !ends {
            pending::<()>().await;
        }
    });
    if ends {
        scene.any_fate(handle);
        return;
    }
    let leaving = if scene.rng.bool() {
        Leaving::Cancel
    } else {
        Leaving::WithTheManager
    };
    scene
        .stayers
        .extend(handle.map(|handle| Stayer { handle, leaving }));
}

struct LastWords {
    world: Arc<World>,
    rng: Rng,
    /// Its handle is used up by the words.
    other: Option<Handle>,
    completion: Option<Completion>,
    operation: Option<Operation>,
}

impl LastWords {
    fn prepare(scene: &mut Scene<'_>) -> Self {
        let mut rng = scene.rng.fork();
        let other = scene.witness("other").spawn(yields(rng.fork(), 3));
        // One end of an operation, or both. Who waits for this one waits until the end of the world.
        let (operation, completion) = scene.world.operation();
        let operation = if rng.bool() {
            Some(operation)
        } else {
            let stage = scene.any_stage();
            let waiting = scene.world.stayer(&stage, "waits-for-last-words");
            let handle = waiting.spawn(operation);
            let leaving = Leaving::WithTheManager;
            scene
                .stayers
                .extend(handle.map(|handle| Stayer { handle, leaving }));
            None
        };
        Self {
            world: Arc::clone(scene.world),
            rng,
            other,
            completion: Some(completion),
            operation,
        }
    }

    fn say(&mut self) {
        if let Some(other) = &self.other {
            other.witness.wake();
            other.cancel();
        }
        drop(self.other.take());
        for _ in 0..self.rng.u8(..3) {
            let stage = Arc::clone(self.world.any_stage(&mut self.rng));
            drop(spawn_child(&self.world, &stage, &mut self.rng));
        }
        let mut inside = self.rng.fork();
        drop(
            self.world
                .run_job(self.rng.bool(), move |_| pause(&mut inside)),
        );
        if self.rng.bool() {
            drop(self.operation.take());
        }
        match self.completion.take() {
            Some(completion) if self.rng.bool() => completion.complete(),
            given_up => drop(given_up),
        }
    }
}

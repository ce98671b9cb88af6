//! Tasks that are woken: by themselves, by each other, from outside, once and a hundred times.

use super::parts::{idle, pause, woken_until, yields};
use crate::scene::{Leaving, Scene, Stayer};
use crate::witness::Witness;
use fastrand::Rng;
use std::array::from_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Wakes itself a number of times.
pub(crate) fn yielding(scene: &mut Scene<'_>) {
    let (turns, rng) = (scene.few(200), scene.rng.fork());
    let handle = scene.witness("yielding").spawn(yields(rng, turns));
    scene.any_fate(handle);
}

/// Two tasks that wake each other in turn.
pub(crate) fn ping_pong(scene: &mut Scene<'_>) {
    let strokes = u64::from(scene.few(300));
    // How often the ball was hit. Relaxed: each wake has to bring it along.
    let ball = Arc::new(AtomicU64::new(0));
    let players: [_; 2] = from_fn(|_| scene.witness("player"));
    for side in 0..2 {
        let (ball, other) = (Arc::clone(&ball), Arc::clone(&players[1 - side]));
        let handle = players[side].spawn(woken_until(move || {
            let hit = ball.load(Ordering::Relaxed);
            if hit < strokes && hit % 2 == side as u64 {
                ball.store(hit + 1, Ordering::Relaxed);
                other.wake();
            }
            ball.load(Ordering::Relaxed) >= strokes
        }));
        scene.gentle_fate(handle);
    }
}

/// A task that waits for messages of several others, each of which wakes it for each message.
pub(crate) fn woken(scene: &mut Scene<'_>) {
    let per_sender = u64::from(scene.few(60));
    let boxes: Arc<[AtomicU64]> = (0..scene.rng.u8(1..=3))
        .map(|_| AtomicU64::new(0))
        .collect();
    let receiver = scene.witness("receiver");
    let inside = Arc::clone(&boxes);
    let handle = receiver.spawn(woken_until(move || {
        // Relaxed: what a sender wrote has to come with its wake.
        inside
            .iter()
            .all(|messages| messages.load(Ordering::Relaxed) == per_sender)
    }));
    for number in 0..boxes.len() {
        let sender = Sender {
            boxes: Arc::clone(&boxes),
            number,
            messages: per_sender,
            receiver: Arc::clone(&receiver),
            rng: scene.rng.fork(),
        };
        sender.enter(scene);
    }
    scene.any_fate(handle);
}

struct Sender {
    boxes: Arc<[AtomicU64]>,
    number: usize,
    messages: u64,
    receiver: Arc<Witness>,
    rng: Rng,
}

impl Sender {
    fn enter(mut self, scene: &mut Scene<'_>) {
        match scene.rng.u8(..4) {
            0 => {
                let sender = scene.witness("sender");
                let world = Arc::clone(scene.world);
                let handle = sender.spawn(async move {
                    for message in 1..=self.messages {
                        self.send(message);
                        if self.rng.u8(..8) == 0 {
                            idle(&world, &mut self.rng).await;
                        }
                    }
                });
                scene.gentle_fate(handle);
            }
            _ => scene.errand(move || {
                for message in 1..=self.messages {
                    let wake = self.send(message);
                    match (wake, self.rng.u8(..4)) {
                        // Alone with its wake: one that is lost is not made up for by the next.
                        (Some(wake), 0 | 1) => self.receiver.seen.wait_for(wake),
                        (_, 2) => pause(&mut self.rng),
                        _ => {}
                    }
                }
                // Some more that mean nothing, often after the end.
                (0..self.rng.u8(..4)).for_each(|_| _ = self.receiver.wake());
            }),
        }
    }

    fn send(&self, message: u64) -> Option<u64> {
        self.boxes[self.number].store(message, Ordering::Relaxed);
        self.receiver.wake()
    }
}

/// Idle tasks that are woken from outside all at once, again when all have answered, and so on.
pub(crate) fn answering(scene: &mut Scene<'_>) {
    let (tasks, rounds) = (scene.few(16), scene.few(30));
    let mut idlers = Vec::new();
    for _ in 0..tasks {
        let stage = scene.any_stage();
        let idler = scene.world.stayer(&stage, "answering");
        let finish = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&finish);
        let Some(handle) = idler.spawn(woken_until(move || told.load(Ordering::Relaxed))) else {
            return;
        };
        let leaving = match scene.rng.u8(..3) {
            0 => Leaving::Finish(finish),
            1 => Leaving::Cancel,
            _ => Leaving::WithTheManager,
        };
        scene.stayers.push(Stayer { handle, leaving });
        idlers.push(idler);
    }
    let mut rng = scene.rng.fork();
    scene.errand(move || {
        for _ in 0..rounds {
            let wakes: Vec<_> = idlers.iter().map(|idler| idler.wake()).collect();
            for (idler, wake) in idlers.iter().zip(wakes) {
                idler.seen.wait_for(wake.unwrap_or(1));
            }
            pause(&mut rng);
        }
    });
}

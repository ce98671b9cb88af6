//! Tasks that cannot go on unless several workers work.

use super::parts::{RaiseOnDrop, idle, pause, spawn_child, spin_until, woken_until, yields};
use crate::scene::Scene;
use crate::stage::{MayBlock, Stage};
use crate::world::World;
use fastrand::Rng;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tasks that block until all of them are being polled, on a worker each.
pub(crate) fn meeting(scene: &mut Scene<'_>) {
    let (rounds, mut rng) = (scene.few(10), scene.rng.fork());
    let (world, stage) = (Arc::clone(scene.world), scene.any_stage());
    if scene.rng.bool() {
        scene.errand(move || {
            for _ in 0..rounds {
                if let Some(meeting) = call_meeting(&world, &stage, &mut rng) {
                    meeting.wait_for_the_end();
                }
                pause(&mut rng);
            }
        });
    } else {
        let chair = world.witness(&stage, "chair");
        let handle = chair.spawn(async move {
            for _ in 0..rounds {
                // Those who meet must be able to: the chair does not wait for them.
                let _ = call_meeting(&world, &stage, &mut rng);
                idle(&world, &mut rng).await;
            }
        });
        scene.any_fate(handle);
    }
}

fn call_meeting(world: &World, stage: &Arc<Stage>, rng: &mut Rng) -> Option<Arc<Meeting>> {
    let members = rng.usize(1..=stage.threads);
    // The last one to come blocks nobody.
    let leave = stage.let_block(members - 1)?;
    let meeting = Arc::new(Meeting::default());
    let leave = Arc::new(leave);
    for _ in 0..members {
        let mut seat = Seat {
            meeting: Arc::clone(&meeting),
            members,
            sat: false,
            _leave: Arc::clone(&leave),
        };
        let turns = yields(rng.fork(), rng.u32(..2));
        drop(world.witness(stage, "member").spawn(async move {
            turns.await;
            seat.sit();
        }));
    }
    Some(meeting)
}

#[derive(Default)]
struct Meeting {
    state: Mutex<MeetingState>,
    changed: Condvar,
}

#[derive(Default)]
struct MeetingState {
    present: usize,
    is_over: bool,
}

impl Meeting {
    fn wait_for_the_end(&self) {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| !state.is_over);
    }

    fn end(&self) {
        self.state.lock().is_over = true;
        self.changed.notify_all();
    }
}

/// One member's place. Dropped empty, it calls the meeting off: its manager is gone.
struct Seat {
    meeting: Arc<Meeting>,
    members: usize,
    sat: bool,
    _leave: Arc<MayBlock>,
}

impl Seat {
    /// Blocks until all are there.
    fn sit(&mut self) {
        self.sat = true;
        let all = {
            let mut state = self.meeting.state.lock();
            state.present += 1;
            state.present == self.members
        };
        if all {
            self.meeting.end();
        }
        self.meeting.wait_for_the_end();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.sat {
            self.meeting.end();
        }
    }
}

/// Tasks that keep all workers busy until another one has had its turn, wherever that one waits.
pub(crate) fn bystanders(scene: &mut Scene<'_>) {
    let stage = scene.any_stage();
    let scenery = Bystanders {
        world: Arc::clone(scene.world),
        count: stage.threads + scene.rng.usize(..4),
        stage,
        had_its_turn: Arc::default(),
    };
    let hoping = scene.world.witness(&scenery.stage, "hoping");
    let mut rng = scene.rng.fork();
    let guard = RaiseOnDrop(Arc::clone(&scenery.had_its_turn));
    match rng.u8(..4) {
        // In the queue of a worker that is blocked, and waits for it.
        0 | 1 => {
            scenery.enter();
            let handle = hoping.spawn(async move {
                yields(rng.fork(), 3).await;
                let child = spawn_child(&scenery.world, &scenery.stage, &mut rng);
                if let (Some(_leave), Some(child)) = (scenery.stage.let_block(1), child) {
                    child.wait();
                }
                drop(guard);
            });
            scene.kept.extend(handle);
        }
        // In the queue of those who are no workers.
        2 => scene.errand(move || {
            scenery.enter();
            pause(&mut rng);
            drop(hoping.spawn(async move { drop(guard) }));
        }),
        // Nowhere, until it is woken.
        _ => {
            let called = Arc::new(AtomicBool::new(false));
            let hears = Arc::clone(&called);
            let handle = hoping.spawn(async move {
                woken_until(|| hears.load(Ordering::Relaxed)).await;
                drop(guard);
            });
            scene.kept.extend(handle);
            scene.errand(move || {
                scenery.enter();
                pause(&mut rng);
                called.store(true, Ordering::Relaxed);
                hoping.wake_and_wait();
            });
        }
    }
}

struct Bystanders {
    world: Arc<World>,
    stage: Arc<Stage>,
    count: usize,
    had_its_turn: Arc<AtomicBool>,
}

impl Bystanders {
    fn enter(&self) {
        for _ in 0..self.count {
            let until = Arc::clone(&self.had_its_turn);
            let spin = spin_until(move || until.load(Ordering::Relaxed));
            drop(self.world.witness(&self.stage, "bystander").spawn(spin));
        }
    }
}

//! Tasks that are cancelled: before the first poll, during one, between two, after the end, twice, by anybody.

use super::parts::{pause, yields};
use crate::handle::Handle;
use crate::scene::Scene;
use fastrand::Rng;
use parking_lot::Mutex;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;

/// More turns than most cancellations take to come, and a few milliseconds at the most.
const LONG: u32 = 10_000;

/// A task that several others want to end, all with the same handle.
pub(crate) fn cancelled(scene: &mut Scene<'_>) {
    let subject = scene.witness("cancelled");
    let (turns, rng) = (scene.few(50), scene.rng.fork());
    let handle = match scene.rng.u8(..3) {
        0 => subject.spawn(pending()),
        1 => subject.spawn(yields(rng, LONG)),
        _ => subject.spawn(yields(rng, turns)),
    };
    let Some(handle) = handle.map(Arc::new) else {
        return;
    };
    for _ in 0..scene.rng.u8(..4) {
        let mut rng = scene.rng.fork();
        let canceller = Canceller::new(&handle);
        match rng.u8(..4) {
            0 => {
                let task = scene.witness("canceller");
                let handle = task.spawn(async move {
                    let turns = rng.u32(..3);
                    yields(rng.fork(), turns).await;
                    if let Some(last) = canceller.cancel(&mut rng) {
                        last.await;
                    }
                });
                scene.gentle_fate(handle);
            }
            1 => {
                let urgent = rng.bool();
                drop(
                    scene
                        .world
                        .run_job(urgent, move |_| canceller.cancel_and_wait(&mut rng)),
                );
            }
            2 => drop(canceller.cancel(&mut rng)),
            _ => scene.errand(move || canceller.cancel_and_wait(&mut rng)),
        }
    }
    // One of them comes for sure: a task that would end it may be cancelled itself.
    let (sure, mut rng) = (Canceller::new(&handle), scene.rng.fork());
    drop(handle);
    scene.errand(move || sure.cancel_and_wait(&mut rng));
}

struct Canceller(Arc<Handle>);

impl Canceller {
    fn new(handle: &Arc<Handle>) -> Self {
        Self(Arc::clone(handle))
    }

    /// The handle comes back to the last one.
    fn cancel(self, rng: &mut Rng) -> Option<Handle> {
        for _ in 0..rng.u8(1..=2) {
            self.0.cancel();
            self.0.look();
        }
        Arc::into_inner(self.0)
    }

    /// For threads that poll nobody.
    fn cancel_and_wait(self, rng: &mut Rng) {
        if rng.bool() {
            self.0.witness.seen.wait_for(1);
        }
        pause(rng);
        match self.cancel(rng) {
            Some(last) if rng.bool() => last.wait(),
            last => drop(last),
        }
    }
}

/// A task that has its own handle, and cancels itself in the middle of a poll.
pub(crate) fn by_itself(scene: &mut Scene<'_>) {
    let (me, joiner) = (scene.witness("cancels-itself"), scene.witness("joiner"));
    let place = Arc::new(Mutex::new(None::<Handle>));
    let (found, mut rng) = (Arc::clone(&place), scene.rng.fork());
    let own = Arc::clone(&me);
    let handle = me.spawn(poll_fn(move |cx| {
        let handle = found.lock().take();
        let Some(handle) = handle else {
            return Poll::Pending;
        };
        handle.cancel();
        match rng.u8(..4) {
            // Nobody waits for it.
            0 => drop(handle),
            _ => drop(joiner.spawn(handle)),
        }
        match rng.u8(..4) {
            // This poll was the last one anyway.
            0 => Poll::Ready(()),
            1 => {
                own.wake();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Pending,
        }
    }));
    *place.lock() = handle;
    me.wake();
}

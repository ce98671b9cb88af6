//! Code of users that panics.

use super::parts::{pause, yields};
use crate::report::{panic_on_purpose, survive};
use crate::scene::{Leaving, Scene, Stayer};
use crate::witness::Witness;
use data_manager::tasks_manager::sleep;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::panicking;
use std::time::Duration;

/// Panics when it is dropped, in the name of a future.
struct Bomb(Arc<Witness>);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !panicking() {
            self.0.panic();
        }
    }
}

/// A future that panics in a poll or in its drop, or in both.
pub(crate) fn panicking_future(scene: &mut Scene<'_>) {
    let (turns, rng) = (scene.few(10), scene.rng.fork());
    let way = scene.rng.u8(..4);
    let me = if way == 0 {
        let stage = scene.any_stage();
        scene.world.stayer(&stage, "panicking")
    } else {
        scene.witness("panicking")
    };
    let own = Arc::clone(&me);
    match way {
        0 => {
            let bomb = Bomb(own);
            let handle = me.spawn(async move {
                let _bomb = bomb;
                pending::<()>().await;
            });
            let leaving = if scene.rng.bool() {
                Leaving::Cancel
            } else {
                Leaving::WithTheManager
            };
            scene
                .stayers
                .extend(handle.map(|handle| Stayer { handle, leaving }));
        }
        1 => {
            let bomb = Bomb(own);
            let handle = me.spawn(async move {
                yields(rng, turns).await;
                drop(bomb);
            });
            scene.any_fate(handle);
        }
        2 => {
            let handle = me.spawn(async move {
                yields(rng, turns).await;
                own.panic();
            });
            scene.any_fate(handle);
        }
        _ => {
            // Captured and not used: it goes with the future, after the last poll.
            let handle = me.spawn(with(Bomb(Arc::clone(&me)), async move {
                yields(rng, turns).await;
                if turns.is_multiple_of(2) {
                    own.panic();
                }
            }));
            scene.any_fate(handle);
        }
    }
}

/// A future that keeps a value until it is dropped, also when it is ready or has panicked.
fn with<T: Send + 'static>(
    value: T,
    future: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |cx| {
        let _ = &value;
        future.as_mut().poll(cx)
    })
}

/// A waker that panics when it wakes, and when its last clone is dropped.
struct BadWake;

impl Wake for BadWake {
    fn wake(self: Arc<Self>) {
        panic_on_purpose();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        panic_on_purpose();
    }
}

impl Drop for BadWake {
    fn drop(&mut self) {
        if !panicking() {
            panic_on_purpose();
        }
    }
}

/// Handles, operations and sleeps that are polled with such a waker.
pub(crate) fn bad_wakers(scene: &mut Scene<'_>) {
    let (turns, mut rng) = (scene.few(10), scene.rng.fork());
    let Some(mut handle) = scene
        .witness("badly-awaited")
        .spawn(yields(rng.fork(), turns))
    else {
        return;
    };
    let mut inside = rng.fork();
    let job = scene.world.run_job(rng.bool(), move |_| pause(&mut inside));
    let mut sleep = sleep(Duration::from_micros(rng.u64(..1_000)));
    scene.errand(move || {
        let handle_is_ready = poll_badly(&mut handle);
        let _ = poll_badly(&mut sleep);
        if let Some(mut job) = job
            && !poll_badly(&mut job)
        {
            pause(&mut rng);
            job.wait();
        }
        if !handle_is_ready {
            pause(&mut rng);
            handle.wait();
        }
        drop(sleep);
    });
}

/// True where it is ready.
fn poll_badly(future: &mut (impl Future + Unpin)) -> bool {
    let waker = Waker::from(Arc::new(BadWake));
    let answer = Pin::new(future).poll(&mut Context::from_waker(&waker));
    // The last clone may be this one.
    survive(|| drop(waker));
    answer.is_ready()
}

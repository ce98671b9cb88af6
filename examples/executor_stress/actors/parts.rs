//! What several actors are made of.

use crate::handle::Handle;
use crate::stage::Stage;
use crate::world::World;
use data_manager::tasks_manager::{TasksManager, sleep};
use fastrand::Rng;
use std::future::{Future, poll_fn};
use std::hint::spin_loop;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// Wakes, in one of the ways there are.
pub(crate) fn wake_somehow(waker: &Waker, way: u8) {
    match way % 4 {
        0 => waker.wake_by_ref(),
        1 => {
            let own = waker.clone();
            own.wake();
        }
        2 => TasksManager::wake(waker),
        _ => (0..3).for_each(|_| waker.wake_by_ref()),
    }
}

/// Lets other tasks have their turn so many times.
pub(crate) async fn yields(mut rng: Rng, times: u32) {
    for _ in 0..times {
        let mut yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            wake_somehow(cx.waker(), rng.u8(..));
            Poll::Pending
        })
        .await;
    }
}

/// Wakes itself until something is so.
pub(crate) async fn spin_until(mut is_so: impl FnMut() -> bool) {
    poll_fn(|cx| {
        if is_so() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Is polled when somebody wakes it, until something is so.
pub(crate) async fn woken_until(mut is_so: impl FnMut() -> bool) {
    poll_fn(|_| {
        if is_so() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Polls once, and says whether that was enough.
pub(crate) async fn poll_once(future: &mut (impl Future + Unpin)) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_ready())).await
}

/// Passes some time on a thread outside, or none. Nobody relies on it; it lets the workers fall asleep, or not.
pub(crate) fn pause(rng: &mut Rng) {
    match rng.u8(..8) {
        0..=2 => {}
        3 => thread::yield_now(),
        4 | 5 => (0..rng.u32(..2_000)).for_each(|_| spin_loop()),
        _ => thread::sleep(Duration::from_micros(rng.u64(..300))),
    }
}

/// Passes some time in a task, or none, and goes on in a poll that was brought about from inside or from outside.
pub(crate) async fn idle(world: &World, rng: &mut Rng) {
    match rng.u8(..6) {
        0 => {}
        1 => yields(rng.fork(), 1).await,
        2 => sleep(Duration::from_micros(rng.u64(..1_000))).await,
        _ => {
            let mut inside = rng.fork();
            if let Some(job) = world.run_job(rng.bool(), move |_| pause(&mut inside)) {
                job.await;
            }
        }
    }
}

/// Spawns a task that ends after a few turns.
pub(crate) fn spawn_child(world: &World, stage: &Arc<Stage>, rng: &mut Rng) -> Option<Handle> {
    let turns = rng.u32(..3);
    world
        .witness(stage, "child")
        .spawn(yields(rng.fork(), turns))
}

/// Does something with the handle of a task that ends by itself.
pub(crate) async fn handle_in_task(mut handle: Handle, rng: &mut Rng) {
    match rng.u8(..8) {
        0 => drop(handle),
        1 => {
            handle.cancel();
            handle.await;
        }
        2 => {
            if !poll_once(&mut handle).await && rng.bool() {
                handle.cancel();
            }
        }
        3 => {
            handle.look();
            yields(rng.fork(), 2).await;
            handle.look();
            handle.await;
        }
        _ => handle.await,
    }
}

/// Raises a flag when it is dropped.
pub(crate) struct RaiseOnDrop(pub(crate) Arc<AtomicBool>);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs code when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

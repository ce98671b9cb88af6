//! Blocking pools of their own, so that nobody else changes what they need.

use super::parts::{OnDrop, pause};
use crate::level::Level;
use crate::report::hold;
use crate::scene::Scene;
use data_manager::io_operation::{BlockingPool, IoOperation};
use fastrand::Rng;
use std::future::Future;
use std::hint::spin_loop;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

/// The most threads of such a pool.
const THREADS: usize = 4;
/// Longer than any world.
const HOUR: Duration = Duration::from_secs(3600);

/// Jobs that wait for each other need a higher bound and get it; then it is lowered while a job comes in.
pub(crate) fn moving_bound(scene: &mut Scene<'_>) {
    let (rounds, mut rng) = (scene.few(30), scene.rng.fork());
    scene.errand(move || {
        let pool = BlockingPool::new(1);
        pool.set_idle_timeout(HOUR);
        for _ in 0..rounds {
            let (high, low) = (rng.usize(2..=THREADS), rng.usize(0..=2));
            meet(&pool, high, &mut rng);
            thread::scope(|scope| {
                let (pool, mut other) = (&pool, rng.fork());
                scope.spawn(move || {
                    pause(&mut other);
                    pool.set_max_threads(low);
                });
                pause(&mut rng);
                expect(pool.run(|| ()));
            });
            // Nothing is said when a thread has gone.
            while pool.threads() > low.max(1) {
                thread::yield_now();
            }
        }
    });
}

/// As many jobs as threads, each waiting for all others.
fn meet(pool: &BlockingPool, threads: usize, rng: &mut Rng) {
    let barrier = Arc::new(Barrier::new(threads));
    let jobs: Vec<_> = (0..threads)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            pool.run(move || {
                barrier.wait();
            })
        })
        .collect();
    pause(rng);
    pool.set_max_threads(threads);
    jobs.into_iter().for_each(expect);
}

/// Jobs that come in while the only thread goes, because it had nothing to do for no time at all.
pub(crate) fn leaving_threads(scene: &mut Scene<'_>) {
    let (rounds, mut rng) = (scene.few(60), scene.rng.fork());
    scene.errand(move || {
        let pool = BlockingPool::new(rng.usize(1..=2));
        pool.set_idle_timeout(Duration::ZERO);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            // Somebody else at the pool's lock, so that a thread that has run out of time has to wait for it.
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = pool.queued();
                    thread::yield_now();
                }
            });
            for _ in 0..rounds {
                expect_at_once(pool.run(|| ()));
                (0..rng.u32(..64)).for_each(|_| spin_loop());
            }
            done.store(true, Ordering::Relaxed);
        });
    });
}

/// Results that nobody wants, and whose drops take until the next job has run: another thread has to run that.
pub(crate) fn slow_drops(scene: &mut Scene<'_>) {
    let (rounds, mut rng) = (scene.few(60), scene.rng.fork());
    scene.errand(move || {
        let pool = BlockingPool::new(2);
        for _ in 0..rounds {
            let unwanted = Arc::new(AtomicBool::new(false));
            let next_has_run = Arc::new(Level::default());
            let (inside, told) = (Arc::clone(&unwanted), Arc::clone(&next_has_run));
            drop(pool.run(move || {
                // Or else the result would be dropped here, with the operation. Without a sleep: the next job is to
                // come at the very moment in which this one ends.
                spin_until(|| inside.load(Ordering::Relaxed));
                OnDrop(move || told.wait_for(1))
            }));
            unwanted.store(true, Ordering::Relaxed);
            (0..rng.u32(..16)).for_each(|_| spin_loop());
            expect(pool.run(move || next_has_run.raise(1)));
        }
    });
}

/// Waits without a sleep, so that the next job comes while the thread of this one is on its way out.
fn expect_at_once(mut job: IoOperation<()>) {
    let mut context = Context::from_waker(Waker::noop());
    spin_until(|| Pin::new(&mut job).poll(&mut context).is_ready());
}

/// Waits for a moment without a sleep.
fn spin_until(mut is_so: impl FnMut() -> bool) {
    let mut looks = 0_u32;
    while !is_so() {
        looks += 1;
        if looks.is_multiple_of(1_000) {
            thread::yield_now();
        } else {
            spin_loop();
        }
    }
}

fn expect(job: IoOperation<()>) {
    let result = job.wait();
    hold(result.is_ok(), || format!("a job ended with {result:?}"));
}

//! Where actors are set up: what they find there, and what they leave for later.

use crate::actors::Kind;
use crate::actors::parts::pause;
use crate::handle::Handle;
use crate::plan::few;
use crate::stage::Stage;
use crate::witness::Witness;
use crate::world::World;
use fastrand::Rng;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Waker};
use std::thread::{self, JoinHandle};

/// Something to be done by a thread outside.
///
/// It may wait for what tasks and jobs bring about by themselves, or with the help of errands that were given before.
/// Errands are done in their order, so one that waited for a later one could wait for itself.
type Errand = (&'static str, Box<dyn FnOnce() + Send>);

/// What a thread does that has no errand.
pub(crate) const NOTHING: &str = "nothing";

/// Threads that are no workers.
pub(crate) struct Crew {
    threads: Vec<(Sender<Errand>, JoinHandle<()>)>,
}

impl Crew {
    fn new(world: &Arc<World>) -> Self {
        let threads = (0..world.outside.len()).map(|number| {
            let (sender, errands) = channel::<Errand>();
            let world = Arc::clone(world);
            let thread = thread::spawn(move || {
                for (kind, errand) in errands {
                    *world.outside[number].lock() = kind;
                    errand();
                    *world.outside[number].lock() = NOTHING;
                }
            });
            (sender, thread)
        });
        Self {
            threads: threads.collect(),
        }
    }

    fn give(&self, rng: &mut Rng, errand: Errand) {
        let (sender, _) = &self.threads[rng.usize(..self.threads.len())];
        // An error would mean that the thread has panicked, and that ends the program.
        let _ = sender.send(errand);
    }

    /// Waits until all errands are done and the threads have ended.
    pub(crate) fn finish(self) {
        let (senders, threads): (Vec<_>, Vec<_>) = self.threads.into_iter().unzip();
        drop(senders);
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// A task that waits until the end of the world, and what ends it if the world runs dry.
pub(crate) struct Stayer {
    pub(crate) handle: Handle,
    pub(crate) leaving: Leaving,
}

pub(crate) enum Leaving {
    /// It is told to, by this flag and a wake.
    Finish(Arc<AtomicBool>),
    Cancel,
    /// It stays until its manager goes.
    WithTheManager,
}

/// What the driver of a world passes from actor to actor.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) rng: Rng,
    /// The actor that is being set up.
    kind: &'static str,
    pub(crate) crew: Crew,
    /// Handles that are waited for when the managers are gone.
    pub(crate) kept: Vec<Handle>,
    pub(crate) stayers: Vec<Stayer>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(world: &'a Arc<World>, rng: Rng) -> Self {
        Self {
            world,
            rng,
            kind: NOTHING,
            crew: Crew::new(world),
            kept: Vec::new(),
            stayers: Vec::new(),
        }
    }

    /// Sets one actor up.
    pub(crate) fn enter(&mut self, kind: &Kind) {
        self.kind = kind.name;
        (kind.enter)(self);
    }

    pub(crate) fn few(&mut self, most: u32) -> u32 {
        few(&mut self.rng, most)
    }

    pub(crate) fn any_stage(&mut self) -> Arc<Stage> {
        Arc::clone(self.world.any_stage(&mut self.rng))
    }

    pub(crate) fn witness(&mut self, kind: &'static str) -> Arc<Witness> {
        let stage = self.any_stage();
        self.world.witness(&stage, kind)
    }

    /// Gives something to a thread outside; see [`Errand`] for what it may wait for.
    pub(crate) fn errand(&mut self, errand: impl FnOnce() + Send + 'static) {
        self.crew.give(&mut self.rng, (self.kind, Box::new(errand)));
    }

    /// Does something with a handle, now or later. If the task depends on errands, they have been given.
    pub(crate) fn any_fate(&mut self, handle: Option<Handle>) {
        let Some(handle) = handle else {
            return;
        };
        let mut rng = self.rng.fork();
        match rng.u8(..4) {
            0 => {
                if rng.bool() {
                    handle.cancel();
                }
                handle.cancel();
                self.gentle_fate(Some(handle));
            }
            1 => self.errand(move || {
                handle.witness.seen.wait_for(rng.u64(..3));
                handle.cancel();
                if rng.bool() {
                    handle.wait();
                }
            }),
            _ => self.gentle_fate(Some(handle)),
        }
    }

    /// Like [`any_fate`](Self::any_fate), for a task on which others depend: it is not cancelled.
    pub(crate) fn gentle_fate(&mut self, handle: Option<Handle>) {
        let Some(handle) = handle else {
            return;
        };
        let mut rng = self.rng.fork();
        match rng.u8(..6) {
            0 => drop(handle),
            1 => self.errand(move || {
                pause(&mut rng);
                drop(handle);
            }),
            2 => self.errand(move || {
                pause(&mut rng);
                handle.look();
                handle.wait();
            }),
            3 => self.errand(move || look_and_wait(handle, &mut rng)),
            4 => {
                let joiner = self.witness("joiner");
                let joiner = joiner.spawn(handle);
                self.kept.extend(joiner);
            }
            _ => self.kept.push(handle),
        }
    }
}

/// Polls a handle with wakers of nobody, and then waits for it: the last waker is the one that counts.
fn look_and_wait(mut handle: Handle, rng: &mut Rng) {
    for _ in 0..rng.u8(1..4) {
        let mut context = Context::from_waker(Waker::noop());
        if std::pin::Pin::new(&mut handle)
            .poll(&mut context)
            .is_ready()
        {
            return;
        }
        handle.look();
        pause(rng);
    }
    handle.wait();
}

impl Stayer {
    /// Ends it, unless it is to stay; returns when it has ended.
    pub(crate) fn leave(self) -> Handle {
        match self.leaving {
            Leaving::Finish(flag) => {
                // Relaxed: the wake has to bring it along.
                flag.store(true, Ordering::Relaxed);
                self.handle.witness.wake();
                self.handle.witness.wait_until_gone();
            }
            Leaving::Cancel => {
                self.handle.cancel();
                self.handle.witness.wait_until_gone();
            }
            Leaving::WithTheManager => {}
        }
        self.handle
    }
}

//! One world from its beginning to its end.

use crate::actors::parts::pause;
use crate::handle::Handle;
use crate::level::Count;
use crate::options::Options;
use crate::parcel;
use crate::plan::{Dropper, Plan};
use crate::report::{begin_world, hold};
use crate::scene::{Scene, Stayer};
use crate::stage::Stage;
use crate::watchdog::Watchdog;
use crate::world::{Totals, World};
use data_manager::tasks_manager::TasksManager;
use fastrand::Rng;
use std::sync::Arc;
use std::thread;

/// Plays the world with this number, and says what happened in it.
pub(crate) fn play(number: u64, options: &Options, watchdog: &Watchdog) -> Totals {
    begin_world(number);
    let mut rng = Rng::with_seed(options.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let plan = Plan::draw(&mut rng, options.threads);
    let busy = Arc::default();
    let (main, main_stage) = open(plan.threads, &busy);
    let (side, side_stage) = plan
        .side_threads
        .map(|threads| open(threads, &busy))
        .unzip();
    let world = Arc::new(World::new(plan, busy, main_stage, side_stage));
    watchdog.watch(&world);

    let mut scene = Scene::new(&world, rng.fork());
    for _ in 0..world.plan.actors {
        scene.enter(world.plan.draw_actor(&mut rng));
    }
    if world.plan.runs_dry {
        run_dry(scene, main, side, &mut rng);
    } else {
        break_off(scene, main, side, &mut rng);
    }
    world.driver_does("looks back");
    check(&world, &mut rng);
    let totals = world.close();
    watchdog.rest();
    totals
}

fn open(threads: usize, busy: &Arc<Count>) -> (Arc<TasksManager>, Arc<Stage>) {
    let manager = Arc::new(TasksManager::new(threads));
    let stage = Arc::new(Stage::new(&manager, threads, busy));
    (manager, stage)
}

fn end_pool_early(world: &World, rng: &mut Rng) {
    if world.plan.pool_ends_early {
        world.driver_does("ends the pool");
        world.jobs.end(rng);
    }
}

/// Waits until everything has happened, and lets go of the managers then.
fn run_dry(
    scene: Scene<'_>,
    main: Arc<TasksManager>,
    side: Option<Arc<TasksManager>>,
    rng: &mut Rng,
) {
    let world = scene.world;
    end_pool_early(world, rng);
    world.driver_does("waits for the threads outside");
    scene.crew.finish();
    world.driver_does("waits for all that ends by itself");
    world.busy.wait_for_none();
    world.driver_does("waits for the polls that follow the last wakes");
    for witness in world.witnesses() {
        if witness.lives() {
            witness.wait_until_up_to_date();
        }
    }
    world.driver_does("ends tasks that wait");
    let mut kept = scene.kept;
    kept.extend(scene.stayers.into_iter().map(Stayer::leave));
    let_go(world, main, side);
    world.driver_does("ends the pool");
    world.jobs.end(rng);
    world.driver_does("waits for the handles that were kept");
    kept.into_iter().for_each(Handle::wait);
}

/// Lets go of the managers in the middle of everything.
fn break_off(
    scene: Scene<'_>,
    main: Arc<TasksManager>,
    side: Option<Arc<TasksManager>>,
    rng: &mut Rng,
) {
    let world = scene.world;
    pause(rng);
    end_pool_early(world, rng);
    let_go(world, main, side);
    // Only now: an errand may wait for a task that waits for one that was dropped.
    world.driver_does("waits for the threads outside");
    scene.crew.finish();
    world.driver_does("ends the pool");
    world.jobs.end(rng);
    world.driver_does("waits for the handles that were kept");
    let stayers = scene.stayers.into_iter().map(|stayer| stayer.handle);
    scene.kept.into_iter().chain(stayers).for_each(Handle::wait);
}

fn let_go(world: &World, main: Arc<TasksManager>, side: Option<Arc<TasksManager>>) {
    world.driver_does("drops the main manager");
    close(&world.main, main, world.plan.main_dropper);
    if let (Some(stage), Some(manager)) = (&world.side, side) {
        world.driver_does("drops the side manager");
        close(stage, manager, world.plan.side_dropper);
    }
}

/// Lets go of a manager, and waits until nothing of it is left.
fn close(stage: &Arc<Stage>, manager: Arc<TasksManager>, dropper: Dropper) {
    stage.close();
    match dropper {
        Dropper::Outsider => {
            // A task that spawns just now may have the last reference.
            if let Some(manager) = Arc::into_inner(manager) {
                drop(manager);
                let (alive, workers) = (stage.alive.get(), stage.workers.get());
                hold((alive, workers) == (0, 0), || {
                    format!("{alive} futures and {workers} workers outlived their manager")
                });
                return;
            }
        }
        Dropper::Poll => parcel::drop_in_poll(stage, manager),
        Dropper::FuturesDrop => parcel::drop_in_futures_drop(stage, manager),
        Dropper::OutputsDrop => parcel::drop_in_outputs_drop(stage, manager),
    }
    // From here on nothing is spawned. Who has the last reference holds it for a moment, and says nothing when it is gone.
    while !stage.is_gone() {
        thread::yield_now();
    }
    stage.alive.wait_for_none();
    stage.workers.wait_for_none();
}

/// What has to be so when all is over.
fn check(world: &World, rng: &mut Rng) {
    for witness in world.witnesses() {
        // A waker outlives everything, and does nothing: a poll would be found out.
        for _ in 0..rng.u8(..3) {
            witness.wake();
        }
        witness.check_at_the_end();
    }
    world.ledger.check_at_the_end();
}

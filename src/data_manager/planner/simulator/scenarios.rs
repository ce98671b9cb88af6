//! Large worlds with one thing in each to look at. Nothing is counted again after each step there:
//! it would take too long, and the small worlds do it.

use std::time::{Duration, Instant};

use super::super::scheduler::{Scheduler, Tier, Trial};
use super::caller::{describe, id_of};
use super::origin::{CONNECT_TIMEOUT, Host, Mood};
use super::world::{Profile, World};
use crate::data_manager::planner::Moment;
use crate::data_manager::stats::Priority;

const SLOTS: usize = 3;
/// As in the builder's table.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// A world in which every host is well, and takes 10 ms for a byte.
fn quiet_world(hosts: usize) -> World {
    let mut world = World::new(Profile {
        seed: 7,
        ids: 0,
        hosts,
        slots: SLOTS,
        slots_per_host: usize::MAX,
        partial_bytes: u64::MAX,
        partial_age: Duration::from_secs(7 * 24 * 3600),
        first_backoff: Duration::from_millis(500),
        longest_backoff: LONGEST_BACKOFF,
        calls: 0,
        pace: Duration::ZERO,
        reorder: 0,
        crashes: 0,
        disk_trouble: 0,
        checked: false,
    });
    world.history.off = true;
    for host in &mut world.hosts {
        *host = Host {
            mood: Mood::Well,
            latency: Duration::from_millis(10),
            pace: Duration::from_millis(10),
            requests: 0,
        };
    }
    world
}

/// Asks for a chunk whose files are of these hosts and lengths.
fn ask(world: &mut World, n: u32, dataset: u32, files: &[(u32, u64)]) {
    let spec = describe((n, 0), dataset, files);
    drop(world.apply(|planner, now| planner.want(now, spec)));
}

fn run_until(world: &mut World, what: &str, holds: impl Fn(&World) -> bool) {
    let deadline = world.now() + Duration::from_secs(24 * 3600);
    while !holds(world) {
        assert!(world.step() && world.now() < deadline, "{what}: never");
    }
}

/// Until when all of these are visible.
fn wait_for(world: &mut World, ids: std::ops::Range<u32>) -> Moment {
    let most = ids.len();
    run_until(world, "all visible", |world| {
        let visible = world.life.references.iter().filter(|r| r.in_catalogue);
        visible.count() >= most && ids.clone().all(|n| world.visible(id_of(n)).is_some())
    });
    world.now()
}

/// The sound chunks: 100 of them.
const SOUND: std::ops::Range<u32> = 0..100;

fn ask_for_sound_ones(world: &mut World) -> Moment {
    let began = world.now();
    SOUND.for_each(|n| ask(world, n, n % 2, &[(0, 20)]));
    began
}

fn sound_ones_alone() -> Duration {
    let mut world = quiet_world(1);
    let began = ask_for_sound_ones(&mut world);
    wait_for(&mut world, SOUND) - began
}

#[test]
fn a_thousand_chunks_that_keep_failing_cost_a_hundred_sound_ones_next_to_nothing() {
    let alone = sound_ones_alone();
    let mixes: [(&str, &[Mood]); 4] = [
        ("503 at once", &[Mood::Busy]),
        ("a stall without a byte", &[Mood::Hangs]),
        ("a stall half way", &[Mood::Stalls]),
        ("all of them", &[Mood::Busy, Mood::Hangs, Mood::Stalls]),
    ];
    for (name, moods) in mixes {
        let mut world = quiet_world(1);
        world.mood_of =
            Box::new(move |n| (!SOUND.contains(&n)).then(|| moods[n as usize % moods.len()]));
        for n in 1000..2000 {
            ask(&mut world, n, n % 2, &[(0, 20)]);
        }
        run_until(&mut world, "past the first attempt", |world| {
            let mut entries = world.planner.entries.values();
            entries.all(|entry| {
                entry
                    .wanted
                    .as_ref()
                    .is_some_and(|wanted| wanted.failures > 0)
            })
        });
        let began = ask_for_sound_ones(&mut world);
        let took = wait_for(&mut world, SOUND) - began;
        assert!(
            took <= alone.mul_f64(1.2),
            "{name}: {took:?}, alone {alone:?}"
        );
    }
}

#[test]
fn a_host_that_is_gone_is_left_alone_and_costs_the_others_nothing() {
    let alone = sound_ones_alone();
    let mut world = quiet_world(2);
    world.hosts[1].mood = Mood::Gone;
    let gone = world.now();
    for n in 1000..6000 {
        ask(&mut world, n, n % 2, &[(1, 20)]);
    }
    let began = ask_for_sound_ones(&mut world);
    let took = wait_for(&mut world, SOUND) - began;
    // Each request to it takes a slot for a while; there are few.
    let lost = CONNECT_TIMEOUT * u32::try_from(world.hosts[1].requests).unwrap();
    let lost = lost / u32::try_from(SLOTS).unwrap();
    assert!(
        took <= alone.mul_f64(1.02) + lost,
        "{took:?}, alone {alone:?}, lost {lost:?}"
    );
    assert!(lost <= CONNECT_TIMEOUT * 4, "{lost:?}");
    let minutes = 10;
    let end = gone + Duration::from_secs(60 * minutes);
    while world.now() < end && world.step() {}
    // Five failures and what was in flight beside the fifth; then one for each rest: 7 of them are
    // shorter than the longest, which is half of the longest backoff at the least.
    let most = 5 + (SLOTS as u64 - 1) + 7 + minutes * 60 / (LONGEST_BACKOFF.as_secs() / 2);
    let requests = world.hosts[1].requests;
    assert!(
        requests <= most,
        "{requests} requests in {minutes} minutes, at most {most}"
    );
    assert!(requests > minutes, "it is not forgotten either");
    world.hosts[1].mood = Mood::Well;
    run_until(&mut world, "it is found to be back", |world| {
        world.planner.board.counts.available > SOUND.len() + 100
    });
    assert!(world.now() < end + LONGEST_BACKOFF * 2);
}

#[test]
fn a_dataset_with_a_hundred_thousand_chunks_does_not_stop_the_first_of_another() {
    let mut world = quiet_world(1);
    for n in 1000..101_000 {
        ask(&mut world, n, 1, &[(0, 20)]);
    }
    // They are well under way.
    run_until(&mut world, "begun", |world| {
        world.planner.board.counts.available > 10
    });
    let before = world.planner.board.counts.available;
    ask(&mut world, 0, 2, &[(0, 20)]);
    wait_for(&mut world, 0..1);
    let ahead = world.planner.board.counts.available - before - 1;
    assert!(ahead <= 3 * SLOTS, "{ahead} of the others went first");
}

#[test]
fn a_short_chunk_is_not_stuck_behind_long_ones() {
    let mut world = quiet_world(1);
    for n in 1000..1002 {
        ask(&mut world, n, 1, &[(0, 40); 10]);
    }
    run_until(&mut world, "busy", |world| {
        world.life.in_flight.len() == SLOTS
    });
    let began = world.now();
    ask(&mut world, 0, 1, &[(0, 5)]);
    let took = wait_for(&mut world, 0..1) - began;
    // One file of a long chunk takes 0.4 s, and all of a long chunk at least 1.3 s.
    assert_eq!(world.planner.board.counts.available, 1, "it is the first");
    assert!(took < Duration::from_millis(1300), "{took:?}");
}

#[test]
fn the_first_chunk_of_a_dataset_is_not_stuck_behind_many_long_ones_of_another() {
    let mut world = quiet_world(1);
    for n in 1000..1020 {
        ask(&mut world, n, 1, &[(0, 40); 10]);
    }
    // As many as go first among themselves are begun.
    let some_time = world.now() + Duration::from_secs(5);
    run_until(&mut world, "time passes", |world| world.now() > some_time);
    let began = world.now();
    ask(&mut world, 0, 2, &[(0, 5)]);
    let took = wait_for(&mut world, 0..1) - began;
    assert!(took < Duration::from_millis(1300), "{took:?}");
}

#[test]
fn what_came_back_survives_a_crash_beside_a_later_content_that_is_on_its_way_out() {
    // The jobs of the two take turns in every order.
    for seed in 0..40 {
        let mut world = quiet_world(1);
        world.rng = fastrand::Rng::with_seed(seed);
        world.profile.ids = 1;
        world.profile.checked = true;
        world.want(0, 0, 0);
        wait_for(&mut world, 0..1);
        world.life.references[0].guards += 1;
        world.unwant(0);
        run_until(&mut world, "a tombstone", |world| {
            world.disk.chunks[&1].tombstone
        });
        world.want(0, 1, 0);
        wait_for(&mut world, 0..1);
        world.unwant(0);
        world.want(0, 0, 0);
        wait_for(&mut world, 0..1);
        world.crash(false);
        world.settle();
    }
}

/// Says how long it takes; a machine that is busy is no reason to fail.
#[test]
#[ignore = "measures time"]
fn the_next_file_is_found_as_fast_among_a_million_chunks() {
    let tier = Tier::new(Priority::Normal, Trial::Fresh);
    let measure = |count: u32| {
        let mut scheduler = Scheduler::new(8, 8);
        let mut spec = (*describe((0, 0), 0, &[(0, 1)])).clone();
        for n in 0..count {
            (spec.id, spec.dataset_id) = (id_of(n), id_of(n % 1000));
            scheduler.push(tier, &spec, |_| true);
        }
        let calls = 100_000;
        let began = Instant::now();
        for _ in 0..calls {
            assert!(scheduler.next().is_some());
        }
        began.elapsed() / calls
    };
    let (one, million) = (measure(1), measure(1_000_000));
    eprintln!("next: {one:?} with one chunk, {million:?} with a million");
    assert!(million < one * 4);
}

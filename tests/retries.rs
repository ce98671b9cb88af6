//! What failing costs: the chunk that fails, the host that fails for everybody, and the others.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::{Duration, Instant};

use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{
    ChunkState, DataManagerBuilder, DataManagerImpl, Event, Priority,
};
use support::source::{Behaviour, ScriptedSource};
use support::{DATASET, DEADLINE, builder, temp_dir};
use tempfile::TempDir;

struct World {
    manager: DataManagerImpl,
    source: ScriptedSource,
    _dir: TempDir,
}

fn world(set: impl FnOnce(DataManagerBuilder) -> DataManagerBuilder) -> World {
    let (dir, source) = (temp_dir(), ScriptedSource::new());
    let manager = set(builder(dir.path()).source("test", source.clone()));
    World {
        manager: manager.open().unwrap(),
        source,
        _dir: dir,
    }
}

fn url(host: &str, n: u16) -> String {
    format!("test://{host}/{n}")
}

fn of_host(host: &str, n: u16) -> DataChunk {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&n.to_be_bytes());
    id[2] = host.as_bytes()[0];
    DataChunk {
        id,
        dataset_id: DATASET,
        block_range: u64::from(n)..u64::from(n) + 1,
        files: [("f".to_owned(), url(host, n))].into(),
    }
}

fn longest(builder: DataManagerBuilder, seconds: u64) -> DataManagerBuilder {
    builder.longest_backoff(Duration::from_secs(seconds))
}

#[test]
fn a_source_that_names_a_time_is_not_asked_before() {
    let world = world(|builder| longest(builder, 600));
    let asked = Duration::from_millis(700);
    world.source.script(&url("h", 1), Behaviour::BusyFor(asked));
    world.manager.download_chunk(of_host("h", 1));
    world.source.wait_for_opened(2);
    let times = world.source.times(&url("h", 1));
    assert!(times[1] - times[0] >= asked, "{:?}", times[1] - times[0]);
}

#[test]
fn a_time_that_a_source_names_is_capped() {
    let world = world(|builder| builder);
    let asked = Duration::from_secs(3600);
    world.source.script(&url("h", 1), Behaviour::BusyFor(asked));
    world.manager.download_chunk(of_host("h", 1));
    world.source.wait_for_opened(3);
}

#[test]
fn a_host_that_is_down_is_left_alone_and_comes_back() {
    let world = world(|builder| longest(builder, 2).slots(4));
    let events = world.manager.events();
    for n in 0..500 {
        world.source.script(&url("down", n), Behaviour::Down);
        world.manager.download_chunk(of_host("down", n));
    }
    let rest = next(&events, |event| matches!(event, Event::HostResting { .. }));
    assert!(matches!(rest, Event::HostResting { host, .. } if host == "down"));
    // Others are served meanwhile, and it does not show.
    let sound: Vec<_> = (0..100)
        .map(|n| world.manager.download_chunk(of_host("up", n)))
        .collect();
    for task in sound {
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    let stats = world.manager.stats();
    assert_eq!(stats.hosts_resting, 1);
    assert_eq!(stats.resting_hosts[0].host, "down");
    let untried = world
        .manager
        .chunk_status(&of_host("down", 499).id)
        .unwrap();
    assert_eq!(untried.state, ChunkState::Waiting);
    assert_eq!(untried.failures, 0);
    assert!(untried.last_error.is_some(), "it says what it waits for");

    for _ in 0..3 {
        next(&events, |event| matches!(event, Event::HostResting { .. }));
    }
    for n in 0..500 {
        world.source.script(&url("down", n), Behaviour::Bytes(10));
    }
    let asked = world.source.opened().len() - 100;
    let mut rests = 4;
    next(&events, |event| {
        rests += usize::from(matches!(event, Event::HostResting { .. }));
        matches!(event, Event::HostBack { .. })
    });
    // Five silences end its health, and what was in flight then may fail too. After that, each rest
    // ends in one request.
    assert!(asked <= 5 + 4 + rests, "{asked} in {rests} rests");
    let back = Instant::now();
    assert!(world.manager.wait_idle(DEADLINE));
    assert_eq!(world.manager.list_chunks().len(), 600);
    assert_eq!(world.manager.stats().hosts_resting, 0);
    // Whoever failed with the host goes on with it, not after a backoff of its own.
    assert!(back.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_a_host_says_of_one_file_is_held_against_no_other() {
    let world = world(|builder| longest(builder, 60).slots(2));
    let events = world.manager.events();
    for n in 0..50 {
        let behaviour = [Behaviour::Missing, Behaviour::Busy][usize::from(n % 2)].clone();
        world.source.script(&url("h", n), behaviour);
        world.manager.download_chunk(of_host("h", n));
    }
    world.source.wait_for_different(50);
    let sound = world.manager.download_chunk(of_host("h", 100));
    sound.wait_timeout(DEADLINE).unwrap().unwrap();
    let rests = std::iter::from_fn(|| events.try_recv().ok())
        .filter(|event| matches!(event, Event::HostResting { .. }));
    assert_eq!(rests.count(), 0);
}

#[test]
fn chunks_that_keep_failing_let_sound_ones_go_first() {
    let world = world(|builder| builder.slots(3));
    // Past their first attempt, they hold every slot and bring nothing.
    let behaviours = [Behaviour::Silence, Behaviour::Busy];
    for n in 0..1000 {
        world.source.script(&url("h", n), Behaviour::Busy);
        world.manager.download_chunk(of_host("h", n));
    }
    world.source.wait_for_different(1000);
    for n in 0..1000 {
        let behaviour = behaviours[usize::from(n % 2)].clone();
        world.source.script(&url("h", n), behaviour);
    }
    let silent = |url: &String| matches!(url.rsplit('/').next().unwrap().parse::<u16>(), Ok(n) if n < 1000 && n % 2 == 0);
    world.source.wait_for_stuck(3);
    let before = world.source.opened().len();

    let sound: Vec<_> = (2000..2100)
        .map(|n| world.manager.download_chunk(of_host("h", n)))
        .collect();
    for task in sound {
        task.wait_timeout(DEADLINE).unwrap().unwrap();
    }
    let opened = world.source.opened();
    let is_sound = |url: &&String| url.rsplit('/').next().unwrap().parse::<u16>().unwrap() >= 2000;
    let first = before
        + opened[before..]
            .iter()
            .position(|url| is_sound(&url))
            .unwrap();
    // The last ones have got their slots before they are opened: then nobody waits any more.
    let mut sound = opened.iter().enumerate().filter(|(_, url)| is_sound(url));
    let (last, _) = sound.nth(89).unwrap();
    let between = opened[first..=last].iter().filter(|url| !is_sound(url));
    let in_the_way = between.clone().filter(|url| silent(url)).count();
    // Not one is begun while a sound one waits; those that were silent were called back.
    assert!(between.count() <= 3, "{in_the_way} of them silent");
    world.source.wait_for_cancelled(1);
    assert_eq!(world.manager.list_chunks().len(), 100);
}

#[test]
fn what_a_query_waits_for_does_not_make_room_for_what_goes_after_it() {
    let world = world(|builder| builder.slots(1));
    let wanted_now = of_host("h", 1);
    world.source.script(&url("h", 1), Behaviour::Busy);
    world.manager.download_chunk(wanted_now.clone());
    world.source.wait_for_opened(1);
    world.source.script(&url("h", 1), Behaviour::Silence);
    assert!(world.manager.set_priority(&wanted_now.id, Priority::High));
    world.source.wait_for_stuck(1);
    let before = world.source.opened().len();
    for n in 2..10 {
        world.manager.download_chunk(of_host("h", n));
    }
    let last = world.manager.download_chunk(of_host("h", 10));
    world.manager.set_slots(2);
    last.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(world.source.opened().len(), before + 9);
    assert_eq!(world.source.times(&url("h", 1)).len(), before);
}

/// The next event that `is_it`.
fn next(
    events: &data_manager::data_manager::Events,
    mut is_it: impl FnMut(&Event) -> bool,
) -> Event {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = events.recv_timeout(left).unwrap();
        if is_it(&event) {
            return event;
        }
    }
}

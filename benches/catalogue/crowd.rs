//! Several readers, and readers beside a writer.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::figures::{median, median_ratio, nanos_each, per_mille};
use crate::options::Options;
use crate::world::{Question, World};

/// Questions of a round, of each reader.
const QUESTIONS: usize = 500_000;
/// Readers that ask at the same time.
const READERS: usize = 2;
/// How often the writer wakes in a second.
const TURNS: u32 = 1000;

pub(crate) fn run(options: &Options) {
    for datasets in &options.datasets {
        let world = World::new(options.chunks, *datasets);
        println!("crowd, {} chunks, datasets: {datasets}", options.chunks);
        readers(&world, options.rounds);
        writer(&world, options);
    }
}

/// So many threads in place of one: how much more is asked in the same time.
fn readers(world: &World, rounds: usize) {
    let ask = |question| world.find(question);
    let ask_bare = |question| world.find_bare(question);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let questions: Vec<_> = (0..READERS)
            .map(|reader| world.questions(QUESTIONS, (round * READERS + reader) as u64))
            .collect();
        ours.push(gain(&questions, ask));
        bare.push(gain(&questions, ask_bare));
    }
    println!(
        "  find, {READERS} readers to one: {:.2} times as many; of the bare tree: {:.2}",
        median(&ours),
        median(&bare)
    );
}

fn gain(questions: &[Vec<Question>], ask: impl Fn(Question) -> bool + Sync) -> f64 {
    let alone = nanos_each(&questions[0], &ask);
    let (start, ask) = (Barrier::new(questions.len()), &ask);
    let together: Vec<f64> = thread::scope(|scope| {
        let start = &start;
        let reader = |questions| {
            scope.spawn(move || {
                start.wait();
                nanos_each(questions, ask)
            })
        };
        let questions = questions.iter().map(Vec::as_slice);
        let readers: Vec<_> = questions.map(reader).collect();
        let each = readers.into_iter().map(|reader| reader.join());
        each.map(|nanos| nanos.unwrap_or(f64::NAN)).collect()
    });
    together.iter().map(|nanos| alone / nanos).sum()
}

/// One reader's calls one by one, with and without a writer on another core.
fn writer(world: &World, options: &Options) {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let questions = world.questions(QUESTIONS, 5000 + round as u64);
        alone.push(times(world, &questions));
        let stop = AtomicBool::new(false);
        let (mut changes, mut took) = (0, Duration::ZERO);
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let begun = Instant::now();
                (write(world, options.changes, &stop), begun.elapsed())
            });
            beside.push(times(world, &questions));
            stop.store(true, Ordering::Relaxed);
            (changes, took) = writer.join().unwrap_or_default();
        });
        let rate = f64::from(changes) / took.as_secs_f64();
        assert!(
            rate > 0.9 * f64::from(options.changes),
            "the writer made {rate:.0} changes a second"
        );
    }
    let at = |rounds: &[Vec<u32>], share| -> Vec<f64> {
        rounds.iter().map(|times| per_mille(times, share)).collect()
    };
    for (what, rounds) in [("alone", &alone), ("beside a writer", &beside)] {
        let [p50, p99, p999] = [500, 990, 999].map(|share| median(&at(rounds, share)));
        println!("  find, {what}: p50 {p50:.0}, p99 {p99:.0}, p99.9 {p999:.0} ns");
    }
    println!(
        "  p99.9 beside a writer of {} changes a second to the median without: {:.2}; without one: {:.2}",
        options.changes,
        median_ratio(&at(&beside, 999), &at(&alone, 500)),
        median_ratio(&at(&alone, 999), &at(&alone, 500))
    );
}

/// How many ns each call took, ascending; the clock included, which takes some 25 of them.
fn times(world: &World, questions: &[Question]) -> Vec<u32> {
    let mut times = Vec::with_capacity(questions.len());
    for question in questions {
        let begun = Instant::now();
        // Whether it is there at the moment is the writer's affair.
        black_box(world.find(black_box(*question)));
        let nanos = begun.elapsed().as_nanos();
        times.push(u32::try_from(nanos).unwrap_or(u32::MAX));
    }
    times.sort_unstable();
    times
}

/// Retracts chunks and publishes them again, so many a second, until it is told to stop; how many.
fn write(world: &World, changes: u32, stop: &AtomicBool) -> u32 {
    let mut rng = fastrand::Rng::with_seed(3);
    let (begun, mut done, mut turn) = (Instant::now(), 0, 0);
    let each_turn = changes.div_ceil(TURNS) + changes % 2;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..each_turn.div_ceil(2) {
            let held = world.chunk(rng.usize(..world.chunks()));
            drop(world.catalogue.retract(held.id()));
            drop(world.catalogue.publish(held));
            done += 2;
        }
        turn += 1;
        let next = begun + Duration::from_secs(1) / TURNS * turn;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    done
}

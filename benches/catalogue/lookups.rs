//! `find` against the bare tree; `cover` and `ids`.

use std::time::Instant;

use crate::figures::{median, median_ratio, nanos_each};
use crate::options::Options;
use crate::world::{BLOCKS, World};

/// Questions of a round.
const QUESTIONS: usize = 500_000;
/// Chunks that one `cover` is about.
const COVERED: u64 = 100;
const COVERS: usize = 5000;

pub(crate) fn run(options: &Options) {
    for datasets in &options.datasets {
        let world = World::new(options.chunks, *datasets);
        println!("lookups, {} chunks, datasets: {datasets}", options.chunks);
        find(&world, options.rounds);
        cover(&world, options.rounds);
        ids(&world, options.rounds);
    }
}

fn find(world: &World, rounds: usize) {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let questions = world.questions(QUESTIONS, round as u64);
        bare.push(nanos_each(&questions, |question| world.find_bare(question)));
        ours.push(nanos_each(&questions, |question| world.find(question)));
    }
    println!(
        "  find, guard taken and dropped: {:.0} ns; bare BTreeMap::range: {:.0} ns; ratio {:.2}",
        median(&ours),
        median(&bare),
        median_ratio(&ours, &bare)
    );
}

fn cover(world: &World, rounds: usize) {
    let mut took = Vec::new();
    for round in 0..rounds {
        let questions = world.questions(COVERS, 1000 + round as u64);
        let cover = |(dataset, block)| {
            let blocks = block..block + (COVERED - 1) * BLOCKS;
            let cover = world.catalogue.cover(&world.datasets[dataset], blocks);
            !cover.chunks.is_empty()
        };
        took.push(nanos_each(&questions, cover));
    }
    println!(
        "  cover of {COVERED} chunks: {:.2} µs",
        median(&took) / 1000.0
    );
}

fn ids(world: &World, rounds: usize) {
    let mut took = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        let ids = world.catalogue.ids();
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(ids.len(), world.chunks(), "not all of them");
    }
    println!("  ids: {:.1} ms", median(&took));
}

//! `set_assignment` of a million chunks, while a reader looks for blocks all the time.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::DataManagerImpl;

use crate::figures::{Summary, Times, median};
use crate::options::Options;
use crate::world::{self, BLOCKS, DATASET, Gate, chunk};

const DEADLINE: Duration = Duration::from_secs(600);
/// How long the reader runs without an assignment, for comparison.
const UNDISTURBED: Duration = Duration::from_secs(1);

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let (known, visible) = (options.chunks, options.visible.min(options.chunks));
    println!("set_assignment of {known} chunks, {visible} of them visible, 1 % changed each time");
    let gate = Gate::default();
    let (_place, builder) = world::place(&options.dir)?;
    let manager = builder
        .slots(options.slots)
        .source("gate", gate.clone())
        .open()?;
    let mut wanted: Vec<u64> = (0..known as u64).collect();
    // What is visible first, in any order afterwards.
    drop(manager.set_assignment(wanted[..visible].iter().map(|n| chunk("gate", *n))));
    gate.open(visible);
    let begun = Instant::now();
    while manager.stats().chunks.available < visible {
        anyhow::ensure!(begun.elapsed() < DEADLINE, "it hangs");
        std::thread::sleep(Duration::from_millis(10));
    }
    println!(
        "  {visible} visible after {:.1} s",
        begun.elapsed().as_secs_f64()
    );

    let everything = describe(&wanted);
    let took = timed(|| drop(manager.set_assignment(everything)))?;
    println!("  the first of all {known}: {took}");
    let everything = describe(&wanted);
    let took = timed(|| drop(manager.set_assignment(everything)))?;
    println!("  the same again: {took}");
    print_gaps(UNDISTURBED);
    let (alone, ()) = read_while(&manager, visible, || std::thread::sleep(UNDISTURBED));
    println!("  find_chunk, undisturbed:  {alone}");

    let mut alone = Vec::new();
    let mut beside = Vec::new();
    for round in 0..options.rounds {
        for with_reader in [false, true] {
            change(&mut wanted, round * 2 + usize::from(with_reader));
            let chunks = describe(&wanted);
            let assign = || timed(|| drop(manager.set_assignment(chunks)));
            if with_reader {
                let (reads, took) = read_while(&manager, visible, assign);
                println!("  find_chunk, meanwhile:    {reads}");
                beside.push(took?);
            } else {
                alone.push(assign()?);
            }
        }
    }
    println!(
        "  1 % changed, alone:       {} (medians)",
        Took::median(&alone)
    );
    println!(
        "  1 % changed, with reader: {} (medians)",
        Took::median(&beside)
    );
    world::print_lock(&manager);
    Ok(())
}

/// Descriptions, in random order: what a scheduler sends has no order that fits our trees. In memory
/// they follow each other, as they do where they were read from a message.
fn describe(wanted: &[u64]) -> Vec<DataChunk> {
    let mut wanted = wanted.to_vec();
    fastrand::Rng::with_seed(7).shuffle(&mut wanted);
    wanted.into_iter().map(|n| chunk("gate", n)).collect()
}

/// Every hundredth becomes another chunk, among those that are visible and those that wait alike;
/// what was visible is deleted.
fn change(wanted: &mut [u64], round: usize) {
    let known = wanted.len() as u64;
    for n in wanted.iter_mut().skip(round % 100).step_by(100) {
        *n += known * (1 + round as u64);
    }
}

/// How long something took, by the clock on the wall and on a processor.
struct Took {
    wall: f64,
    processor: f64,
}

impl Took {
    fn median(many: &[Took]) -> Took {
        let of = |part: fn(&Took) -> f64| median(&many.iter().map(part).collect::<Vec<_>>());
        Took {
            wall: of(|took| took.wall),
            processor: of(|took| took.processor),
        }
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Took { wall, processor } = self;
        write!(f, "{wall:.2} s, of them {processor:.2} s on a processor")
    }
}

fn timed(work: impl FnOnce()) -> anyhow::Result<Took> {
    let (begun, on_processor) = (Instant::now(), world::processor_seconds()?);
    work();
    Ok(Took {
        wall: begun.elapsed().as_secs_f64(),
        processor: world::processor_seconds()? - on_processor,
    })
}

/// How often this machine puts a thread aside that does nothing but look at the clock. Whoever holds a
/// lock is put aside like any other.
fn print_gaps(duration: Duration) {
    let begun = Instant::now();
    let (mut last, mut longest, mut count) = (begun, Duration::ZERO, 0);
    while last - begun < duration {
        let now = Instant::now();
        let gap = now - last;
        longest = longest.max(gap);
        count += usize::from(gap > Duration::from_millis(1));
        last = now;
    }
    println!(
        "  a loop around the clock stood still for over 1 ms {count} times in {:.0} s, at the longest {:.1} ms",
        duration.as_secs_f64(),
        longest.as_secs_f64() * 1e3
    );
}

/// Looks for blocks of visible chunks for as long as `work` takes.
fn read_while<T>(
    manager: &DataManagerImpl,
    visible: usize,
    work: impl FnOnce() -> T,
) -> (Summary, T) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rng = fastrand::Rng::with_seed(3);
            let mut times = Times::with_capacity(10_000_000);
            while !over.load(Ordering::Relaxed) {
                let block = rng.u64(..(visible.max(1) as u64) * BLOCKS);
                times.measure(|| manager.find_chunk(DATASET, block));
            }
            times.summary()
        });
        let result = work();
        over.store(true, Ordering::Relaxed);
        match reader.join() {
            Ok(summary) => (summary, result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

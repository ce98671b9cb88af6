//! Calls among a million chunks that wait; memory; whose turn it is.

use std::time::{Duration, Instant};

use data_manager::data_manager::DataManagerImpl;

use crate::figures::{Times, median, median_ratio};
use crate::options::Options;
use crate::world::{self, Gate, chunk, id};

/// Calls that are measured of each kind, at the most.
const CALLS: u64 = 100_000;
/// Chunks that are brought in one round of `turns`.
const BROUGHT: usize = 1000;
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let known = options.chunks as u64;
    let calls = CALLS.min(known / 2).max(1);
    println!("calls, with {known} chunks known, none of which arrives");
    let (_place, builder) = world::place(&options.dir)?;
    let manager = builder
        .slots(options.slots)
        .source("gate", Gate::default())
        .open()?;

    let before = world::resident_bytes()?;
    let mut fill = Times::default();
    let begun = Instant::now();
    for n in 0..known {
        let chunk = chunk("gate", n);
        // Every tenth only: what is noted takes memory too.
        if n % 10 == 0 {
            fill.measure(|| manager.download_chunk(chunk));
        } else {
            drop(manager.download_chunk(chunk));
        }
    }
    println!(
        "  filled in {:.2} s, descriptions made meanwhile",
        begun.elapsed().as_secs_f64()
    );
    println!("  download, while filling:     {}", fill.summary());
    let full = world::resident_bytes()?;
    println!(
        "  memory: {:.0} bytes for each waiting chunk ({} files, {} bytes of URL)",
        full.saturating_sub(before) as f64 / known as f64,
        1,
        chunk("gate", 0)
            .files
            .values()
            .map(String::len)
            .sum::<usize>()
    );
    measure(&manager, known, calls);

    for n in 0..known {
        drop(manager.delete_chunk(id(n)));
    }
    let empty = world::resident_bytes()?;
    for n in 0..known {
        drop(manager.download_chunk(chunk("gate", n)));
    }
    let again = world::resident_bytes()?;
    println!(
        "  memory: {:.0} MB when full, {:.0} MB after all were deleted, {:.0} MB when full again",
        full as f64 / 1e6,
        empty as f64 / 1e6,
        again as f64 / 1e6
    );
    world::print_lock(&manager);
    let begun = Instant::now();
    drop(manager);
    println!("  shut down in {:.2} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Each kind of call leaves as many chunks known as it found, or a tenth fewer or more.
fn measure(manager: &DataManagerImpl, known: u64, calls: u64) {
    let mut rng = fastrand::Rng::with_seed(1);
    let times = |what: &str, call: &mut dyn FnMut(&mut Times, u64)| {
        let mut times = Times::with_capacity(usize::try_from(calls).unwrap_or(0));
        for at in 0..calls {
            call(&mut times, at);
        }
        println!("  {what:28} {}", times.summary());
    };
    times("download, a new chunk:", &mut |times, at| {
        let chunk = chunk("gate", known + at);
        times.measure(|| manager.download_chunk(chunk));
    });
    times("delete, a waiting chunk:", &mut |times, at| {
        let id = id(known + at);
        times.measure(|| manager.delete_chunk(id));
    });
    times("download, a waiting chunk:", &mut |times, _| {
        let chunk = chunk("gate", rng.u64(..known));
        times.measure(|| manager.download_chunk(chunk));
    });
    times("delete, then download again:", &mut |times, _| {
        let n = rng.u64(..known);
        let (id, chunk) = (id(n), chunk("gate", n));
        times.measure(|| manager.delete_chunk(id));
        times.measure(|| manager.download_chunk(chunk));
    });
    times("delete, an unknown id:", &mut |times, at| {
        let id = id(2 * known + at);
        times.measure(|| manager.delete_chunk(id));
    });
    times("stats:", &mut |times, _| {
        times.measure(|| manager.stats());
    });
    times("chunk_status:", &mut |times, _| {
        let id = id(rng.u64(..known));
        times.measure(|| manager.chunk_status(&id));
    });
}

/// A thousand chunks brought while few wait behind them, in turn with a thousand while many do.
pub(crate) fn turns(options: &Options) -> anyhow::Result<()> {
    let (few, many) = (BROUGHT, options.chunks);
    println!("whose turn it is: {BROUGHT} chunks of 11 bytes, from the first to the last visible");
    let mut worlds = Vec::new();
    for waiting in [few, many] {
        let gate = Gate::default();
        let (place, builder) = world::place(&options.dir)?;
        let manager = builder
            .slots(options.slots)
            .source("gate", gate.clone())
            .open()?;
        let to_bring = BROUGHT * options.rounds;
        for n in 0..(waiting + to_bring) as u64 {
            drop(manager.download_chunk(chunk("gate", n)));
        }
        worlds.push((manager, gate, place, Vec::new()));
    }
    for round in 1..=options.rounds {
        for (manager, gate, _, took) in &mut worlds {
            let begun = Instant::now();
            gate.open(BROUGHT);
            while manager.stats().chunks.available < BROUGHT * round {
                anyhow::ensure!(begun.elapsed() < DEADLINE, "it hangs");
                std::thread::sleep(Duration::from_micros(200));
            }
            took.push(begun.elapsed().as_secs_f64());
        }
    }
    for ((_, _, _, took), waiting) in worlds.iter().zip([few, many]) {
        let each = median(took) / BROUGHT as f64 * 1e6;
        println!("  with {waiting:7} waiting: {each:6.1} µs for each");
    }
    println!("  ratio: {:.2}", median_ratio(&worlds[1].3, &worlds[0].3));
    world::print_lock(&worlds[1].0);
    Ok(())
}

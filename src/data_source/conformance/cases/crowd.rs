//! Many transfers of one source: at once, and after others that were given up.

use std::io::Read;

use super::{ALL, Bench, CASE_LIMIT, Stop, compare, content, ensure, failed, in_time};
use crate::data_source::conformance::client::{Client, End};
use crate::data_source::{CancelToken, OpenRequest};

/// How many transfers there are at once.
const AT_ONCE: u64 = 32;
/// How often a reader is dropped.
const DROPS: usize = 20;

pub(super) fn at_once(bench: &Bench) -> Result<(), Stop> {
    let file = |n: u64| content(100 + n, 200_000 + usize::try_from(n).unwrap_or_default());
    let urls: Vec<_> = (0..AT_ONCE)
        .map(|n| bench.origin.put(&format!("at-once-{n}"), &file(n)))
        .collect();
    let bench = bench.clone();
    let all = in_time("conformance crowd", CASE_LIMIT, move || {
        // Whatever the threads below happen to do, these two are in each other's way if any are.
        take_turns(&bench, [&urls[0], &urls[1]], [&file(0), &file(1)])?;
        std::thread::scope(|scope| {
            let one = |(n, url): (u64, &String)| {
                let (bench, url) = (bench.clone(), url.clone());
                // Each twice, in parts, so that kept connections are used again.
                scope.spawn(move || -> Result<(), Stop> {
                    compare(&bench.fetch(&url)?.bytes, &file(n))?;
                    let mut client = Client::default();
                    client.attempt(&bench, &url, 1_000)?;
                    let end = client.attempt(&bench, &url, ALL)?;
                    ensure(matches!(end, End::Whole), || end.told())?;
                    compare(&client.bytes, &file(n))
                })
            };
            let threads: Vec<_> = (0..).zip(&urls).map(one).collect();
            let ends: Vec<_> = (threads.into_iter())
                .map(std::thread::ScopedJoinHandle::join)
                .collect();
            ends.into_iter().try_for_each(|end| match end {
                Ok(judged) => judged,
                Err(_) => failed("it panicked"),
            })
        })
    });
    all.map_err(Stop::Failed)?
}

/// Reads two files in turn, a piece of one and a piece of the other.
fn take_turns(bench: &Bench, urls: [&String; 2], files: [&[u8]; 2]) -> Result<(), Stop> {
    let cancel = CancelToken::new();
    let open = |url: &String| {
        let opened = bench.source.open(&OpenRequest::new(url, &cancel));
        opened.map_err(|error| Stop::Failed(format!("a file beside another one: {error}")))
    };
    let mut readers = [open(urls[0])?.reader, open(urls[1])?.reader];
    let (mut come, mut buffer) = ([Vec::new(), Vec::new()], [0; 7_001]);
    let mut open = [true; 2];
    while open.contains(&true) {
        for at in 0..2 {
            let count = readers[at]
                .read(&mut buffer)
                .map_err(|error| Stop::Failed(format!("a file beside another one: {error}")))?;
            come[at].extend_from_slice(&buffer[..count]);
            // A source that never ends is told by the length.
            open[at] = count > 0 && come[at].len() <= files[at].len();
        }
    }
    compare(&come[0], files[0])?;
    compare(&come[1], files[1])
}

pub(super) fn dropped_half_way(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(200, 2_000_003);
    let url = bench.origin.put("dropped", &bytes);
    for enough in (0..DROPS).map(|n| n * 99_991) {
        let mut client = Client::default();
        let end = client.attempt(bench, &url, enough)?;
        ensure(matches!(end, End::Enough), || end.told())?;
        compare(&client.bytes, &bytes[..enough])?;
    }
    compare(&bench.fetch(&url)?.bytes, &bytes)
}

//! Nothing goes wrong: the whole file, its parts, its length, its validator.

use std::io::Read;

use super::{ALL, Bench, Stop, able, cannot, compare, content, ensure, failed};
use crate::data_source::conformance::client::{Client, End};
use crate::data_source::{CancelToken, OpenRequest};
use crate::error::ErrorKind;

/// Beyond 32 bits, signed and unsigned, and beyond 5 GB.
const HUGE_BYTES: u64 = 5_368_709_120 + 4_099;

/// Sizes around the buffers that such code has.
pub(super) fn whole(bench: &Bench) -> Result<(), Stop> {
    let sizes = [
        1, 2, 1_000, 8_191, 65_537, 262_143, 262_144, 262_145, 1_000_003,
    ];
    for size in sizes {
        let bytes = content(size as u64, size);
        let url = bench.origin.put(&format!("whole-{size}"), &bytes);
        compare(&bench.fetch(&url)?.bytes, &bytes)?;
    }
    Ok(())
}

pub(super) fn empty(bench: &Bench) -> Result<(), Stop> {
    let url = bench.origin.put("empty", &[]);
    let client = bench.fetch(&url)?;
    compare(&client.bytes, &[])?;
    ensure(client.total().is_none_or(|total| total == 0), || {
        format!("the total of nothing is told as {:?}", client.total())
    })
}

pub(super) fn total(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(1, 300_001);
    let url = bench.origin.put("total", &bytes);
    let mut client = Client::default();
    client.attempt(bench, &url, 100)?;
    let is_right = |told: Option<u64>| {
        ensure(told.is_none_or(|total| total == 300_001), || {
            format!("the total of 300001 bytes is told as {told:?}")
        })
    };
    is_right(client.total())?;
    if let Some(validator) = client.validator()
        && let Ok(rest) = bench.open_rest(&url, 100, validator)
    {
        is_right(rest.total())?;
    }
    match client.total() {
        Some(_) => Ok(()),
        None => cannot("the source tells no total"),
    }
}

pub(super) fn validator(bench: &Bench) -> Result<(), Stop> {
    let url = bench.origin.put("validator", &content(1, 1_000));
    let first = bench.validator_of(&url)?;
    bench.fetch(&url)?;
    let second = bench.validator_of(&url)?;
    ensure(first == second, || {
        format!("the content stays, its validator goes from {first} to {second}")
    })?;
    let (known, cancel) = (first, CancelToken::new());
    let again = bench
        .source
        .open(&OpenRequest::new(&url, &cancel).resume(500, &known));
    let told = again
        .ok()
        .and_then(|opened| opened.validator().map(str::to_owned));
    ensure(told.as_ref().is_none_or(|told| *told == known), || {
        format!("an answer with the rest has another validator: {told:?}, not {known}")
    })
}

/// From each of several offsets. A source that always starts again has no ranges, which is fine.
pub(super) fn ranged(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(2, 524_289);
    let url = bench.origin.put("ranged", &bytes);
    let validator = bench.validator_of(&url)?;
    let mut starts = 0;
    for offset in [1, 2, 4_096, 262_144, 262_145, 524_287, 524_288] {
        let opened = match bench.open_rest(&url, offset as u64, &validator) {
            Ok(opened) => opened,
            Err(error) => return failed(format!("from byte {offset} on: {error}")),
        };
        let start = opened.start();
        ensure(start == 0 || start == offset as u64, || {
            format!("asked for byte {offset}, it starts at byte {start}")
        })?;
        let mut arrived = Vec::new();
        let read = opened.into_reader().read_to_end(&mut arrived);
        if let Err(error) = read {
            return failed(format!("from byte {offset} on: {error}"));
        }
        starts += start;
        let expected = if start == 0 { &bytes } else { &bytes[offset..] };
        compare(&arrived, expected)?;
    }
    if starts == 0 {
        return cannot("the source always starts with the first byte");
    }
    Ok(())
}

pub(super) fn at_the_end(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(3, 70_001);
    let url = bench.origin.put("at-the-end", &bytes);
    let validator = bench.validator_of(&url)?;
    let opened = match bench.open_rest(&url, 70_001, &validator) {
        Ok(opened) => opened,
        // The caller starts again then.
        Err(error) => {
            return ensure(!error.is_permanent(), || {
                format!("nothing is left to ask for, which is a permanent failure: {error}")
            });
        }
    };
    let start = opened.start();
    let mut arrived = Vec::new();
    if let Err(error) = opened.into_reader().read_to_end(&mut arrived) {
        return failed(format!("from the end on: {error}"));
    }
    match start {
        0 => compare(&arrived, &bytes),
        70_001 => compare(&arrived, &[]),
        _ => failed(format!("asked for byte 70001, it starts at byte {start}")),
    }
}

/// A transfer that is given up at odd places and gone on with.
pub(super) fn resumed(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(4, 700_001);
    let url = bench.origin.put("resumed", &bytes);
    bench.validator_of(&url)?;
    let mut client = Client::default();
    for enough in [1, 3, 99_999, 262_144, 700_000, ALL] {
        let end = client.attempt(bench, &url, enough)?;
        let fine = matches!(end, End::Enough) || (enough == ALL && matches!(end, End::Whole));
        ensure(fine, || {
            format!("on the way to byte {enough}: {}", end.told())
        })?;
    }
    compare(&client.bytes, &bytes)
}

pub(super) fn unless(bench: &Bench) -> Result<(), Stop> {
    let bytes = content(5, 5_000);
    let url = bench.origin.put("unless", &bytes);
    let validator = bench.validator_of(&url)?;
    let other = bench.origin.put("unless-other", &content(6, 5_001));
    let other = bench.validator_of(&other)?;
    let cancel = CancelToken::new();
    let ask = |unless: &str| {
        bench
            .source
            .open(&OpenRequest::new(&url, &cancel).unless(unless))
    };
    let read = |opened: crate::data_source::Opened| {
        let mut arrived = Vec::new();
        match opened.into_reader().read_to_end(&mut arrived) {
            Ok(_) => compare(&arrived, &bytes),
            Err(error) => failed(format!("unless it is unchanged: {error}")),
        }
    };
    if other != validator {
        match ask(&other) {
            Ok(opened) => read(opened)?,
            Err(error) => return failed(format!("unless it is something else: {error}")),
        }
    }
    match ask(&validator) {
        Ok(opened) => read(opened),
        Err(error) => ensure(error.kind() == ErrorKind::Unchanged, || {
            format!("unchanged, but the kind is {}: {error}", error.kind())
        }),
    }
}

/// Lengths beyond 32 bits, without moving them.
pub(super) fn huge(bench: &Bench) -> Result<(), Stop> {
    let tail = content(7, 10_007);
    let url = able(
        bench.origin.put_huge("huge", HUGE_BYTES, &tail),
        "hold a file above 5 GB",
    )?;
    let mut client = Client::default();
    let end = client.attempt(bench, &url, 4_096)?;
    ensure(matches!(end, End::Enough), || {
        format!("its beginning: {}", end.told())
    })?;
    ensure(client.bytes.iter().all(|byte| *byte == 0), || {
        "its beginning is that of something else".to_owned()
    })?;
    ensure(client.total().is_none_or(|told| told == HUGE_BYTES), || {
        format!(
            "the total of {HUGE_BYTES} bytes is told as {:?}",
            client.total()
        )
    })?;
    let validator = bench.validator_of(&url)?;
    let last = HUGE_BYTES - tail.len() as u64;
    for (offset, expected) in [
        ((1 << 31) + 1, vec![0; 100]),
        ((1 << 32) + 1, vec![0; 100]),
        (last - 3, [&[0; 3], &tail[..]].concat()),
        (HUGE_BYTES - 1, tail[tail.len() - 1..].to_vec()),
    ] {
        let opened = match bench.open_rest(&url, offset, &validator) {
            Ok(opened) => opened,
            Err(error) => return failed(format!("from byte {offset} on: {error}")),
        };
        let (start, total) = (opened.start(), opened.total());
        if start == 0 {
            return cannot("the source starts with the first byte, and 5 GB are not moved here");
        }
        ensure(
            start == offset && total.is_none_or(|told| told == HUGE_BYTES),
            || format!("asked for byte {offset}, it starts at {start}, and the total is {total:?}"),
        )?;
        let mut arrived = Vec::new();
        let mut reader = opened.into_reader().take(expected.len() as u64 + 1);
        if let Err(error) = reader.read_to_end(&mut arrived) {
            return failed(format!("from byte {offset} on: {error}"));
        }
        // In the middle there is one byte more, which shows nothing.
        let is_middle = offset < last - 3;
        arrived.truncate(expected.len() + usize::from(!is_middle));
        compare(&arrived, &expected)?;
    }
    Ok(())
}

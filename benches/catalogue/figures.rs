//! Medians and percentiles.

use std::hint::black_box;
use std::time::Instant;

pub(crate) use crate::medians::{median, median_ratio};

/// Nanoseconds for each of `questions`, asked one after the other.
pub(crate) fn nanos_each<Q: Copy>(questions: &[Q], mut ask: impl FnMut(Q) -> bool) -> f64 {
    let begun = Instant::now();
    for question in questions {
        assert!(black_box(ask(black_box(*question))), "a wrong answer");
    }
    begun.elapsed().as_nanos() as f64 / questions.len() as f64
}

/// The value that so many of a thousand are not above.
pub(crate) fn per_mille(sorted: &[u32], share: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * share / 1000)
        .map_or(f64::NAN, |value| f64::from(*value))
}

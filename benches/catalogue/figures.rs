//! Medians and percentiles.

use std::hint::black_box;
use std::time::Instant;

/// Nanoseconds for each of `questions`, asked one after the other.
pub(crate) fn nanos_each<Q: Copy>(questions: &[Q], mut ask: impl FnMut(Q) -> bool) -> f64 {
    let begun = Instant::now();
    for question in questions {
        assert!(black_box(ask(black_box(*question))), "a wrong answer");
    }
    begun.elapsed().as_nanos() as f64 / questions.len() as f64
}

/// The middle of the values, or the mean of the middle two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)])
}

/// The median of the ratios, round by round: what slowed a whole round down is in both.
pub(crate) fn median_ratio(numerators: &[f64], denominators: &[f64]) -> f64 {
    let pairs = numerators.iter().zip(denominators);
    median(&pairs.map(|(a, b)| a / b).collect::<Vec<_>>())
}

/// The value that so many of a thousand are not above.
pub(crate) fn per_mille(sorted: &[u32], share: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * share / 1000)
        .map_or(f64::NAN, |value| f64::from(*value))
}

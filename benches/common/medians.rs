//! Medians, for all benchmarks.

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

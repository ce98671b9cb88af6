//! Medians and ratios.

/// The middle of the values, or the mean of the middle two; `None` of none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

/// The value that this share (0.0 to 1.0) of the values does not exceed.
pub(crate) fn percentile(values: &mut [u64], share: f64) -> f64 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // an index below `last`
    let index = (last as f64 * share).round() as usize;
    values.get(index).map_or(f64::NAN, |&value| value as f64)
}

/// The median of the ratios, round by round: what slowed a whole round down is in both, and cancels out.
pub(crate) fn median_ratio(numerators: &[f64], denominators: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = numerators
        .iter()
        .zip(denominators)
        .map(|(numerator, denominator)| numerator / denominator)
        .collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::{median, median_ratio, percentile};

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        assert_eq!(
            median_ratio(&[1.0, 10.0, 9.0], &[2.0, 20.0, 3.0]),
            Some(0.5)
        );
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<u64> = (0..=100).rev().collect();
        assert!((percentile(&mut values, 0.5) - 50.0).abs() < f64::EPSILON);
        assert!((percentile(&mut values, 0.99) - 99.0).abs() < f64::EPSILON);
    }
}

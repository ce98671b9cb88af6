//! Sizes, rates and durations as a person reads them.

use std::time::Duration;

/// Powers of 1000.
const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// A size with three digits or so: `0 B`, `999 B`, `1.5 kB`, `200 MB`.
pub(crate) fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    // What would be shown as 1000 is 1 of the next.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let digits = usize::from(unit > 0 && value < 99.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A duration in its two greatest units: `800 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 1 h`.
pub(crate) fn duration(duration: Duration) -> String {
    const STEPS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format!("{} ms", duration.as_millis());
    }
    let first = STEPS.iter().position(|(step, _)| seconds >= *step);
    let first = first.unwrap_or(STEPS.len() - 1);
    let (step, name) = STEPS[first];
    let (count, rest) = (seconds / step, seconds % step);
    match STEPS.get(first + 1) {
        Some((next, next_name)) if rest >= *next => {
            format!("{count} {name} {} {next_name}", rest / next)
        }
        _ => format!("{count} {name}"),
    }
}

/// So many of something: `1 chunk`, `2 chunks`.
pub(crate) fn count(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_their_meaning_at_the_borders() {
        let shown = [
            0,
            999,
            1000,
            1500,
            99_949,
            99_950,
            999_499,
            999_500,
            u64::MAX,
        ]
        .map(size);
        let wanted = [
            "0 B", "999 B", "1.0 kB", "1.5 kB", "99.9 kB", "100 kB", "999 kB", "1.0 MB", "18.4 EB",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn durations_have_two_units_at_the_most() {
        let shown = [0, 800, 1000, 61_000, 3_600_000, 7_500_000, 350_000_000]
            .map(|ms| duration(Duration::from_millis(ms)));
        let wanted = [
            "0 ms",
            "800 ms",
            "1 s",
            "1 min 1 s",
            "1 h",
            "2 h 5 min",
            "4 d 1 h",
        ];
        assert_eq!(shown, wanted);
    }
}

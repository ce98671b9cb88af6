//! What is typed on the command line, as what it means. Each of these says what is wrong with a text
//! that it does not take.

use std::ops::Range;
use std::time::Duration;

use data_manager::data_chunk::ChunkId;

/// An id, of a chunk or a dataset: 64 hexadecimal digits.
pub(crate) fn id(text: &str) -> Result<ChunkId, String> {
    let lower = text.to_ascii_lowercase();
    let bytes = data_encoding::HEXLOWER.decode(lower.as_bytes());
    let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "an id has 64 hexadecimal digits".to_owned())
}

/// An id as it is shown.
pub(crate) fn hex(id: &ChunkId) -> String {
    data_encoding::HEXLOWER.encode(id)
}

/// A half-open range of blocks: `0..35` has 34 and not 35 in it.
pub(crate) fn blocks(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text
        .split_once("..")
        .ok_or("a range is written A..B, and B is not in it")?;
    let number = |text: &str| {
        let digits: String = text.trim().chars().filter(|c| *c != '_').collect();
        digits
            .parse::<u64>()
            .map_err(|_| format!("{text:?} is not a block number"))
    };
    let range = number(start)?..number(end)?;
    match range.is_empty() {
        true => Err("the range has no block in it: A has to be less than B".to_owned()),
        false => Ok(range),
    }
}

/// Bytes: `500`, `10MB` (of 1000), `10MiB` (of 1024), `1.5G`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let hint = || "a size is a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB".to_owned();
    let (number, unit) = split_unit(text).ok_or_else(hint)?;
    let unit = unit.to_ascii_lowercase();
    let (letter, step) = match unit.strip_suffix("ib") {
        Some(letter) => (letter, 1024.0_f64),
        None => (unit.strip_suffix('b').unwrap_or(&unit), 1000.0),
    };
    let power = match letter {
        "" if step == 1000.0 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(hint()),
    };
    if let (0, Ok(bytes)) = (power, number.parse::<u64>()) {
        return Ok(bytes);
    }
    let value: f64 = number.parse().map_err(|_| hint())?;
    let bytes = value * step.powi(power);
    // Beyond this a number of bytes cannot be told from its neighbours.
    match bytes.is_finite() && (0.0..=9e18).contains(&bytes) {
        true => Ok(bytes.round() as u64),
        false => Err("that is too large".to_owned()),
    }
}

/// `500ms`, `10s`, `5m`, `2h`, `7d`; a number alone is in seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let hint = || "a duration is a number and ms, s, m, h or d".to_owned();
    let (number, unit) = split_unit(text).ok_or_else(hint)?;
    let value: f64 = number.parse().map_err(|_| hint())?;
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(hint()),
    };
    Duration::try_from_secs_f64(value * seconds).map_err(|_| "that is too long".to_owned())
}

/// A number and what follows it.
fn split_unit(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    (!number.is_empty()).then_some((number, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_their_units_say() {
        let read = ["0", "500", "1k", "10MB", "10MiB", "1.5 GB", "2TiB"].map(size);
        let meant = [0, 500, 1000, 10_000_000, 10 << 20, 1_500_000_000, 2 << 40];
        assert_eq!(read, meant.map(Ok));
        for text in ["", "MB", "1X", "-1", "1.2.3", "1ib", "99999999999T"] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_are_what_their_units_say() {
        let read = ["500ms", "10", "10s", "5m", "2h", "1d"].map(duration);
        let meant = [500, 10_000, 10_000, 300_000, 7_200_000, 86_400_000];
        assert_eq!(read, meant.map(|ms| Ok(Duration::from_millis(ms))));
        for text in ["", "s", "1y", "-1s", "9e99d"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranges_are_half_open_and_never_empty() {
        assert_eq!(blocks("0..1_000"), Ok(0..1000));
        for text in ["5", "5..", "5..5", "6..5", "a..b", "-1..3"] {
            assert!(blocks(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ids_have_64_digits() {
        assert_eq!(id(&"AB".repeat(32)), Ok([0xab; 32]));
        assert!(id("ab").is_err() && id(&"zz".repeat(32)).is_err());
        assert_eq!(hex(&[0xab; 32]), "ab".repeat(32));
    }
}

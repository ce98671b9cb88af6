//! How ids and ranges are written in paths.

use std::ops::Range;

use anyhow::{Context, ensure};

pub(crate) fn hex(id: &[u8; 32]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> anyhow::Result<[u8; 32]> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(is_hex, "an id is 64 hexadecimal digits");
    let mut id = [0; 32];
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16)?;
    }
    Ok(id)
}

/// `A..B`, half-open as in Rust.
pub(crate) fn blocks(text: &str) -> anyhow::Result<Range<u64>> {
    let ends = text
        .split_once("..")
        .context("a range is A..B, without B")?;
    let number = |text: &str| text.parse().context("a range is A..B, two numbers");
    let blocks = number(ends.0)?..number(ends.1)?;
    ensure!(!blocks.is_empty(), "a range is A..B, and A is less than B");
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let id = [0xa7; 32];
        assert_eq!(unhex(&hex(&id)).unwrap(), id);
        assert_eq!(blocks("3..7").unwrap(), 3..7);
        for bad in ["+1".repeat(32), "é".repeat(32), "ab".repeat(31)] {
            unhex(&bad).unwrap_err();
        }
        for bad in ["7..3", "3..3", "3", "..", "3..=7", "-1..7"] {
            blocks(bad).unwrap_err();
        }
    }
}

//! What holds for every header whose value is taken apart. Panics where it does not.
#![allow(
    unreachable_pub,
    reason = "the targets in `fuzz/` reach it, in their build"
)]

use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, HeaderValue, header};

use super::meaning::parse_content_range;
use super::status::retry_after;

/// The first line of `bytes` as a header of each kind, beside a `Date` that is the second.
pub fn headers(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut line = || HeaderValue::from_bytes(lines.next().unwrap_or_default()).ok();
    let Some(value) = line() else {
        return;
    };
    if let Ok(text) = value.to_str() {
        content_range(text);
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::RETRY_AFTER, value);
    if let Some(date) = line() {
        headers.insert(header::DATE, date);
    }
    for now in [
        SystemTime::UNIX_EPOCH,
        SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40),
    ] {
        if let Some(delay) = retry_after(&headers, now) {
            assert!(!delay.is_zero() && delay <= Duration::from_secs(86_400));
        }
    }
}

/// A range that is accepted holds a byte, ends before its total, and has a length that is a number.
pub(super) fn content_range(text: &str) {
    let Some((first, last, total)) = parse_content_range(text) else {
        return;
    };
    assert!(first <= last && (last - first).checked_add(1).is_some());
    assert!(total.is_none_or(|total| last < total));
    let shown = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
    let written = format!("bytes {first}-{last}/{shown}");
    assert_eq!(parse_content_range(&written), Some((first, last, total)));
    // A server may put zeros before a number; there is no other way to write one.
    let bare = |text: &str| text.trim().replace('0', "");
    assert_eq!(bare(text), bare(&written));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn content_ranges_read_back(first: u64, len in 1u64.., total: Option<u64>) {
            let Some(last) = first.checked_add(len - 1).filter(|last| *last < u64::MAX) else {
                return Ok(());
            };
            let sound = total.is_none_or(|total| last < total);
            let shown = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
            let read = parse_content_range(&format!("bytes {first}-{last}/{shown}"));
            prop_assert_eq!(read, sound.then_some((first, last, total)));
        }

        #[test]
        fn nearly_sound(
            small in "bytes [0-9]{1,2}-[0-9]{1,2}/([*]|[0-9]{1,2})",
            range in "(bytes|Bytes|items|)[ =]?[0-9+*-]{0,20}-[0-9+ ]{0,21}/([*]|[0-9+x]{0,21})",
            after in "([+-]?[0-9]{0,25}|(Sun|Mon), [0-9]{2} (Nov|Feb|Foo) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT)",
            date in "((Sun|Mon), [0-9]{2} (Nov|Feb) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT)?",
        ) {
            content_range(&small);
            content_range(&range);
            headers(range.as_bytes());
            headers(format!("{after}\n{date}").as_bytes());
        }

        #[test]
        fn anything(bytes: Vec<u8>, text in ".*") {
            headers(&bytes);
            content_range(&text);
        }
    }
}

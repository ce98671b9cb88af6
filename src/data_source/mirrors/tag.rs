//! Whose a validator is: where it may be presented, so that bytes of two places never meet in one
//! file.
//!
//! A strong ETag stands for bytes, wherever they are, and passes as it is. Anything else (a date, a
//! length and a time) means something to the place that said it only. Such a one is given out as
//! `mirror:<place>:<text>`: `place` is a number for the file's URL at that place, redacted, since
//! validators are written to disk; `text` is what the place said, in hexadecimal, so that nobody
//! who reads dates generously finds one in it. A place that gets it without this module (mirrors
//! are not set up any more) does not know it, and gives the whole file.

use data_encoding::HEXLOWER;
use xxhash_rust::xxh3::xxh3_64;

const MARK: &str = "mirror:";

/// `validator`, as it is given out by the place that has the file at `shown`.
pub(super) fn tagged(validator: String, shown: &str) -> String {
    if is_strong(&validator) {
        return validator;
    }
    let text = HEXLOWER.encode(validator.as_bytes());
    format!("{MARK}{:016x}:{text}", xxh3_64(shown.as_bytes()))
}

/// A validator that may be presented to a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Presentable {
    pub(super) text: String,
    /// It came from that place. From anybody else, what follows is taken only with the same
    /// validator on it.
    pub(super) of_this_place: bool,
}

/// What of `validator` may be presented to the place that has the file at `shown`.
pub(super) fn presentable(validator: &str, shown: &str) -> Option<Presentable> {
    if is_strong(validator) {
        return Some(Presentable {
            text: validator.to_owned(),
            of_this_place: false,
        });
    }
    let text = validator
        .strip_prefix(MARK)?
        .strip_prefix(&format!("{:016x}:", xxh3_64(shown.as_bytes())))?;
    let text = HEXLOWER.decode(text.as_bytes()).ok()?;
    Some(Presentable {
        text: String::from_utf8(text).ok()?,
        of_this_place: true,
    })
}

/// A strong ETag (RFC 9110, section 8.8.3).
fn is_strong(validator: &str) -> bool {
    validator.len() >= 2 && validator.starts_with('"') && validator.ends_with('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "https://a.example/data/f";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn a_strong_etag_passes_as_it_is() {
        assert_eq!(tagged("\"x\"".to_owned(), HERE), "\"x\"");
        let expected = Presentable {
            text: "\"x\"".to_owned(),
            of_this_place: false,
        };
        assert_eq!(presentable("\"x\"", HERE), Some(expected));
    }

    #[test]
    fn anything_else_is_presented_where_it_came_from_and_nowhere_else() {
        for text in [DATE, "10-12345", "W/\"x\"", "\"", "\"x", "", "ä", "mirror:"] {
            let tag = tagged(text.to_owned(), HERE);
            assert!(!tag.contains("a.example"), "{tag}");
            let back = presentable(&tag, HERE).unwrap();
            assert_eq!((back.text.as_str(), back.of_this_place), (text, true));
            for other in [
                "https://b.example/data/f",
                "https://a.example/data/g",
                "https://a.example/data/",
                "",
            ] {
                assert_eq!(presentable(&tag, other), None, "{text:?} at {other:?}");
            }
        }
    }

    /// What an earlier version, or one without mirrors, wrote down came from who knows where.
    #[test]
    fn what_nobody_tagged_is_presented_to_nobody() {
        let own = tagged(DATE.to_owned(), HERE);
        let cut = &own[..own.len() - 1];
        let upper = own.to_uppercase();
        for text in [DATE, "10-12345", "", "mirror:", "mirror::", cut, &upper] {
            assert_eq!(presentable(text, HERE), None, "{text:?}");
        }
    }

    /// Mirrors are not set up any more, and the tag reaches a server as it is.
    #[test]
    fn no_date_can_be_read_in_a_tag() {
        let tag = tagged(DATE.to_owned(), HERE);
        assert!(!tag.contains("1994") && !tag.contains(' '), "{tag}");
        assert!(!tag.starts_with('"') && tag.is_ascii(), "{tag}");
    }
}

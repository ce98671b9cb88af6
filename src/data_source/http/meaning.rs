//! What the headers of a good answer say about its body, and what of that is taken at its word.

use std::time::Duration;

use ureq::Body;
use ureq::http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};

use super::status::distrust;
use crate::data_source::{OpenRequest, SourceError};

/// What the headers say about the body.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) start: u64,
    pub(super) total: Option<u64>,
    pub(super) validator: Option<String>,
    pub(super) self_delimiting: bool,
}

impl Meaning {
    pub(super) fn of(
        response: &Response<Body>,
        request: &OpenRequest<'_>,
    ) -> Result<Meaning, SourceError> {
        let headers = response.headers();
        let encodings = headers.get_all(header::CONTENT_ENCODING);
        if encodings.iter().any(|encoding| !is(encoding, "identity")) {
            return Err(distrust("the body is compressed, which nobody asked for"));
        }
        let chunked = is_chunked(response)?;
        // `ureq` takes an empty body for none, and then knows of no length.
        let empty = headers.contains_key(header::CONTENT_LENGTH);
        let length = response.body().content_length().or(empty.then_some(0));
        let (start, total, validator) = match (response.status(), request.validator()) {
            (StatusCode::PARTIAL_CONTENT, Some(validator)) => {
                let (start, total) = the_rest(headers, request.offset(), length)?;
                let own = own_validator(headers, validator)
                    .map_err(|()| distrust("the part is of something else than was asked for"))?;
                (start, Some(total), own)
            }
            (StatusCode::PARTIAL_CONTENT, None) => {
                return Err(distrust(
                    "the server answered with a part that nobody asked for",
                ));
            }
            _ if is_a_part(headers, length) => {
                return Err(distrust("the server calls a part of it all of it"));
            }
            _ => (0, length, validator_of(headers)),
        };
        Ok(Meaning {
            start,
            total,
            validator,
            self_delimiting: length.is_some() || chunked,
        })
    }
}

fn is(value: &HeaderValue, text: &str) -> bool {
    value
        .as_bytes()
        .trim_ascii()
        .eq_ignore_ascii_case(text.as_bytes())
}

/// Whether the body is chunked. Any other coding stays in the bytes that `ureq` gives us, and so
/// do chunks that came by HTTP/1.0. An answer that has a length, too, may be two answers to
/// somebody on the way (RFC 9112, section 6.3).
fn is_chunked(response: &Response<Body>) -> Result<bool, SourceError> {
    let headers = response.headers();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(false);
    };
    let understood = is(coding, "chunked")
        && codings.next().is_none()
        && response.version() == Version::HTTP_11
        && !headers.contains_key(header::CONTENT_LENGTH);
    match understood {
        true => Ok(true),
        false => Err(distrust("where the body ends cannot be understood")),
    }
}

/// Start and total of a 206: exactly the rest from `offset` on, or nothing we take.
fn the_rest(
    headers: &HeaderMap,
    offset: u64,
    length: Option<u64>,
) -> Result<(u64, u64), SourceError> {
    let Some((start, end, total)) = content_range(headers) else {
        return Err(distrust(
            "the Content-Range of the answer cannot be understood",
        ));
    };
    // A part of something whose end the server does not name need not be all of the rest.
    let whole_rest = total == Some(end + 1);
    let fits = length.is_none_or(|length| length == end - start + 1);
    if start != offset || !whole_rest || !fits {
        return Err(distrust(
            "the server answered with another part than was asked for",
        ));
    }
    Ok((start, end + 1))
}

/// `validator`, if a part repeats it; nothing, if it is a date and the part has none, which it need
/// not have (RFC 9110, section 15.3.7). A tag it has to repeat: a server that does not know `If-Range`
/// sends a part of whatever is there by now.
///
/// # Errors
/// If the part is of something else, as far as it says.
fn own_validator(headers: &HeaderMap, validator: &str) -> Result<Option<String>, ()> {
    let tag = validator.starts_with('"');
    let name = match tag {
        true => header::ETAG,
        false => header::LAST_MODIFIED,
    };
    let said = headers.get_all(name);
    if said
        .iter()
        .any(|said| said.as_bytes() != validator.as_bytes())
    {
        return Err(());
    }
    match said.iter().next() {
        Some(_) => Ok(Some(validator.to_owned())),
        // Where there was no tag before, one means that something has changed.
        None if tag || headers.contains_key(header::ETAG) => Err(()),
        None => Ok(None),
    }
}

/// Whether the Content-Range of an answer that is no 206 says that it is not whole.
fn is_a_part(headers: &HeaderMap, length: Option<u64>) -> bool {
    let whole = |(start, end, total): (u64, u64, Option<u64>)| {
        let fits = length.is_none_or(|length| length == end + 1);
        start == 0 && total.is_none_or(|total| total == end + 1) && fits
    };
    headers.contains_key(header::CONTENT_RANGE) && !content_range(headers).is_some_and(whole)
}

fn content_range(headers: &HeaderMap) -> Option<(u64, u64, Option<u64>)> {
    let mut ranges = headers.get_all(header::CONTENT_RANGE).iter();
    let range = ranges.next()?.to_str().ok()?;
    if ranges.next().is_some() {
        return None;
    }
    parse_content_range(range)
}

/// `bytes FIRST-LAST/TOTAL` (RFC 9110, section 14.4), last byte inclusive.
pub(super) fn parse_content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (first, last) = (number(first)?, number(last)?);
    let total = if total == "*" {
        None
    } else {
        Some(number(total)?)
    };
    let sound = first <= last && last < u64::MAX && total.is_none_or(|total| last < total);
    sound.then_some((first, last, total))
}

/// By how much a date has to be older than the answer, to stand for one content only: what changes
/// twice in a second keeps its date, and the server's two clocks may differ (RFC 9110, section
/// 8.8.2.2).
const DATES_ARE_STRONG_AFTER: Duration = Duration::from_secs(60);

/// What `If-Range` may present (RFC 9110, section 13.1.5): a strong ETag; where there is none at
/// all, the date, if it is a strong one.
fn validator_of(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key(header::ETAG) {
        let tag = text(header::ETAG)?;
        let strong = tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"');
        return strong.then(|| tag.to_owned());
    }
    let modified = text(header::LAST_MODIFIED)?;
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let age = date(text(header::DATE)?)?.duration_since(date(modified)?);
    let strong = age.is_ok_and(|age| age >= DATES_ARE_STRONG_AFTER);
    strong.then(|| modified.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(parse_content_range("bytes 4-9/10"), Some((4, 9, Some(10))));
        assert_eq!(parse_content_range("bytes 4-9/*"), Some((4, 9, None)));
        for bad in [
            "",
            "bytes",
            "bytes */10",
            "bytes 9-4/10",
            "bytes 4-10/10",
            "bytes +4-9/10",
            "bytes 4-9",
            "items 4-9/10",
            "bytes 0-18446744073709551615/*",
            "bytes -9/10",
        ] {
            assert_eq!(parse_content_range(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_strong_validators_resume() {
        let headers = |pairs: &[(header::HeaderName, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.insert(name.clone(), value.parse().unwrap());
            }
            map
        };
        let (date, later) = (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:50:37 GMT",
        );
        let of = |pairs: &[(header::HeaderName, &str)]| validator_of(&headers(pairs));
        let (tag, modified, now) = (header::ETAG, header::LAST_MODIFIED, header::DATE);
        let dated = [(modified.clone(), date), (now.clone(), later)];
        assert_eq!(of(&dated).as_deref(), Some(date));
        let with = |etag| [&[(tag.clone(), etag)], &dated[..]].concat();
        assert_eq!(of(&with("\"a\"")).as_deref(), Some("\"a\""));
        for no_use in ["W/\"a\"", "a", "\"", "\"a", ""] {
            assert_eq!(of(&with(no_use)), None, "{no_use}: it is no better dated");
        }
        let just_before = "Sun, 06 Nov 1994 08:50:36 GMT";
        for answered in [just_before, date, "Sat, 05 Nov 1994 08:50:37 GMT", "now"] {
            let young = [(modified.clone(), date), (now.clone(), answered)];
            assert_eq!(of(&young), None, "{answered}");
        }
        assert_eq!(
            of(&[(modified, date)]),
            None,
            "nobody knows when it answered"
        );
    }
}

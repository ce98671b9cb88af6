//! What the headers of a good answer say about its body, and what of that is taken at its word.

use ureq::Body;
use ureq::http::{HeaderMap, Response, StatusCode, header};

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
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
            && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            return Err(distrust("the body is compressed, which nobody asked for"));
        }
        // `ureq` takes an empty body for none, and then knows of no length.
        let empty = headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length == "0");
        let length = response.body().content_length().or(empty.then_some(0));
        let chunked = headers.contains_key(header::TRANSFER_ENCODING);
        let (start, total) = match response.status() {
            StatusCode::PARTIAL_CONTENT => partial_content(headers, request, length)?,
            _ => (0, length),
        };
        Ok(Meaning {
            start,
            total,
            validator: validator_of(headers),
            self_delimiting: length.is_some() || chunked,
        })
    }
}

/// Start and total of a 206: exactly the rest that was asked for, or nothing we take.
fn partial_content(
    headers: &HeaderMap,
    request: &OpenRequest<'_>,
    length: Option<u64>,
) -> Result<(u64, Option<u64>), SourceError> {
    if request.validator().is_none() {
        return Err(distrust(
            "the server answered with a part that nobody asked for",
        ));
    }
    let range = headers
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let Some((start, end, total)) = range.and_then(parse_content_range) else {
        return Err(distrust(
            "the Content-Range of the answer cannot be understood",
        ));
    };
    let whole_rest = total.is_none_or(|total| end + 1 == total);
    let fits = length.is_none_or(|length| length == end - start + 1);
    if start != request.offset() || !whole_rest || !fits {
        return Err(distrust(
            "the server answered with another part than was asked for",
        ));
    }
    Ok((start, Some(end + 1)))
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

/// What `If-Range` may present (RFC 9110, section 13.1.5): a strong ETag, else the date.
fn validator_of(headers: &HeaderMap) -> Option<String> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let strong = |tag: &String| tag.starts_with('"') && tag.len() >= 2;
    text(header::ETAG)
        .filter(strong)
        .or_else(|| text(header::LAST_MODIFIED))
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
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let strong = headers(&[(header::ETAG, "\"a\""), (header::LAST_MODIFIED, date)]);
        assert_eq!(validator_of(&strong).as_deref(), Some("\"a\""));
        let weak = headers(&[(header::ETAG, "W/\"a\"")]);
        assert_eq!(validator_of(&weak), None);
        let dated = headers(&[(header::LAST_MODIFIED, date)]);
        assert_eq!(validator_of(&dated).as_deref(), Some(date));
    }
}

//! Listing a bucket that is laid out as a data directory is, page by page.
//!
//! A listing is foreign text of any length: a page has a limit in bytes and in time, elements have
//! one in depth, keys have to ascend, and pages and keys have to end.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::actions::list_objects_v2::ListObjectsV2Response;

use super::explain::explained;
use super::location::Location;
use super::service::Service;
use crate::data_chunk::DataChunk;
use crate::data_source::http::HttpSource;
use crate::data_source::listing::{Listed, Listing};
use crate::data_source::{CancelToken, OpenRequest, SourceError};
use crate::error::ErrorKind;

/// A page has at most 1,000 keys of 1,024 bytes each, percent-encoded.
const MAX_PAGE_BYTES: u64 = 8 << 20;
/// How long a page may take from its first byte to its last.
pub(super) const PAGE_TIMEOUT: Duration = Duration::from_secs(120);
/// Ten times as many chunks as a worker holds, of ten files each.
const MAX_KEYS: u64 = 100_000_000;
/// Pages without a key, one after the other, before nothing more is believed to come.
const MAX_EMPTY_PAGES: u32 = 1000;
/// How deep elements lie in a page: four, as far as is known.
const MAX_DEPTH: u32 = 16;
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Where a data directory's chunks are; whatever else is in it is not even asked for.
const DATASETS: &str = "dataset_id=";

/// One listing.
pub(super) struct List<'a> {
    pub(super) service: &'a Service,
    pub(super) http: &'a HttpSource,
    pub(super) location: &'a Location,
    pub(super) cancel: &'a CancelToken,
    /// [`PAGE_TIMEOUT`]; the tests do not wait so long.
    pub(super) page_timeout: Duration,
}

impl List<'_> {
    pub(super) fn run(&self, found: &mut dyn FnMut(DataChunk)) -> Result<(), SourceError> {
        let mut listing = Listing::new(self, found);
        let mut pages = Pages::default();
        let prefix = format!("{}{DATASETS}", self.location.key);
        let mut token = None;
        loop {
            let url = self
                .service
                .sign_list(self.location, &prefix, token.as_deref())?;
            let page = self.read(&url, MAX_PAGE_BYTES)?;
            let page = parse(&page.ok_or_else(|| distrust("the listing is too large"))?)?;
            pages.turn(&page)?;
            for object in &page.contents {
                // What is outside was not asked for; nothing follows from it.
                if let Some(path) = object.key.strip_prefix(&self.location.key) {
                    listing.entry(path, object.size.unwrap_or(u64::MAX))?;
                }
            }
            let Some(next) = page.next_continuation_token else {
                return listing.finish();
            };
            if token.as_ref() == Some(&next) {
                return Err(distrust("the listing goes round in circles"));
            }
            token = Some(next);
        }
    }

    /// The whole of what `url` gives; `None` if it is more than `max_bytes`.
    fn read(&self, url: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let request = OpenRequest::new(url, self.cancel);
        let mut reader = self
            .http
            .open_here(&request)
            .map_err(explained)?
            .into_reader();
        let (started, mut bytes, mut buffer) = (Instant::now(), Vec::new(), vec![0; 64 * 1024]);
        loop {
            // One read at a time: whoever drips would fill the buffer in hours.
            let count = match reader.read(&mut buffer) {
                Ok(0) => return Ok(Some(bytes)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let cause = anyhow::Error::new(error).context("the listing broke off");
                    return Err(SourceError::transient(cause));
                }
            };
            bytes.extend_from_slice(&buffer[..count]);
            if bytes.len() as u64 > max_bytes {
                return Ok(None);
            }
            if self.cancel.is_cancelled() || started.elapsed() > self.page_timeout {
                return Err(SourceError::transient(anyhow!(
                    "the listing takes too long"
                )));
            }
        }
    }
}

impl Listed for List<'_> {
    fn url_of(&self, path: &str) -> String {
        self.location.url_of(path)
    }

    fn manifest(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let url = self.service.sign_get(&self.location.below(path))?;
        match self.read(&url, MAX_MANIFEST_BYTES) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.is_permanent() && error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What has come so far, as far as it is needed to see that it ends.
#[derive(Default)]
struct Pages {
    keys: u64,
    empty: u32,
    last: String,
    /// Not in the order of bytes; or not in that of names, directory by directory, in which some
    /// services list. One of them has to hold throughout.
    out_of_bytes: bool,
    out_of_names: bool,
}

impl Pages {
    fn turn(&mut self, page: &ListObjectsV2Response) -> Result<(), SourceError> {
        self.empty = match page.contents.is_empty() {
            true => self.empty + 1,
            false => 0,
        };
        self.keys += page.contents.len() as u64;
        if self.keys > MAX_KEYS || self.empty > MAX_EMPTY_PAGES {
            return Err(distrust("the listing does not end"));
        }
        for object in &page.contents {
            let (last, key) = (&self.last, &object.key);
            self.out_of_bytes |= last.as_bytes() >= key.as_bytes();
            self.out_of_names |= last.split('/').ge(key.split('/'));
            if self.out_of_bytes && self.out_of_names {
                return Err(distrust("the listing is out of order"));
            }
            self.last.clone_from(key);
        }
        Ok(())
    }
}

fn parse(page: &[u8]) -> Result<ListObjectsV2Response, SourceError> {
    let text = str::from_utf8(page).map_err(|_| distrust("the listing is not UTF-8"))?;
    if !is_sound(text) {
        return Err(distrust("the listing is not whole, or nested without end"));
    }
    ListObjectsV2::parse_response(text).map_err(|_| distrust("the listing cannot be understood"))
}

/// Whether all elements have an end, which the parser does not insist on, and lie no deeper than
/// [`MAX_DEPTH`], since it goes down by calling itself. What no listing needs (comments, sections of
/// plain text, declarations) is not let through either: ends could hide in it.
fn is_sound(xml: &str) -> bool {
    let (mut depth, mut rest, mut root) = (0u32, xml, false);
    while let Some((_, behind)) = rest.split_once('<') {
        let Some((tag, after)) = behind.split_at_checked(tag_len(behind)) else {
            return false;
        };
        match tag.bytes().next() {
            Some(b'!') | None => return false,
            Some(b'?') => {}
            Some(b'/') if depth == 0 => return false,
            Some(b'/') => depth -= 1,
            // What a root of no content says is that there is nothing.
            Some(_) => {
                root |= depth == 0 && tag.starts_with("ListBucketResult");
                depth += u32::from(!tag.ends_with('/'));
            }
        }
        if depth > MAX_DEPTH {
            return false;
        }
        rest = after;
    }
    root && depth == 0
}

/// How many bytes there are up to the `>` that ends the tag; beyond the text if there is none.
fn tag_len(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            (_, b'<') => break,
            _ => {}
        }
    }
    usize::MAX
}

fn distrust(reason: &'static str) -> SourceError {
    SourceError::transient(anyhow!(reason)).with_kind(ErrorKind::Protocol)
}

/// Whatever a service answers is survived.
#[cfg(fuzzing)]
#[allow(
    unreachable_pub,
    reason = "the target in `fuzz/` reaches it, in its build"
)]
pub fn page(bytes: &[u8]) {
    let _ = parse(bytes);
}

#[cfg(test)]
mod tests;

//! What a source is asked for. `Debug` shows URLs redacted: a source may well log what it is asked.

use std::fmt;

use super::CancelToken;
use crate::data_chunk::redact_url;

/// What [`DataSource::open`](super::DataSource::open) is asked for.
#[derive(Clone, Copy)]
pub struct OpenRequest<'a> {
    url: &'a str,
    offset: u64,
    validator: Option<&'a str>,
    unless: Option<&'a str>,
    polled: bool,
    cancel: &'a CancelToken,
}

impl<'a> OpenRequest<'a> {
    /// A request for the whole of `url`.
    pub fn new(url: &'a str, cancel: &'a CancelToken) -> Self {
        OpenRequest {
            url,
            offset: 0,
            validator: None,
            unless: None,
            polled: false,
            cancel,
        }
    }

    /// Asks to go on at byte `offset` of what `validator` stood for.
    #[must_use]
    pub fn resume(mut self, offset: u64, validator: &'a str) -> Self {
        self.offset = offset;
        self.validator = Some(validator);
        self
    }

    /// Asks for nothing if what there is still has this validator: then the source returns
    /// [`SourceError::unchanged`](super::SourceError::unchanged). For whoever polls a document; not together with
    /// [`resume`](Self::resume).
    #[must_use]
    pub fn unless(mut self, validator: &'a str) -> Self {
        self.unless = Some(validator);
        self
    }

    /// It is asked for again and again, also without a validator: that it comes again does not mean that
    /// it was no good the last time.
    #[must_use]
    pub(crate) fn polled(mut self) -> Self {
        self.polled = true;
        self
    }

    /// Whether it is asked for again and again.
    pub(crate) fn is_polled(&self) -> bool {
        self.polled || self.unless.is_some()
    }

    /// The same request for another URL.
    #[must_use]
    pub fn at(mut self, url: &'a str) -> Self {
        self.url = url;
        self
    }

    /// The URL, without its fragment.
    pub fn url(&self) -> &'a str {
        self.url
    }

    /// The first byte that is wanted, counted from 0. Not 0 only where there is a validator.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The validator of the bytes before `offset`, as an earlier [`Opened`](super::Opened) gave it.
    pub fn validator(&self) -> Option<&'a str> {
        self.validator
    }

    /// The validator of [`unless`](Self::unless).
    pub fn unless_validator(&self) -> Option<&'a str> {
        self.unless
    }

    /// Says when nobody wants the bytes any more. A source whose reads can stall registers a way
    /// to break them off here.
    pub fn cancel(&self) -> &'a CancelToken {
        self.cancel
    }
}

/// What [`DataSource::list`](super::DataSource::list) is asked for.
#[derive(Clone, Copy)]
pub struct ListRequest<'a> {
    url: &'a str,
    cancel: &'a CancelToken,
}

impl<'a> ListRequest<'a> {
    /// A request for the chunks under `url`, which stands for a directory laid out as a data
    /// directory is; with or without a slash at its end.
    pub fn new(url: &'a str, cancel: &'a CancelToken) -> Self {
        ListRequest { url, cancel }
    }

    /// The URL, without its fragment.
    pub fn url(&self) -> &'a str {
        self.url
    }

    /// Says when nobody wants the list any more.
    pub fn cancel(&self) -> &'a CancelToken {
        self.cancel
    }
}

impl fmt::Debug for OpenRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenRequest")
            .field("url", &redact_url(self.url))
            .field("offset", &self.offset)
            .field("validator", &self.validator)
            .field("unless", &self.unless)
            .field("cancel", self.cancel)
            .finish()
    }
}

impl fmt::Debug for ListRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListRequest")
            .field("url", &redact_url(self.url))
            .field("cancel", self.cancel)
            .finish()
    }
}

//! Fetches as the crate does, into memory: what it takes for whole is what a caller would.

use std::io::{self, Read};

use super::cases::{Bench, Stop, failed};
use crate::data_source::{CancelToken, OpenRequest, Opened, SourceError};

/// One file, over as many attempts as it takes.
#[derive(Default)]
pub(super) struct Client {
    pub(super) bytes: Vec<u8>,
    validator: Option<String>,
    total: Option<u64>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum End {
    /// The caller takes the file for whole.
    Whole,
    /// Broken off, or ended short, or nothing says that it is whole.
    Broken,
    /// The client read as much as it was told to.
    Enough,
    /// The source did not open it.
    Refused(SourceError),
}

/// An open file, and where its reader is to go on.
pub(super) struct Transfer {
    reader: Box<dyn Read + Send>,
    self_delimiting: bool,
}

impl Client {
    pub(super) fn validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }

    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// One attempt, which goes on where the one before it stopped, and reads until there are
    /// `enough` bytes of the file.
    pub(super) fn attempt(&mut self, bench: &Bench, url: &str, enough: usize) -> Result<End, Stop> {
        match self.open(bench, url)? {
            Ok(mut transfer) => self.read(&mut transfer, enough),
            Err(error) => Ok(End::Refused(error)),
        }
    }

    /// Opens the file for what is still to come.
    ///
    /// # Errors
    /// If the start is not one that was asked for.
    pub(super) fn open(
        &mut self,
        bench: &Bench,
        url: &str,
    ) -> Result<Result<Transfer, SourceError>, Stop> {
        let (known, cancel) = (self.validator.clone(), CancelToken::new());
        let mut request = OpenRequest::new(url, &cancel);
        let offset = self.bytes.len() as u64;
        match &known {
            Some(validator) if offset > 0 => request = request.resume(offset, validator),
            _ => self.bytes.clear(),
        }
        let opened = match bench.source.open(&request) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let start = opened.start();
        if start != 0 && start != request.offset() {
            return failed(format!(
                "asked for byte {}, it starts at byte {start}",
                request.offset()
            ));
        }
        let goes_on = start > 0 && self.goes_on_with(&opened);
        if !goes_on {
            self.bytes.clear();
        }
        if start > 0 && !goes_on {
            let cause = anyhow::anyhow!("it goes on with another version");
            return Ok(Err(SourceError::transient(cause)));
        }
        // An answer with the rest need not say again what it is the rest of.
        let known = self.validator.take().filter(|_| goes_on);
        self.validator = opened.validator().map(str::to_owned).or(known);
        self.total = opened.total();
        Ok(Ok(Transfer {
            self_delimiting: opened.is_self_delimiting(),
            reader: Box::new(opened.into_reader()),
        }))
    }

    fn goes_on_with(&self, opened: &Opened) -> bool {
        let same_total =
            self.total.is_none() || opened.total().is_none_or(|now| Some(now) == self.total);
        let now = opened.validator();
        same_total && now.is_none_or(|now| Some(now) == self.validator())
    }

    /// Reads on until there are `enough` bytes of the file, or no more come.
    ///
    /// # Errors
    /// If the file grows beyond what any content of the suite has.
    pub(super) fn read(&mut self, transfer: &mut Transfer, enough: usize) -> Result<End, Stop> {
        // Neither a power of two nor a divisor of one: parts end anywhere.
        let mut buffer = vec![0; 100_003];
        while self.bytes.len() < enough {
            let room = buffer.len().min(enough - self.bytes.len());
            match transfer.reader.read(&mut buffer[..room]) {
                Ok(0) => return Ok(self.end(transfer.self_delimiting)),
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(End::Broken),
            }
            if self.bytes.len() > super::cases::MOST_BYTES {
                return failed("it has no end".to_owned());
            }
        }
        Ok(End::Enough)
    }

    fn end(&self, self_delimiting: bool) -> End {
        let is_whole = match self.total {
            Some(total) => total == self.bytes.len() as u64,
            None => self_delimiting,
        };
        if is_whole { End::Whole } else { End::Broken }
    }
}

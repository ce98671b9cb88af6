//! One attempt at one place, and the body that came of it: how it ends is what is known of the place.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use super::Rule;
use super::breaker::{Pass, Sign};
use crate::data_source::{Body, CancelToken, Copied, CopiesFrom};

/// Leave to ask a place; says how it ended when it is dropped, if not before.
pub(super) struct Attempt {
    rule: Arc<Rule>,
    place: usize,
    /// The number of the file; none where it is not about one.
    file: Option<u64>,
    pass: Option<Pass>,
}

impl Attempt {
    /// `None` if the place rests or is being tried, unless it is to be asked `anyway`.
    pub(super) fn begin(
        rule: &Arc<Rule>,
        place: usize,
        file: Option<u64>,
        anyway: bool,
    ) -> Option<Attempt> {
        let now = (rule.clock)();
        let pass = {
            let mut breaker = rule.places[place].breaker.lock();
            match anyway {
                true => breaker.begin_anyway(now),
                false => breaker.begin(now)?,
            }
        };
        Some(Attempt {
            rule: rule.clone(),
            place,
            file,
            pass: Some(pass),
        })
    }

    /// The place has the file: who goes on with it later asks here first.
    pub(super) fn note_opened(&self) {
        if let (Some(file), Ok(place)) = (self.file, u8::try_from(self.place)) {
            let now = (self.rule.clock)();
            let mut files = self.rule.files.lock();
            files.edit(now, file, |note| note.last = Some(place));
        }
    }

    /// Another place is to be asked for the file next time, whatever this one is like otherwise.
    fn strike(&self) {
        if let Some(file) = self.file {
            let now = (self.rule.clock)();
            let mut files = self.rule.files.lock();
            files.edit(now, file, |note| note.strike(self.place));
        }
    }

    pub(super) fn end(mut self, sign: Sign) {
        if !matches!(sign, Sign::None | Sign::Answered) {
            self.strike();
        }
        self.report(sign);
    }

    fn report(&mut self, sign: Sign) {
        let Some(pass) = self.pass.take() else { return };
        let asked = match sign {
            Sign::Failed(asked) => asked,
            _ => None,
        };
        let (now, luck) = ((self.rule.clock)(), fastrand::f64());
        let rest = |rests| self.rule.rests.draw(rests, asked, luck);
        let mut breaker = self.rule.places[self.place].breaker.lock();
        breaker.end(now, pass, sign, rest);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.report(Sign::None);
    }
}

/// A body that is watched. Reading passes through; its end, an error, or that it is dropped before
/// its end is the end of the attempt.
pub(super) struct Watched {
    body: Box<dyn Body>,
    /// Until it has ended.
    attempt: Option<Attempt>,
    /// Which byte of the file comes next.
    position: u64,
    total: Option<u64>,
    /// Whether anybody asked for a byte.
    was_read: bool,
    cancel: CancelToken,
}

impl Watched {
    pub(super) fn new(
        body: Box<dyn Body>,
        (start, total): (u64, Option<u64>),
        attempt: Attempt,
        cancel: &CancelToken,
    ) -> Self {
        Watched {
            body,
            attempt: Some(attempt),
            position: start,
            total,
            was_read: false,
            cancel: cancel.clone(),
        }
    }

    fn note(&mut self, result: &io::Result<usize>, room: usize) {
        self.was_read = true;
        match result {
            Ok(0) if room == 0 => {}
            Ok(0) => {
                let short = self.total.is_some_and(|total| self.position < total);
                self.end(if short {
                    Sign::Failed(None)
                } else {
                    Sign::Whole
                });
            }
            Ok(count) => self.position += *count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.end(Sign::Failed(None)),
        }
    }

    fn end(&mut self, sign: Sign) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        // Whatever a transfer looks like that nobody wants, it is not the place's doing.
        if sign == Sign::Whole || !self.cancel.is_cancelled() {
            attempt.end(sign);
        }
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.body.read(buffer);
        self.note(&result, buffer.len());
        result
    }
}

impl Body for Watched {
    fn copies_from(&self) -> Option<CopiesFrom> {
        self.body.copies_from()
    }

    fn copy_into(&mut self, target: &File, at: u64, len: usize) -> Copied {
        let copied = self.body.copy_into(target, at, len);
        // None is no end: the rest is to be read.
        self.position += copied.count as u64;
        self.was_read |= copied.count > 0;
        copied
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Whoever reads may stop at the last byte, without looking for the end.
        if self.total == Some(self.position) {
            return self.end(Sign::Whole);
        }
        // Too slow, or the disk is full: it cannot be told from here. But what was not read was not
        // slow; it was not wanted as it is.
        match (&self.attempt, self.was_read) {
            (Some(_), true) => self.end(Sign::Doubtful),
            (Some(attempt), false) if !self.cancel.is_cancelled() => attempt.strike(),
            _ => {}
        }
    }
}

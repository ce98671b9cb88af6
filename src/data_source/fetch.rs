//! One file, from its source into staging: "download file" of the diagram, arrow 4.
//!
//! The bytes go through one buffer, are hashed on the way and never read a second time, except for
//! the beginning of a file that is resumed, and for what the kernel copied.

mod kernel;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::checksums::Checksums;
use super::local::{Part, Progress, Refusal, Staging, Version};
use super::rate::{RateFloor, RateWatch};
use super::throttle::Lane;
use super::{
    Body, CancelToken, ChangedUnderWay, Copied, CopiesFrom, DataSource, OpenRequest, Opened,
    SourceError, Throttle,
};
use crate::data_chunk::{FileSpec, redact_url};
use crate::error::{Error, ErrorKind};

/// The copy buffer. `io::copy`'s 8 KiB cost a quarter more CPU.
const BUFFER_BYTES: usize = 256 * 1024;

/// How much room a body of unknown length is given at a time.
const RESERVED_BYTES: u64 = 8 << 20;

/// A file that arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchedFile {
    pub(crate) len_bytes: u64,
    /// XXH3-64 of the content.
    pub(crate) xxh3: u64,
}

/// How far a file is; written by the thread that fetches it, read by whoever asks.
#[derive(Debug, Default)]
pub(crate) struct FileProgress {
    done_bytes: AtomicU64,
    /// 0 while unknown, else the total plus one.
    total_plus_one: AtomicU64,
}

impl FileProgress {
    pub(crate) fn done_bytes(&self) -> u64 {
        self.done_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn total_bytes(&self) -> Option<u64> {
        self.total_plus_one.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(crate) fn set(&self, done: u64, total: Option<u64>) {
        self.done_bytes.store(done, Ordering::Relaxed);
        let plus_one = total.map_or(0, |total| total.saturating_add(1));
        self.total_plus_one.store(plus_one, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, count: u64) {
        self.done_bytes.fetch_add(count, Ordering::Relaxed);
    }
}

/// Why a file did not arrive.
#[derive(Clone, Debug)]
pub(crate) enum FetchFailure {
    /// Nobody wants it any more.
    Cancelled,
    /// The attempt failed.
    Failed(Setback),
}

/// A failed attempt, and what it says about the next one.
#[derive(Clone, Debug)]
pub(crate) struct Setback {
    pub(crate) error: Error,
    /// Trying again as it stands cannot help.
    pub(crate) permanent: bool,
    /// What it says about the host.
    pub(crate) host: HostSign,
    /// The source asks not to be tried again before that.
    pub(crate) retry_after: Option<Duration>,
}

/// What a transfer says about its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostSign {
    /// It did not come to that: cancelled before, or the local disk failed.
    None,
    /// It answered, if only to say no.
    Answered,
    /// It failed as it would have failed for any other file.
    Silent,
}

impl Setback {
    /// Trying again can help.
    pub(crate) fn transient(error: Error) -> Self {
        Setback {
            error,
            permanent: false,
            host: HostSign::None,
            retry_after: None,
        }
    }

    /// Trying again as it stands cannot help.
    pub(crate) fn permanent(error: Error) -> Self {
        let mut setback = Setback::transient(error);
        setback.permanent = true;
        setback
    }

    fn after_an_answer(mut self) -> Self {
        self.host = HostSign::Answered;
        self
    }
}

impl From<Setback> for FetchFailure {
    fn from(setback: Setback) -> Self {
        FetchFailure::Failed(setback)
    }
}

/// What every transfer has to keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchLimits {
    pub(crate) rate_floor: RateFloor,
    pub(crate) max_file_bytes: u64,
}

/// Fetches one file.
pub(crate) struct Fetcher<'a> {
    pub(crate) source: &'a dyn DataSource,
    pub(crate) file: &'a FileSpec,
    /// The file's number in its description.
    pub(crate) index: usize,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) throttle: &'a Arc<Throttle>,
    pub(crate) progress: &'a FileProgress,
    pub(crate) limits: FetchLimits,
    pub(crate) observer: &'a dyn FetchObserver,
}

/// What copies the bytes of one attempt.
struct Copying<'a> {
    reader: Box<dyn Body>,
    total: Option<u64>,
    buffer: Vec<u8>,
    lane: Lane<'a>,
}

impl Copying<'_> {
    /// Out of what the kernel is asked to copy what comes next.
    fn by_kernel(&self) -> Option<CopiesFrom> {
        self.total.filter(|total| *total >= kernel::MIN_BYTES)?;
        self.reader.copies_from()
    }

    /// How many bytes may be taken at a time, and how many are still to come, as far as is known.
    fn room(&self, part: &Part) -> (usize, u64) {
        let most = match self.by_kernel() {
            Some(CopiesFrom::File) => kernel::PIECE_BYTES,
            Some(CopiesFrom::Socket) | None => self.buffer.len(),
        };
        match self.total {
            Some(total) => (most, total.saturating_sub(part.len_bytes())),
            // No more than there is room for.
            None => {
                let left = part.space.reserved();
                let room = usize::try_from(left).unwrap_or(usize::MAX);
                (room.min(most), left)
            }
        }
    }
}

/// What came of one step of a copy.
enum Piece {
    /// So many bytes are staged, for which the source was waited for so long.
    Arrived {
        count: usize,
        waited: Duration,
    },
    Interrupted,
    End,
}

/// Whoever wants to know how a file goes on. Its calls must not block.
pub(crate) trait FetchObserver: Sync {
    /// The source has the file, or the rest of it.
    fn answered(&self);

    /// So many bytes arrived and are staged.
    fn arrived(&self, count: u64);
}

impl Fetcher<'_> {
    /// Brings the file into `staging`, whole and checked and, as far as its durability says,
    /// lasting; going on where an earlier attempt stopped, if the source can.
    pub(crate) fn fetch(&self, staging: &Arc<Staging>) -> Result<FetchedFile, FetchFailure> {
        self.stop_if_cancelled()?;
        let (mut part, progress) = staging.open_part(self.index).map_err(|e| self.disk(e))?;
        let (opened, mut sums) = match progress {
            Progress::Complete(fetched) => {
                self.progress
                    .set(fetched.len_bytes, Some(fetched.len_bytes));
                return Ok(fetched);
            }
            // Where there is no room, nobody is asked for what could not be kept.
            _ if let Err(refusal) = part.space.look() => return Err(self.no_room(refusal)),
            Progress::Empty => (self.open_all()?, self.no_bytes()),
            Progress::Partial(version) => self.resume(&mut part, &version)?,
        };
        if opened.total.is_none() && !opened.self_delimiting && self.file.sha256.is_none() {
            let reason = "the body's end cannot be told from a cut, and no digest is declared";
            let error = self.error(ErrorKind::Protocol, reason);
            return Err(Setback::permanent(error).after_an_answer().into());
        }
        if opened
            .total
            .is_some_and(|total| total > self.limits.max_file_bytes)
        {
            return Err(self.too_large(&mut part));
        }
        self.progress.set(part.len_bytes(), opened.total);
        let total = opened.total;
        if let Some(total) = total {
            let rest = total.saturating_sub(part.len_bytes());
            let reserved = part.space.reserve(rest, rest);
            reserved.map_err(|refusal| self.no_room(refusal))?;
        }
        let version = opened.validator.map(|validator| Version {
            validator,
            total_bytes: total,
        });
        part.remember(version).map_err(|e| self.disk(e))?;
        match self.copy(opened.reader, total, &mut part, &mut sums) {
            Ok(()) => self.check(part, sums),
            Err(failure) => {
                part.keep_sums(sums);
                Err(failure)
            }
        }
    }

    fn no_bytes(&self) -> Checksums {
        Checksums::new(self.file.sha256.is_some())
    }

    /// Asks for all of it.
    fn open_all(&self) -> Result<Opened, FetchFailure> {
        let opened = self.open(None)?;
        if opened.start != 0 {
            let reason = "the source gave a part that nobody asked for";
            return Err(self.answered_wrongly(ErrorKind::Protocol, reason));
        }
        Ok(opened)
    }

    fn open(&self, resume: Option<(u64, &str)>) -> Result<Opened, FetchFailure> {
        let mut request = OpenRequest::new(&self.file.url, self.cancel);
        if let Some((offset, validator)) = resume {
            request = request.resume(offset, validator);
        }
        let opened = self.source.open(&request);
        if opened.is_ok() {
            self.observer.answered();
        }
        opened.map_err(|error| self.source_failed(error))
    }

    /// Asks for the rest. Where the source has something else by now, or cannot tell, what is
    /// there is thrown away: two versions are never mixed.
    fn resume(
        &self,
        part: &mut Part,
        version: &Version,
    ) -> Result<(Opened, Checksums), FetchFailure> {
        let offset = part.len_bytes();
        match self.open(Some((offset, &version.validator))) {
            Ok(mut opened) if opened.start == offset && opened.goes_on_with(version) => {
                // An answer with the rest need not say again what it is the rest of.
                (opened.validator).get_or_insert_with(|| version.validator.clone());
                let sums = part.sums(self.file.sha256.is_some());
                Ok((opened, sums.map_err(|e| self.disk(e))?))
            }
            Ok(opened) if opened.start == 0 => {
                part.restart().map_err(|e| self.disk(e))?;
                Ok((opened, self.no_bytes()))
            }
            Ok(_) => {
                part.restart().map_err(|e| self.disk(e))?;
                let reason = "the source went on with something else than was asked for";
                Err(self.answered_wrongly(ErrorKind::Protocol, reason))
            }
            Err(FetchFailure::Cancelled) => Err(FetchFailure::Cancelled),
            Err(failure) => {
                // An answer that makes no sense may be one to "the rest of it", so the next attempt
                // asks for all of it. A source that is away or busy says nothing about the part.
                if failure.is_nonsense() {
                    part.restart().map_err(|e| self.disk(e))?;
                }
                Err(failure)
            }
        }
    }

    fn copy(
        &self,
        reader: Box<dyn Body>,
        total: Option<u64>,
        part: &mut Part,
        sums: &mut Checksums,
    ) -> Result<(), FetchFailure> {
        let expected = total.unwrap_or(u64::MAX).saturating_sub(part.len_bytes());
        let mut copying = Copying {
            reader,
            total,
            buffer: vec![
                0;
                usize::try_from(expected)
                    .map_or(BUFFER_BYTES, |n| n.clamp(1, BUFFER_BYTES))
            ],
            lane: self.throttle.lane(self.cancel),
        };
        let mut rate = RateWatch::new(self.limits.rate_floor);
        loop {
            if total.is_none() && part.space.reserved() == 0 {
                let reserved = part.space.reserve(1, RESERVED_BYTES);
                reserved.map_err(|refusal| self.no_room(refusal))?;
            }
            let (room, left) = copying.room(part);
            let room = copying.lane.wait(room, left);
            self.stop_if_cancelled()?;
            let (count, waited) = match self.piece(&mut copying, room, left, part, sums)? {
                Piece::Arrived { count, waited } => (count, waited),
                Piece::Interrupted => continue,
                Piece::End => return self.check_length(part.len_bytes(), total),
            };
            let keeps_up = rate.keeps_up(waited, count as u64);
            self.progress.add(count as u64);
            self.observer.arrived(count as u64);
            // What is all there was not too slow, and there is no rest to ask for.
            if !keeps_up && total != Some(part.len_bytes()) {
                return Err(self.too_slow());
            }
        }
    }

    /// Brings the next bytes into `part`, no more than `room`.
    fn piece(
        &self,
        copying: &mut Copying<'_>,
        room: usize,
        left: u64,
        part: &mut Part,
        sums: &mut Checksums,
    ) -> Result<Piece, FetchFailure> {
        let asked = Instant::now();
        if let Some(from) = copying.by_kernel().filter(|_| left > 0) {
            let copied = self.copy_by_kernel(&mut *copying.reader, from, (room, left), part)?;
            let Copied { count, waited } = copied;
            if count > 0 {
                copying.lane.took(count);
                self.sum_up(part, count, &mut copying.buffer, sums)?;
                return Ok(Piece::Arrived { count, waited });
            }
        }
        let room = room.min(copying.buffer.len());
        let count = match copying.reader.read(&mut copying.buffer[..room]) {
            Ok(0) => return Ok(Piece::End),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return Ok(Piece::Interrupted);
            }
            Err(error) => {
                if ChangedUnderWay::is(&error) {
                    part.restart().map_err(|e| self.disk(e))?;
                }
                return Err(self.read_failed(&error));
            }
        };
        copying.lane.took(count);
        // What the disk takes is not held against the source.
        let waited = asked.elapsed();
        let after = part.len_bytes() + count as u64;
        if copying.total.is_some_and(|total| after > total) {
            part.restart().map_err(|e| self.disk(e))?;
            let reason = "more bytes arrived than the source promised";
            return Err(self.answered_wrongly(ErrorKind::Protocol, reason));
        }
        if after > self.limits.max_file_bytes {
            return Err(self.too_large(part));
        }
        let bytes = &copying.buffer[..count];
        part.append(bytes).map_err(|e| self.disk(e))?;
        sums.update(bytes);
        Ok(Piece::Arrived { count, waited })
    }

    fn check_length(&self, len: u64, total: Option<u64>) -> Result<(), FetchFailure> {
        match total {
            Some(total) if len != total => {
                let reason = format!("the body ended after {len} of {total} bytes");
                Err(self.answered_wrongly(ErrorKind::Network, &reason))
            }
            _ => Ok(()),
        }
    }

    fn check(&self, part: Part, sums: Checksums) -> Result<FetchedFile, FetchFailure> {
        let (xxh3, digest) = sums.finish();
        if digest != self.file.sha256 {
            part.discard();
            let reason = "the bytes that arrived do not have the declared SHA-256";
            return Err(self.answered_wrongly(ErrorKind::Digest, reason));
        }
        part.complete(xxh3).map_err(|e| self.disk(e))
    }

    fn stop_if_cancelled(&self) -> Result<(), FetchFailure> {
        if self.cancel.is_cancelled() {
            Err(FetchFailure::Cancelled)
        } else {
            Ok(())
        }
    }

    fn error(&self, kind: ErrorKind, reason: &str) -> Error {
        Error::new(kind, reason)
            .with_file(&self.file.name)
            .with_url(redact_url(&self.file.url))
    }

    /// The local disk failed. That passes or is mended by a person; nothing about the source.
    fn disk(&self, error: Error) -> FetchFailure {
        Setback::transient(error.with_file(&self.file.name)).into()
    }

    /// There is no room for it on the disk. Where there never will be, no retry can help.
    fn no_room(&self, refusal: Refusal) -> FetchFailure {
        let Refusal { error, for_good } = refusal;
        let mut setback = Setback::transient(error.with_file(&self.file.name));
        setback.permanent = for_good;
        setback.into()
    }

    /// The source answered, and it was of no use.
    fn answered_wrongly(&self, kind: ErrorKind, reason: &str) -> FetchFailure {
        let error = self.error(kind, reason);
        Setback::transient(error).after_an_answer().into()
    }

    /// The file has no end, or none that anybody wants to wait for. Nothing of it is kept.
    fn too_large(&self, part: &mut Part) -> FetchFailure {
        if let Err(error) = part.restart() {
            return self.disk(error);
        }
        let limit = self.limits.max_file_bytes;
        let reason = format!("the file has more than {limit} bytes (max_file_bytes)");
        let error = self.error(ErrorKind::Protocol, &reason);
        Setback::permanent(error).after_an_answer().into()
    }

    fn too_slow(&self) -> FetchFailure {
        let RateFloor { min_rate, window } = self.limits.rate_floor;
        let reason = format!("less than {min_rate} bytes/s arrived over {window:?}");
        self.answered_wrongly(ErrorKind::Network, &reason)
    }

    fn read_failed(&self, error: &io::Error) -> FetchFailure {
        if self.cancel.is_cancelled() {
            return FetchFailure::Cancelled;
        }
        let reason = format!("the transfer broke off: {error}");
        self.answered_wrongly(ErrorKind::Network, &reason)
    }

    fn source_failed(&self, error: SourceError) -> FetchFailure {
        if self.cancel.is_cancelled() {
            return FetchFailure::Cancelled;
        }
        let SourceError {
            kind,
            permanent,
            host_wide,
            retry_after,
            cause,
        } = error;
        let error = self.error(kind, &format!("{cause:#}")).with_cause(cause);
        let host = if host_wide {
            HostSign::Silent
        } else {
            HostSign::Answered
        };
        let setback = Setback {
            error,
            permanent,
            host,
            retry_after,
        };
        setback.into()
    }
}

impl Opened {
    /// Whether what follows is of the same file as what is there, as far as the source says.
    fn goes_on_with(&self, version: &Version) -> bool {
        let same_length = match (self.total, version.total_bytes) {
            (Some(now), Some(before)) => now == before,
            _ => true,
        };
        let validator = self.validator.as_ref();
        same_length && validator.is_none_or(|now| *now == version.validator)
    }
}

impl FetchFailure {
    fn is_nonsense(&self) -> bool {
        matches!(self, FetchFailure::Failed(setback) if !setback.permanent && setback.error.kind() == ErrorKind::Protocol)
    }
}

//! What a source gives.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

/// The bytes of an open file.
pub(crate) trait Body: Read + Send {
    /// Out of what the kernel may be asked to copy the next bytes, if out of anything.
    fn copies_from(&self) -> Option<CopiesFrom> {
        None
    }

    /// Has the kernel copy up to `len` of the next bytes to byte `at` of `target`; none if they are to
    /// be read, for whatever reason.
    fn copy_into(&mut self, target: &File, at: u64, len: usize) -> Copied {
        let (_, _, _) = (target, at, len);
        Copied::default()
    }
}

/// What the kernel copies from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopiesFrom {
    /// A file of this machine, which may share its blocks with the copy.
    File,
    /// A connection.
    Socket,
}

/// What the kernel copied.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Copied {
    pub(crate) count: usize,
    /// How long the source was waited for.
    pub(crate) waited: Duration,
}

/// What a read of a [`Body`] fails with if the bytes before may be those of another content than
/// those that would follow.
#[derive(Debug)]
pub(crate) struct ChangedUnderWay;

impl fmt::Display for ChangedUnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file changed while it was read")
    }
}

impl Error for ChangedUnderWay {}

impl ChangedUnderWay {
    /// Whether `error` is one of these.
    pub(crate) fn is(error: &io::Error) -> bool {
        let inner = error.get_ref();
        inner.is_some_and(<dyn Error + Send + Sync>::is::<ChangedUnderWay>)
    }
}

/// A reader that is nothing but that.
struct Plain<R>(R);

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read + Send> Body for Plain<R> {}

/// An open file: what [`DataSource::open`](super::DataSource::open) returns.
pub struct Opened {
    pub(crate) reader: Box<dyn Body>,
    pub(crate) start: u64,
    pub(crate) total: Option<u64>,
    pub(crate) validator: Option<String>,
    pub(crate) self_delimiting: bool,
}

impl Opened {
    /// The bytes, from byte [`start`](Self::start) of the file on.
    pub fn into_reader(self) -> impl Read + Send {
        self.reader
    }

    /// Which byte of the file the reader begins with.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// How many bytes the whole file has, as far as the source says.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// What to present to resume.
    pub fn validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }

    /// Whether the reader's end says that the file is whole.
    pub fn is_self_delimiting(&self) -> bool {
        self.self_delimiting
    }

    /// `reader` gives the file from its first byte; its length is unknown.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Opened::from_body(Plain(reader))
    }

    /// The same for a body that can do more than be read.
    pub(crate) fn from_body(body: impl Body + 'static) -> Self {
        Opened {
            reader: Box::new(body),
            start: 0,
            total: None,
            validator: None,
            self_delimiting: true,
        }
    }

    /// The reader's first byte is byte `start` of the file.
    #[must_use]
    pub fn starting_at(mut self, start: u64) -> Self {
        self.start = start;
        self
    }

    /// The whole file has `len_bytes` bytes.
    #[must_use]
    pub fn with_total(mut self, len_bytes: u64) -> Self {
        self.total = Some(len_bytes);
        self
    }

    /// What to present to resume: a string that changes whenever a byte of the file does (a
    /// strong ETag, a modification time). Without one, a broken transfer starts again.
    #[must_use]
    pub fn with_validator(mut self, validator: impl Into<String>) -> Self {
        self.validator = Some(validator.into());
        self
    }

    /// The reader's end proves nothing: a connection that was cut looks the same. Such a file is
    /// taken only if its digest is declared.
    #[must_use]
    pub fn ending_anywhere(mut self) -> Self {
        self.self_delimiting = false;
        self
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("start", &self.start)
            .field("total", &self.total)
            .field("validator", &self.validator)
            .finish_non_exhaustive()
    }
}

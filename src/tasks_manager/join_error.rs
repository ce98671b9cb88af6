//! Why a task or an operation has no output.

use super::contain::Payload;
use super::sync::Mutex;
use std::any::Any;
use std::error::Error;
use std::fmt;

/// A task, a job or an operation ended without an output: it panicked, or it was cancelled.
pub struct JoinError {
    cause: Cause,
}

enum Cause {
    Cancelled,
    /// Behind a lock only because a payload is [`Send`] and not [`Sync`], and an error has to be both. Under
    /// the lock its type is looked at and its text is copied. In a box, because each task has room for an error, and
    /// few need it.
    Panic(Box<Mutex<Payload>>),
}

impl JoinError {
    pub(crate) fn cancelled() -> Self {
        Self {
            cause: Cause::Cancelled,
        }
    }

    pub(crate) fn panic(payload: Payload) -> Self {
        Self {
            cause: Cause::Panic(Box::new(Mutex::new(payload))),
        }
    }

    /// The code panicked: in its poll, in its job, or in the `Drop` of its future.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panic(_))
    }

    /// It was ended before it had an output: by `cancel`, by the drop of its manager, or because the
    /// [`Completer`](crate::io_operation::Completer) was dropped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause, Cause::Cancelled)
    }

    /// The value that the panic carried, to be given to [`std::panic::resume_unwind`] for example.
    ///
    /// # Panics
    ///
    /// If this is a cancellation; ask [`is_panic`](Self::is_panic) first.
    #[must_use]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self.cause {
            Cause::Panic(payload) => payload.into_inner(),
            Cause::Cancelled => panic!("into_panic was called on the JoinError of a cancellation"),
        }
    }
}

/// The text of a panic: what `panic!` was given, as far as it was a text.
fn message(payload: &Mutex<Payload>) -> String {
    let payload = payload.lock();
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is not a text".to_owned()
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Cancelled => f.write_str("cancelled"),
            Cause::Panic(payload) => write!(f, "panicked: {}", message(payload)),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Cancelled => f.write_str("JoinError::Cancelled"),
            Cause::Panic(payload) => write!(f, "JoinError::Panic({:?})", message(payload)),
        }
    }
}

impl Error for JoinError {}

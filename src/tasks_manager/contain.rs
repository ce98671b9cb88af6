//! Where panics of users stop.
//!
//! An executor runs code that it did not write at five places: a poll, and the drops of a future, of an output,
//! of a waker, and a wake. A panic at any of them belongs to the one task, never to the thread, which has
//! other tasks to serve. Whoever calls foreign code calls it through this module. The panic hook has already
//! reported the panic by the time it arrives here, so a panic that nobody waits for is not silent.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Runs foreign code and hands back its value, or the payload of its panic.
pub(crate) fn catch<R>(foreign: impl FnOnce() -> R) -> Result<R, Payload> {
    // Unwind safety: whatever a panic leaves half done is the caller's to drop, and never to be used again.
    catch_unwind(AssertUnwindSafe(foreign))
}

/// Drops a value of a user, whatever its `Drop` does.
pub(crate) fn drop_contained<T>(value: T) {
    if let Err(payload) = catch(move || drop(value)) {
        discard(payload);
    }
}

/// Wakes by reference, whatever the waker does.
pub(crate) fn wake_contained(waker: &Waker) {
    if let Err(payload) = catch(|| waker.wake_by_ref()) {
        discard(payload);
    }
}

/// Drops the payload of a panic that has nobody to go to.
pub(crate) fn discard(payload: Payload) {
    // A payload is any value, so its drop may panic as well, with a payload of its own. The second is leaked:
    // somewhere the chain has to end.
    if let Err(second) = catch(move || drop(payload)) {
        std::mem::forget(second);
    }
}

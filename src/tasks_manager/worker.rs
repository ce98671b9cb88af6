//! The threads that poll.

use super::Shared;
use super::parker::Parker;
use super::sync::thread::{Builder, JoinHandle};
use std::io;
use std::sync::Arc;

/// Starts the worker of this number. It ends when the queue is closed.
pub(crate) fn start(number: usize, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name(format!("tasks-manager-{number}"))
        .spawn(move || work(&shared))
}

/// Polls one task after the other.
///
/// Nothing is caught here, because nothing arrives: foreign code runs inside [`run`](super::task::Runnable::run),
/// and what it throws stays with the task.
pub(super) fn work(shared: &Shared) {
    let parker = Arc::new(Parker::new());
    while let Some(task) = shared.queue.next(&parker) {
        task.run();
    }
}

//! The threads that poll.

use super::Shared;
use super::run_queue::Seat;
use super::sync::thread::{Builder, JoinHandle};
use super::sync::thread_local;
use super::task::Runnable;
use std::cell::OnceCell;
use std::io;
use std::sync::Arc;

thread_local! {
    /// Which worker this thread is, if it is one.
    static HERE: OnceCell<Here> = const { OnceCell::new() };
}

struct Here {
    shared: Arc<Shared>,
    number: usize,
}

/// Puts a task into the run queue of its manager, which `manager` finds in it: on one of the manager's own threads
/// into the queue of that worker, and else, also while the thread-locals of a worker are being destroyed, into
/// the injector.
pub(crate) fn push<R: Runnable + 'static>(task: Arc<R>, manager: fn(&R) -> &Arc<Shared>) {
    let mut task = Some(task);
    // The manager is borrowed from the thread and not from the task, which moves away meanwhile: one that is woken by
    // value gets into the queue without a change of any reference count.
    let _ = HERE.try_with(|here| {
        if let Some(here) = here.get()
            && let Some(own) = task.take_if(|task| Arc::ptr_eq(&here.shared, manager(task)))
        {
            here.shared.queue.push(Some(here.number), own);
        }
    });
    if let Some(task) = task {
        let shared = Arc::clone(manager(&task));
        shared.queue.push(None, task);
    }
}

/// Starts the worker of this number. It ends when the queue is closed.
pub(crate) fn start(number: usize, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name(format!("tasks-manager-{number}"))
        .spawn(move || work(&shared, number))
}

/// Polls one task after the other.
///
/// Nothing is caught here, because nothing arrives: foreign code runs inside [`run`](super::task::Runnable::run),
/// and what it throws stays with the task.
pub(super) fn work(shared: &Arc<Shared>, number: usize) {
    HERE.with(|here| {
        here.get_or_init(|| Here {
            shared: Arc::clone(shared),
            number,
        });
    });
    let mut seat = Seat::new(number);
    let mut again = None;
    while let Some(task) = shared.queue.next(&mut seat, again) {
        again = task.run();
    }
}

//! A task: a future, the state that says who may touch it, and the place where its output goes.
//!
//! Wakers, workers, handles and the dropped manager all reach for the same task at the same time. None of them
//! locks the others out: each makes one atomic step on [`State`], and the answer says what is left for it to do.

use super::Shared;
use super::contain::{Payload, catch, discard, drop_contained};
use super::join_error::JoinError;
use super::outcome::Outcome;
use super::sync::{AtomicU8, AtomicU32, Mutex, MutexGuard, Ordering};
use super::worker;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Nobody has asked for a poll, nobody polls.
const IDLE: u8 = 0;
/// A poll was asked for and has not begun. Who sets this bit on an idle task puts it in the run queue.
const SCHEDULED: u8 = 1;
/// One thread owns the future: it polls it, or drops it.
const RUNNING: u8 = 2;
/// The task is to end at the next occasion.
const CANCELLED: u8 = 4;
/// The future is gone. Bits that are set after this one mean nothing.
const DONE: u8 = 8;

/// Who may touch the task's future, and whether it waits in the run queue.
///
/// The picture in `docs/diagrams/task-states.svg` shows the same, and changes with it.
///
/// | from | event | to | who sees this transition |
/// | --- | --- | --- | --- |
/// | `IDLE` | wake | `SCHEDULED` | puts the task in the queue |
/// | `SCHEDULED` | wake | the same | does nothing: a poll is to come, and will see what this waker wrote |
/// | `RUNNING`, also `SCHEDULED` | wake | `RUNNING SCHEDULED` | does nothing: the worker will see it |
/// | `SCHEDULED` | begin | `RUNNING` | polls |
/// | `SCHEDULED CANCELLED` | begin | `RUNNING SCHEDULED CANCELLED` | ends the task without a poll |
/// | `RUNNING CANCELLED`, also `SCHEDULED` | begin | the same | does nothing: it was seized in the queue |
/// | `RUNNING` | pause | `IDLE` | forgets the task |
/// | `RUNNING SCHEDULED` | pause | `SCHEDULED` | puts the task at the back of the queue |
/// | `RUNNING CANCELLED`, also `SCHEDULED` | pause | the same | ends the task |
/// | `IDLE` | cancel | `SCHEDULED CANCELLED` | puts the task in the queue, so that a worker ends it |
/// | `SCHEDULED`, `RUNNING`, both | cancel | adds `SCHEDULED CANCELLED` | does nothing: a worker comes by, or is here |
/// | not `RUNNING`, not `DONE` | seize | adds `RUNNING CANCELLED` | ends the task |
/// | `RUNNING` | seize | adds `CANCELLED` | does nothing: the owner will see it |
/// | `RUNNING`, with whatever | finish | `DONE` | gives out the result |
/// | `DONE`, with whatever | any | `DONE`, with whatever | does nothing |
///
/// Every wake is a read-modify-write, also the one that changes no bit. A chain of these is one release
/// sequence: the poll that takes the bit away acquires from every waker that set it, also from the
/// ninety-nine that found it set. A waker that only looked, saw `SCHEDULED` and left would save a write, and its
/// data might not be there yet when the poll looks for it.
#[derive(Debug)]
pub(crate) struct State(AtomicU8);

/// What a worker does with the task that it took from the queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Poll it.
    Poll,
    /// Drop its future: it was cancelled while it waited.
    End,
    /// Leave it: another thread ends it, or has.
    Leave,
}

/// What a worker does with the task whose poll came back pending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Nothing: the next wake brings it back.
    Forget,
    /// Put it at the back of the queue: it was woken during the poll.
    Requeue,
    /// Drop its future: it was cancelled during the poll.
    End,
}

impl State {
    /// The state of a task that is about to be put in the queue for the first time.
    pub(crate) fn scheduled() -> Self {
        Self(AtomicU8::new(SCHEDULED))
    }

    /// A wake. True where the caller has to put the task in the queue.
    pub(crate) fn wake(&self) -> bool {
        let before = self.0.fetch_or(SCHEDULED, Ordering::AcqRel);
        before & (SCHEDULED | RUNNING | DONE) == IDLE
    }

    /// A cancellation. True where the caller has to put the task in the queue.
    pub(crate) fn cancel(&self) -> bool {
        let before = self.0.fetch_or(SCHEDULED | CANCELLED, Ordering::AcqRel);
        before & (SCHEDULED | RUNNING | DONE) == IDLE
    }

    /// A worker has taken the task from the queue and asks for the future.
    pub(crate) fn begin(&self) -> Begin {
        // The bit goes before the poll begins. A wake from here on asks for one more poll: this
        // one may have looked already at what the waker changed.
        if self.step(SCHEDULED, RUNNING) {
            Begin::Poll
        } else if self.seize() {
            Begin::End
        } else {
            Begin::Leave
        }
    }

    /// The poll came back pending, and the future is in its place again.
    pub(crate) fn pause(&self) -> Pause {
        // One step, whatever others have added since the poll began. A wake before it is seen by it; a wake after it
        // finds the task not running: idle, and queues it, or scheduled, and leaves it to this worker.
        let left = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |bits| {
                (bits & CANCELLED == 0).then_some(bits & !RUNNING)
            });
        match left {
            Ok(RUNNING) => Pause::Forget,
            Ok(_) => Pause::Requeue,
            Err(_) => Pause::End,
        }
    }

    /// Asks for the future in order to drop it. True where the caller is the one to do so.
    pub(crate) fn seize(&self) -> bool {
        let before = self.0.fetch_or(RUNNING | CANCELLED, Ordering::AcqRel);
        before & (RUNNING | DONE) == 0
    }

    /// The future is gone; to be called by the owner only.
    pub(crate) fn finish(&self) {
        self.0.swap(DONE, Ordering::AcqRel);
    }

    fn step(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// A task, to whom its output does not matter: the worker, the run queue, the registry.
pub(crate) trait Runnable: Send + Sync {
    /// Polls the task once, or ends it if it was cancelled. To be called for each time it was in the queue.
    /// Gives it back where it is to go to the back of the queue; no foreign code may run before it is there.
    fn run(self: Arc<Self>) -> Option<Arc<dyn Runnable>>;

    /// Ends the task on this thread, unless it has ended; if it is being polled, right after that poll, by
    /// the thread that polls.
    fn end(&self);
}

/// A future on the heap: it must not move between polls, and tasks are of one size.
type BoxFuture<T> = Pin<Box<dyn Clearable<T>>>;

/// A future that is polled, and at last dropped, where it lies. The room is given back together with the task's own: a worker seldom is the
/// thread that asked for it, and allocators take that ill.
trait Clearable<T>: Send {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T>;

    /// Drops the future, which must not be polled any more.
    fn clear(self: Pin<&mut Self>);
}

impl<F: Future + Send> Clearable<F::Output> for Option<F> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(future) = self.as_pin_mut() else {
            unreachable!("a task that has ended is not polled");
        };
        future.poll(context)
    }

    fn clear(mut self: Pin<&mut Self>) {
        // Where the drop panics, the place is empty all the same: the new value goes in while the panic passes.
        self.set(None);
    }
}

/// One spawned future.
pub(crate) struct Task<T> {
    /// Who may touch the future.
    state: State,
    /// The future and its waker.
    ///
    /// The lock is there because a shared value cannot be changed without one in safe code; `state` has made
    /// sure that nobody else asks for it. It is the one lock that is held across a poll and across the drop of the future,
    /// and nobody ever waits for it: it is only tried, by the one who has set `RUNNING` or seized the task, and a handle never touches it. Moving
    /// the future out for the time of the poll and in again would take the lock twice.
    body: Mutex<Body<T>>,
    /// Where the output goes, and where the handle waits.
    outcome: Outcome<T>,
    /// The queue to go to when woken.
    shared: Arc<Shared>,
    /// The task's place in the registry; written once, before the task is in the queue.
    key: AtomicU32,
}

/// What belongs to the owner of a task.
struct Body<T> {
    future: BoxFuture<T>,
    /// The task's waker, made for the first poll and kept for the others: the reference count is the one number that
    /// all who know the task write to. It makes a circle, task to waker to task, which the end of the task opens.
    waker: Option<Waker>,
}

impl<T> Task<T> {
    pub(crate) fn outcome(&self) -> &Outcome<T> {
        &self.outcome
    }
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn new<F>(future: F, shared: Arc<Shared>) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        Self {
            state: State::scheduled(),
            body: Mutex::new(Body {
                future: Box::pin(Some(future)),
                waker: None,
            }),
            outcome: Outcome::new(),
            shared,
            key: AtomicU32::new(0),
        }
    }

    /// Enters the task in the registry; to be called once, before the task is in the queue.
    pub(crate) fn register(self: &Arc<Self>) {
        let entry = Arc::clone(self) as _;
        let key = self.shared.registry.insert(self.spot(), entry);
        // Relaxed: the lock of the queue takes it along to the worker.
        self.key.store(key, Ordering::Relaxed);
    }

    /// Puts the task into the run queue. To be called by whoever has scheduled it.
    pub(crate) fn push(self: Arc<Self>) {
        worker::push(self, |task| &task.shared);
    }

    /// A number that is this task's while it lives.
    fn spot(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Asks for the end of the task. No code of the user runs here; a worker drops the future.
    pub(crate) fn cancel(self: &Arc<Self>) {
        if self.state.cancel() {
            Arc::clone(self).push();
        }
    }

    /// The future in its place; to be called by the owner.
    fn own_body(&self) -> MutexGuard<'_, Body<T>> {
        let Some(body) = self.body.try_lock() else {
            unreachable!("only the owner of the future asks for this lock");
        };
        body
    }

    /// Drops the future; to be called by the owner.
    ///
    /// What that drop does to this very task, all the way to the drop of the manager, finds `RUNNING` set, as it is
    /// until [`finish`](Self::finish): nobody else comes to own the future meanwhile.
    ///
    /// Before the result is given out: who sees the end may count on everything that the future held being free
    /// again, a lock on a file for example.
    fn drop_future(mut body: MutexGuard<'_, Body<T>>) -> Result<(), Payload> {
        let dropped = catch(|| body.future.as_mut().clear());
        let waker = body.waker.take();
        drop(body);
        drop(waker);
        dropped
    }

    /// Ends the task without another poll; to be called by the owner.
    fn end_cancelled(&self) {
        let result = match Self::drop_future(self.own_body()) {
            Ok(()) => Err(JoinError::cancelled()),
            Err(payload) => Err(JoinError::panic(payload)),
        };
        self.finish(result);
    }

    /// Ends the task after its last poll; to be called by the owner.
    fn end_polled(&self, body: MutexGuard<'_, Body<T>>, polled: Result<T, JoinError>) {
        let result = match (Self::drop_future(body), polled) {
            (Ok(()), polled) => polled,
            (Err(payload), Ok(output)) => {
                drop_contained(output);
                Err(JoinError::panic(payload))
            }
            // The first panic is the one to report: the second is mostly its consequence.
            (Err(payload), Err(first)) => {
                discard(payload);
                Err(first)
            }
        };
        self.finish(result);
    }

    fn finish(&self, result: Result<T, JoinError>) {
        self.state.finish();
        let key = self.key.load(Ordering::Relaxed);
        self.shared.registry.remove(self.spot(), key);
        self.outcome.complete(result);
    }
}

impl<T: Send + 'static> Runnable for Task<T> {
    fn run(self: Arc<Self>) -> Option<Arc<dyn Runnable>> {
        match self.state.begin() {
            Begin::Poll => {}
            Begin::End => {
                self.end_cancelled();
                return None;
            }
            Begin::Leave => return None,
        }
        let mut guard = self.own_body();
        let Body { future, waker } = &mut *guard;
        let waker = waker.get_or_insert_with(|| Waker::from(Arc::clone(&self)));
        let mut context = Context::from_waker(waker);
        let polled = match catch(|| future.as_mut().poll(&mut context)) {
            Ok(Poll::Pending) => {
                // Given back before the state is left: from then on, another worker may have the task.
                drop(guard);
                match self.state.pause() {
                    Pause::Forget => {}
                    Pause::Requeue => return Some(self),
                    Pause::End => self.end_cancelled(),
                }
                return None;
            }
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => Err(JoinError::panic(payload)),
        };
        self.end_polled(guard, polled);
        None
    }

    fn end(&self) {
        if self.state.seize() {
            self.end_cancelled();
        }
    }
}

/// The task's waker is the task itself: a waker that survives keeps the room of the future, never the future.
impl<T: Send + 'static> Wake for Task<T> {
    fn wake(self: Arc<Self>) {
        if self.state.wake() {
            self.push();
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.wake() {
            Arc::clone(self).push();
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("state", &self.state)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Arc, Begin, CANCELLED, DONE, IDLE, Pause, RUNNING, Runnable, SCHEDULED, Shared, State,
    };
    use crate::tasks_manager::sync::{AtomicU8, Ordering};

    fn state(bits: u8) -> State {
        State(AtomicU8::new(bits))
    }

    fn bits(state: &State) -> u8 {
        state.0.load(Ordering::SeqCst)
    }

    /// Makes one step from a state and says its answer and the state after it.
    fn after<A>(from: u8, step: impl FnOnce(&State) -> A) -> (A, u8) {
        let state = state(from);
        let answer = step(&state);
        (answer, bits(&state))
    }

    /// The table of [`State`], line by line.
    #[test]
    fn the_table_holds() {
        const ALL: u8 = SCHEDULED | RUNNING | CANCELLED;
        assert_eq!(after(IDLE, State::wake), (true, SCHEDULED));
        assert_eq!(after(SCHEDULED, State::wake), (false, SCHEDULED));
        assert_eq!(after(RUNNING, State::wake), (false, RUNNING | SCHEDULED));

        assert_eq!(after(SCHEDULED, State::begin), (Begin::Poll, RUNNING));
        assert_eq!(
            after(SCHEDULED | CANCELLED, State::begin),
            (Begin::End, ALL)
        );
        assert_eq!(after(ALL, State::begin), (Begin::Leave, ALL));

        assert_eq!(after(RUNNING, State::pause), (Pause::Forget, IDLE));
        assert_eq!(
            after(RUNNING | SCHEDULED, State::pause),
            (Pause::Requeue, SCHEDULED)
        );
        assert_eq!(
            after(RUNNING | CANCELLED, State::pause),
            (Pause::End, RUNNING | CANCELLED)
        );
        assert_eq!(after(ALL, State::pause), (Pause::End, ALL));

        assert_eq!(after(IDLE, State::cancel), (true, SCHEDULED | CANCELLED));
        assert_eq!(
            after(SCHEDULED, State::cancel),
            (false, SCHEDULED | CANCELLED)
        );
        assert_eq!(after(RUNNING, State::cancel), (false, ALL));

        assert_eq!(after(IDLE, State::seize), (true, RUNNING | CANCELLED));
        assert_eq!(after(SCHEDULED, State::seize), (true, ALL));
        assert_eq!(after(RUNNING, State::seize), (false, RUNNING | CANCELLED));

        assert_eq!(after(ALL, State::finish), ((), DONE));
    }

    /// Without any thread: the run queue is emptied by hand.
    #[test]
    fn an_ended_task_is_in_no_list() {
        let shared = Arc::new(Shared::new(1));
        let cancelled = shared.spawn(async { 1 });
        let polled = shared.spawn(async { 2 });
        assert_eq!(shared.registry.len(), 2);
        cancelled.cancel();
        for task in [&cancelled, &polled] {
            Arc::clone(task).run();
            assert_eq!(bits(&task.state), DONE);
        }
        assert_eq!(shared.registry.len(), 0);
        shared.queue.close();
        assert_eq!(
            (Arc::strong_count(&cancelled), Arc::strong_count(&polled)),
            (1, 1)
        );
    }

    /// Nothing brings an ended task back: not its waker, not its handle, not a worker, not the manager.
    #[test]
    fn the_end_is_the_end() {
        for extra in 0..DONE {
            let state = state(DONE | extra);
            assert!(!state.wake() && !state.cancel() && !state.seize());
            assert_eq!(state.begin(), Begin::Leave);
            assert_ne!(bits(&state) & DONE, 0);
        }
    }
}

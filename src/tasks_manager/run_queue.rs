//! The run queue: tasks that want a poll, and workers that want a task.
//!
//! It is one [`Queue`] for each worker, and one, the *injector*, for everybody else. A worker that wakes or spawns
//! pushes into its own queue and pops from it, and its lock is nobody else's most of the time. Three rules keep
//! that fair and complete:
//!
//! - a worker looks into the injector at every [61st](INJECTOR_TURN) turn, however much it has of its own, and at
//!   every [fourth](OTHERS_TURN) of these it relieves workers that have stopped taking from their queues;
//! - a worker that has nothing takes its share of the injector, else half of another worker's queue;
//! - the single task of another worker is taken only if it was lying there at an earlier look already: its worker is
//!   most likely about to take it, and two tasks that wake each other in turn stay on one thread, nearly always.
//!
//! What calls a worker that sleeps, and why none of this leaves a task lying, is in
//! [`sleepers`](super::sleepers).

use super::padded::Padded;
use super::parker::Parker;
use super::queue::{Look, Queue};
use super::sleepers::{Sleepers, WATCH};
use super::sync::thread::yield_now;
use super::sync::{Mutex, tuned};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// At each of these turns, a worker fetches its share of the injector to the back of its own queue. A prime, so that
/// it does not keep step with a round of tasks.
const INJECTOR_TURN: u32 = tuned(61, 3);

/// At each of these turns, a worker looks if another one has stopped taking from its queue: one that is inside a long
/// poll, or one that blocks, perhaps for the very task that it has pushed before.
const OTHERS_TURN: u32 = tuned(4, 1) * INJECTOR_TURN;

/// How often a worker looks before it lies down. Between the looks it lets others use its processor: often that is the
/// very thread that brings the next task.
const LOOKS: u32 = tuned(3, 1);

/// All tasks of one manager that are scheduled.
pub(crate) struct RunQueue<T> {
    /// For pushes of all threads that are not workers.
    injector: Shelf<T>,
    /// One for each worker, which alone pushes into it. Others take from it.
    own: Box<[Shelf<T>]>,
    sleepers: Sleepers,
}

/// A queue and its lock, under which tasks move in and out. No thread is woken and no task is dropped under it, and no
/// other lock is taken. `None` once the manager is gone: nothing comes in, nothing comes out.
type Shelf<T> = Padded<Mutex<Option<Queue<T>>>>;

/// What a worker brings along when it asks for a task.
pub(crate) struct Seat<T> {
    /// Its number, from 0.
    number: usize,
    parker: Arc<Parker>,
    turns: u32,
    /// Tasks on their way from another queue to its own, so that no two locks are held at a time.
    hand: VecDeque<T>,
}

impl<T> Seat<T> {
    /// To be made by the worker's own thread.
    pub(crate) fn new(number: usize) -> Self {
        Self {
            number,
            parker: Arc::new(Parker::new()),
            turns: 0,
            hand: VecDeque::new(),
        }
    }
}

/// The queue is closed.
struct Closed;

impl<T> RunQueue<T> {
    /// A queue for workers with the numbers from 0 to `workers`, excluded.
    pub(crate) fn new(workers: usize) -> Self {
        let shelf = || Padded(Mutex::new(Some(Queue::new())));
        Self {
            injector: shelf(),
            own: (0..workers).map(|_| shelf()).collect(),
            sleepers: Sleepers::new(workers),
        }
    }

    /// Puts a task in, and sees to it that a worker comes. After [`close`](Self::close), drops it.
    ///
    /// `worker` is the number of the worker that this thread is, if it is one.
    pub(crate) fn push(&self, worker: Option<usize>, task: T) {
        let mut shelf = worker
            .map_or(&self.injector, |number| &self.own[number])
            .lock();
        let Some(queue) = shelf.as_mut() else {
            // A task is dropped outside the lock, and so is this one.
            drop(shelf);
            return drop(task);
        };
        if worker.is_some() {
            queue.push_last_in(task);
            let waiting = queue.len();
            drop(shelf);
            self.tell_of_own(waiting);
        } else {
            queue.push_back(task);
            drop(shelf);
            self.sleepers.task_for_anyone();
        }
    }

    /// Says that so many tasks wait in the queue of a worker that is not looking at it for now.
    fn tell_of_own(&self, waiting: usize) {
        match waiting {
            0 => {}
            1 => self.sleepers.task_for_its_worker(),
            _ => self.sleepers.task_for_anyone(),
        }
    }

    /// The task whose turn it is; sleeps until there is one. `None` once the queue is closed.
    ///
    /// `again` is the task of the turn before, if it goes to the back of the queue. That and the next task are one
    /// step, under one lock.
    pub(crate) fn next(&self, seat: &mut Seat<T>, again: Option<T>) -> Option<T> {
        seat.turns = seat.turns.wrapping_add(1);
        if seat.turns.is_multiple_of(INJECTOR_TURN) {
            self.look_around(seat);
        }
        match self.pop(seat, again) {
            Ok(Some(task)) => Some(task),
            Ok(None) => self.search(seat),
            Err(Closed) => None,
        }
    }

    /// What a worker does now and then that always has work of its own: it would else never find out what comes from
    /// outside, nor that another worker does not get to its queue.
    fn look_around(&self, seat: &mut Seat<T>) {
        if let Some(injector) = self.injector.lock().as_mut() {
            injector.share(self.own.len(), &mut seat.hand);
        }
        if !seat.turns.is_multiple_of(OTHERS_TURN) {
            return;
        }
        for (number, queue) in self.own.iter().enumerate() {
            if number != seat.number
                && let Some(queue) = queue.lock().as_mut()
            {
                queue.relieve(&mut seat.hand);
            }
        }
    }

    /// Puts what the worker brings into its own queue, and takes the task whose turn it is.
    fn pop(&self, seat: &mut Seat<T>, again: Option<T>) -> Result<Option<T>, Closed> {
        let mut own = self.own[seat.number].lock();
        let Some(queue) = own.as_mut() else {
            drop(own);
            drop(again);
            seat.hand.clear();
            return Err(Closed);
        };
        let brings = again.is_some() || !seat.hand.is_empty();
        if let Some(again) = again {
            queue.push_back(again);
        }
        queue.append(&mut seat.hand);
        let task = queue.pop();
        let waiting = queue.len();
        drop(own);
        if brings {
            // These have not been told of. Those that were there before have been, when they came.
            self.tell_of_own(waiting);
        }
        Ok(task)
    }

    /// Looks into all queues, and sleeps when there is nothing in them, until there is.
    fn search(&self, seat: &mut Seat<T>) -> Option<T> {
        self.sleepers.search();
        let mut wants_to_watch = true;
        let task = loop {
            match self.look_often(seat) {
                Err(Closed) => break None,
                Ok(Some(task)) => break Some(task),
                Ok(None) => {}
            }
            let watches = self.sleepers.lie_down(&seat.parker, wants_to_watch);
            // The last look. A push from now on finds the sleeper's name; its call is kept by the parker if
            // it comes before the sleep.
            match self.look(seat, true) {
                Err(Closed) | Ok(Look::Taken) => {}
                // It came when this worker was still a searcher, so nobody was called for it, and nobody watches: it is
                // taken at the next look.
                Ok(Look::PassedBy) if !watches && !self.sleepers.are_watched() => {}
                Ok(_) if watches => seat.parker.park_for(WATCH),
                Ok(_) => seat.parker.park(),
            }
            let relied_upon = self.sleepers.rise(&seat.parker, watches);
            wants_to_watch = relied_upon || !watches;
        };
        if self.sleepers.leave() && self.has_tasks() {
            self.sleepers.task_for_anyone();
        }
        task
    }

    /// Looks into all queues some times, and takes the first task.
    fn look_often(&self, seat: &mut Seat<T>) -> Result<Option<T>, Closed> {
        for look in 0..LOOKS {
            if look > 0 {
                yield_now();
            }
            // What the last look before the sleep has taken is still in the hand.
            if !seat.hand.is_empty() || self.look(seat, false)? == Look::Taken {
                return self.pop(seat, None);
            }
        }
        Ok(None)
    }

    /// Looks into all queues but the worker's own, which is empty, and fills its hand.
    ///
    /// Where `passes_by`, remembers a single task, which the next look takes if it is still there.
    fn look(&self, seat: &mut Seat<T>, passes_by: bool) -> Result<Look, Closed> {
        let workers = self.own.len();
        {
            let mut injector = self.injector.lock();
            let injector = injector.as_mut().ok_or(Closed)?;
            if injector.share(workers, &mut seat.hand) {
                return Ok(Look::Taken);
            }
        }
        let mut seen = Look::Nothing;
        for other in 1..workers {
            let mut queue = self.own[(seat.number + other) % workers].lock();
            let queue = queue.as_mut().ok_or(Closed)?;
            match queue.half(passes_by, &mut seat.hand) {
                Look::Taken => return Ok(Look::Taken),
                Look::PassedBy => seen = Look::PassedBy,
                Look::Nothing => {}
            }
        }
        Ok(seen)
    }

    fn has_tasks(&self) -> bool {
        self.shelves().any(|queue| waiting(queue) > 0)
    }

    fn shelves(&self) -> impl Iterator<Item = &Shelf<T>> {
        self.own.iter().chain([&self.injector])
    }

    /// Ends it: sends all workers home and drops what is queued. No task comes out from now on.
    pub(crate) fn close(&self) {
        for queue in self.shelves() {
            let tasks = queue.lock().take();
            drop(tasks);
        }
        self.sleepers.call_all();
    }
}

fn waiting<T>(queue: &Shelf<T>) -> usize {
    queue.lock().as_ref().map_or(0, Queue::len)
}

impl<T> fmt::Debug for RunQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunQueue")
            .field("injector", &waiting(&self.injector))
            .field("own", &self.own.iter().map(waiting).collect::<Vec<_>>())
            .field("sleepers", &self.sleepers)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{RunQueue, Seat};
    use std::sync::Arc;

    /// Pushes into its queue when it is dropped, as the last waker of another task may.
    struct Chatty(Arc<RunQueue<Option<Chatty>>>);

    impl Drop for Chatty {
        fn drop(&mut self) {
            self.0.push(None, None);
        }
    }

    #[test]
    fn what_yields_goes_to_the_back() {
        let (queue, mut seat) = (RunQueue::new(1), Seat::new(0));
        queue.push(None, 1);
        queue.push(None, 2);
        assert_eq!(queue.next(&mut seat, None), Some(1));
        assert_eq!(queue.next(&mut seat, Some(1)), Some(2));
        queue.push(Some(0), 3);
        assert_eq!(queue.next(&mut seat, Some(2)), Some(3));
        assert_eq!(queue.next(&mut seat, None), Some(1));
        assert_eq!(queue.next(&mut seat, None), Some(2));
    }

    #[test]
    fn the_injector_has_its_turn() {
        let (queue, mut seat) = (RunQueue::new(1), Seat::new(0));
        queue.push(Some(0), "mine");
        queue.push(None, "yours");
        let mut again = None;
        for _ in 0..2 * super::INJECTOR_TURN {
            let next = queue.next(&mut seat, again);
            if next == Some("yours") {
                return;
            }
            again = next;
        }
        panic!("the worker has seen its own task only");
    }

    #[test]
    fn half_is_taken_and_a_single_task_at_the_second_look() {
        let (queue, mut thief) = (RunQueue::new(2), Seat::new(1));
        for task in 0..3 {
            queue.push(Some(0), task);
        }
        let mut taken = || queue.next(&mut thief, None);
        assert_eq!((taken(), taken()), (Some(0), Some(1)));
        // Nobody works at the first queue: this sleeps for a moment, looks again, and takes it.
        assert_eq!(taken(), Some(2));
    }

    #[test]
    fn a_closed_queue_keeps_nothing_and_drops_outside_its_locks() {
        let queue = Arc::new(RunQueue::new(1));
        let mut seat = Seat::new(0);
        let chatty = || Some(Chatty(Arc::clone(&queue)));
        for worker in [None, Some(0)] {
            queue.push(worker, chatty());
        }
        queue.close();
        for worker in [None, Some(0)] {
            queue.push(worker, chatty());
        }
        assert!(queue.next(&mut seat, Some(chatty())).is_none());
        assert!(queue.next(&mut seat, None).is_none());
        // Were one of them still inside, it would keep the queue that keeps it.
        assert_eq!(Arc::strong_count(&queue), 1);
    }
}

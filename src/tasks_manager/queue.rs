//! One queue: in which order a worker takes its tasks, and which of them others may take.
//!
//! There is no lock and no thread in here: [`run_queue`](super::run_queue) keeps one of these behind each of its locks.

use super::sync::tuned;
use std::collections::VecDeque;

/// How many times in a row the task in the last-in place may go ahead of tasks that wait.
const TURNS_AHEAD: u32 = tuned(32, 1);

/// The most that is taken over at a time: a bound for how long a lock is held.
const BATCH: usize = 256;

/// Tasks, first in, first out, but for the one that the worker itself has pushed last.
///
/// That one goes ahead, and to the back where the next one takes its place: it was woken by the task that has just run, so what both touch is in the caches still. Two tasks
/// that wake each other would thus keep all others waiting; hence the [limit](TURNS_AHEAD).
///
/// Not bounded: a task is in it once at the most, so it holds no more than there are tasks, and who spawns
/// those decides how many.
pub(crate) struct Queue<T> {
    /// The longest wait in front.
    tasks: VecDeque<T>,
    /// What the worker has pushed last.
    last_in: Option<T>,
    /// How many times in a row it went ahead.
    turns_ahead: u32,
    /// Another worker saw a task here and left it, and the one whose queue it is has taken none since.
    passed_by: bool,
}

/// What a look into the queue of another worker came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Tasks, now in the hand of the one who looked.
    Taken,
    /// A single task, which is left to its worker for now.
    PassedBy,
    Nothing,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            tasks: VecDeque::new(),
            last_in: None,
            turns_ahead: 0,
            passed_by: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len() + usize::from(self.last_in.is_some())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a task at the back.
    pub(crate) fn push_back(&mut self, task: T) {
        self.tasks.push_back(task);
    }

    /// Puts a task into the last-in place, and the one that was there at the back.
    pub(crate) fn push_last_in(&mut self, task: T) {
        if let Some(before) = self.last_in.replace(task) {
            self.tasks.push_back(before);
        }
    }

    /// Puts all of them at the back.
    pub(crate) fn append(&mut self, hand: &mut VecDeque<T>) {
        // An empty append is not for free, and this is where every turn of every worker comes by.
        if !hand.is_empty() {
            self.tasks.append(hand);
        }
    }

    /// The task whose turn it is. To be called by the worker whose queue it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.passed_by = false;
        if self.last_in.is_some() && self.turns_ahead < TURNS_AHEAD {
            // With nobody to go ahead of, it is an ordinary turn.
            self.turns_ahead += u32::from(!self.tasks.is_empty());
            return self.last_in.take();
        }
        self.turns_ahead = 0;
        if let Some(last_in) = self.last_in.take() {
            self.tasks.push_back(last_in);
        }
        self.tasks.pop_front()
    }

    /// Takes what is due to one of so many workers, from the front. True where that is something.
    pub(crate) fn share(&mut self, workers: usize, hand: &mut VecDeque<T>) -> bool {
        self.take(self.len().div_ceil(workers), hand)
    }

    /// Takes half, from the front; a single task only if it was passed by before.
    ///
    /// Where `passes_by`, remembers a single task, so that the next look takes it if it is still there.
    pub(crate) fn half(&mut self, passes_by: bool, hand: &mut VecDeque<T>) -> Look {
        if self.len() == 1 && !self.passed_by {
            self.passed_by = passes_by;
            return Look::PassedBy;
        }
        if self.take(self.len().div_ceil(2), hand) {
            Look::Taken
        } else {
            Look::Nothing
        }
    }

    /// Takes half of what was here when this was called the last time, if the worker has taken nothing since.
    pub(crate) fn relieve(&mut self, hand: &mut VecDeque<T>) {
        if self.passed_by {
            self.half(true, hand);
        }
        self.passed_by = !self.is_empty();
    }

    /// Takes so many, but the last-in place only when it is the last that is left. True where that is something.
    fn take(&mut self, due: usize, hand: &mut VecDeque<T>) -> bool {
        if self.tasks.is_empty() {
            hand.extend(self.last_in.take());
        } else {
            let count = due.min(BATCH).min(self.tasks.len());
            hand.extend(self.tasks.drain(..count));
        }
        due > 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Look, Queue, TURNS_AHEAD};
    use std::collections::VecDeque;

    fn queue(tasks: impl IntoIterator<Item = u32>) -> Queue<u32> {
        let mut queue = Queue::new();
        tasks.into_iter().for_each(|task| queue.push_back(task));
        queue
    }

    fn drain(mut queue: Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn first_in_first_out_but_for_the_last_in() {
        let mut queue = queue([1, 2]);
        queue.push_last_in(3);
        queue.push_last_in(4);
        queue.append(&mut VecDeque::from([5]));
        assert_eq!(queue.len(), 5);
        assert_eq!(drain(queue), [4, 1, 2, 3, 5]);
    }

    #[test]
    fn the_last_in_lets_others_have_their_turn() {
        let mut queue = queue([0]);
        for turn in 1..=TURNS_AHEAD {
            queue.push_last_in(turn);
            assert_eq!(queue.pop(), Some(turn));
        }
        queue.push_last_in(99);
        assert_eq!(drain(queue), [0, 99]);
    }

    #[test]
    fn a_turn_with_nobody_behind_is_not_counted() {
        let mut queue = queue([]);
        for turn in 0..2 * TURNS_AHEAD {
            queue.push_last_in(turn);
            assert_eq!(queue.pop(), Some(turn));
        }
        queue.push_back(98);
        queue.push_last_in(99);
        assert_eq!(drain(queue), [99, 98]);
    }

    #[test]
    fn half_is_taken_from_the_front_and_the_last_in_at_the_end() {
        let (mut queue, mut hand) = (queue([1, 2, 3]), VecDeque::new());
        queue.push_last_in(4);
        assert_eq!(queue.half(true, &mut hand), Look::Taken);
        assert_eq!(queue.half(true, &mut hand), Look::Taken);
        assert_eq!((hand.as_slices().0, queue.len()), (&[1, 2, 3][..], 1));
        assert_eq!(queue.half(false, &mut hand), Look::PassedBy);
        assert_eq!(queue.half(true, &mut hand), Look::PassedBy);
        assert_eq!(queue.half(true, &mut hand), Look::Taken);
        assert_eq!(queue.half(true, &mut hand), Look::Nothing);
        assert_eq!(hand, [1, 2, 3, 4]);
    }

    #[test]
    fn a_single_task_that_comes_after_a_look_is_passed_by_again() {
        let (mut queue, mut hand) = (queue([1]), VecDeque::new());
        assert_eq!(queue.half(true, &mut hand), Look::PassedBy);
        queue.pop();
        queue.push_last_in(2);
        assert_eq!(queue.half(true, &mut hand), Look::PassedBy);
    }

    #[test]
    fn only_who_takes_nothing_is_relieved() {
        let (mut queue, mut hand) = (queue(0..4), VecDeque::new());
        queue.relieve(&mut hand);
        queue.pop();
        queue.relieve(&mut hand);
        assert!(hand.is_empty());
        queue.relieve(&mut hand);
        assert_eq!(hand, [1, 2]);
    }

    #[test]
    fn each_worker_gets_its_share() {
        let (mut queue, mut hand) = (queue(0..5), VecDeque::new());
        assert!(queue.share(2, &mut hand));
        assert_eq!(hand, [0, 1, 2]);
        assert!(queue.share(2, &mut hand));
        assert!(queue.share(2, &mut hand));
        assert!(!queue.share(2, &mut hand));
    }
}

//! Whole tasks: the state, the future, the queue, a worker, the handle and the registry together.

use super::{Bound, Dropped, Drops, Gate, Passage, explore};
use crate::tasks_manager::sync::thread::{self, JoinHandle as ThreadHandle};
use crate::tasks_manager::{JoinHandle, Shared, TasksManager, worker};
use std::sync::Arc;

/// A queue with its workers.
struct World {
    shared: Arc<Shared>,
    workers: Vec<ThreadHandle<()>>,
}

impl World {
    fn new(workers: usize) -> Self {
        let shared = Arc::new(Shared::new(workers));
        let workers = (0..workers).map(|number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || worker::work(&shared, number))
        });
        Self {
            workers: workers.collect(),
            shared,
        }
    }

    /// A task that waits for the gate, its handle, and how many times its future was dropped.
    fn spawn(&self, gate: &Arc<Gate>) -> (JoinHandle<u8>, Drops) {
        let (passage, drops) = passage(gate);
        let task = self.shared.spawn(passage);
        (JoinHandle::new(task), drops)
    }

    fn end(self) {
        self.shared.queue.close();
        for worker in self.workers {
            worker.join().unwrap();
        }
    }
}

fn passage(gate: &Arc<Gate>) -> (Passage, Drops) {
    let (held, drops) = Dropped::new();
    let gate = Arc::clone(gate);
    (Passage { gate, _held: held }, drops)
}

fn open_elsewhere(gate: &Arc<Gate>) -> ThreadHandle<()> {
    let gate = Arc::clone(gate);
    thread::spawn(move || gate.open())
}

/// Spawn, one poll or two, a wake from outside, join.
#[test]
fn a_task_from_spawn_to_join() {
    explore(Bound::Preemptions(3), || {
        let (world, gate) = (World::new(1), Gate::new());
        let (handle, drops) = world.spawn(&gate);
        let opener = open_elsewhere(&gate);
        assert_eq!(handle.wait().unwrap(), 7);
        assert_eq!(drops.count(), 1, "the end was told before the drop");
        assert_eq!(world.shared.registry.len(), 0);
        opener.join().unwrap();
        world.end();
    });
}

/// The cancellation comes before, during or after the last poll: the handle resolves, after the drop.
#[test]
fn a_cancel_against_a_wake() {
    explore(Bound::Preemptions(3), || {
        let (world, gate) = (World::new(1), Gate::new());
        let (handle, drops) = world.spawn(&gate);
        let opener = open_elsewhere(&gate);
        handle.cancel();
        match handle.wait() {
            Ok(output) => assert_eq!(output, 7),
            Err(error) => assert!(error.is_cancelled()),
        }
        assert_eq!(drops.count(), 1);
        opener.join().unwrap();
        world.end();
    });
}

/// A task that nothing wakes any more is ended by its cancellation.
#[test]
fn a_cancel_wakes_an_idle_task() {
    explore(Bound::Preemptions(5), || {
        let (world, gate) = (World::new(1), Gate::new());
        let (handle, drops) = world.spawn(&gate);
        handle.cancel();
        assert!(handle.wait().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 1);
        world.end();
    });
}

/// A task that blocks on its child, which only the other worker can get at.
#[test]
fn a_parent_waits_for_its_child() {
    explore(Bound::Preemptions(2), || {
        let world = World::new(2);
        let shared = Arc::clone(&world.shared);
        let parent = world.shared.spawn(async move {
            let child = shared.spawn(async { 3 });
            JoinHandle::new(child).wait().unwrap()
        });
        assert_eq!(JoinHandle::new(parent).wait().unwrap(), 3);
        world.end();
    });
}

/// A waker that survives its task keeps no future, and does nothing.
#[test]
fn the_manager_is_dropped_while_a_task_is_woken() {
    explore(Bound::Preemptions(4), || {
        let (manager, gate) = (TasksManager::new(1), Gate::new());
        let (passage, drops) = passage(&gate);
        let handle = manager.spawn(passage);
        let waker = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.wake())
        };
        drop(manager);
        assert_eq!(drops.count(), 1);
        assert!(handle.is_finished());
        assert!(handle.wait().unwrap_err().is_cancelled());
        waker.join().unwrap();
        gate.wake();
        assert_eq!(drops.count(), 1);
    });
}

/// The handle goes while the task ends: the future is dropped once, and so is what it made.
#[test]
fn a_detached_task_leaves_nothing() {
    explore(Bound::Preemptions(6), || {
        let world = World::new(1);
        let (output, drops) = Dropped::new();
        let task = world.shared.spawn(async move { output });
        drop(JoinHandle::new(Arc::clone(&task)));
        let shared = Arc::clone(&world.shared);
        world.end();
        task_has_ended(&task);
        assert_eq!((drops.count(), shared.registry.len()), (1, 0));
    });
}

/// A task that the worker did not come to is the registry's.
fn task_has_ended<T: Send + 'static>(task: &Arc<crate::tasks_manager::Task<T>>) {
    use crate::tasks_manager::task::Runnable;
    task.end();
    assert!(task.outcome().is_complete());
}

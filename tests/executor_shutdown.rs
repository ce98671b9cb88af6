//! Hazard: a manager that is dropped while anything at all goes on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/executor.rs"]
mod support;

use data_manager::tasks_manager::{JoinHandle, TasksManager, block_on};
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use support::{
    Count, Gate, OnDrop, at_thread_exit, counting_waker, in_time, poll_with, probe, rounds,
};

#[test]
fn idle_tasks_are_dropped_once_and_their_handles_resolve() {
    let manager = TasksManager::new(2);
    let (polls, drops) = (Count::new(), Count::new());
    let wakers = Arc::new(Mutex::new(Vec::<Waker>::new()));
    let handles: Vec<_> = (0..1000)
        .map(|_| {
            let (polls, guard) = (polls.clone(), drops.on_drop());
            let wakers = Arc::clone(&wakers);
            manager.spawn(poll_fn(move |cx| {
                let _ = &guard;
                wakers.lock().unwrap().push(cx.waker().clone());
                polls.add();
                Poll::<()>::Pending
            }))
        })
        .collect();
    polls.wait_for(1000);
    in_time(move || drop(manager));
    assert_eq!((polls.get(), drops.get()), (1000, 1000));
    for handle in handles {
        assert!(handle.is_finished());
        assert!(handle.wait().unwrap_err().is_cancelled());
    }
    wakers.lock().unwrap().iter().for_each(TasksManager::wake);
    assert_eq!((polls.get(), drops.get()), (1000, 1000));
}

/// One task is in a poll, others are queued behind it, one is idle.
#[test]
fn a_poll_that_runs_is_waited_for() {
    for ready in [false, true] {
        let manager = TasksManager::new(1);
        let (idle, idle_future) = probe();
        let idle_handle = manager.spawn(idle_future);
        idle.polls.wait_for(1);
        let (gate, returned, drops) = (Gate::new(), Arc::new(AtomicBool::new(false)), Count::new());
        let running = {
            let (gate, returned) = (gate.clone(), Arc::clone(&returned));
            let guard = drops.on_drop();
            manager.spawn(poll_fn(move |cx| {
                let _ = &guard;
                gate.pass();
                cx.waker().wake_by_ref();
                returned.store(true, Ordering::SeqCst);
                if ready { Poll::Ready(6) } else { Poll::Pending }
            }))
        };
        gate.wait_for_arrival();
        let (queued, queued_future) = probe();
        let queued_handle = manager.spawn(queued_future);
        let opener = {
            let (gate, idle, queued) = (gate.clone(), idle.clone(), queued.clone());
            let drops = drops.clone();
            thread::spawn(move || {
                // Those two are dropped although the worker is busy; then the drop waits for the worker.
                idle.drops.wait_for(1);
                queued.drops.wait_for(1);
                assert_eq!(drops.get(), 0);
                gate.open();
            })
        };
        let seen = in_time(move || {
            drop(manager);
            (returned.load(Ordering::SeqCst), drops.get())
        });
        assert_eq!(seen, (true, 1));
        opener.join().unwrap();
        assert_eq!((idle.polls.get(), idle.drops.get()), (1, 1));
        assert_eq!((queued.polls.get(), queued.drops.get()), (0, 1));
        assert!(idle_handle.wait().unwrap_err().is_cancelled());
        assert!(queued_handle.wait().unwrap_err().is_cancelled());
        match running.wait() {
            Ok(output) => assert!(ready && output == 6),
            Err(error) => assert!(!ready && error.is_cancelled()),
        }
    }
}

#[test]
fn the_threads_are_joined() {
    for _ in 0..20 {
        let manager = TasksManager::new(3);
        let exits = Count::new();
        let barrier = Arc::new(std::sync::Barrier::new(3));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (exits, barrier) = (exits.clone(), Arc::clone(&barrier));
                manager.spawn(async move {
                    barrier.wait();
                    at_thread_exit(move || {
                        exits.add();
                    });
                })
            })
            .collect();
        for task in tasks {
            task.wait().unwrap();
        }
        assert_eq!(exits.get(), 0);
        in_time(move || drop(manager));
        assert_eq!(exits.get(), 3);
    }
}

/// The task that runs holds the last reference, and others are queued, idle, and in a poll.
#[test]
fn on_one_of_its_own_threads() {
    for workers in [1, 2] {
        let manager = Arc::new(TasksManager::new(workers));
        let (idle, idle_future) = probe();
        let idle_handle = manager.spawn(idle_future);
        idle.polls.wait_for(1);
        let (sender, receiver) = channel::<Arc<TasksManager>>();
        let gate = Gate::new();
        let inside = gate.clone();
        let dropper = manager.spawn(async move {
            inside.pass();
            let manager = receiver.recv().unwrap();
            let (queued, queued_future) = probe();
            let queued_handle = manager.spawn(queued_future);
            drop(manager);
            assert_eq!(queued.drops.get(), 1);
            assert!(queued_handle.wait().unwrap_err().is_cancelled());
            8
        });
        gate.wait_for_arrival();
        sender.send(manager).unwrap();
        gate.open();
        assert_eq!(in_time(|| dropper.wait()).unwrap(), 8);
        assert!(idle_handle.wait().unwrap_err().is_cancelled());
        assert_eq!((idle.polls.get(), idle.drops.get()), (1, 1));
    }
}

/// Another worker waits for the very task that drops the manager: to join it would hang.
#[test]
fn on_its_own_thread_while_another_worker_waits_for_that_task() {
    let manager = Arc::new(TasksManager::new(2));
    let (sender, receiver) = channel::<Arc<TasksManager>>();
    let dropper = manager.spawn(async move {
        drop(receiver.recv().unwrap());
        1
    });
    let gate = Gate::new();
    let inside = gate.clone();
    let waiter = manager.spawn(async move {
        inside.pass();
        dropper.wait().unwrap() + 1
    });
    gate.wait_for_arrival();
    gate.open();
    sender.send(manager).unwrap();
    assert_eq!(in_time(|| waiter.wait()).unwrap(), 2);
}

/// A future that holds the manager is cancelled; its `Drop` spawns, and then lets go of the last reference.
#[test]
fn in_the_drop_of_a_future_that_spawns() {
    let manager = Arc::new(TasksManager::new(2));
    let (task, future) = probe();
    let (sender, spawned) = channel::<JoinHandle<()>>();
    let handle = {
        let mut held = Some(Arc::clone(&manager));
        let guard = OnDrop(move || {
            let manager = held.take().unwrap();
            for _ in 0..10 {
                sender.send(manager.spawn(pending())).unwrap();
            }
            drop(manager);
        });
        manager.spawn(async move {
            future.await;
            drop(guard);
        })
    };
    task.polls.wait_for(1);
    handle.cancel();
    drop(manager);
    assert!(in_time(|| handle.wait()).unwrap_err().is_cancelled());
    let spawned: Vec<_> = in_time(move || spawned.iter().collect());
    assert_eq!(spawned.len(), 10);
    for handle in spawned {
        assert!(in_time(|| handle.wait()).unwrap_err().is_cancelled());
    }
    assert_eq!(task.drops.get(), 1);
}

/// A worker is inside a poll that blocks on an idle task. The drop ends that task before it waits for the worker.
#[test]
fn while_a_worker_waits_for_a_task_that_will_never_run() {
    let manager = TasksManager::new(1);
    let idle = manager.spawn(pending::<()>());
    let gate = Gate::new();
    let inside = gate.clone();
    let waiter = manager.spawn(async move {
        inside.pass();
        idle.wait().unwrap_err().is_cancelled()
    });
    gate.wait_for_arrival();
    gate.open();
    in_time(move || drop(manager));
    assert!(waiter.wait().unwrap());
}

/// What futures do in their last moment: wake each other, cancel each other, drop handles, use another manager.
#[test]
fn while_the_dropped_futures_use_each_other() {
    in_time(|| {
        let manager = Arc::new(TasksManager::new(2));
        let other = Arc::new(TasksManager::new(1));
        let handles = Arc::new(Mutex::new(Vec::<JoinHandle<()>>::new()));
        let wakers = Arc::new(Mutex::new(Vec::<Waker>::new()));
        let (polls, drops, spawned) = (Count::new(), Count::new(), Count::new());
        for _ in 0..20 {
            let (polls, guard) = (polls.clone(), drops.on_drop());
            let (all_wakers, last) = (Arc::clone(&wakers), {
                let (handles, wakers) = (Arc::clone(&handles), Arc::clone(&wakers));
                let (weak, other) = (Arc::downgrade(&manager), Arc::clone(&other));
                let spawned = spawned.clone();
                OnDrop(move || {
                    wakers.lock().unwrap().iter().for_each(TasksManager::wake);
                    handles.lock().unwrap().iter().for_each(JoinHandle::cancel);
                    drop(handles.lock().unwrap().pop());
                    assert!(weak.upgrade().is_none());
                    let spawned = spawned.clone();
                    other.spawn(async move { spawned.add() });
                })
            });
            let handle = manager.spawn(poll_fn(move |cx| {
                let _ = (&guard, &last);
                all_wakers.lock().unwrap().push(cx.waker().clone());
                polls.add();
                Poll::<()>::Pending
            }));
            handles.lock().unwrap().push(handle);
        }
        polls.wait_for(20);
        drop(manager);
        assert_eq!((polls.get(), drops.get()), (20, 20));
        spawned.wait_for(20);
        assert!(handles.lock().unwrap().is_empty());
    });
}

#[test]
fn while_wakes_come_from_everywhere() {
    for _ in rounds(100) {
        let manager = TasksManager::new(2);
        let probes: Vec<_> = (0..8)
            .map(|_| {
                let (task, future) = probe();
                drop(manager.spawn(future));
                task
            })
            .collect();
        let spins = Count::new();
        let guard = spins.on_drop();
        drop(manager.spawn(poll_fn(move |cx| {
            let _ = &guard;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        })));
        let wakers: Vec<_> = probes.iter().map(support::Probe::waker).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let woken = Count::new();
        let foreign = {
            let (stop, woken) = (Arc::clone(&stop), woken.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    wakers.iter().for_each(TasksManager::wake);
                    woken.add();
                }
            })
        };
        woken.wait_for(2);
        in_time(move || drop(manager));
        for task in &probes {
            assert_eq!(task.drops.get(), 1);
        }
        assert_eq!(spins.get(), 1);
        let polls: usize = probes.iter().map(|task| task.polls.get()).sum();
        let woken_before = woken.get();
        woken.wait_for(woken_before + 2);
        assert_eq!(
            polls,
            probes.iter().map(|task| task.polls.get()).sum::<usize>()
        );
        stop.store(true, Ordering::SeqCst);
        foreign.join().unwrap();
    }
}

#[test]
fn whoever_waits_for_a_handle_is_woken() {
    let manager = TasksManager::new(1);
    let mut polled = manager.spawn(pending::<()>());
    let (waker, wakes, _) = counting_waker();
    assert!(poll_with(&mut polled, &waker).is_pending());
    let waited = manager.spawn(pending::<()>());
    let waiting = thread::spawn(move || waited.wait());
    let other = TasksManager::new(1);
    let awaited = manager.spawn(pending::<()>());
    let awaiting = other.spawn(async move { awaited.await.unwrap_err().is_cancelled() });
    in_time(move || drop(manager));
    assert_eq!(wakes.get(), 1);
    assert!(block_on(polled).unwrap_err().is_cancelled());
    assert!(
        in_time(|| waiting.join())
            .unwrap()
            .unwrap_err()
            .is_cancelled()
    );
    assert!(in_time(|| awaiting.wait()).unwrap());
}

/// A manager whose last reference is held by a task of another one.
#[test]
fn by_a_task_of_another_manager() {
    let outer = TasksManager::new(1);
    let inner = TasksManager::new(2);
    let (task, future) = probe();
    let handle = inner.spawn(future);
    task.polls.wait_for(1);
    let holder = outer.spawn(async move {
        let _inner = inner;
        pending::<()>().await;
    });
    drop(holder);
    in_time(move || drop(outer));
    assert_eq!(task.drops.get(), 1);
    assert!(handle.wait().unwrap_err().is_cancelled());
}

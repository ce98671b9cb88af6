//! Each test has threads that are held in the middle of a sync.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn failure() -> Error {
    Error::new(ErrorKind::Io, "the disk is gone")
}

/// A sync that says that it has begun, and ends with what it is told.
struct Held {
    begun: Sender<()>,
    end: Receiver<Result<(), Error>>,
}

/// The other end of it.
struct Holder {
    begun: Receiver<()>,
    end: Sender<Result<(), Error>>,
}

fn held() -> (Held, Holder) {
    let (begun, has_begun) = channel();
    let (ends, end) = channel();
    let holder = Holder {
        begun: has_begun,
        end: ends,
    };
    (Held { begun, end }, holder)
}

impl Held {
    fn run(&self) -> Result<(), Error> {
        self.begun.send(()).unwrap();
        self.end.recv_timeout(DEADLINE).unwrap()
    }
}

impl SyncGroup {
    /// Until so many wait for a sync that somebody else runs.
    fn wait_for(&self, count: usize) {
        let deadline = Instant::now() + DEADLINE;
        while self.state.lock().waiting != count {
            assert!(Instant::now() < deadline, "they do not come");
            thread::yield_now();
        }
    }
}

#[test]
fn whoever_comes_while_one_runs_shares_the_next() {
    let (group, syncs) = (SyncGroup::default(), AtomicUsize::new(0));
    let (first, holder) = held();
    let group = &group;
    let count = || {
        syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    };
    thread::scope(|scope| {
        scope.spawn(move || group.sync(group.look(), || first.run()).unwrap());
        holder.begun.recv_timeout(DEADLINE).unwrap();
        for _ in 0..5 {
            scope.spawn(|| group.sync(group.look(), count).unwrap());
        }
        group.wait_for(5);
        assert_eq!(syncs.load(Ordering::SeqCst), 0, "one at a time");
        holder.end.send(Ok(())).unwrap();
    });
    assert_eq!(syncs.load(Ordering::SeqCst), 1, "one for all five");
    group.sync(group.look(), count).unwrap();
    assert_eq!(
        syncs.load(Ordering::SeqCst),
        2,
        "what is over counts for nobody"
    );
}

#[test]
fn nobody_returns_before_a_sync_that_began_after_it_came() {
    let (group, changes) = (SyncGroup::default(), AtomicUsize::new(0));
    let (group, changes) = (&group, &changes);
    let lasting = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let before = group.look();
                    let mine = changes.fetch_add(1, Ordering::SeqCst) + 1;
                    let sync = || {
                        let seen = changes.load(Ordering::SeqCst);
                        // A sync carries what was there when it began, and no more.
                        thread::yield_now();
                        lasting.fetch_max(seen, Ordering::SeqCst);
                        Ok(())
                    };
                    group.sync(before, sync).unwrap();
                    assert!(lasting.load(Ordering::SeqCst) >= mine);
                }
            });
        }
    });
}

#[test]
fn an_error_goes_to_all_whose_change_may_have_been_in_it() {
    let group = &SyncGroup::default();
    let (first, holder) = held();
    let early = group.look();
    thread::scope(|scope| {
        let leader = scope.spawn(move || group.sync(group.look(), || first.run()));
        holder.begun.recv_timeout(DEADLINE).unwrap();
        let others: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| group.sync(group.look(), || Ok(()))))
            .collect();
        group.wait_for(2);
        holder.end.send(Err(failure())).unwrap();
        for thread in others.into_iter().chain([leader]) {
            let error = thread.join().unwrap().unwrap_err();
            assert_eq!(error.to_string(), failure().to_string());
        }
    });
    let late = group.sync(early, || {
        panic!("nothing can help what changed before the error")
    });
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Io);
    group
        .sync(group.look(), || Ok(()))
        .expect("what changes after it is another matter");
}

#[test]
fn a_sync_that_panics_leaves_nobody_waiting() {
    let group = &SyncGroup::default();
    let (first, holder) = held();
    thread::scope(|scope| {
        let panics = move || {
            let sync = || {
                first.run().unwrap();
                panic!("as a test");
            };
            catch_unwind(AssertUnwindSafe(|| group.sync(group.look(), sync)))
        };
        let leader = scope.spawn(panics);
        holder.begun.recv_timeout(DEADLINE).unwrap();
        let other = scope.spawn(|| group.sync(group.look(), || Ok(())));
        group.wait_for(1);
        holder.end.send(Ok(())).unwrap();
        assert!(leader.join().unwrap().is_err());
        other.join().unwrap().unwrap_err();
    });
    group.sync(group.look(), || Ok(())).unwrap();
}

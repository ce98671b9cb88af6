//! Sources that a user registers, and that misbehave: they ignore cancellation, cancel, panic, fail
//! in two ways at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{Event, Events};
use data_manager::data_source::{DataSource, OpenRequest, Opened, SourceError};
use data_manager::{Error, ErrorKind};
use support::{DEADLINE, builder, chunk, id, temp_dir};

/// Serves whatever a closure says.
struct Scripted<F>(F);

impl<F> std::fmt::Debug for Scripted<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

impl<F: Fn(&OpenRequest<'_>) -> Result<Opened, SourceError> + Send + Sync> DataSource
    for Scripted<F>
{
    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        (self.0)(request)
    }
}

fn from(n: u8, path: &str) -> DataChunk {
    chunk(n, 0..5, [("f", format!("x:{path}"))])
}

#[allow(clippy::unnecessary_wraps, reason = "it is what a source returns")]
fn whole() -> Result<Opened, SourceError> {
    Ok(Opened::new(std::io::Cursor::new("content")).with_total(7))
}

/// Why attempts failed that were followed by another, as far as was told by now.
fn retried(events: &Events) -> Vec<ErrorKind> {
    let failed = |event| match event {
        Event::Retried { error, .. } => Some(error.kind()),
        _ => None,
    };
    std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(failed)
        .collect()
}

fn kind(outcome: Option<Result<(), Error>>) -> ErrorKind {
    outcome.expect("in time").unwrap_err().kind()
}

#[test]
fn a_source_that_ignores_cancellation_does_not_hold_a_shutdown_up() {
    let (dir, gate) = (temp_dir(), Arc::new((Mutex::new(0), Condvar::new())));
    let inside = gate.clone();
    let source = Scripted(move |_: &OpenRequest<'_>| {
        *inside.0.lock().unwrap() += 1;
        inside.1.notify_all();
        // Until the test ends, whatever anybody says.
        drop(
            inside
                .1
                .wait_while(inside.0.lock().unwrap(), |state| *state < 100)
                .unwrap(),
        );
        whole()
    });
    let manager = builder(dir.path()).source("x", source).open().unwrap();
    let task = manager.download_chunk(from(1, "stuck"));
    drop(
        gate.1
            .wait_while(gate.0.lock().unwrap(), |state| *state == 0)
            .unwrap(),
    );
    let started = Instant::now();
    let error = manager.shutdown(Duration::from_millis(200)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(kind(task.wait_timeout(DEADLINE)), ErrorKind::ShutDown);
    assert_eq!(
        manager.shutdown(DEADLINE).unwrap_err().kind(),
        ErrorKind::Timeout,
        "still true"
    );
    drop(manager);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    *gate.0.lock().unwrap() = 100;
    gate.1.notify_all();
}

#[test]
fn a_source_that_cancels_by_itself_is_tried_again() {
    let (dir, calls) = (temp_dir(), Arc::new(AtomicUsize::new(0)));
    let counted = calls.clone();
    let source = Scripted(move |request: &OpenRequest<'_>| {
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            request.cancel().cancel();
        }
        whole()
    });
    let manager = builder(dir.path()).source("x", source).open().unwrap();
    manager
        .download_chunk(from(1, "a"))
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn a_source_that_panics_is_tried_again() {
    let (dir, calls) = (temp_dir(), AtomicUsize::new(0));
    let source = Scripted(move |_: &OpenRequest<'_>| {
        assert!(calls.fetch_add(1, Ordering::SeqCst) > 1, "not yet");
        whole()
    });
    let manager = builder(dir.path()).source("x", source).open().unwrap();
    let events = manager.events();
    manager
        .download_chunk(from(1, "a"))
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    assert_eq!(retried(&events), [ErrorKind::Internal; 2]);
    assert_eq!(manager.stats().files_in_flight, 0);
}

#[test]
fn what_no_retry_can_mend_is_not_hidden_by_what_may_pass() {
    let dir = temp_dir();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let inside = gate.clone();
    // The file that is missing says so only after the other one has failed.
    let source = Scripted(move |request: &OpenRequest<'_>| {
        let mut failed = inside.0.lock().unwrap();
        if request.url() == "x:busy" {
            *failed = true;
            inside.1.notify_all();
            return Err(SourceError::transient(anyhow::anyhow!("busy")));
        }
        drop(inside.1.wait_while(failed, |failed| !*failed).unwrap());
        Err(SourceError::permanent(anyhow::anyhow!("missing")))
    });
    let manager = builder(dir.path()).source("x", source).open().unwrap();
    let files = [("a", "x:busy".to_owned()), ("b", "x:missing".to_owned())];
    let task = manager.download_chunk(chunk(1, 0..5, files));
    assert_eq!(kind(task.wait_timeout(DEADLINE)), ErrorKind::NotFound);
}

#[test]
fn bodies_that_are_not_as_long_as_they_said() {
    let dir = temp_dir();
    let calls = AtomicUsize::new(0);
    let source = Scripted(move |_: &OpenRequest<'_>| {
        let said = [6, 8, 7][calls.fetch_add(1, Ordering::SeqCst).min(2)];
        Ok(Opened::new(std::io::Cursor::new("content")).with_total(said))
    });
    let manager = builder(dir.path()).source("x", source).open().unwrap();
    let events = manager.events();
    manager
        .download_chunk(from(1, "a"))
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    assert_eq!(retried(&events), [ErrorKind::Protocol, ErrorKind::Network]);
}

/// Of a source that says no length, nothing else tells a part from all of it.
#[test]
fn a_part_that_nobody_asked_for_is_not_taken_for_all_of_it() {
    let (dir, calls) = (temp_dir(), AtomicUsize::new(0));
    let source = Scripted(move |request: &OpenRequest<'_>| {
        assert_eq!(request.offset(), 0);
        let start = if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            3
        } else {
            0
        };
        let rest = &"content"[start..];
        Ok(Opened::new(std::io::Cursor::new(rest)).starting_at(start as u64))
    });
    let manager = builder(dir.path()).source("x", source).open().unwrap();
    let events = manager.events();
    let task = manager.download_chunk(from(1, "a"));
    task.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(retried(&events), [ErrorKind::Protocol]);
    let file = manager.get_chunk(&id(1)).unwrap().path().join("f");
    assert_eq!(std::fs::read(file).unwrap(), b"content");
}

#[test]
fn an_assignment_whose_iterator_panics_or_is_overtaken() {
    let dir = temp_dir();
    let manager = builder(dir.path())
        .source("x", Scripted(|_: &OpenRequest<'_>| whole()))
        .open();
    let manager = manager.unwrap();
    manager
        .set_assignment([from(1, "a")])
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    let panics = std::iter::once(from(2, "b")).chain(std::iter::from_fn(|| panic!("on purpose")));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        manager.set_assignment(panics)
    }))
    .unwrap_err();
    // It ended as it stood: what had come in is wanted, nothing was dropped.
    assert!(manager.wait_idle(DEADLINE));
    let both = [from(1, "a"), from(2, "b")];
    manager
        .set_assignment(both.clone())
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    assert_eq!(manager.list_chunks(), [id(1), id(2)]);
    // A delete that comes while an assignment comes in has the last word, also on an id that is
    // not known yet.
    let overtaken = both.into_iter().chain(std::iter::once_with(|| {
        drop(manager.delete_chunk(id(3)));
        from(3, "c")
    }));
    manager
        .set_assignment(overtaken)
        .wait_timeout(DEADLINE)
        .unwrap()
        .unwrap();
    assert_eq!(manager.list_chunks(), [id(1), id(2)]);
}

#[test]
fn whoever_waits_is_let_go_by_the_shutdown() {
    let dir = temp_dir();
    let source = Scripted(|_: &OpenRequest<'_>| Err(SourceError::transient(anyhow::anyhow!("no"))));
    let manager = builder(dir.path()).source("x", source).open().unwrap();
    drop(manager.download_chunk(from(1, "a")));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| manager.wait_idle(DEADLINE));
        let events = manager.events();
        assert!(events.recv_timeout(DEADLINE).is_ok());
        manager.shutdown(DEADLINE).unwrap();
        let started = Instant::now();
        waiter.join().unwrap();
        assert!(
            started.elapsed() < DEADLINE / 2,
            "still waited for what was over"
        );
    });
    assert!(
        manager.events().recv().is_err(),
        "a late subscriber is told that it is over"
    );
}

//! One owner at a time, and a lock that a crash leaves behind is none.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_manager::{DataManagerImpl, Event, Events};
use support::source::{Behaviour, ScriptedSource};
use support::{DEADLINE, builder, chunk, chunk_dirs, id, open, temp_dir};

#[test]
fn a_second_owner_is_refused_at_once() {
    let dir = temp_dir();
    let manager = open(dir.path());
    let started = Instant::now();
    let error = DataManagerImpl::open(dir.path()).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(
        error.to_string().contains(&*dir.path().to_string_lossy()),
        "{error}"
    );
    let panic = std::panic::catch_unwind(|| DataManagerImpl::new(dir.path())).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("is held by"), "{text}");
    drop(manager);
    drop(open(dir.path()));
}

#[test]
fn a_lock_file_without_an_owner_is_no_lock() {
    let dir = temp_dir();
    std::fs::write(dir.path().join("_lock"), "1\n").unwrap();
    drop(open(dir.path()));
}

#[test]
fn another_process_is_an_owner_too() {
    let dir = temp_dir();
    // `flock` is the tool of util-linux for the lock that the library takes.
    let lock = dir.path().join("_lock");
    let holder = std::process::Command::new("flock")
        .arg(&lock)
        .args(["sh", "-c", "echo held; read line"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut holder) = holder else {
        println!("skipped: needs flock (util-linux)");
        return;
    };
    let mut said = [0; 5];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(
        DataManagerImpl::open(dir.path()).unwrap_err().kind(),
        ErrorKind::Locked
    );
    drop(holder.stdin.take());
    holder.wait().unwrap();
    drop(open(dir.path()));
}

fn open_with_source(dir: &Path) -> DataManagerImpl {
    let source = ScriptedSource::new();
    for n in 0..9 {
        source.script(&format!("test://host/{n}"), Behaviour::Bytes(10));
    }
    builder(dir).source("test", source).open().unwrap()
}

/// Something that changes the directory, so that the lock is looked at.
fn get(manager: &DataManagerImpl, n: u8) {
    let chunk = chunk(n, 0..1, [("f", format!("test://host/{n}"))]);
    let task = manager.download_chunk(chunk);
    task.wait_timeout(DEADLINE).unwrap().unwrap();
}

/// What was told of the lock by now.
fn told(events: &Events) -> Vec<String> {
    let told = std::iter::from_fn(|| events.try_recv().ok());
    let told = told.filter_map(|event| match event {
        Event::LockTrouble { error, .. } => Some(error.to_string()),
        Event::LockBack => Some("back".to_owned()),
        _ => None,
    });
    told.collect()
}

fn is_locked(path: &Path) -> bool {
    let tried = File::open(path).unwrap().try_lock();
    matches!(tried, Err(TryLockError::WouldBlock))
}

#[test]
fn a_lock_file_that_is_removed_is_noticed_and_made_again() {
    let dir = temp_dir();
    let lock = dir.path().join("_lock");
    let manager = open_with_source(dir.path());
    let events = manager.events();
    get(&manager, 1);
    assert_eq!(told(&events), [""; 0]);

    fs::remove_file(&lock).unwrap();
    get(&manager, 2);
    let said = told(&events);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("was removed and is locked anew"),
        "{said:?}"
    );
    assert_eq!(said[1], "back");
    assert!(is_locked(&lock));
    let pid = fs::read_to_string(&lock).unwrap();
    assert_eq!(pid.trim(), std::process::id().to_string());

    // A delete looks, too.
    fs::remove_file(&lock).unwrap();
    let gone = manager.delete_chunk(id(2));
    gone.wait_timeout(DEADLINE).unwrap().unwrap();
    assert_eq!(told(&events).len(), 2);
    get(&manager, 3);
    assert_eq!(told(&events), [""; 0]);
}

#[test]
fn a_lock_file_of_somebody_else_is_told_once_until_it_is_right_again() {
    let dir = temp_dir();
    let lock = dir.path().join("_lock");
    let manager = open_with_source(dir.path());
    let events = manager.events();
    let other = File::create(dir.path().join("_other")).unwrap();
    other.try_lock().unwrap();
    fs::rename(dir.path().join("_other"), &lock).unwrap();
    get(&manager, 1);
    get(&manager, 2);
    let said = told(&events);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("was replaced and cannot be locked"),
        "{said:?}"
    );
    let second = DataManagerImpl::open(dir.path()).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Locked);

    drop(other);
    get(&manager, 3);
    assert_eq!(told(&events), ["back"]);
    assert!(is_locked(&lock));
}

#[test]
fn a_directory_that_was_moved_is_told_and_written_where_it_is() {
    let dir = temp_dir();
    let (path, elsewhere) = (dir.path().join("data"), dir.path().join("moved"));
    let manager = open_with_source(&path);
    let events = manager.events();
    fs::rename(&path, &elsewhere).unwrap();
    fs::create_dir(&path).unwrap();
    get(&manager, 1);
    get(&manager, 2);
    let said = told(&events);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("is not at"), "{said:?}");
    assert_eq!(
        (chunk_dirs(&path).len(), chunk_dirs(&elsewhere).len()),
        (0, 2)
    );

    fs::remove_dir(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    get(&manager, 3);
    assert_eq!(told(&events), ["back"]);
}

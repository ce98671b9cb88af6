//! One owner at a time, and a lock that a crash leaves behind is none.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::{Duration, Instant};

use data_manager::ErrorKind;
use data_manager::data_manager::DataManagerImpl;
use support::{open, temp_dir};

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

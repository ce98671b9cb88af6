//! What `/healthz` says of a disk that fails.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Place;
use crate::tables::Table;

/// A directory in which nothing can be made, until this is dropped.
struct Closed(PathBuf);

impl Closed {
    /// None where there is no way: rights do not stop root, and not every file system has attributes.
    fn new(dir: &Path) -> Option<Closed> {
        let closed = Closed(dir.to_owned());
        fs::set_permissions(dir, Permissions::from_mode(0o500)).unwrap();
        if closed.is_open() {
            chattr("+i", dir);
        }
        (!closed.is_open()).then_some(closed)
    }

    fn is_open(&self) -> bool {
        let probe = self.0.join("probe");
        fs::write(&probe, "").is_ok_and(|()| fs::remove_file(probe).is_ok())
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        chattr("-i", &self.0);
        let _ = fs::set_permissions(&self.0, Permissions::from_mode(0o700));
    }
}

/// Where it cannot be done, the probe shows it.
fn chattr(how: &str, dir: &Path) {
    let _ = Command::new("chattr").arg(how).arg(dir).output();
}

#[test]
fn a_disk_that_takes_no_chunk_is_told_until_it_does() {
    let place = Place::new();
    place.assign([]);
    let worker = place.start(&[]);
    worker.wait_for("/healthz", |status, _| status == 200);
    let Some(closed) = Closed::new(&place.data.path().join("_staging")) else {
        println!("skipped: needs rights that hold, or chattr +i");
        return;
    };
    place.assign([place.chunk(1, &Table::new(0..10))]);
    worker.wait_for("/healthz", |status, answer| {
        let reason = answer["reasons"][0].as_str().unwrap_or_default();
        status == 503 && reason.starts_with("the disk failed: ")
    });
    drop(closed);
    worker.wait_for("/healthz", |status, _| status == 200);
    worker.wait_for_chunks(1);
}

//! Other things in the places of the library's own directories, and a disk that may only be read.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;
use crate::ErrorKind;

const OWN: [&str; 4] = ["_staging", "_tombstones", "_trash", "_quarantine"];

fn foreign(scan: &Scan) -> Vec<String> {
    let named = |finding: &Finding| match finding {
        Finding::Foreign(path) => path.file_name().unwrap().to_str().unwrap().to_owned(),
        Finding::Unreadable { path, error } => panic!("{}: {error}", path.display()),
    };
    scan.findings.iter().map(named).collect()
}

#[test]
fn strangers_in_our_places_stop_nothing() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("_staging"), "theirs").unwrap();
    symlink("/", at("_tombstones")).unwrap();
    symlink("nowhere", at("_trash")).unwrap();
    fs::write(at("_quarantine"), "theirs").unwrap();
    fs::write(at("_quarantine-2"), "theirs").unwrap();
    fs::create_dir(at("_lock")).unwrap();
    let theirs = [
        "_lock",
        "_quarantine",
        "_quarantine-2",
        "_staging",
        "_tombstones",
        "_trash",
    ];
    for _ in 0..2 {
        let (store, scan) = open(&dir);
        assert_eq!(foreign(&scan), theirs);
        // The directory's own lock is enough.
        let second = LocalDataSource::open(dir.path(), Durability::Full);
        assert_eq!(second.unwrap_err().kind(), ErrorKind::Locked);
        let (buried, removed, kept) = (commit(&store, 1), commit(&store, 2), commit(&store, 3));
        store.bury(&buried).unwrap();
        store.remove(&removed).unwrap();
        let kept = store.quarantine(&kept).unwrap();
        assert_eq!(kept.parent().unwrap(), at("_quarantine-3"));
        drop(store);
        // What is deleted stays deleted.
        let (store, scan) = open(&dir);
        assert_eq!((scan.chunks.len(), scan.doomed.len()), (0, 1));
        store.remove(&scan.doomed[0]).unwrap();
        fs::remove_dir_all(kept).unwrap();
    }
    assert_eq!(fs::read_to_string(at("_staging")).unwrap(), "theirs");
    assert_eq!(fs::read_to_string(at("_quarantine-2")).unwrap(), "theirs");
}

#[test]
fn the_highest_numbered_is_in_use_and_all_are_read() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for own in OWN {
        fs::write(at(own), "theirs").unwrap();
    }
    let (store, _) = open(&dir);
    let (buried, revived, trashed) = (commit(&store, 1), commit(&store, 2), commit(&store, 3));
    drop(store);
    // The stranger's things go, and the plain names come back from a backup, say.
    for own in OWN {
        fs::remove_file(at(own)).unwrap();
        fs::create_dir(at(own)).unwrap();
    }
    for stored in [&buried, &revived] {
        let name = layout::tombstone(stored.generation, &stored.spec.id);
        fs::write(at("_tombstones").join(name), "").unwrap();
    }
    let name = trashed.path().file_name().unwrap();
    fs::rename(trashed.path(), at("_trash").join(name)).unwrap();
    fs::create_dir_all(at("_staging").join(StagingKey::of(&spec(4)).dir())).unwrap();

    let (store, scan) = open(&dir);
    assert_eq!((scan.chunks.len(), scan.doomed.len()), (0, 2));
    assert!(scan.partials.is_empty() && scan.findings.is_empty());
    store.empty_trash().unwrap();
    store.exhume(&revived).unwrap();
    assert!(commit(&store, 5).generation > trashed.generation);
    let staged = store.stage(&spec(6)).unwrap();
    assert_eq!(names(&at("_staging-2")).len(), 1);
    drop((store, staged));
    for own in ["_staging", "_trash", "_trash-2"] {
        assert!(names(&at(own)).is_empty(), "{own}");
    }
    let (_, scan) = open(&dir);
    let doomed: Vec<_> = scan.doomed.iter().map(|stored| stored.spec.id).collect();
    assert_eq!(doomed, [[1; 32]]);
}

#[test]
fn where_no_place_is_left_chunks_are_served_all_the_same() {
    let dir = tempdir().unwrap();
    let stored = commit(&open(&dir).0, 1);
    fs::remove_dir(dir.path().join("_trash")).unwrap();
    fs::write(dir.path().join("_trash"), "").unwrap();
    for n in 2..=9 {
        fs::write(dir.path().join(format!("_trash-{n}")), "").unwrap();
    }
    let (store, scan) = open(&dir);
    assert_eq!(foreign(&scan).len(), 9);
    store.check(&scan.chunks[0]).unwrap();
    store.remove(&stored).unwrap_err();
    fs::remove_file(dir.path().join("_trash-4")).unwrap();
    assert_eq!(store.remove(&stored).unwrap(), Removed::Gone);
}

#[test]
fn a_lock_file_that_is_not_ours_is_not_written() {
    let (dir, outside) = (tempdir().unwrap(), tempdir().unwrap());
    let theirs = outside.path().join("theirs");
    let lock = dir.path().join("_lock");
    let content = "a longer text than a process id is";
    fs::write(&theirs, content).unwrap();
    fs::hard_link(&theirs, &lock).unwrap();
    drop(open(&dir));
    fs::remove_file(&lock).unwrap();
    symlink(&theirs, &lock).unwrap();
    drop(open(&dir));
    assert_eq!(fs::read_to_string(&theirs).unwrap(), content);
    // Nor is anything made where a link points to.
    fs::remove_file(&lock).unwrap();
    symlink(outside.path().join("new"), &lock).unwrap();
    let (store, scan) = open(&dir);
    assert_eq!(foreign(&scan), ["_lock"]);
    assert_eq!(names(outside.path()), ["theirs"]);
    drop(store);
    // One of ours says who holds it, whatever stood there.
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, "99999\n").unwrap();
    let _store = open(&dir);
    let error = LocalDataSource::open(dir.path(), Durability::Full).unwrap_err();
    assert!(error.to_string().contains("in this process"), "{error}");
}

/// A directory that cannot be changed until this is dropped; `None` where that is not possible.
struct Immutable<'a>(&'a Path);

impl<'a> Immutable<'a> {
    fn new(dir: &'a Path) -> Option<Self> {
        let held = Immutable(dir);
        let set = chattr("+i", dir) && fs::write(dir.join("probe"), "").is_err();
        set.then_some(held)
    }
}

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        chattr("-i", self.0);
    }
}

fn chattr(how: &str, dir: &Path) -> bool {
    let mut command = Command::new("chattr");
    let output = command.args(["-R", how]).arg(dir).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn a_directory_that_may_only_be_read_is_served() {
    for own_dirs_are_there in [true, false] {
        let dir = tempdir().unwrap();
        let stored = commit(&open(&dir).0, 1);
        if !own_dirs_are_there {
            for own in OWN {
                fs::remove_dir(dir.path().join(own)).unwrap();
            }
            fs::remove_file(dir.path().join("_lock")).unwrap();
        }
        let Some(immutable) = Immutable::new(dir.path()) else {
            println!("skipped: needs chattr +i (root, and a file system that has it)");
            return;
        };
        let (store, scan) = open(&dir);
        assert_eq!((scan.chunks.len(), scan.findings.len()), (1, 0));
        store.check(&scan.chunks[0]).unwrap();
        let second = LocalDataSource::open(dir.path(), Durability::Full);
        assert_eq!(second.unwrap_err().kind(), ErrorKind::Locked);
        store.stage(&spec(2)).unwrap_err();
        store.bury(&stored).unwrap_err();
        store.remove(&stored).unwrap_err();
        store.quarantine(&stored).unwrap_err();
        store.empty_trash().unwrap();
        store.check(&scan.chunks[0]).unwrap();
        drop(immutable);
        // And goes on where it may be written again.
        let second = commit(&store, 2);
        store.bury(&second).unwrap();
        assert_eq!(store.remove(&stored).unwrap(), Removed::Gone);
        assert_eq!(store.remove(&second).unwrap(), Removed::Gone);
    }
}

//! What somebody planted in the data directory: links, FIFOs, devices, files with a second name.

use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode};

use super::*;
use crate::ErrorKind;

/// A directory outside, with files of the names that the store uses, and a data directory.
struct Ground {
    outside: TempDir,
    dir: TempDir,
    store: LocalDataSource,
}

impl Ground {
    fn new() -> Self {
        let (outside, dir) = (tempdir().unwrap(), tempdir().unwrap());
        for name in ["a", "b", "0.part", "0.json", MANIFEST_NAME] {
            fs::write(outside.path().join(name), "theirs").unwrap();
        }
        let store = open(&dir).0;
        Ground {
            outside,
            dir,
            store,
        }
    }

    fn own(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The staging directory of chunk `n`.
    fn staged(&self, n: u8) -> PathBuf {
        self.own("_staging").join(StagingKey::of(&spec(n)).dir())
    }

    /// A link to the directory outside, or to something in it.
    fn plant(&self, at: &Path, target: &str) {
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(self.outside.path().join(target), at).unwrap();
    }

    #[track_caller]
    fn outside_is_untouched(&self) {
        let there = names(self.outside.path());
        assert_eq!(there, ["0.json", "0.part", MANIFEST_NAME, "a", "b"]);
        for name in there {
            let content = fs::read_to_string(self.outside.path().join(&name)).unwrap();
            assert_eq!(content, "theirs", "{name}");
        }
    }

    /// The chunk gets there, in a second attempt at the latest.
    #[track_caller]
    fn commits(&self, n: u8) -> StoredChunk {
        if let Ok(staging) = self.store.stage(&spec(n)) {
            let _ = staging.open_part(0).map(|(mut part, _)| part.restart());
        }
        let stored = commit(&self.store, n);
        assert_eq!(names(stored.path()), [MANIFEST_NAME, "a", "b"]);
        self.store.check(&stored).unwrap();
        for name in ["a", "b", MANIFEST_NAME] {
            let found = stored.path().join(name).symlink_metadata().unwrap();
            assert!(found.is_file(), "{name}");
        }
        self.outside_is_untouched();
        stored
    }
}

#[test]
fn staging_goes_through_no_link() {
    let ground = Ground::new();
    ground.plant(&ground.staged(1), "");
    ground.plant(&ground.staged(2).join("_parts"), "");
    ground.plant(&ground.staged(3).join("_parts/0.part"), "0.part");
    ground.plant(&ground.staged(4).join("_parts/0.json"), "0.json");
    ground.plant(&ground.staged(5).join(MANIFEST_NAME), MANIFEST_NAME);
    ground.plant(&ground.staged(6).join("a"), "a");
    for n in 1..=6 {
        ground.commits(n);
    }
    // A link in the place of all was somebody's; those among files of ours are gone.
    assert_eq!(names(&ground.own("_quarantine")).len(), 1);
    assert!(names(&ground.own("_staging")).is_empty());
}

#[test]
fn a_record_is_not_written_through_a_link() {
    let ground = Ground::new();
    let staging = ground.store.stage(&spec(1)).unwrap();
    let (mut part, _) = staging.open_part(0).unwrap();
    ground.plant(&ground.staged(1).join("_parts/0.json"), "0.json");
    let version = Version {
        validator: "v".to_owned(),
        total_bytes: None,
    };
    part.remember(Some(version)).unwrap();
    part.append(b"x").unwrap();
    ground.outside_is_untouched();
}

#[test]
fn a_staged_file_with_another_name_is_not_written() {
    let ground = Ground::new();
    let parts = ground.staged(1).join("_parts");
    fs::create_dir_all(&parts).unwrap();
    fs::hard_link(ground.outside.path().join("0.part"), parts.join("0.part")).unwrap();
    ground.commits(1);
}

#[test]
fn nothing_is_committed_through_a_link() {
    let ground = Ground::new();
    let dataset = ground.own(&layout::dataset_dir(&spec(1).dataset_id));
    ground.plant(&dataset, "");
    let (staging, fetched) = stage(&ground.store, &spec(1));
    let failed = ground.store.commit(&staging, &spec(1), &fetched);
    assert!(failed.unwrap_err().left_behind.is_none());
    ground.outside_is_untouched();
    fs::remove_file(dataset).unwrap();
    ground.commits(1);
}

#[test]
fn nothing_is_removed_through_a_link() {
    let ground = Ground::new();
    let (removed, kept) = (ground.commits(1), ground.commits(2));
    for stored in [&removed, &kept] {
        fs::remove_dir_all(stored.path()).unwrap();
        ground.plant(stored.path(), "");
    }
    let outcome = ground.store.remove(&removed).unwrap();
    assert!(matches!(outcome, Removed::KeptForeign(_)), "{outcome:?}");
    ground.store.quarantine(&kept).unwrap();
    ground.outside_is_untouched();

    // Nor where the link is in the trash, or in a staging directory, or in place of the dataset.
    let (trashed, gone) = (ground.commits(3), ground.commits(4));
    let name = trashed.path().file_name().unwrap();
    ground.plant(&ground.own("_trash").join(name), "");
    ground.plant(
        &ground.own("_trash").join(StagingKey::of(&spec(5)).dir()),
        "",
    );
    ground.store.empty_trash().unwrap();
    ground.plant(&ground.staged(6).join("_parts"), "");
    ground.plant(&ground.staged(6).join("x"), "");
    ground.store.abandon(&StagingKey::of(&spec(6))).unwrap();
    assert!(!ground.staged(6).exists());
    let dataset = gone.path().parent().unwrap();
    fs::rename(dataset, ground.own("_moved")).unwrap();
    let name = gone.path().file_name().unwrap();
    fs::create_dir(ground.outside.path().join(name)).unwrap();
    symlink(ground.outside.path(), dataset).unwrap();
    ground.store.remove(&gone).unwrap();
    fs::remove_dir(ground.outside.path().join(name)).unwrap();
    ground.outside_is_untouched();
}

#[test]
fn a_tombstone_is_not_written_through_a_link() {
    let ground = Ground::new();
    let stored = ground.commits(1);
    let name = layout::tombstone(stored.generation, &stored.spec.id);
    ground.plant(&ground.own("_tombstones").join(&name), "new");
    ground.store.bury(&stored).unwrap();
    ground.outside_is_untouched();
    ground.store.exhume(&stored).unwrap();
    assert!(names(&ground.own("_tombstones")).is_empty());
}

#[test]
fn what_is_no_file_is_damage_and_keeps_nobody_waiting() {
    type Plant = fn(&Path);
    let plants: [(&str, Plant); 3] = [
        ("a FIFO", |at| {
            rustix::fs::mkfifoat(CWD, at, Mode::RWXU).unwrap();
        }),
        ("a link", |at| symlink("/dev/zero", at).unwrap()),
        ("a directory", |at| fs::create_dir(at).unwrap()),
    ];
    for (index, (what, plant)) in plants.into_iter().enumerate() {
        let ground = Ground::new();
        let n = u8::try_from(index).unwrap() + 1;
        let (file, manifest) = (ground.commits(n), ground.commits(n + 10));
        for path in [file.path().join("a"), manifest.path().join(MANIFEST_NAME)] {
            fs::remove_file(&path).unwrap();
            plant(&path);
        }
        for stored in [file, manifest.as_found()] {
            let error = ground.store.check(&stored).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
            assert!(error.to_string().contains("not a regular file"), "{error}");
            ground.store.quarantine(&stored).unwrap();
        }
        // In staging too, where it is cleared.
        fs::create_dir_all(ground.staged(n).join("_parts")).unwrap();
        plant(&ground.staged(n).join("_parts/0.part"));
        ground.commits(n);
    }
}

#[test]
fn what_lies_deeper_than_ours_is_kept() {
    let ground = Ground::new();
    let theirs = ground.staged(1).join("_parts/theirs");
    fs::create_dir_all(&theirs).unwrap();
    fs::write(theirs.join("file"), "x").unwrap();
    fs::write(ground.staged(1).join("_parts/0.part"), "x").unwrap();
    ground.store.abandon(&StagingKey::of(&spec(1))).unwrap();
    assert!(names(&ground.own("_staging")).is_empty());
    let kept = ground
        .own("_quarantine")
        .join(format!("{}.1/_parts", StagingKey::of(&spec(1)).dir()));
    assert_eq!(names(&kept), ["theirs"]);
    assert_eq!(names(&kept.join("theirs")), ["file"]);
    ground.commits(1);
}

#[test]
fn a_name_leads_to_one_thing_in_its_directory() {
    let ground = Ground::new();
    let root = &ground.store.root;
    for name in ["", "..", "_trash/x", "/etc/passwd"] {
        let kind = io::ErrorKind::InvalidInput;
        assert_eq!(root.open(name).unwrap_err().kind(), kind, "{name}");
        assert_eq!(root.create_new(name).unwrap_err().kind(), kind, "{name}");
        assert_eq!(root.remove_file(name).unwrap_err().kind(), kind, "{name}");
        assert_eq!(root.stat(name).unwrap_err().kind(), kind, "{name}");
        let renamed = root.rename("x", root, name);
        assert_eq!(renamed.unwrap_err().kind(), kind, "{name}");
    }
}

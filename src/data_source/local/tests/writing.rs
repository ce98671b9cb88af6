//! How files and directories are written: their modes, what is never cut or synced twice, and what a
//! chunk says that was not synced.

use std::io::Read;
use std::os::unix::fs::FileExt;

use super::*;

fn modes(path: &Path, found: &mut Vec<(PathBuf, u32)>) {
    let metadata = path.symlink_metadata().unwrap();
    found.push((path.to_owned(), metadata.permissions().mode() & 0o7777));
    if metadata.is_dir() {
        for name in names(path) {
            modes(&path.join(name), found);
        }
    }
}

#[test]
fn modes_are_the_owners_alone_unless_they_are_set_and_then_exact() {
    let asked = StoreOptions {
        dir_mode: Some(0o2777),
        file_mode: Some(0o666),
        ..StoreOptions::default()
    };
    let plain = StoreOptions::default();
    for (options, dir_mode, file_mode) in [(plain, 0o700, 0o600), (asked, 0o2777, 0o666)] {
        let temp = tempdir().unwrap();
        let root = temp.path().join("parent/data");
        let (store, _) = LocalDataSource::open(&root, options).unwrap();
        let stored = commit(&store, 1);
        store.bury(&stored).unwrap();
        let kept = stage_long(&store, &spec(2), 300_000);
        let mut found = Vec::new();
        modes(&root, &mut found);
        assert!(found.len() > 14, "{found:?}");
        for (path, mode) in found {
            let expected = if path.is_dir() { dir_mode } else { file_mode };
            assert_eq!(mode, expected, "{}: {mode:o}", path.display());
        }
        drop(kept);
    }
}

#[test]
fn a_file_that_starts_again_is_another_file() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let staging = store.stage(&spec(1)).unwrap();
    let (mut part, _) = staging.open_part(0).unwrap();
    let version = Version {
        validator: "v".to_owned(),
        total_bytes: None,
    };
    part.remember(Some(version)).unwrap();
    part.append(b"before").unwrap();
    let parts = staging.open().unwrap().parts.path().to_owned();
    let mut before = fs::File::open(parts.join("0.part")).unwrap();
    part.restart().unwrap();
    assert_eq!(names(&parts), ["0.part"]);
    part.append(b"new").unwrap();
    let mut kept = String::new();
    before.read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "before");
    assert_eq!(fs::read(parts.join("0.part")).unwrap(), b"new");
    assert_eq!(part.len_bytes(), 3);
}

#[test]
fn what_a_sync_failed_on_is_cleared_before_it_is_used_again() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let key = StagingKey::of(&spec(1));
    let (staging, fetched) = stage_long(&store, &spec(1), 300_000);
    // Whole files with their records: they would be believed.
    staging.distrust();
    drop(staging);
    let staging = store.stage(&spec(1)).unwrap();
    assert_eq!(staging.open_part(0).unwrap().1, Progress::Empty);
    assert!(!store.area.distrusts(&key));
    drop(staging);
    // And at once, where the commit is what failed.
    store.abandon(&key).unwrap();
    let (staging, mut short) = stage_long(&store, &spec(1), 300_000);
    assert_eq!(short, fetched);
    short[1].len_bytes += 1;
    staging.distrust();
    store.commit(&staging, &spec(1), &short).unwrap_err();
    assert!(names(&dir.path().join("_staging")).is_empty());
    assert!(!store.area.distrusts(&key));
}

#[test]
fn a_chunk_that_was_not_synced_says_in_which_boot() {
    for (durability, says) in [
        (Durability::Full, false),
        (Durability::Ordered, false),
        (Durability::None, true),
    ] {
        let dir = tempdir().unwrap();
        let (store, _) = LocalDataSource::open(dir.path(), durability).unwrap();
        let stored = commit(&store, 1);
        assert_eq!(stored.name().unsynced, says.then(boot_tag));
        drop(store);
        let (store, scan) = open(&dir);
        assert_eq!(scan.chunks[0].path(), stored.path());
        store.check(&scan.chunks[0]).unwrap();
        assert_eq!(store.remove(&scan.chunks[0]).unwrap(), Removed::Gone);
    }
    assert!(!is_this_boot(0));
    assert_eq!(is_this_boot(boot_tag()), !boot_id().is_empty());
    assert!(!is_this_boot(boot_tag().wrapping_add(1)));
}

#[test]
fn what_an_earlier_attempt_brought_is_synced_with_the_rest() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let bring = |staging: &Staging, index: usize| {
        let (mut part, _) = staging.open_part(index).unwrap();
        part.append(b"x").unwrap();
        part.complete(xxh3_64(b"x")).unwrap()
    };
    let first = store.stage(&spec(1)).unwrap();
    let a = bring(&first, 0);
    drop(first);
    // The second attempt is handed what the first one brought, and opens only what is missing.
    let second = store.stage(&spec(1)).unwrap();
    let b = bring(&second, 1);
    assert_eq!(second.late.waiting(), 2);
    store.commit(&second, &spec(1), &[a, b]).unwrap();
    assert_eq!(second.late.waiting(), 0);

    // What is given up holds nothing open.
    bring(&store.stage(&spec(2)).unwrap(), 0);
    store.abandon(&StagingKey::of(&spec(2))).unwrap();
    assert_eq!(store.stage(&spec(2)).unwrap().late.waiting(), 0);
}

#[test]
fn what_a_copy_leaves_behind_unsaid_is_not_gone_on_with() {
    let dir = tempdir().unwrap();
    let (store, _) = open(&dir);
    let staging = store.stage(&spec(1)).unwrap();
    let (mut part, _) = staging.open_part(0).unwrap();
    let version = Version {
        validator: "v".to_owned(),
        total_bytes: Some(100),
    };
    part.remember(Some(version)).unwrap();
    part.append(b"good").unwrap();
    let copied = part.append_by(10, |file, at| {
        file.write_all_at(b"what is this", at).unwrap();
        0
    });
    copied.unwrap_err();
    drop((part, staging));
    // Another staging that looks at what is there.
    let staging = store.stage(&spec(1)).unwrap();
    assert_eq!(staging.open_part(0).unwrap().1, Progress::Empty);
}

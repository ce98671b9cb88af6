//! A data directory, seen by somebody who does not hold it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use data_manager::ErrorKind;
use data_manager::data_chunk::{DataChunk, DataChunkRef};
use data_manager::data_manager::DataManagerImpl;
use data_manager::data_manager::view::{
    DirectoryHolder, DirectoryView, LeftOverKind, PruneOptions, ViewedState, prune,
};
use support::{DATASET, DEADLINE, builder, bytes, chunk, chunk_dirs, id, temp_dir};

/// Files to fetch, a data directory, and a manager that holds it.
struct World {
    dir: tempfile::TempDir,
    manager: Option<DataManagerImpl>,
}

impl World {
    fn new() -> World {
        let dir = temp_dir();
        fs::create_dir(dir.path().join("source")).unwrap();
        let manager = builder(&dir.path().join("data")).serve_files_from(dir.path().join("source"));
        let manager = Some(manager.open().unwrap());
        World { dir, manager }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn manager(&self) -> &DataManagerImpl {
        self.manager.as_ref().unwrap()
    }

    fn chunk(&self, n: u8, blocks: std::ops::Range<u64>) -> DataChunk {
        let content = bytes(n.into(), 1000 + usize::from(n));
        let path = self.dir.path().join(format!("source/{n}"));
        fs::write(&path, &content).unwrap();
        let url = format!("file://{}", path.display());
        // One with a digest, one without.
        let digest = format!("{url}#sha256={}", sha256(&content));
        chunk(n, blocks, [("a.parquet", digest), ("b", url)])
    }

    fn get(&self, n: u8, blocks: std::ops::Range<u64>) {
        let chunk = self.chunk(n, blocks);
        self.manager().download_chunk(chunk).wait().unwrap();
    }

    fn view(&self) -> DirectoryView {
        DirectoryView::open(self.data()).unwrap()
    }
}

fn sha256(content: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    data_encoding::HEXLOWER.encode(&Sha256::digest(content))
}

fn ids(view: &DirectoryView) -> Vec<[u8; 32]> {
    view.chunks().iter().map(|chunk| *chunk.id()).collect()
}

/// Everything below a directory: size, mode and when it was changed.
fn everything(dir: &Path) -> BTreeMap<PathBuf, (u64, u32, SystemTime)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            left.extend(support::read_dir(&path));
        }
        let looks = (
            metadata.len(),
            metadata.mode(),
            metadata.modified().unwrap(),
        );
        found.insert(path, looks);
    }
    found
}

#[test]
fn chunks_are_seen_while_a_manager_holds_them() {
    let world = World::new();
    world.get(2, 10..20);
    world.get(1, 0..10);
    world.get(3, 30..40);
    let view = world.view();
    assert_eq!(ids(&view), [id(1), id(2), id(3)]);
    assert_eq!(ids(&view), world.manager().list_chunks());

    let two = view.find(&DATASET, 19).unwrap();
    assert_eq!((*two.id(), two.block_range()), (id(2), 10..20));
    assert_eq!(
        (two.len_bytes(), two.state()),
        (2004, ViewedState::Available)
    );
    assert_eq!(
        two.path(),
        world.manager().get_chunk(&id(2)).unwrap().path()
    );
    assert!(view.find(&DATASET, 20).is_none());
    assert!(view.find(&[0; 32], 0).is_none());

    let files = view.files(two).unwrap();
    assert_eq!(
        (files[0].name.as_str(), files[0].len_bytes),
        ("a.parquet", 1002)
    );
    assert_eq!(files[0].sha256, Some(sha256(&bytes(2, 1002))));
    assert_eq!((files[1].name.as_str(), &files[1].sha256), ("b", &None));

    let cover = view.cover(&DATASET, 5..50);
    let covering: Vec<_> = cover.chunks.iter().map(|chunk| *chunk.id()).collect();
    assert_eq!(covering, [id(1), id(2), id(3)]);
    assert_eq!(cover.missing, [20..30, 40..50]);

    let datasets = view.datasets();
    assert_eq!(datasets.len(), 1);
    assert_eq!((datasets[0].chunks, datasets[0].len_bytes), (3, 6012));
    assert_eq!(datasets[0].block_range, 0..40);
    let json = serde_json::to_value(two).unwrap();
    assert_eq!(json["block_range"]["end"], 20);
    assert_eq!(json["state"], "available");
}

#[test]
fn who_holds_the_directory_is_known() {
    let mut world = World::new();
    match world.view().holder() {
        DirectoryHolder::Process { pid, name } => {
            assert_eq!(pid, std::process::id());
            assert!(name.is_some());
        }
        // Where the kernel's list of locks may not be read.
        DirectoryHolder::Unknown { last_pid } => assert_eq!(last_pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    world.manager = None;
    let holder = world.view().holder();
    assert!(
        !matches!(holder, DirectoryHolder::Process { .. }),
        "{holder:?}"
    );
}

#[test]
fn what_was_deleted_is_not_seen_though_somebody_reads_it() {
    let world = World::new();
    world.get(1, 0..10);
    world.get(2, 10..20);
    let guard = world.manager().get_chunk(&id(1)).unwrap();
    drop(world.manager().delete_chunk(id(1)));
    // The tombstone is written in the background.
    let started = Instant::now();
    let view = loop {
        let view = world.view();
        if view.get(&id(1)).is_none() {
            break view;
        }
        assert!(started.elapsed() < DEADLINE);
        std::thread::yield_now();
    };
    assert!(guard.path().join("b").is_file());
    assert_eq!(ids(&view), [id(2)]);
    assert_eq!(view.leaving().len(), 1);
    assert_eq!(view.leaving()[0].state(), ViewedState::Leaving);
    assert!(view.find(&DATASET, 5).is_none());
    let left = view.left_over().unwrap();
    assert_eq!(left[0].kind, LeftOverKind::Deleted);
    assert_eq!(left[0].path, guard.path());
    let space = view.space().unwrap();
    assert_eq!((space.chunks_bytes, space.leaving_bytes), (2004, 2002));
    assert!(space.capacity_bytes > space.free_bytes);
}

#[test]
fn a_view_sees_what_a_start_would_show() {
    let mut world = World::new();
    world.get(1, 0..10);
    world.get(2, 10..20);
    world.manager = None;
    let dirs = chunk_dirs(&world.data());
    let renamed = |dir: &Path, change: &dyn Fn(&mut Vec<String>)| {
        let name = dir.file_name().unwrap().to_str().unwrap();
        let mut fields: Vec<String> = name.split('-').map(str::to_owned).collect();
        change(&mut fields);
        dir.with_file_name(fields.join("-"))
    };
    // A later generation of the first, whose owner was killed before the earlier one was gone.
    let later = renamed(&dirs[0], &|fields| fields[4] = "99".to_owned());
    fs::create_dir(&later).unwrap();
    for file in support::read_dir(&dirs[0]) {
        fs::copy(&file, later.join(file.file_name().unwrap())).unwrap();
    }
    // The second was not synced before the machine was started anew.
    let unsynced = renamed(&dirs[1], &|fields| fields.push("00000001".to_owned()));
    fs::rename(&dirs[1], &unsynced).unwrap();
    let view = world.view();
    assert_eq!(ids(&view), [id(1)]);
    assert_eq!(view.get(&id(1)).unwrap().path(), later);
    let paths = |chunks: &[data_manager::data_manager::view::ViewedChunk]| -> Vec<PathBuf> {
        chunks.iter().map(|chunk| chunk.path().to_owned()).collect()
    };
    assert_eq!(paths(view.leaving()), [dirs[0].clone()]);
    assert_eq!(paths(view.unverified()), [unsynced]);
    let manager = support::open(&world.data());
    assert_eq!(manager.get_chunk(&id(1)).unwrap().path(), later);
}

#[test]
fn looking_changes_nothing() {
    let mut world = World::new();
    world.get(1, 0..10);
    world.get(2, 10..20);
    fs::write(world.data().join("notes.txt"), "a stranger's").unwrap();
    world.manager = None;
    // A tombstone without its chunk: a start would clear it away.
    let tombstone = format!("{}-{}", 77, "77".repeat(32));
    fs::write(world.data().join("_tombstones").join(tombstone), "").unwrap();
    fs::remove_dir(world.data().join("_quarantine")).unwrap();
    let before = everything(&world.data());
    let view = world.view();
    for chunk in view.chunks() {
        view.files(chunk).unwrap();
        view.verify(chunk, |_| {}).unwrap();
    }
    let export = view.export(None).unwrap();
    assert_eq!(export.document.chunks.len(), 2);
    let _ = (view.holder(), view.datasets(), view.cover(&DATASET, 0..99));
    view.space().unwrap();
    view.left_over().unwrap();
    view.prunable(&PruneOptions::default()).unwrap();
    let strangers = view.strangers();
    assert_eq!(strangers.len(), 1);
    assert_eq!(strangers[0].path, world.data().join("notes.txt"));
    assert!(serde_json::to_string(&strangers).is_ok());
    assert_eq!(everything(&world.data()), before);

    let nowhere = world.dir.path().join("nowhere");
    assert_eq!(
        DirectoryView::open(&nowhere).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        prune(&nowhere, &PruneOptions::default())
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    assert!(!nowhere.exists());
    // Neither is a directory that is none of ours made one.
    let other = world.dir.path().join("source");
    let before = everything(&other);
    assert!(DirectoryView::open(&other).unwrap().chunks().is_empty());
    assert!(
        prune(&other, &PruneOptions::default())
            .unwrap()
            .removed
            .is_empty()
    );
    assert_eq!(everything(&other), before);
}

#[test]
fn damage_is_found_by_reading() {
    let world = World::new();
    world.get(1, 0..10);
    world.get(2, 10..20);
    let view = world.view();
    let [one, two] = view.chunks() else { panic!() };
    let mut read = 0;
    view.verify(one, |bytes| read += bytes).unwrap();
    assert_eq!(read, one.len_bytes());
    // Of the same size, so that only reading tells.
    let mut content = fs::read(two.path().join("b")).unwrap();
    content[500] ^= 1;
    fs::write(two.path().join("b"), content).unwrap();
    let error = view.verify(two, |_| {}).unwrap_err();
    assert_eq!(
        (error.kind(), error.file()),
        (ErrorKind::Damaged, Some("b"))
    );
    assert_eq!(error.chunk_id(), Some(id(2)));
    // What has a file of another size is not offered to others.
    fs::write(two.path().join("b"), "short").unwrap();
    let export = view.export(None).unwrap();
    assert_eq!(export.document.chunks.len(), 1);
    assert_eq!(export.left_out[0].kind(), ErrorKind::Damaged);
}

#[test]
fn a_chunk_that_goes_under_its_reader_is_no_damage() {
    let world = World::new();
    world.get(1, 0..10);
    world.get(2, 10..20);
    let view = world.view();
    world.manager().delete_chunk(id(1)).wait().unwrap();
    let gone = view.get(&id(1)).unwrap();
    assert_eq!(
        view.verify(gone, |_| {}).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(view.files(gone).unwrap_err().kind(), ErrorKind::NotFound);
    let export = view.export(None).unwrap();
    assert_eq!(export.document.chunks.len(), 1);
    assert!(export.left_out.is_empty(), "{:?}", export.left_out);
}

#[test]
fn a_directory_may_change_while_it_is_read() {
    let world = World::new();
    world.get(1, 0..10);
    let stays = id(1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..10 {
                for n in 2..8 {
                    world.get(n, 10..20);
                }
                let tasks: Vec<_> = (2..8)
                    .map(|n| world.manager().delete_chunk(id(n)))
                    .collect();
                tasks.into_iter().for_each(|task| task.wait().unwrap());
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            let view = world.view();
            assert!(view.get(&stays).is_some());
            view.space().unwrap();
            view.left_over().unwrap();
            let export = view.export(None).unwrap();
            assert!(export.left_out.is_empty(), "{:?}", export.left_out);
            for chunk in view.chunks() {
                match view.verify(chunk, |_| {}) {
                    Ok(()) => {}
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                }
            }
            let strange = view.strangers();
            assert!(strange.is_empty(), "{strange:?}");
        }
    });
}

#[test]
fn an_export_is_an_assignment_of_the_same() {
    let world = World::new();
    world.get(1, 0..10);
    world.get(2, 10..20);
    let document = world.view().export(None).unwrap().document;
    let second = world.dir.path().join("second one");
    let manager = builder(&second)
        .serve_files_from(world.data())
        .open()
        .unwrap();
    manager
        .set_assignment(document.chunks.clone())
        .wait()
        .unwrap();
    assert_eq!(manager.list_chunks(), [id(1), id(2)]);
    let copy = fs::read(manager.get_chunk(&id(2)).unwrap().path().join("b")).unwrap();
    assert!(copy == bytes(2, 1002));
    // From a directory whose name has to be encoded, to a third one.
    let onward = DirectoryView::open(&second).unwrap().export(None).unwrap();
    let third = builder(&world.dir.path().join("third")).serve_files_from(&second);
    let third = third.open().unwrap();
    third.set_assignment(onward.document.chunks).wait().unwrap();
    assert_eq!(third.list_chunks(), [id(1), id(2)]);
}

#[test]
fn an_export_has_the_prefix_and_the_digests() {
    let world = World::new();
    world.get(1, 0..10);
    let view = world.view();
    let document = view.export(Some("https://mirror/x/")).unwrap().document;
    let files = &document.chunks[0].files;
    let name = chunk_dirs(&world.data())[0].file_name().unwrap().to_owned();
    let dataset = format!("dataset_id={}", "d5".repeat(32));
    let url = format!("https://mirror/x/{dataset}/{}/b", name.to_str().unwrap());
    assert_eq!(files["b"], url);
    let digest = format!("#sha256={}", sha256(&bytes(1, 1001)));
    assert!(
        files["a.parquet"].ends_with(&digest),
        "{}",
        files["a.parquet"]
    );
    for bad in ["no url", "https://secret@h/?x", "https://h/#y", ""] {
        let error = view.export(Some(bad)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{bad}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

/// A directory with one of each kind of what is left over; its manager is gone.
fn with_left_overs(world: &mut World) {
    world.get(1, 0..10);
    world.get(2, 10..20);
    world.get(3, 20..30);
    let damaged = world.manager().get_chunk(&id(3)).unwrap().path().to_owned();
    fs::write(damaged.join("b"), "short").unwrap();
    world.manager().verify(&id(3)).wait().unwrap_err();
    assert!(world.manager().wait_idle(DEADLINE));
    world.manager().delete_chunk(id(3)).wait().unwrap();
    world.manager = None;
    let data = world.data();
    // Deleted and held when its owner was killed.
    let dirs = chunk_dirs(&data);
    let two = dirs
        .iter()
        .find(|dir| dir.to_string_lossy().contains(&"02".repeat(32)));
    let name = two
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let generation = name.split('-').nth(4).unwrap();
    let tombstone = format!("{generation}-{}", "02".repeat(32));
    fs::write(data.join("_tombstones").join(tombstone), "").unwrap();
    // Renamed away when its owner was killed: a copy of the first, under another generation.
    let one = &dirs[0];
    let trash = data.join("_trash").join(one.file_name().unwrap());
    fs::create_dir(&trash).unwrap();
    for file in support::read_dir(one) {
        fs::copy(&file, trash.join(file.file_name().unwrap())).unwrap();
    }
    for (n, age) in [(8, 8 * 24), (9, 1)] {
        let key = format!("{}-{:016x}", format!("{n:02x}").repeat(32), 5);
        let parts = data.join("_staging").join(key).join("_parts");
        fs::create_dir_all(&parts).unwrap();
        let file = fs::File::create(parts.join("0.part")).unwrap();
        file.set_len(100).unwrap();
        let then = SystemTime::now() - Duration::from_secs(age * 3600);
        file.set_modified(then).unwrap();
        let dir = fs::File::open(&parts).unwrap();
        dir.set_modified(then).unwrap();
    }
}

#[test]
fn what_is_left_over_is_pruned() {
    let mut world = World::new();
    with_left_overs(&mut world);
    let kinds = |left: &[data_manager::data_manager::view::LeftOver]| -> Vec<_> {
        left.iter().map(|left| left.kind).collect()
    };
    let view = world.view();
    let all = [
        LeftOverKind::Partial,
        LeftOverKind::Partial,
        LeftOverKind::Deleted,
        LeftOverKind::Trash,
        LeftOverKind::Quarantined,
    ];
    assert_eq!(kinds(&view.left_over().unwrap()), all);
    let before = everything(&world.data());
    let prunable = view.prunable(&PruneOptions::default()).unwrap();
    assert_eq!(everything(&world.data()), before);
    assert_eq!(kinds(&prunable), all[1..]);
    assert_eq!(
        (prunable[0].chunk_id, prunable[0].len_bytes),
        (Some(id(8)), 100)
    );

    let pruned = prune(world.data(), &PruneOptions::default()).unwrap();
    assert!(pruned.kept.is_empty(), "{:?}", pruned.kept);
    let paths: Vec<_> = pruned.removed.iter().map(|left| &left.path).collect();
    assert!(prunable.iter().map(|left| &left.path).eq(paths));
    assert!(pruned.removed.iter().all(|left| !left.path.exists()));
    let view = world.view();
    assert_eq!(kinds(&view.left_over().unwrap()), [LeftOverKind::Partial]);
    assert_eq!(ids(&view), [id(1)]);
    assert!(support::read_dir(&world.data().join("_tombstones")).is_empty());
    assert_eq!(support::open(&world.data()).list_chunks(), [id(1)]);
}

#[test]
fn pruning_keeps_what_is_not_ours() {
    let mut world = World::new();
    with_left_overs(&mut world);
    let quarantine = world.data().join("_quarantine");
    let in_it = support::read_dir(&quarantine)[0].join("notes.txt");
    let beside = quarantine.join("holiday.jpg");
    fs::write(&in_it, "mine").unwrap();
    fs::write(&beside, "mine").unwrap();
    let pruned = prune(world.data(), &PruneOptions::default()).unwrap();
    assert_eq!(pruned.kept.len(), 1);
    assert_eq!(pruned.kept[0].left_over.kind, LeftOverKind::Quarantined);
    assert_eq!(fs::read(&in_it).unwrap(), b"mine");
    assert_eq!(fs::read(&beside).unwrap(), b"mine");
    assert_eq!(support::read_dir(in_it.parent().unwrap()), [in_it]);
}

#[test]
fn pruning_needs_the_directory_for_itself() {
    let world = World::new();
    world.get(1, 0..10);
    let error = prune(world.data(), &PruneOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("in this process"), "{error}");
    assert_eq!(world.manager().list_chunks(), [id(1)]);
    // The trait and the view agree on where it is.
    let guard = world.manager().get_chunk(&id(1)).unwrap();
    assert_eq!(DataChunkRef::path(&guard), world.view().chunks()[0].path());
}

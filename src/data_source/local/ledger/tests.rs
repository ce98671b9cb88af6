//! The ledger's arithmetic, and that an audit corrects it only where nothing moved.

use std::fs;

use tempfile::tempdir;

use super::reservation::Ask;
use super::*;
use crate::data_chunk::PARTS_NAME;
use crate::data_source::local::layout;
use crate::data_source::local::space::{FreeSpace, SpaceShortage};
use crate::data_source::local::{Audit, Audited, Durability, LocalDataSource};

fn key(n: u8) -> StagingKey {
    StagingKey {
        id: [n; 32],
        fingerprint: 7,
    }
}

fn open(dir: &Path) -> LocalDataSource {
    LocalDataSource::open(dir, Durability::None).unwrap().0
}

fn max(bytes: u64) -> SpaceLimits {
    SpaceLimits {
        max_bytes: Some(bytes),
        min_free_bytes: 0,
    }
}

#[test]
fn two_never_have_the_same_bytes_and_what_did_not_come_is_given_back() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let ledger = store.ledger();
    ledger.set_limits(max(1000));
    let promised: Vec<PartSpace> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let staged = ledger.stage(key(n));
                scope.spawn(move || {
                    let mut parts = Vec::new();
                    for _ in 0..10 {
                        let mut part = PartSpace::new(&staged);
                        if part.reserve(30, 30).is_ok() {
                            part.appended(20);
                            parts.push(part);
                        }
                        assert!(ledger.balance().used() <= 1000);
                    }
                    parts
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    // Each has 10 left of what it was promised.
    assert_eq!(promised.len(), 1000 / 30);
    assert_eq!(ledger.balance().used(), 33 * 30);
    drop(promised);
    let balance = ledger.balance();
    assert_eq!((balance.staged, balance.reserved), (33 * 20, 0));
}

#[test]
fn a_refusal_says_which_limit_and_whether_it_can_ever_be_otherwise() {
    let free = |bytes| {
        Some(FreeSpace {
            bytes,
            capacity: 500,
            no_inodes: false,
        })
    };
    let ask = |least| Ask {
        least,
        most: least,
        keep: true,
    };
    let refusal = |limits: SpaceLimits, least, free| {
        let mut books = Books::default();
        (books.balance.limits, books.balance.committed) = (limits, 100);
        // Promised, and not on the disk yet.
        books.balance.reserved = 50;
        let refused = books.grant(key(1), &ask(least), free).err()?;
        Some((SpaceShortage::of(&refused.error), refused.for_good))
    };
    let least_free = |min_free_bytes| SpaceLimits {
        max_bytes: None,
        min_free_bytes,
    };
    let none = SpaceLimits::default();
    assert_eq!(refusal(none, 250, free(300)), None);
    assert_eq!(
        refusal(none, 251, free(300)),
        Some((SpaceShortage::DiskFull, false))
    );
    assert_eq!(
        refusal(none, 501, free(300)),
        Some((SpaceShortage::DiskFull, true))
    );
    assert_eq!(refusal(none, u64::MAX / 2, None), None);
    let min = SpaceShortage::MinFreeBytes;
    assert_eq!(refusal(least_free(100), 150, free(300)), None);
    assert_eq!(refusal(least_free(100), 151, free(300)), Some((min, false)));
    assert_eq!(refusal(least_free(100), 401, free(300)), Some((min, true)));
    assert_eq!(refusal(max(200), 50, free(300)), None);
    assert_eq!(
        refusal(max(200), 51, free(300)),
        Some((SpaceShortage::MaxBytes, false))
    );
    assert_eq!(
        refusal(max(200), 201, free(300)),
        Some((SpaceShortage::MaxBytes, true))
    );
}

#[test]
fn how_much_a_chunk_needs_is_remembered_until_it_fits() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let ledger = store.ledger();
    ledger.set_limits(max(100));
    let (one, other) = (ledger.stage(key(1)), ledger.stage(key(2)));
    let (mut one, mut other) = (PartSpace::new(&one), PartSpace::new(&other));
    one.reserve(60, 60).unwrap();
    assert!(other.look().is_ok());
    assert!(!other.reserve(50, 50).unwrap_err().for_good);
    assert!(other.look().is_err(), "it is known to need 50");
    drop(one);
    assert!(other.look().is_ok());
    assert!(other.reserve(101, 101).unwrap_err().for_good);
    assert!(other.look().unwrap_err().for_good);
    // The rest of what there is, if it is no more than that.
    other.reserve(1, 1 << 20).unwrap();
    assert_eq!(other.reserved(), 100);
}

fn audited(store: &LocalDataSource) -> Audited {
    let mut audit = Audit::default();
    loop {
        match store.audit(&mut audit).unwrap() {
            Audited::NotYet => {}
            end => return end,
        }
    }
}

#[test]
fn an_audit_finds_what_somebody_else_did_and_only_that() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let ledger = store.ledger();
    assert_eq!(audited(&store), Audited::Done(Vec::new()));
    let file = |path: &str, len: usize| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![1; len]).unwrap();
    };
    file("_quarantine/x/strange", 10);
    file("_quarantine/x/_chunk.json", 99);
    file("_trash/strange", 20);
    let name = ChunkName {
        block_range: 0..1,
        id: [1; 32],
        len_bytes: 40,
        generation: 1,
        fingerprint: 1,
        unsynced: None,
    };
    let dataset = layout::dataset_dir(&[1; 32]);
    file(&format!("{dataset}/{}/f", name.format()), 40);
    let (used, idle) = (key(1).dir(), key(2).dir());
    file(&format!("_staging/{used}/{PARTS_NAME}/0.part"), 80);
    file(&format!("_staging/{idle}/{PARTS_NAME}/0.part"), 160);
    file(&format!("_staging/{idle}/{PARTS_NAME}/0.json"), 99);
    // What a link leads to is not here.
    std::os::unix::fs::symlink("/proc/self/exe", dir.path().join("_trash/link")).unwrap();

    // Somebody works on one of them, who counts for themselves.
    let staged = ledger.stage(key(1));
    let Audited::Done(found) = audited(&store) else {
        panic!("nothing moved");
    };
    let found: Vec<_> = found.iter().map(|c| (c.area, c.counted, c.found)).collect();
    let expected = [
        (SpaceArea::Committed, 0, 40),
        (SpaceArea::Staged, 0, 160),
        (SpaceArea::Trash, 0, 20),
        (SpaceArea::Quarantine, 0, 10),
    ];
    assert_eq!(found, expected);
    let balance = ledger.balance();
    assert_eq!((balance.used(), balance.corrected), (230, 230));
    drop(staged);
    assert!(matches!(audited(&store), Audited::Done(found) if found.len() == 1));
    assert_eq!(ledger.balance().audits, 3);
}

#[test]
fn an_audit_is_worth_nothing_while_something_moves() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    fs::write(dir.path().join("_trash/strange"), [1; 10]).unwrap();
    let moving = store.ledger().moving();
    assert!(matches!(audited(&store), Audited::Moved(_)));
    drop(moving);
    // Also if it began and ended in between.
    let mut audit = Audit::default();
    assert_eq!(store.audit(&mut audit).unwrap(), Audited::NotYet);
    let mark = store.ledger().mark().unwrap();
    drop(store.ledger().moving());
    assert_eq!(store.ledger().compare(mark, SpaceArea::Trash, 99), None);
    assert_eq!(store.ledger().balance().trash, 0);
    assert_eq!(store.ledger().balance().audits, 0);
}

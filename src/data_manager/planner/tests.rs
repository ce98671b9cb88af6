//! What is easier to see by itself than in the simulator.

use std::path::Path;

use super::*;
use crate::data_chunk::{ChunkSpec, DataChunk};
use crate::data_manager::stats::WaitReason;
use crate::data_source::{FetchedFile, FoundPartial, HostSign, Setback};

#[test]
fn backoff_grows_to_its_cap_and_is_spread() {
    let mut backoff = Backoff {
        first: Duration::from_millis(100),
        longest: Duration::from_secs(10),
        rng: fastrand::Rng::with_seed(7),
    };
    let longest = backoff.longest;
    for (failures, cap_ms) in [
        (1, 100),
        (2, 200),
        (5, 1600),
        (40, 10_000),
        (u32::MAX, 10_000),
    ] {
        let draws: Vec<Duration> = (0..200).map(|_| backoff.retry(failures)).collect();
        let cap = Duration::from_millis(cap_ms);
        assert!(draws.iter().all(|draw| *draw <= cap && *draw <= longest));
        assert!(
            draws.iter().any(|draw| *draw > cap / 2) && draws.iter().any(|draw| *draw < cap / 2)
        );
    }
}

fn planner() -> Planner {
    Planner::new(PlannerOptions {
        slots: 1,
        slots_per_host: 1,
        partials: PartialLimits {
            bytes: 0,
            age: Duration::ZERO,
        },
        first_backoff: Duration::from_millis(1),
        longest_backoff: Duration::from_millis(1),
        seed: 7,
    })
}

/// A description, and what a start finds of it that was not synced.
fn unsynced(n: u8) -> (Arc<ChunkSpec>, StoredChunk) {
    let chunk = DataChunk {
        id: [n; 32],
        dataset_id: [2; 32],
        block_range: 0..5,
        files: [("f".to_owned(), "http://h/f".to_owned())].into(),
    };
    let spec = Arc::new(ChunkSpec::check(chunk).unwrap());
    let file = FetchedFile {
        len_bytes: 1,
        xxh3: 0,
    };
    let root = Arc::from(Path::new("/disk"));
    let stored = StoredChunk::new(root, spec.clone(), &[file], 1, Some(7));
    (spec, stored.as_found())
}

/// The jobs about leaving generations that were decided, with the first byte of each id.
fn jobs(decided: &[Action]) -> Vec<(u8, LeavingJob)> {
    let job = |action: &Action| match action {
        Action::Leaving(stored, job) => Some((stored.spec.id[0], *job)),
        _ => None,
    };
    decided.iter().filter_map(job).collect()
}

/// What nobody may read is left where it is; whoever asked for it gets it from where it came.
#[test]
fn what_cannot_be_verified_for_lack_of_permission_is_left_alone() {
    let now = Duration::ZERO;
    for asked in [false, true] {
        let (mut planner, (spec, stored)) = (planner(), unsynced(1));
        planner.found_unverified(now, stored);
        let task = asked.then(|| planner.want(now, spec));
        let verifies = [(1, LeavingJob::Verify)];
        assert_eq!(jobs(&planner.take_actions(now)), verifies);
        let denied = Err(Error::new(ErrorKind::Denied, "permission denied"));
        planner.leaving_job_ended(now, ([1; 32], 1), LeavingJob::Verify, denied);
        let decided = planner.take_actions(now);
        let has = |kind: fn(&Action) -> bool| decided.iter().any(kind);
        assert!(has(|a| matches!(a, Action::Emit(Event::Unreadable { .. }))));
        assert_eq!(jobs(&decided), [], "it is touched");
        assert_eq!(has(|a| matches!(a, Action::Start(_))), asked);
        assert_eq!(planner.is_idle(), !asked);
        let waits = |task: Completion| task.task().wait_timeout(now).is_none();
        assert!(task.is_none_or(waits));
    }
}

/// Thousands may be read before it is its turn.
#[test]
fn a_delete_does_not_wait_for_what_is_verified_before() {
    let now = Duration::ZERO;
    let mut planner = planner();
    for n in 1..=4 {
        planner.found_unverified(now, unsynced(n).1);
    }
    let first = [(1, LeavingJob::Verify), (2, LeavingJob::Verify)];
    assert_eq!(jobs(&planner.take_actions(now)), first);
    for n in [1, 4] {
        drop(planner.unwant(now, [n; 32]));
    }
    // The first is being read, and stops by itself.
    assert_eq!(jobs(&planner.take_actions(now)), [(4, LeavingJob::Remove)]);
    assert!(!planner.is_to_be_verified(([1; 32], 1)) && planner.is_to_be_verified(([2; 32], 1)));
    let stopped = Err(Error::new(ErrorKind::Superseded, "deleted"));
    planner.leaving_job_ended(now, ([1; 32], 1), LeavingJob::Verify, stopped);
    let next = [(1, LeavingJob::Remove), (3, LeavingJob::Verify)];
    assert_eq!(jobs(&planner.take_actions(now)), next);
}

/// What an earlier attempt at the same chunk left may be on its way out meanwhile.
#[test]
fn what_is_verified_waits_for_what_goes_and_comes_into_view() {
    let now = Duration::ZERO;
    let (mut planner, (spec, stored)) = (planner(), unsynced(1));
    let key = StagingKey::of(&spec);
    planner.found_unverified(now, stored);
    let partial = FoundPartial {
        key,
        len_bytes: 1,
        age: Duration::ZERO,
    };
    planner.found_partial(now, &partial);
    let decided = planner.take_actions(now);
    assert_eq!(jobs(&decided), [(1, LeavingJob::Verify)]);
    assert!(decided.iter().any(|a| matches!(a, Action::Abandon(_))));
    planner.leaving_job_ended(now, ([1; 32], 1), LeavingJob::Verify, Ok(None));
    assert_eq!(jobs(&planner.take_actions(now)), []);
    assert!(planner.visible(&[1; 32]).is_none());
    planner.abandoned(now, key, true);
    let decided = planner.take_actions(now);
    assert!(decided.iter().any(|a| matches!(a, Action::Publish(_))));
    assert!(planner.is_idle());
}

/// A shutdown is nobody's wish that it be gone.
#[test]
fn what_is_not_verified_yet_stays_on_disk_at_a_shutdown() {
    let now = Duration::ZERO;
    let mut planner = planner();
    for n in 1..=3 {
        planner.found_unverified(now, unsynced(n).1);
    }
    assert_eq!(jobs(&planner.take_actions(now)).len(), 2);
    planner.shut_down();
    assert!(planner.shut_down_entries(now, None, 10).is_none());
    let stopped = Err(Error::new(ErrorKind::Superseded, "shut down"));
    planner.leaving_job_ended(now, ([1; 32], 1), LeavingJob::Verify, stopped);
    planner.leaving_job_ended(now, ([2; 32], 1), LeavingJob::Verify, Ok(None));
    assert_eq!(jobs(&planner.take_actions(now)), []);
    assert!(planner.is_quiet() && planner.is_idle());
}

/// The description of a chunk with one file of one host.
fn wanted(n: u8) -> Arc<ChunkSpec> {
    let chunk = DataChunk {
        id: [n; 32],
        dataset_id: [2; 32],
        block_range: 0..5,
        files: [("f".to_owned(), "http://h/f".to_owned())].into(),
    };
    Arc::new(ChunkSpec::check(chunk).unwrap())
}

fn started(decided: &[Action]) -> Option<Arc<Transfer>> {
    decided.iter().find_map(|action| match action {
        Action::Start(transfer) => Some(transfer.clone()),
        _ => None,
    })
}

/// A slot that is given back in a pause would go to nobody.
#[test]
fn nothing_is_begun_in_a_pause_and_nothing_called_back() {
    let ms = Duration::from_millis;
    let mut planner = planner();
    drop(planner.want(ms(0), wanted(1)));
    let first = started(&planner.take_actions(ms(0))).unwrap();
    let busy = Setback::transient(Error::new(ErrorKind::Unavailable, "busy"));
    assert!(!planner.job_ended(ms(0), &first, None, JobEnd::Done));
    let file = Some((0, HostSign::None));
    assert!(planner.job_ended(ms(0), &first, file, JobEnd::Failed));
    let end = TransferEnd {
        result: Err(busy.into()),
        arrived: vec![None],
        left_behind: None,
    };
    planner.transfer_ended(ms(0), &first, end);
    // What it left is too old at once.
    planner.take_actions(ms(0));
    planner.abandoned(ms(0), StagingKey::of(&first.spec), true);
    planner.take_actions(ms(0));
    planner.tick(ms(100));
    assert!(started(&planner.take_actions(ms(100))).is_some());

    planner.set_paused(true);
    planner.set_paused(true);
    drop(planner.want(ms(200), wanted(3)));
    let decided = planner.take_actions(ms(200));
    let events = decided.iter().filter_map(|action| match action {
        Action::Emit(event) => Some(format!("{event:?}")),
        _ => None,
    });
    let events: Vec<String> = events.collect();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0], "Paused");
    let nothing = decided.iter().all(|a| matches!(a, Action::Emit(_)));
    assert!(nothing, "something is done, or an alarm is set");

    planner.set_paused(false);
    let decided = planner.take_actions(ms(300));
    assert!(decided.iter().any(|a| matches!(a, Action::Cancel(_))));
}

#[test]
fn what_could_not_be_removed_says_so_and_when_it_is_tried_again() {
    let (mut planner, now) = (planner(), Duration::from_secs(1));
    planner.found_doomed(now, unsynced(1).1);
    assert_eq!(jobs(&planner.take_actions(now)), [(1, LeavingJob::Remove)]);
    let failure = Err(Error::new(ErrorKind::Denied, "not allowed"));
    planner.leaving_job_ended(now, ([1; 32], 1), LeavingJob::Remove, failure);
    let status = planner.status(&[1; 32], now + Duration::from_millis(5));
    let status = status.unwrap();
    assert!(!status.wanted && status.failures == 1, "{status:?}");
    assert_eq!(status.last_error_ms, Some(5));
    assert_eq!(status.wait_reason, Some(WaitReason::Backoff));
    let text = status.to_string();
    let said = "it could not be removed 5 ms ago: not allowed; that is tried again in 0 ms";
    assert_eq!(text, said);
}

/// Says how long it takes; a machine that is busy is no reason to fail.
#[test]
#[ignore = "measures time"]
fn the_figures_cost_the_same_among_a_million_chunks() {
    let now = Duration::from_secs(1);
    let measure = |count: u32| {
        let mut planner = planner();
        let mut spec = (*wanted(1)).clone();
        for n in 0..count {
            spec.id[..4].copy_from_slice(&n.to_be_bytes());
            drop(planner.want(now, Arc::new(spec.clone())));
            planner.board.actions.clear();
        }
        planner.take_actions(now);
        let (calls, began) = (1000, std::time::Instant::now());
        for _ in 0..calls {
            let (stats, left) = (planner.stats(now), planner.left());
            assert_eq!(left.chunks, count as usize);
            assert_eq!(stats.files_in_flight, planner.flying(now).len());
            assert!(planner.status(&spec.id, now).is_some());
        }
        began.elapsed() / calls
    };
    let (few, million) = (measure(1000), measure(1_000_000));
    eprintln!("figures: {few:?} among a thousand, {million:?} among a million");
    assert!(million < few * 4);
}

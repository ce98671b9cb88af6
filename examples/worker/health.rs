//! Whether a worker is healthy: `GET /healthz`.
//!
//! It is, unless one of these holds:
//!
//! - no assignment was taken yet;
//! - the last answer about the assignment is older than `--stale`, or three times `--every` if that is
//!   longer: it cannot be had, or not be understood. Not at once: when the store is away for a moment, all
//!   workers still have what they had, and none should be taken out;
//! - chunks cannot be fetched, since the disk has too little room;
//! - the disk failed, and nothing was written or removed since, for a minute and a half at the most: what
//!   failed is tried again within a minute, and fails again if it is not over;
//! - somebody took the lock of the data directory away, and it could not be had back.
//!
//! That the data directory is open needs no rule: nobody listens before it is.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use data_manager::data_manager::{Event, Events, FollowStatus, Stats};
use data_manager::{Error, ErrorKind};
use parking_lot::Mutex;

/// How long a failure of the disk counts: longer than the longest wait before the next attempt, which
/// says whether it is over.
const TROUBLE_LASTS: Duration = Duration::from_secs(90);

/// What is wrong with the disk, as far as it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Troubles>>);

#[derive(Debug, Default)]
struct Troubles {
    /// How it failed last, if nothing went well since.
    disk: Option<(Instant, String)>,
    lock: Option<String>,
}

impl Disk {
    /// Listens to what happens, until the manager ends.
    pub(crate) fn watch(&self, events: Events) -> std::io::Result<JoinHandle<()>> {
        let disk = self.clone();
        let named = thread::Builder::new().name("disk-watch".to_owned());
        named.spawn(move || events.for_each(|event| disk.note(&event)))
    }

    fn note(&self, event: &Event) {
        let mut troubles = self.0.lock();
        match event {
            Event::DiskTrouble { error, .. } => {
                troubles.disk = Some((Instant::now(), error.to_string()));
            }
            Event::Retried { error, .. } | Event::Failed { error, .. } if is_of_the_disk(error) => {
                troubles.disk = Some((Instant::now(), error.to_string()));
            }
            Event::Available { .. } | Event::Removed { .. } => troubles.disk = None,
            Event::LockTrouble { error, .. } => troubles.lock = Some(error.to_string()),
            Event::LockBack => troubles.lock = None,
            _ => {}
        }
    }

    fn reasons(&self) -> Vec<String> {
        let troubles = self.0.lock();
        let recent = |(then, _): &&(Instant, String)| then.elapsed() < TROUBLE_LASTS;
        let disk = troubles.disk.as_ref().filter(recent);
        let disk = disk.map(|(_, error)| format!("the disk failed: {error}"));
        let lock = troubles.lock.as_ref();
        let lock = lock.map(|error| format!("the directory's lock is gone: {error}"));
        disk.into_iter().chain(lock).collect()
    }
}

/// A download fails at its source, or at the disk here. What a source did names its URL.
fn is_of_the_disk(error: &Error) -> bool {
    error.url().is_none() && matches!(error.kind(), ErrorKind::Io | ErrorKind::Denied)
}

/// Why it is not healthy; nothing, if it is.
pub(crate) fn reasons(
    following: &FollowStatus,
    stats: &Stats,
    disk: &Disk,
    stale: Duration,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let why = following.error.as_ref();
    let why = why.map_or_else(String::new, |error| format!(": {error}"));
    let age = following.answered_ms_ago.map(Duration::from_millis);
    match age {
        _ if following.taken == 0 => reasons.push(format!("no assignment was taken yet{why}")),
        Some(age) if age > stale => {
            let seconds = age.as_secs_f64();
            reasons.push(format!("the assignment is {seconds:.1} s old{why}"));
        }
        _ => {}
    }
    if stats.space.waits_for.is_some() {
        reasons.push("the disk has too little room for what is assigned".to_owned());
    }
    reasons.extend(disk.reasons());
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn following(taken: u64, answered_ms_ago: Option<u64>) -> FollowStatus {
        let mut status = FollowStatus::default();
        (status.taken, status.answered_ms_ago) = (taken, answered_ms_ago);
        status
    }

    fn reasons_for(following: &FollowStatus) -> Vec<String> {
        let stale = Duration::from_millis(100);
        reasons(following, &Stats::default(), &Disk::default(), stale)
    }

    #[test]
    fn an_assignment_that_is_fresh_is_healthy_and_none_or_an_old_one_is_not() {
        assert_eq!(reasons_for(&following(1, Some(100))), [""; 0]);
        assert_eq!(
            reasons_for(&following(0, None)),
            ["no assignment was taken yet"]
        );
        assert_eq!(
            reasons_for(&following(1, Some(200))),
            ["the assignment is 0.2 s old"]
        );
    }

    #[test]
    fn trouble_with_the_disk_is_told_until_it_is_over() {
        let (disk, fresh) = (Disk::default(), following(1, Some(0)));
        let told = || reasons(&fresh, &Stats::default(), &disk, Duration::MAX);
        disk.0.lock().disk = Some((Instant::now(), "EIO".to_owned()));
        assert_eq!(told(), ["the disk failed: EIO"]);
        let long_ago = Instant::now().checked_sub(TROUBLE_LASTS).unwrap();
        disk.0.lock().disk = Some((long_ago, "EIO".to_owned()));
        assert_eq!(told(), [""; 0]);
        disk.0.lock().lock = Some("taken".to_owned());
        assert_eq!(told(), ["the directory's lock is gone: taken"]);
        disk.note(&Event::LockBack);
        assert_eq!(told(), [""; 0]);
    }
}

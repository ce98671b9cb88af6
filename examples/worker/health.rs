//! Whether a worker is healthy: `GET /healthz`.
//!
//! It is, unless one of these holds:
//!
//! - no assignment was taken yet;
//! - the last answer about the assignment is older than `--stale`, or three times `--every` if that is
//!   longer: it cannot be had, or not be understood. Not at once: when the store is away for a moment, all
//!   workers still have what they had, and none should be taken out;
//! - chunks cannot be fetched, since the disk has too little room;
//! - the disk failed, and nothing was written or removed since, for a minute at the most: what failed is
//!   tried again, and fails again if it is not over.
//!
//! That the data directory is open needs no rule: nobody listens before it is.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use data_manager::data_manager::{Event, Events, FollowStatus, Stats};
use parking_lot::Mutex;

/// How long a failure of the disk counts.
const TROUBLE_LASTS: Duration = Duration::from_secs(60);

/// How the disk failed last, if nothing went well since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Option<(Instant, String)>>>);

impl Disk {
    /// Listens to what happens, until the manager ends.
    pub(crate) fn watch(&self, events: Events) -> std::io::Result<JoinHandle<()>> {
        let disk = self.clone();
        let named = thread::Builder::new().name("disk-watch".to_owned());
        named.spawn(move || events.for_each(|event| disk.note(&event)))
    }

    fn note(&self, event: &Event) {
        let trouble = match event {
            Event::DiskTrouble { error, .. } => Some((Instant::now(), error.to_string())),
            Event::Available { .. } | Event::Removed { .. } => None,
            _ => return,
        };
        *self.0.lock() = trouble;
    }

    fn trouble(&self) -> Option<String> {
        let trouble = self.0.lock();
        let recent = trouble
            .as_ref()
            .filter(|(then, _)| then.elapsed() < TROUBLE_LASTS);
        recent.map(|(_, error)| error.clone())
    }
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
    if let Some(error) = disk.trouble() {
        reasons.push(format!("the disk failed: {error}"));
    }
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
        *disk.0.lock() = Some((Instant::now(), "EIO".to_owned()));
        assert_eq!(told(), ["the disk failed: EIO"]);
        let long_ago = Instant::now().checked_sub(TROUBLE_LASTS).unwrap();
        *disk.0.lock() = Some((long_ago, "EIO".to_owned()));
        assert_eq!(told(), [""; 0]);
    }
}

//! What was counted on one file system.

use std::time::Duration;

use super::verifier::Findings;
use super::words::{Due, Promises};

/// How many of the same fault are told of one cut.
const SHOWN: usize = 3;

/// What was counted on one file system.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) cuts: u64,
    /// Of them, while a start was seeing to what the one before had left.
    pub(crate) in_recovery: u64,
    /// Chunks that the victims heard were visible, and that were gone.
    pub(crate) acknowledged: u64,
    pub(crate) deleted: u64,
    /// Chunks and deletes that were due after a cut, counted at each.
    pub(crate) due: u64,
    pub(crate) due_gone: u64,
    pub(crate) lost: u64,
    pub(crate) broken: u64,
    pub(crate) came_back: u64,
    pub(crate) other: u64,
    /// The longest until a start had everything visible.
    pub(crate) open_ms: u64,
    pub(crate) took: Duration,
}

impl Figures {
    pub(crate) fn faults(&self) -> u64 {
        self.lost + self.broken + self.came_back + self.other
    }

    pub(crate) fn line(&self, name: &str) -> String {
        format!(
            "{name}: {} cuts ({} in a recovery) in {:.0} s; acknowledged {} chunks, {} deletes; \
             due after the cuts {} and {}; lost {}, visible and broken {}, came back {}, other {}; \
             longest open {} ms",
            self.cuts,
            self.in_recovery,
            self.took.as_secs_f64(),
            self.acknowledged,
            self.deleted,
            self.due,
            self.due_gone,
            self.lost,
            self.broken,
            self.came_back,
            self.other,
            self.open_ms,
        )
    }

    pub(crate) fn note_promises(&mut self, promises: &Promises) {
        for (_, due) in promises.all() {
            self.due += u64::from(matches!(due, Due::There(_)));
            self.due_gone += u64::from(due == Due::Gone);
        }
    }

    pub(crate) fn note_findings(&mut self, cut: u64, findings: &Findings) {
        self.open_ms = self.open_ms.max(findings.open_ms);
        for (what, list, count) in [
            ("lost", &findings.lost, &mut self.lost),
            ("visible and broken", &findings.broken, &mut self.broken),
            ("came back", &findings.came_back, &mut self.came_back),
            ("other", &findings.other, &mut self.other),
        ] {
            *count += list.len() as u64;
            for item in list.iter().take(SHOWN) {
                println!("  cut {cut}: {what}: {item}");
            }
            if list.len() > SHOWN {
                println!("  cut {cut}: {what}: and {} more", list.len() - SHOWN);
            }
        }
    }
}

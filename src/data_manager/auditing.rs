//! Holds the ledger of bytes against the disk, once the check behind the start is through.
//!
//! A difference is corrected and told: it means that somebody else was at the data directory, or that
//! this crate counts wrongly.

use std::sync::Weak;
use std::time::Duration;

use super::core::Core;
use super::events::Event;
use crate::data_source::{Audit, Audited, Correction};
use crate::tasks_manager::sleep;

/// How often it is begun anew, since something moved meanwhile.
const TRIES: u32 = 10;
/// How long until it is.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// Audits until one look was worth something, a few times at the most.
pub(super) async fn audit_behind(core: &Weak<Core>) {
    for again in 0..TRIES {
        if again > 0 {
            sleep(TRY_AGAIN).await;
        }
        if audit(core).await != Some(false) {
            return;
        }
    }
}

/// False if it was worth nothing; `None` if there is nobody left to do it.
async fn audit(core: &Weak<Core>) -> Option<bool> {
    let mut audit = Audit::default();
    loop {
        let core = core.upgrade()?;
        let step = core.run_job(move |store| {
            let step = store.audit(&mut audit);
            Ok((audit, step))
        });
        let (same, step) = step.await.ok()?;
        audit = same;
        match step {
            Ok(Audited::NotYet) => {}
            Ok(Audited::Moved(corrections)) => {
                tell(&core, corrections);
                return Some(false);
            }
            Ok(Audited::Done(corrections)) => {
                tell(&core, corrections);
                return Some(true);
            }
            Err(error) => {
                core.report_trouble(None, Some(error));
                return Some(false);
            }
        }
    }
}

fn tell(core: &Core, corrections: Vec<Correction>) {
    for off in corrections {
        core.emit(&Event::LedgerOff {
            area: off.area,
            counted_bytes: off.counted,
            found_bytes: off.found,
        });
    }
}

//! What is told about what happens: to subscribers, to a logger, and to whoever measures.

use super::Core;
use crate::data_chunk::ChunkId;
use crate::data_manager::events::Event;
use crate::data_manager::metrics::Timings;
use crate::data_source::{Finding, LocalDataSource, LockNews};
use crate::error::Error;

impl Core {
    /// Tells the subscribers something that the planner does not decide on.
    pub(in crate::data_manager) fn emit(&self, event: &Event) {
        self.hub.push(event);
        self.tell();
    }

    /// Wakes who waits for an event, and has somebody log what happened: after the locks were released.
    pub(super) fn tell(&self) {
        self.hub.notify();
        if let Some(writer) = self.hub.begin_log() {
            self.submit_urgent(move || writer.write());
        }
    }

    pub(in crate::data_manager) fn report_trouble(
        &self,
        chunk_id: Option<ChunkId>,
        error: Option<Error>,
    ) {
        if let Some(error) = error {
            self.emit(&Event::DiskTrouble { chunk_id, error });
        }
    }

    /// Notices if somebody was at the directory's lock. With each job that changes the directory, so
    /// that nobody has to wake up for it.
    pub(in crate::data_manager) fn look_at_lock(&self, store: &LocalDataSource) {
        store.look_at_lock(|news| {
            self.emit(&match news {
                LockNews::Trouble(error) => Event::LockTrouble { error },
                LockNews::Back => Event::LockBack,
            });
        });
    }

    /// Counts and reports what opening found beside whole chunks.
    pub(in crate::data_manager) fn report_findings(&self, findings: Vec<Finding>) {
        for finding in findings {
            match finding {
                Finding::Foreign(path) => {
                    self.lock().counters_mut().foreign += 1;
                    self.hub.push(&Event::Foreign { path });
                }
                Finding::Unreadable { path, error } => {
                    self.lock().counters_mut().unreadable += 1;
                    self.hub.push(&Event::Unreadable { path, error });
                }
            }
        }
        self.tell();
    }

    /// Something took a time.
    pub(in crate::data_manager) fn note_time(&self, note: impl FnOnce(&mut Timings)) {
        note(&mut self.timings.lock());
    }

    /// How long things took.
    pub(in crate::data_manager) fn timings(&self) -> Timings {
        let removal = self.look(|planner, _| planner.removals());
        let others = *self.timings.lock();
        Timings { removal, ..others }
    }
}

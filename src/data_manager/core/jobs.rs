//! Where the manager's work is carried out: on the blocking pool, in tasks, at a later time.

use std::sync::Arc;

use super::Core;
use crate::data_manager::events::Event;
use crate::data_manager::planner::{LeavingJob, Moment, Planner, shut_down};
use crate::data_source::{LocalDataSource, Removed, StoredChunk};
use crate::error::{Error, ErrorKind};
use crate::io_operation::IoOperation;
use crate::tasks_manager::{JoinHandle, sleep};

/// The alarm that was decided last.
#[derive(Default)]
pub(super) struct Alarm {
    pub(super) number: u64,
    pub(super) task: Option<JoinHandle<()>>,
}

impl Core {
    /// Runs `job` on the blocking pool, ahead of transfers; an error if there is no pool any more
    /// or the job was lost.
    pub(in crate::data_manager) async fn run_job<T: Send + 'static>(
        &self,
        job: impl FnOnce(&LocalDataSource) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store().ok_or_else(shut_down)?;
        self.run(move || job(&store)).await?
    }

    /// The same with a job that does not need the data directory.
    pub(in crate::data_manager) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let pool = self.pool.upgrade().ok_or_else(shut_down)?;
        let operation = pool.run_urgent(job);
        drop(pool);
        match operation.await {
            Ok(result) => Ok(result),
            Err(lost) => Err(Error::new(
                ErrorKind::Internal,
                format!("a job was lost: {lost}"),
            )),
        }
    }

    /// Gives `job` to the blocking pool, behind what waits there. Where there is none any more the
    /// job is dropped unrun.
    pub(in crate::data_manager) fn submit(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(pool) = self.pool.upgrade() {
            // The job reports for itself: what `run` returns says no more than that.
            drop::<IoOperation<()>>(pool.run(job));
        }
    }

    pub(in crate::data_manager) fn set_max_threads(&self, max_threads: usize) {
        if let Some(pool) = self.pool.upgrade() {
            pool.set_max_threads(max_threads);
        }
    }

    /// The same, ahead of transfers.
    pub(in crate::data_manager) fn submit_urgent(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(pool) = self.pool.upgrade() {
            drop::<IoOperation<()>>(pool.run_urgent(job));
        }
    }

    pub(in crate::data_manager) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        self.tasks.upgrade().map(|tasks| tasks.spawn(task))
    }

    pub(super) fn spawn_job<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        task: impl FnOnce(Arc<Core>) -> F,
    ) {
        // Nobody joins it: it reports to the planner.
        drop(self.spawn(task(self.clone())));
    }

    pub(super) async fn do_leaving_job(
        self: &Arc<Self>,
        stored: StoredChunk,
        job: LeavingJob,
    ) -> Result<(), Error> {
        let chunk_id = stored.spec.id;
        let core = self.clone();
        let moved = self
            .run_job(move |store| {
                core.look_at_lock(store);
                match job {
                    LeavingJob::Bury => store.bury(&stored).map(|()| None),
                    LeavingJob::Exhume => store.exhume(&stored).map(|()| None),
                    LeavingJob::Quarantine => store.quarantine(&stored).map(Some),
                    // Not one job but many: see `scrub.rs`.
                    LeavingJob::Verify => Ok(None),
                    LeavingJob::Remove => store.remove(&stored).map(|removed| match removed {
                        Removed::Gone => None,
                        Removed::KeptForeign(path) => Some(path),
                    }),
                }
            })
            .await?;
        if let Some(path) = moved {
            self.lock().counters_mut().quarantined += 1;
            self.emit(&Event::Quarantined { chunk_id, path });
        }
        Ok(())
    }

    pub(super) fn set_alarm(self: &Arc<Self>, at: Moment, number: u64) {
        let core = Arc::downgrade(self);
        let delay = at.saturating_sub(self.now());
        let task = self.spawn(async move {
            sleep(delay).await;
            if let Some(core) = core.upgrade() {
                core.apply(Planner::tick);
            }
        });
        let alarm = Alarm { number, task };
        let outdated = {
            let mut current = self.alarm.lock();
            // Two threads may carry their actions out in another order than they were decided in:
            // the planner counts on the one it asked for last.
            if current.number < number {
                std::mem::replace(&mut *current, alarm)
            } else {
                alarm
            }
        };
        if let Some(task) = outdated.task {
            task.cancel();
        }
    }
}

//! A moment in which nothing is under way: what is visible, and what the process has, is looked at then.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::scene::Mood;
use super::{QUERY_THREADS, Worker, visible};
use crate::pool;
use crate::process::Footprint;
use crate::words::{Calm, Figures};

/// Between two looks at a manager that is idle and still has a failed chunk to try again.
const LOOK: Duration = Duration::from_millis(20);
/// How many of the chunks that hold it up are named.
const NAMED: usize = 5;

impl Worker {
    /// Has the queries rest, waits until all is reached, and says what there is.
    pub(super) fn calm(&mut self) -> anyhow::Result<Calm> {
        let began = Instant::now();
        let deadline = began + Duration::from_millis(self.orders.patience_ms);
        self.scene.set_mood(Mood::Rest);
        self.scene.manager.set_scrub_rate(None)?;
        let rest = self.scene.wait_for_rest(QUERY_THREADS, deadline);
        ensure!(rest, "a query does not come to an end");
        self.wait_until_reached(deadline)?;
        let took_ms = u64::try_from(began.elapsed().as_millis())?;
        self.expect_tasks_to_end(deadline)?;
        let (events, told) = self.listeners.hear_out(deadline)?;
        let visible = visible(&self.scene.manager)?;
        // What was missed may have been about any chunk.
        if events.quick.missed == self.missed {
            let wrong: Vec<u32> = told
                .iter()
                .filter(|n| !visible.contains_key(n))
                .chain(visible.keys().filter(|n| !told.contains(n)))
                .copied()
                .take(NAMED)
                .collect();
            ensure!(
                wrong.is_empty(),
                "what is visible is not what events say: chunks {wrong:?}"
            );
        }
        self.missed = events.quick.missed;
        self.listeners.begin_with(visible.keys().copied());
        Ok(Calm {
            visible,
            footprint: self.quiet_footprint()?,
            progress: self.progress()?,
            events,
            took_ms,
        })
    }

    fn wait_until_reached(&self, deadline: Instant) -> anyhow::Result<()> {
        let plan = self.scene.plan();
        let wanted = plan.all().count();
        let manager = &self.scene.manager;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let idle = manager.wait_idle(left);
            let figures = Figures::of(manager);
            if idle && figures.unfinished == 0 && figures.available == wanted {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let missing = plan.all().filter(|content| {
                    let guard = manager.get_chunk(&pool::id(content.n));
                    guard.is_none()
                });
                let status = |n: u32| manager.chunk_status(&pool::id(n));
                let missing: Vec<_> = missing
                    .take(NAMED)
                    .map(|content| status(content.n))
                    .collect();
                bail!("idle: {idle}, {wanted} wanted, {figures:?}, such as {missing:?}");
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What the process has once the scrub has given back what it read, or after a second.
    fn quiet_footprint(&self) -> anyhow::Result<Footprint> {
        let began = Instant::now();
        loop {
            let now = Footprint::look()?;
            let open = now.handles.iter();
            let in_chunk = open.filter(|link| link.contains("/dataset_id=")).count();
            if in_chunk == 0 || began.elapsed() > Duration::from_secs(1) {
                return Ok(now);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Every call's; and the assignment, said once more, is reached.
    fn expect_tasks_to_end(&mut self, deadline: Instant) -> anyhow::Result<()> {
        let left = || deadline.saturating_duration_since(Instant::now());
        for task in &self.tasks {
            let ended = task.wait_timeout(left());
            // How it ended says what was superseded, and what failed twice.
            let _ = ended.with_context(|| format!("a task does not end: {task:?}"))?;
        }
        self.forget_ended_tasks();
        let plan = self.scene.plan();
        let chunks: Vec<_> = plan.all().map(|content| self.describe(content)).collect();
        let task = self.scene.manager.set_assignment(chunks);
        let ended = task.wait_timeout(left());
        ended
            .context("the same assignment again does not end")?
            .context("the same assignment again")
    }
}

//! What threads and tasks do: `core.rs` and `download.rs`, with plain data in place of sockets and
//! files.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Action, JobEnd, LeavingJob, Planner, TransferEnd, lost_job};
use super::caller::number_of;
use super::clock::Event;
use super::disk::{End, Part};
use super::duty::{Duty, Fact};
use super::world::{Stage, World};
use crate::data_manager::transfer::{Outcome, Transfer};
use crate::data_source::{CancelToken, FetchFailure, HostSign, Setback, StagingKey};
use crate::tasks_manager::block_on;

impl World {
    /// Does one thing; returns what the same thread does next, before all else.
    pub(super) fn perform(&mut self, duty: Duty) -> Vec<Duty> {
        match duty {
            Duty::Pause(_) | Duty::Read { .. } => unreachable!("the world pauses"),
            Duty::ReadEnded { attempt, index } => {
                self.life.reads.remove(&(attempt, index));
                Vec::new()
            }
            Duty::Act(action) => self.act(action),
            Duty::LetGo(number) => {
                let mut references = self.life.references.iter_mut();
                if let Some(reference) = references.find(|r| r.number == number) {
                    reference.passing = false;
                }
                self.drop_if_last(number);
                Vec::new()
            }
            Duty::TellReleases => self.tell_releases(),
            Duty::Tell(fact) => self.tell(fact),
            Duty::Finish(transfer) => {
                transfer.finish();
                if let Some(attempt) = self.life.attempts.get_mut(&transfer.attempt) {
                    attempt.over = true;
                }
                self.look_for_outcome(transfer.attempt);
                Vec::new()
            }
            Duty::Bring(transfer, outcome) => self.bring(transfer, outcome),
            Duty::Prepare(transfer) => self.prepare(&transfer),
            Duty::Open(transfer, index) => self.open(transfer, index),
            Duty::Opened(fetch) => self.opened(fetch),
            Duty::Receive(fetch) => self.receive(fetch),
            Duty::Store(fetch, count) => self.store(fetch, count),
            Duty::EndFile(transfer, index, result) => self.end_file(transfer, index, result),
            Duty::Commit(transfer, files) => self.commit(transfer, &files),
            Duty::Leave(stored, job) => self.leave(&stored, job),
            Duty::Abandon(key) => self.abandon(key),
            Duty::Lasts(generation, what) => {
                self.disk.lasts(generation, what);
                Vec::new()
            }
            Duty::BreakOff(token) => self.break_off(&token),
            Duty::Examine(stored) => {
                let on_disk = self.disk.chunks.get(&stored.generation);
                let damaged = on_disk.is_none_or(|on_disk| on_disk.damaged);
                let key = (stored.spec.id, stored.generation);
                Vec::from_iter(damaged.then_some(Duty::Tell(Fact::Damaged(key))))
            }
            Duty::ShutDown(from) => self.shut_down_slice(from),
        }
    }

    /// `Core::act`.
    fn act(&mut self, action: Action) -> Vec<Duty> {
        match action {
            Action::Start(transfer) => self.start_transfer(&transfer),
            Action::Fetch(transfer, index) => match self.stage_of(transfer.attempt) {
                Some(Stage::Preparing(waiting)) => waiting.push(index),
                Some(Stage::Ready) => self.submit_file(transfer, index),
                Some(Stage::Failed) | None => self.lose(&transfer, index),
            },
            Action::Finish(transfer) => return vec![Duty::Finish(transfer)],
            Action::Cancel(token) => self.spawn([Duty::BreakOff(token)]),
            Action::Abandon(key) => {
                let pause = Duty::Pause(self.millis(0..10));
                self.spawn([pause, Duty::Abandon(key)]);
            }
            Action::Leaving(stored, job) => {
                let most = if job == LeavingJob::Verify { 500 } else { 20 };
                let pause = Duty::Pause(self.millis(0..most));
                self.spawn([pause, Duty::Leave(stored, job)]);
            }
            Action::Complete(completion, outcome) => {
                self.life.completing -= 1;
                completion.complete(outcome);
            }
            Action::Alarm { at, number } => self.set_alarm(at, number),
            Action::Publish(_) | Action::Retract(_) | Action::Emit(_) => {
                unreachable!("carried out under the lock")
            }
        }
        Vec::new()
    }

    fn stage_of(&mut self, attempt: u64) -> Option<&mut Stage> {
        let attempt = self.life.attempts.get_mut(&attempt);
        attempt.map(|attempt| &mut attempt.stage)
    }

    /// `download::start`.
    fn start_transfer(&mut self, transfer: &Arc<Transfer>) {
        let (operation, completer) = crate::io_operation::IoOperation::new();
        let broken_off = self.life.broken_off.clone();
        let number = transfer.attempt;
        let hook = transfer
            .cancel
            .on_cancel(move || broken_off.lock().push(number));
        if let Some(attempt) = self.life.attempts.get_mut(&number) {
            attempt.operation = Some(operation);
            attempt.hook = Some(Box::new(hook));
        }
        transfer.bind(completer);
        self.look_for_outcome(number);
        let pause = Duty::Pause(self.millis(0..4));
        self.spawn([pause, Duty::Prepare(transfer.clone())]);
    }

    /// Resumes the task, as the executor would once it is woken.
    fn look_for_outcome(&mut self, attempt: u64) {
        let Some(attempt) = self.life.attempts.get_mut(&attempt) else {
            return;
        };
        if attempt.over
            && let Some(operation) = attempt.operation.take()
        {
            // It has its outcome, so this does not block.
            let outcome = block_on(operation);
            let transfer = attempt.transfer.clone();
            let id = transfer.spec.id;
            let outcome = outcome.unwrap_or_else(|lost| Err(lost_job(id, &lost.to_string())));
            self.spawn([Duty::Bring(transfer, outcome)]);
        }
    }

    /// `download::prepare`.
    fn prepare(&mut self, transfer: &Arc<Transfer>) -> Vec<Duty> {
        let key = StagingKey::of(&transfer.spec);
        if self.life.abandoning.iter().any(|other| other.id == key.id) {
            self.fail("fetches into what is being removed");
        }
        let lost = self.disk.trouble > 0 && self.rng.u32(..100) == 0;
        let failure = if transfer.cancel.is_cancelled() {
            Some(FetchFailure::Cancelled)
        } else if lost {
            Some(lost_job(key.id, "it panicked"))
        } else if self.disk.end(&mut self.rng, true) != End::Well {
            Some(Setback::transient(self.disk.error()).into())
        } else {
            None
        };
        let next = match failure {
            None => Stage::Ready,
            Some(_) => Stage::Failed,
        };
        let stage = self.stage_of(transfer.attempt);
        let Some(Stage::Preparing(waiting)) = stage.map(|stage| std::mem::replace(stage, next))
        else {
            self.fail("prepared twice, or after the end");
        };
        let end = match failure {
            None => {
                let staged = self.disk.staging.entry(key).or_default();
                let files = transfer.spec.files.len();
                staged.parts.resize(files, Part::default());
                self.life.leaked.remove(&key);
                transfer.found_staged(|index| staged.parts[index].bytes);
                for index in waiting {
                    self.submit_file(transfer.clone(), index);
                }
                JobEnd::Done
            }
            Some(failure) => {
                transfer.not_prepared(failure);
                for index in waiting {
                    self.lose(transfer, index);
                }
                JobEnd::Failed
            }
        };
        let ended = Fact::JobEnded(transfer.clone(), None, end);
        vec![Duty::Tell(ended)]
    }

    fn submit_file(&mut self, transfer: Arc<Transfer>, index: usize) {
        let pause = Duty::Pause(self.millis(0..4));
        self.spawn([pause, Duty::Open(transfer, index)]);
    }

    /// A job that panicked, or was never run: `Ticket::report_lost`.
    pub(super) fn lose(&mut self, transfer: &Arc<Transfer>, index: usize) {
        let failure = match transfer.cancel.is_cancelled() {
            true => FetchFailure::Cancelled,
            false => lost_job(transfer.spec.id, "it panicked or was never run"),
        };
        transfer.file_ended(index, Err(failure));
        let file = Some((index, HostSign::None));
        let ended = Fact::JobEnded(transfer.clone(), file, JobEnd::Failed);
        self.spawn([Duty::Tell(ended)]);
    }

    /// `download::bring`, after its await.
    fn bring(&mut self, transfer: Arc<Transfer>, outcome: Outcome) -> Vec<Duty> {
        match outcome {
            Ok(files) => vec![Duty::Tell(Fact::MayCommit(transfer, files))],
            Err(failure) => vec![Duty::Tell(failed(transfer, failure))],
        }
    }

    fn break_off(&mut self, token: &CancelToken) -> Vec<Duty> {
        token.cancel();
        let attempts = std::mem::take(&mut *self.life.broken_off.lock());
        for attempt in attempts {
            let reads = self.life.reads.range((attempt, 0)..=(attempt, usize::MAX));
            let reads: Vec<_> = reads.map(|(at, key)| (*at, *key)).collect();
            for (at, key) in reads {
                self.life.reads.remove(&at);
                if let Some(event) = self.clock.take(key) {
                    self.clock.after(Duration::from_millis(1), event);
                }
            }
        }
        Vec::new()
    }

    /// Tells the planner a fact, and what follows from its answer.
    fn tell(&mut self, fact: Fact) -> Vec<Duty> {
        match fact {
            Fact::JobEnded(transfer, file, end) => {
                if let Some((index, sign)) = file {
                    self.landed(&transfer, index, sign);
                }
                let (last, mut duties) =
                    self.decide(|planner, now| planner.job_ended(now, &transfer, file, end));
                duties.extend(last.then_some(Duty::Finish(transfer)));
                duties
            }
            Fact::Answered(transfer, index) => {
                let host = transfer.spec.files[index].host();
                self.life.watches.sign(host, HostSign::Answered);
                self.decide(|planner, now| planner.host_answered(now, &transfer, index))
                    .1
            }
            Fact::MayCommit(transfer, files) => {
                let (may, mut duties) = self.decide(|planner, _| planner.may_commit(&transfer));
                let pause = Duty::Pause(self.millis(0..10));
                match may {
                    true => duties.extend([pause, Duty::Commit(transfer, files)]),
                    false => duties.push(Duty::Tell(failed(transfer, FetchFailure::Cancelled))),
                }
                duties
            }
            Fact::TransferEnded(transfer, end) => {
                self.life.attempts.remove(&transfer.attempt);
                self.note(|| {
                    format!(
                        "    {} attempt {} ended",
                        number_of(transfer.spec.id),
                        transfer.attempt
                    )
                });
                self.decide(|planner, now| planner.transfer_ended(now, &transfer, end))
                    .1
            }
            Fact::LeavingEnded(key, job, result) => self.leaving_ended(key, job, result),
            Fact::Abandoned(key, gone) => {
                self.life.abandoning.remove(&key);
                self.decide(|planner, now| planner.abandoned(now, key, gone))
                    .1
            }
            Fact::Damaged(key) => self.tell_damage(key),
            Fact::Tick(number) => {
                if !self.alarm_rings(number) {
                    return Vec::new();
                }
                let now = self.now();
                self.life.watches.tick(now);
                self.decide(Planner::tick).1
            }
        }
    }

    fn landed(&mut self, transfer: &Transfer, index: usize, sign: HostSign) {
        let landed = self.life.in_flight.remove(&(transfer.attempt, index));
        if landed.is_none() {
            self.fail("landed twice");
        }
        let host = transfer.spec.files[index].host();
        self.life.watches.sign(host, sign);
    }

    pub(super) fn host_turns(&mut self, host: usize) {
        if self.healed {
            return;
        }
        self.hosts[host].mood = super::origin::Mood::random(&mut self.rng);
        let mood = self.hosts[host].mood;
        self.note(|| format!("h{host} is {mood:?}"));
        let delay = self.millis(50..6000);
        self.clock.after(delay, Event::HostTurns(host));
    }

    pub(super) fn disk_turns(&mut self) {
        if self.healed {
            return;
        }
        self.disk.full = !self.disk.full && self.rng.u32(..3) == 0;
        let full = self.disk.full;
        self.note(|| format!("the disk is full: {full}"));
        let delay = self.millis(50..3000);
        self.clock.after(delay, Event::DiskTurns);
    }
}

fn failed(transfer: Arc<Transfer>, failure: FetchFailure) -> Fact {
    let end = TransferEnd {
        result: Err(failure),
        arrived: transfer.arrived(),
        left_behind: None,
    };
    Fact::TransferEnded(transfer, end)
}

//! What became of every call, held against what it may come to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::caller::{content_of, id_of, number_of};
use super::world::World;
use crate::data_chunk::ChunkSpec;
use crate::data_manager::chunk_task::Completion;
use crate::data_source::{Generation, StoredChunk};
use crate::error::{Error, ErrorKind};

/// What a call asked for.
#[derive(Debug)]
pub(super) enum Ask {
    Download {
        n: u32,
        content: u8,
    },
    Delete {
        /// What was on disk of the id, and what was about to be.
        generations: Vec<Generation>,
        attempts: Vec<u64>,
    },
    Assignment {
        wanted: BTreeMap<u32, u8>,
        named: BTreeSet<u32>,
        dropped: Vec<Generation>,
        refused: bool,
    },
}

/// A call whose task has not ended.
pub(super) struct Record {
    ask: Ask,
    /// The first step that comes from it.
    step: u64,
    pub(super) task: Option<Completion>,
    pub(super) was_visible: bool,
    pub(super) refused: bool,
}

#[derive(Default)]
pub(super) struct Ledger {
    open: Vec<Record>,
    /// In which step a content became visible last.
    published: BTreeMap<(u32, u8), u64>,
    generations: BTreeMap<Generation, u64>,
    /// In which step something else was asked for last than before.
    reversed: BTreeMap<u32, u64>,
    /// In which step an assignment began last.
    assignment_began: u64,
    /// Of which content a source said that no retry helps.
    hopeless: BTreeSet<(u32, u8)>,
    wrong_digests: BTreeMap<(u32, u8), u32>,
}

impl Ledger {
    pub(super) fn record(&self, step: u64, ask: Ask) -> Record {
        Record {
            ask,
            step,
            task: None,
            was_visible: false,
            refused: false,
        }
    }

    pub(super) fn add(&mut self, record: Record) {
        self.open.push(record);
    }

    pub(super) fn published(&mut self, step: u64, stored: &StoredChunk) {
        let key = (number_of(stored.spec.id), content_of(&stored.spec));
        self.published.insert(key, step);
        self.generations.insert(stored.generation, step);
    }

    pub(super) fn reversed(&mut self, step: u64, n: u32) {
        self.reversed.insert(n, step);
    }

    pub(super) fn assignment_began(&mut self, step: u64) {
        self.assignment_began = step;
    }

    pub(super) fn hopeless(&mut self, spec: &ChunkSpec, kind: ErrorKind) {
        let key = (number_of(spec.id), content_of(spec));
        let wrong = self.wrong_digests.entry(key).or_default();
        *wrong += u32::from(kind == ErrorKind::Digest);
        if kind != ErrorKind::Digest || *wrong >= 2 {
            self.hopeless.insert(key);
        }
    }

    /// The process that would have told is gone.
    pub(super) fn forget_tasks(&mut self) {
        self.open.clear();
    }

    pub(super) fn open_tasks(&self) -> Vec<&Ask> {
        self.open.iter().map(|record| &record.ask).collect()
    }

    fn was_published(&self, n: u32, content: u8, since: u64) -> bool {
        self.published
            .get(&(n, content))
            .is_some_and(|step| *step >= since)
    }

    fn was_reversed(&self, n: u32, since: u64) -> bool {
        self.reversed.get(&n).is_some_and(|step| *step > since)
    }
}

impl World {
    /// Looks at all tasks that ended since the last time.
    pub(super) fn check_tasks(&mut self) {
        let ended = |record: &mut Record| {
            let task = record.task.as_ref().map(Completion::task);
            task.is_some_and(|task| task.wait_timeout(Duration::ZERO).is_some())
        };
        let ended: Vec<Record> = self.ledger.open.extract_if(.., ended).collect();
        for record in ended {
            let task = record.task.as_ref().map(Completion::task);
            let outcome = task.and_then(|task| task.wait_timeout(Duration::ZERO));
            let outcome = outcome.expect("it ended");
            if let Err(reason) = self.judge(&record, &outcome) {
                let ask = &record.ask;
                self.fail(&format!("{ask:?} ended in {outcome:?}: {reason}"));
            }
        }
    }

    fn judge(&self, record: &Record, outcome: &Result<(), Error>) -> Result<(), &'static str> {
        let kind = outcome.as_ref().err().map(Error::kind);
        if kind == Some(ErrorKind::ShutDown) {
            return expect(self.life.shut_down, "nobody shut it down");
        }
        match &record.ask {
            Ask::Download { n, content } => self.judge_download(record, *n, *content, kind),
            Ask::Delete {
                generations,
                attempts,
            } => self.judge_delete(record, generations, attempts, kind),
            Ask::Assignment { .. } => self.judge_assignment(record, kind),
        }
    }

    fn judge_download(
        &self,
        record: &Record,
        n: u32,
        content: u8,
        kind: Option<ErrorKind>,
    ) -> Result<(), &'static str> {
        let ledger = &self.ledger;
        match kind {
            None => {
                expect(!record.refused, "another content was visible")?;
                let since = ledger.was_published(n, content, record.step);
                expect(record.was_visible || since, "it was not visible since")
            }
            Some(ErrorKind::Refused) => expect(record.refused, "nothing was wrong with it"),
            Some(ErrorKind::Superseded) => {
                expect(ledger.was_reversed(n, record.step), "no call reversed it")
            }
            Some(_) => {
                let hopeless = ledger.hopeless.contains(&(n, content));
                expect(hopeless, "another attempt might have helped")
            }
        }
    }

    fn judge_delete(
        &self,
        record: &Record,
        generations: &[Generation],
        attempts: &[u64],
        kind: Option<ErrorKind>,
    ) -> Result<(), &'static str> {
        let of_it = |generation: &Generation| {
            let by = self.disk.brought_by.get(generation);
            generations.contains(generation) || by.is_some_and(|by| attempts.contains(by))
        };
        match kind {
            None => {
                expect(!self.disk.chunks.keys().any(of_it), "it is still on disk")?;
                expect(!self.disk.ghosts.keys().any(of_it), "it may come back")?;
                let runs = attempts
                    .iter()
                    .any(|at| self.life.attempts.contains_key(at));
                expect(!runs, "its transfer still runs")
            }
            Some(ErrorKind::Superseded) => {
                let mut published = self.ledger.generations.iter();
                let back = published.any(|(at, step)| of_it(at) && *step > record.step);
                expect(back, "what it deleted did not come back")
            }
            Some(_) => Err("a delete does not fail"),
        }
    }

    fn judge_assignment(
        &self,
        record: &Record,
        kind: Option<ErrorKind>,
    ) -> Result<(), &'static str> {
        let Ask::Assignment {
            wanted,
            named,
            dropped,
            refused,
        } = &record.ask
        else {
            return Ok(());
        };
        let ledger = &self.ledger;
        match kind {
            None => {
                expect(!refused, "an entry was bad")?;
                for (n, content) in wanted.iter().filter(|(n, _)| !named.contains(n)) {
                    // What was visible before it began has no later publication.
                    let ever = ledger.was_published(*n, *content, 0);
                    expect(ever, "a chunk of it was never visible")?;
                }
                // What a call has named meanwhile, the call has the last word on.
                let gone = |generation: &Generation| {
                    let on_disk = self.disk.chunks.get(generation);
                    on_disk.is_none_or(|on_disk| named.contains(&number_of(on_disk.stored.spec.id)))
                };
                expect(dropped.iter().all(gone), "what it dropped is on disk")
            }
            Some(ErrorKind::Superseded) => {
                let mut reversed = ledger.reversed.values();
                let reversed = reversed.any(|step| *step > record.step);
                let began = ledger.assignment_began > record.step;
                expect(reversed || began, "no call reversed a part of it")
            }
            Some(ErrorKind::Refused) => expect(*refused, "no entry was bad"),
            Some(_) => {
                // Where an id comes twice, it may be the first that failed.
                let failed = |n: &u32| ledger.hopeless.iter().any(|(other, _)| other == n);
                expect(wanted.keys().any(failed), "nothing of it failed for good")
            }
        }
    }

    /// Whether what is asked for of an id is reached, as its caller sees it.
    pub(super) fn is_reached(&self, n: u32) -> bool {
        let asked = self.asked.get(&n).map(|asked| asked.content);
        let visible = self.visible(id_of(n)).map(|reference| {
            let on_disk = self.disk.chunks.get(&reference.generation);
            on_disk.map_or(u8::MAX, |on_disk| content_of(&on_disk.stored.spec))
        });
        asked == visible
    }
}

fn expect(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

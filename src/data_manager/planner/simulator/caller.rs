//! A caller who asks for anything in any order, and what that should come to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::clock::Event;
use super::disk::OnDisk;
use super::duty::{Duty, Fact};
use super::ledger::Ask;
use super::world::World;
use crate::data_chunk::{ChunkId, ChunkSpec, DataChunk};
use crate::data_manager::stats::Priority;
use crate::data_source::Generation;
use crate::error::{Error, ErrorKind};

/// How many contents there are of each id.
const CONTENTS: u8 = 2;
/// How many entries of an assignment are taken in, or swept, at a time.
const SLICE: usize = 2;

/// What the last call on an id asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) content: u8,
    pub(super) has_urls: bool,
}

/// How far the sweep of an assignment is.
enum Sweep {
    After(Option<ChunkId>),
    Done,
}

/// An assignment whose slices come in.
pub(super) struct OpenAssignment {
    pub(super) epoch: u64,
    /// What is still to come; `None` for a bad entry.
    entries: Vec<(u32, Option<(u8, u8)>)>,
    sweep: Sweep,
    /// The ids that came in.
    seen: BTreeSet<u32>,
    /// The ids that a call named since it began.
    pub(super) named: BTreeSet<u32>,
    pub(super) since: u64,
    pub(super) wanted: BTreeMap<u32, u8>,
    pub(super) refused: bool,
    /// What it dropped.
    pub(super) dropped: Vec<Generation>,
}

pub(super) fn id_of(n: u32) -> ChunkId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    id
}

/// The short name of an id.
pub(super) fn number_of(id: ChunkId) -> u32 {
    u32::from_be_bytes([id[0], id[1], id[2], id[3]])
}

/// Which content a description is of.
pub(super) fn content_of(spec: &ChunkSpec) -> u8 {
    u8::try_from(spec.block_range.end - spec.block_range.start - 1).unwrap()
}

/// The first part of a URL's path says how long the file is.
pub(super) fn size_of(spec: &ChunkSpec, index: usize) -> u64 {
    let size = spec.files[index].url.split('/').nth(3);
    size.and_then(|size| size.parse().ok())
        .expect("a URL of this world")
}

pub(super) fn host_number(name: &str) -> usize {
    name.strip_prefix('h')
        .and_then(|number| number.parse().ok())
        .expect("a host of this world")
}

/// A description whose files are of these hosts and lengths.
pub(super) fn describe(
    (n, content): (u32, u8),
    dataset: u32,
    files: &[(u32, u64)],
) -> Arc<ChunkSpec> {
    let file = |(at, (host, len)): (usize, &(u32, u64))| {
        (
            format!("{at:02}"),
            format!("http://h{host}/{len}/{n}/{content}/{at}"),
        )
    };
    let chunk = DataChunk {
        id: id_of(n),
        dataset_id: id_of(dataset),
        block_range: 0..1 + u64::from(content),
        files: files
            .iter()
            .enumerate()
            .map(file)
            .collect::<HashMap<_, _>>(),
    };
    Arc::new(ChunkSpec::check(chunk).unwrap())
}

impl World {
    /// A description: `site` chooses the URLs.
    pub(super) fn spec(&mut self, n: u32, content: u8, site: u8) -> Arc<ChunkSpec> {
        let hosts = u32::try_from(self.profile.hosts).unwrap();
        let make = || {
            let file = |file: u32| {
                let host = (n + file * (n % 2) + u32::from(site)) % hosts;
                let mix = u64::from(n * 7 + u32::from(content) * 5 + file * 3);
                (host, 1 + ((mix * 2_654_435_761) >> 7) % 40)
            };
            let files: Vec<_> = (0..1 + n % 3).map(file).collect();
            describe((n, content), n % 2, &files)
        };
        self.specs
            .entry((n, content, site))
            .or_insert_with(make)
            .clone()
    }

    fn some_id(&mut self) -> u32 {
        self.rng.u32(..self.profile.ids)
    }

    /// One random call, and when the next one comes.
    pub(super) fn call(&mut self) {
        if self.healed || self.calls_left == 0 {
            return;
        }
        self.calls_left -= 1;
        match self.rng.u32(0..100) {
            0..=37 => {
                let (n, content, site) =
                    (self.some_id(), self.rng.u8(..CONTENTS), self.rng.u8(..2));
                self.want(n, content, site);
            }
            38..=57 => {
                let n = self.some_id();
                self.unwant(n);
            }
            58..=67 => self.assign(),
            68..=77 => self.take_guard(),
            78..=88 => self.drop_guard(),
            89..=91 => self.damage(),
            92..=95 => self.prioritize(),
            96..=97 => self.change_limits(),
            98 => self.pause_or_resume(),
            _ if self.rng.u32(..3) == 0 => self.shut_down(),
            _ => {}
        }
        if self.calls_left > 0 {
            let pace = self.profile.pace.mul_f64(self.rng.f64() * self.rng.f64());
            self.clock.after(pace, Event::Call);
        }
    }

    fn named(&mut self, n: u32) {
        if let Some(open) = &mut self.life.assignment {
            open.named.insert(n);
        }
    }

    pub(super) fn want(&mut self, n: u32, content: u8, site: u8) {
        self.note(|| format!("want {n} content {content} at {site}"));
        let spec = self.spec(n, content, site);
        let visible = self.visible(id_of(n)).is_some();
        let before = self.asked.get(&n).map(|asked| asked.content);
        let refused = visible && before != Some(content);
        let mut record = self
            .ledger
            .record(self.steps + 1, Ask::Download { n, content });
        record.was_visible = visible && !refused;
        record.refused = refused;
        if !refused && !self.life.shut_down {
            self.named(n);
            self.asks(
                n,
                Some(Asked {
                    content,
                    has_urls: true,
                }),
            );
        } else if refused {
            self.named(n);
        }
        record.task = Some(self.apply(|planner, now| planner.want(now, spec)));
        self.ledger.add(record);
    }

    /// What the last call asks for changes.
    fn asks(&mut self, n: u32, asked: Option<Asked>) {
        let before = match asked {
            Some(asked) => self.asked.insert(n, asked),
            None => self.asked.remove(&n),
        };
        let content = |asked: Option<Asked>| asked.map(|asked| asked.content);
        if content(before) != content(asked) {
            let of_id = |on_disk: &&mut OnDisk| on_disk.stored.spec.id == id_of(n);
            let found = self.disk.chunks.values_mut().filter(of_id);
            found.for_each(|on_disk| on_disk.found = false);
            self.ledger.reversed(self.steps + 1, n);
        }
    }

    pub(super) fn unwant(&mut self, n: u32) {
        self.note(|| format!("unwant {n}"));
        let id = id_of(n);
        let attempts = self.life.attempts.values();
        let of_id = attempts.filter(|attempt| attempt.transfer.spec.id == id);
        let ask = Ask::Delete {
            generations: self.disk.generations_of(id),
            attempts: of_id.map(|attempt| attempt.transfer.attempt).collect(),
        };
        let mut record = self.ledger.record(self.steps + 1, ask);
        if !self.life.shut_down {
            self.named(n);
            self.asks(n, None);
        }
        record.task = Some(self.apply(|planner, now| planner.unwant(now, id)));
        if !self.life.shut_down && self.visible(id).is_some() {
            self.fail("visible when the delete returned");
        }
        self.ledger.add(record);
    }

    fn assign(&mut self) {
        let mut entries = Vec::new();
        for n in 0..self.profile.ids {
            let entry = (self.rng.u8(..CONTENTS), self.rng.u8(..2));
            match self.rng.u32(..20) {
                0 => entries.push((n, None)),
                1..=11 => entries.push((n, Some(entry))),
                _ => {}
            }
        }
        if self.rng.u32(..3) == 0 {
            // What is asked for already, so that nothing changes.
            let asked = self
                .asked
                .iter()
                .map(|(n, asked)| (*n, Some((asked.content, 0))));
            entries = asked.collect();
        }
        if let Some((n, _)) = entries.first().copied()
            && self.rng.u32(..5) == 0
        {
            // The later entry counts.
            entries.push((n, Some((self.rng.u8(..CONTENTS), 0))));
        }
        self.rng.shuffle(&mut entries);
        self.note(|| format!("assign {entries:?}"));
        let epoch = self.apply(|planner, _| planner.assignment_begin());
        self.ledger.assignment_began(self.steps);
        self.life.assignment = Some(OpenAssignment {
            epoch,
            entries,
            sweep: Sweep::After(None),
            seen: BTreeSet::new(),
            named: BTreeSet::new(),
            since: self.steps,
            wanted: BTreeMap::new(),
            refused: false,
            dropped: Vec::new(),
        });
        self.clock.after(Duration::ZERO, Event::Slice(epoch));
    }

    /// `OpenAssignment::add`, `assignment_sweep` and `assignment_end`.
    pub(super) fn assignment_slice(&mut self, epoch: u64) {
        let open = self.life.assignment.take_if(|open| open.epoch == epoch);
        let Some(mut open) = open else { return };
        if !open.entries.is_empty() {
            let most = SLICE.min(open.entries.len());
            let slice: Vec<_> = open.entries.drain(..most).collect();
            self.assign_slice(&mut open, &slice);
        } else if let Sweep::After(from) = open.sweep {
            let to = self.sweep_slice(&mut open, from);
            open.sweep = to.map_or(Sweep::Done, |to| Sweep::After(Some(to)));
        } else {
            return self.end_assignment(open);
        }
        self.life.assignment = Some(open);
        let delay = self.millis(0..8);
        self.clock.after(delay, Event::Slice(epoch));
    }

    fn assign_slice(&mut self, open: &mut OpenAssignment, slice: &[(u32, Option<(u8, u8)>)]) {
        self.note(|| format!("assignment {}: {slice:?}", open.epoch));
        let mut chunks = Vec::new();
        for (n, entry) in slice {
            let chunk = match entry {
                Some((content, site)) => Ok(self.spec(*n, *content, *site)),
                None => {
                    let error = Error::new(ErrorKind::Refused, "a bad entry");
                    Err((id_of(*n), error))
                }
            };
            chunks.push(chunk);
            if self.life.shut_down {
                continue;
            }
            open.refused |= entry.is_none();
            open.seen.insert(*n);
            let Some((content, _)) = *entry else { continue };
            if open.named.contains(n) {
                let same = self
                    .asked
                    .get(n)
                    .is_some_and(|asked| asked.content == content);
                open.wanted.extend(same.then_some((*n, content)));
            } else {
                open.wanted.insert(*n, content);
                self.asks(
                    *n,
                    Some(Asked {
                        content,
                        has_urls: true,
                    }),
                );
            }
        }
        let epoch = open.epoch;
        // What is known may be told in short.
        let in_short = self.rng.bool();
        self.apply(|planner, now| {
            for chunk in chunks {
                let said = chunk.as_ref().ok().filter(|_| in_short);
                let said = said.map(|spec| (spec.id, spec.said));
                if !(planner.assign_known(epoch, said.into_iter())).contains(&true) {
                    planner.assign(now, epoch, chunk);
                }
            }
        });
    }

    fn sweep_slice(&mut self, open: &mut OpenAssignment, from: Option<ChunkId>) -> Option<ChunkId> {
        let epoch = open.epoch;
        // What is dropped has to be known before it is, and how far the slice goes only after it.
        let ids = self.planner.ids_after(from, SLICE);
        if !self.life.shut_down {
            for id in ids {
                let n = number_of(id);
                if self.asked.contains_key(&n)
                    && !open.seen.contains(&n)
                    && !open.named.contains(&n)
                {
                    let visible = self.visible(id).map(|visible| visible.generation);
                    open.dropped.extend(visible);
                    self.asks(n, None);
                }
            }
        }
        let to = self.apply(|planner, now| planner.assignment_sweep(now, epoch, from, SLICE));
        self.note(|| format!("assignment {epoch} is swept to {:?}", to.map(number_of)));
        to
    }

    fn end_assignment(&mut self, open: OpenAssignment) {
        let epoch = open.epoch;
        let mut record = self.ledger.record(
            open.since,
            Ask::Assignment {
                wanted: open.wanted,
                named: open.named,
                dropped: open.dropped,
                refused: open.refused,
            },
        );
        record.task = Some(self.apply(|planner, _| planner.assignment_end(epoch)));
        self.ledger.add(record);
    }

    fn take_guard(&mut self) {
        let references = self.life.references.iter_mut();
        let mut visible: Vec<_> = references.filter(|r| r.in_catalogue).collect();
        if !visible.is_empty() {
            let at = self.rng.usize(..visible.len());
            visible[at].guards += 1;
            let n = number_of(visible[at].id);
            self.note(|| format!("take a guard of {n}"));
        }
    }

    fn drop_guard(&mut self) {
        let references = self.life.references.iter_mut();
        let mut held: Vec<_> = references.filter(|r| r.guards > 0).collect();
        if !held.is_empty() {
            let at = self.rng.usize(..held.len());
            held[at].guards -= 1;
            let (n, number) = (number_of(held[at].id), held[at].number);
            self.note(|| format!("drop a guard of {n}"));
            self.let_go(number);
        }
    }

    fn let_go(&mut self, number: u64) {
        if self.drop_if_last(number) {
            // The bell rings, and the task that listens goes on.
            self.spawn([Duty::TellReleases]);
        }
    }

    pub(super) fn drop_all_guards(&mut self) {
        self.note(|| "drop all guards".to_owned());
        let mut held = Vec::new();
        for reference in &mut self.life.references {
            if std::mem::take(&mut reference.guards) > 0 {
                held.push(reference.number);
            }
        }
        for number in held {
            self.let_go(number);
        }
    }

    /// Somebody from outside is at a visible chunk; perhaps that is seen soon.
    fn damage(&mut self) {
        let n = self.some_id();
        let Some(generation) = self.visible(id_of(n)).map(|visible| visible.generation) else {
            return;
        };
        self.note(|| format!("damage {n} g{generation}"));
        if let Some(on_disk) = self.disk.chunks.get_mut(&generation) {
            on_disk.damaged = true;
        }
        if self.rng.bool() {
            let pause = Duty::Pause(self.millis(0..500));
            self.spawn([pause, Duty::Tell(Fact::Damaged((id_of(n), generation)))]);
        }
    }

    pub(super) fn tell_damage(&mut self, key: (ChunkId, Generation)) -> Vec<Duty> {
        let (id, generation) = key;
        let visible = self.visible(id).map(|visible| visible.generation);
        if visible == Some(generation) {
            self.found_damaged(key);
        }
        self.note(|| format!("found damaged: {} g{generation}", number_of(id)));
        let error = Error::new(ErrorKind::Damaged, "a file is missing");
        self.decide(|planner, now| planner.damaged(now, key, error))
            .1
    }

    /// What is asked for is not what is on disk.
    pub(super) fn found_damaged(&mut self, (id, generation): (ChunkId, Generation)) {
        if let Some(on_disk) = self.disk.chunks.get_mut(&generation) {
            // It may not be shown again, and is not removed but put aside.
            (on_disk.condemned, on_disk.put_aside) = (true, true);
        }
        if !self.asked.get(&number_of(id)).is_some_and(|a| a.has_urls) {
            self.asks(number_of(id), None);
        }
    }

    fn prioritize(&mut self) {
        let n = self.some_id();
        let priority = [Priority::High, Priority::Normal][self.rng.usize(..2)];
        self.note(|| format!("{n} has priority {priority:?}"));
        let known = self.apply(|planner, _| planner.prioritize(id_of(n), priority));
        if known != self.asked.contains_key(&n) && !self.life.shut_down {
            self.fail("set_priority says wrongly whether the chunk is wanted");
        }
    }

    /// Also where that changes nothing.
    fn pause_or_resume(&mut self) {
        let paused = self.rng.bool();
        self.set_paused(paused);
    }

    pub(super) fn set_paused(&mut self, paused: bool) {
        self.note(|| format!("pause: {paused}"));
        self.life.paused = paused;
        self.apply(|planner, _| planner.set_paused(paused));
    }

    fn change_limits(&mut self) {
        if self.rng.bool() {
            self.slots = self.rng.usize(1..5);
            let slots = self.slots;
            self.note(|| format!("{slots} slots"));
            self.apply(|planner, _| planner.set_slots(slots));
        } else {
            self.slots_per_host = self.rng.usize(1..4);
            let slots = self.slots_per_host;
            self.note(|| format!("{slots} slots for each host"));
            self.apply(|planner, _| planner.set_slots_per_host(slots));
        }
    }
}

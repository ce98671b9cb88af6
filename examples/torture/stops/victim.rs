//! The process that is killed: does what its steps say, and says what it knows, a line for each.
//!
//! | line | meaning |
//! | --- | --- |
//! | `want N V` | asks for content V of chunk N |
//! | `have N V` | it is visible |
//! | `drop N` | asks for chunk N to be gone |
//! | `gone N`, `buried N` | it is gone; it will be, whatever happens |
//! | `hold N V`, `release N` | takes a reference to it; is about to let go of it |
//! | `failed …` | a request ended in an error, and is made again |
//! | `trouble K` | the manager spoke of so many failures until the end |

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use data_manager::Error;
use data_manager::data_manager::{
    ChunkGuard, ChunkTask, DataManagerImpl, Durability, Event, Events,
};

use crate::stops::chunks::{self, MISSING, describe, id};
use crate::stops::look;
use crate::stops::script::Step;

/// How long a victim waits for one thing. Only reached where something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it asks for a thing that it is refused.
const ATTEMPTS: usize = 5;

/// What a victim exits with if it could not do what it was told.
const GAVE_UP: i32 = 9;

/// How a directory is opened, by victims and by those who look after them.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Where chunks come from.
    pub(crate) origin: PathBuf,
    pub(crate) durability: Durability,
}

struct Victim<'a> {
    dir: &'a Path,
    terms: &'a Terms,
    manager: DataManagerImpl,
    events: Events,
    trouble: usize,
    /// The chunks that it holds, with the content that they had.
    guards: BTreeMap<u8, (ChunkGuard, u8)>,
    /// The deletes of what it holds.
    deletes: BTreeMap<u8, ChunkTask>,
    /// What it asked for last, and has.
    wanted: BTreeMap<u8, u8>,
}

/// A manager that tries again soon, in as few threads as it can.
pub(crate) fn open(dir: &Path, terms: &Terms) -> Result<DataManagerImpl, Error> {
    DataManagerImpl::builder()
        .data_dir(dir)
        .serve_files_from(&terms.origin)
        .durability(terms.durability)
        .threads(1)
        .slots(1)
        .first_backoff(Duration::from_millis(4))
        .longest_backoff(Duration::from_millis(20))
        .open()
}

/// Does the steps, and ends without tidying up.
pub(crate) fn run(dir: &Path, terms: &Terms, steps: &[Step]) -> anyhow::Result<()> {
    // Nothing starts before whoever traces this process is ready.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    std::thread::spawn(|| {
        std::thread::sleep(3 * PATIENCE);
        say("failed for ever: it hangs");
        std::process::exit(GAVE_UP);
    });
    let (manager, events) = open_again(dir, terms)?;
    let mut victim = Victim {
        dir,
        terms,
        manager,
        events,
        trouble: 0,
        guards: BTreeMap::new(),
        deletes: BTreeMap::new(),
        wanted: BTreeMap::new(),
    };
    for id in victim.manager.list_chunks() {
        victim.wanted.insert(chunks::number(&id), 0);
    }
    for step in steps {
        victim.take(*step).with_context(|| format!("step {step}"))?;
    }
    victim.count_trouble();
    say(&format!("trouble {}", victim.trouble));
    std::process::exit(0);
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever reads it may be gone; then nobody cares.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Opens the directory; what failed once may succeed the next time. What could not be read is not
/// shown, and tried again at the next start.
fn open_again(dir: &Path, terms: &Terms) -> anyhow::Result<(DataManagerImpl, Events)> {
    for _ in 0..ATTEMPTS {
        let manager = again("open", || open(dir, terms))?;
        if manager.stats().totals.unreadable == 0 {
            let events = manager.events();
            return Ok((manager, events));
        }
        say("failed open: something cannot be read");
        again("shutdown", || manager.shutdown(PATIENCE))?;
    }
    bail!("something can never be read")
}

fn again<T>(what: &str, mut attempt: impl FnMut() -> Result<T, Error>) -> anyhow::Result<T> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => {
                say(&format!("failed {what}: {error}"));
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) => Err(error).context(format!("{what} failed {ATTEMPTS} times")),
        None => bail!("{what} was never tried"),
    }
}

fn end_of(task: &ChunkTask) -> Result<(), Error> {
    let end = task.wait_timeout(PATIENCE);
    end.unwrap_or_else(|| {
        say("failed for ever: a task does not end");
        std::process::exit(GAVE_UP);
    })
}

impl Victim<'_> {
    fn take(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Get(n, version) => self.get(n, version),
            Step::Miss(n) => {
                say(&format!("want {n} {MISSING}"));
                let chunk = describe(n, MISSING, &self.terms.origin);
                let end = end_of(&self.manager.download_chunk(chunk));
                if end.is_ok() {
                    bail!("chunk {n} is there without its file");
                }
                Ok(())
            }
            Step::Drop(n) => {
                self.unwant(n);
                again("drop", || end_of(&self.manager.delete_chunk(id(n))))?;
                say(&format!("gone {n}"));
                Ok(())
            }
            Step::Hold(n) => {
                let guard = self.manager.get_chunk(&id(n));
                let guard = guard.with_context(|| format!("chunk {n} is not visible"))?;
                let version = self.wanted.get(&n).copied().unwrap_or_default();
                say(&format!("hold {n} {version}"));
                self.guards.insert(n, (guard, version));
                Ok(())
            }
            Step::Bury(n) => {
                self.unwant(n);
                self.deletes.insert(n, self.manager.delete_chunk(id(n)));
                self.wait_idle()?;
                say(&format!("buried {n}"));
                Ok(())
            }
            Step::Release(n) => self.release(n),
            Step::Assign(set) => self.assign(set),
            Step::Settle => self.settle(),
            Step::Found(n) => self.found(n),
            Step::Restart => self.restart(),
            Step::Close => self.close(),
        }
    }

    fn unwant(&mut self, n: u8) {
        say(&format!("drop {n}"));
        self.wanted.remove(&n);
    }

    fn get(&mut self, n: u8, version: u8) -> anyhow::Result<()> {
        say(&format!("want {n} {version}"));
        self.wanted.insert(n, version);
        again("get", || {
            let chunk = describe(n, version, &self.terms.origin);
            end_of(&self.manager.download_chunk(chunk))
        })?;
        self.has(n, version)
    }

    /// The manager says that the chunk is visible: so it is.
    fn has(&self, n: u8, version: u8) -> anyhow::Result<()> {
        let guard = self.manager.get_chunk(&id(n));
        let guard = guard.with_context(|| format!("chunk {n} {version} is not visible"))?;
        if guard.block_range().start != chunks::first_block(n, version) {
            bail!("chunk {n} is not of content {version}");
        }
        say(&format!("have {n} {version}"));
        Ok(())
    }

    fn release(&mut self, n: u8) -> anyhow::Result<()> {
        say(&format!("release {n}"));
        drop(self.guards.remove(&n));
        let Some(task) = self.deletes.remove(&n) else {
            return Ok(());
        };
        // A delete that was taken back has ended long before.
        let end = end_of(&task);
        if self.wanted.contains_key(&n) {
            return Ok(());
        }
        if let Err(error) = end {
            say(&format!("failed release: {error}"));
            again("drop", || end_of(&self.manager.delete_chunk(id(n))))?;
        }
        say(&format!("gone {n}"));
        Ok(())
    }

    fn assign(&mut self, set: u16) -> anyhow::Result<()> {
        let wanted: Vec<u8> = (0..chunks::CHUNKS).filter(|n| set >> n & 1 == 1).collect();
        let before: BTreeSet<u8> = self.wanted.keys().copied().collect();
        for n in before.iter().filter(|n| !wanted.contains(n)) {
            self.unwant(*n);
        }
        for n in &wanted {
            say(&format!("want {n} 0"));
            self.wanted.insert(*n, 0);
        }
        again("assign", || {
            let set = wanted.iter().map(|n| describe(*n, 0, &self.terms.origin));
            end_of(&self.manager.set_assignment(set))
        })?;
        for n in &wanted {
            self.has(*n, 0)?;
        }
        for n in before.iter().filter(|n| !wanted.contains(n)) {
            say(&format!("gone {n}"));
        }
        Ok(())
    }

    fn wait_idle(&self) -> anyhow::Result<()> {
        if !self.manager.wait_idle(PATIENCE) {
            bail!("it does not become idle");
        }
        Ok(())
    }

    /// Waits until nothing is left to do. What failed behind the start is left to the next one.
    fn settle(&mut self) -> anyhow::Result<()> {
        self.wait_idle()?;
        let deadline = Instant::now() + PATIENCE;
        while !trash_is_empty(self.dir) {
            self.count_trouble();
            if self.trouble > 0 {
                break;
            }
            if Instant::now() > deadline {
                bail!("the trash is not emptied");
            }
            // That is done behind the start, and no figure tells when.
            std::thread::sleep(Duration::from_millis(1));
        }
        self.wait_idle()
    }

    /// Waits until a damaged chunk has left the view; if it was not looked at, over a new start.
    fn found(&mut self, n: u8) -> anyhow::Result<()> {
        let mut deadline = Instant::now() + PATIENCE;
        while self.manager.get_chunk(&id(n)).is_some() {
            let trouble = self.trouble;
            self.count_trouble();
            if self.trouble > trouble {
                deadline = Instant::now() + PATIENCE / 40;
            }
            if Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            } else if self.trouble > 0 {
                self.restart()?;
                deadline = Instant::now() + PATIENCE;
            } else {
                bail!("the damage of chunk {n} is not found");
            }
        }
        self.wait_idle()
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        self.count_trouble();
        self.close()?;
        (self.manager, self.events) = open_again(self.dir, self.terms)?;
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        again("shutdown", || self.manager.shutdown(PATIENCE))
    }

    fn count_trouble(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            let trouble = matches!(
                event,
                Event::Retried { .. }
                    | Event::Failed { .. }
                    | Event::DiskTrouble { .. }
                    | Event::Damaged { .. }
                    | Event::Quarantined { .. }
                    | Event::Unreadable { .. }
            );
            if trouble {
                self.trouble += 1;
                say(&format!("trouble: {event:?}"));
            }
        }
    }
}

/// Whether there is nothing in the trash.
pub(crate) fn trash_is_empty(dir: &Path) -> bool {
    // An error is told to whoever looks the next time.
    look::entries(&dir.join("_trash")).is_ok_and(|found| found.is_empty())
}

//! What the `log` facade is told: the same as the subscribers, at levels that can be lived with, and
//! never so that a logger could hold anybody up. In a binary of its own, since there is one logger.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use data_manager::data_chunk::DataChunk;
use data_manager::data_manager::{DataManagerImpl, Event};
use log::{Level, LevelFilter};
use support::origin::{Gate, Origin, Reply};
use support::{DEADLINE, builder, bytes, chunk, id, open, temp_dir};

const CANARY: &str = "canary5e1c";

type Hook = Arc<dyn Fn(&str) + Send + Sync>;

struct Collector {
    lines: Mutex<Vec<(Level, String)>>,
    came: Condvar,
    /// What it does with each line before it takes it.
    hook: Mutex<Option<Hook>>,
}

static COLLECTOR: Collector = Collector {
    lines: Mutex::new(Vec::new()),
    came: Condvar::new(),
    hook: Mutex::new(None),
};
static TURN: Mutex<()> = Mutex::new(());

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() != "data_manager" {
            return;
        }
        let line = record.args().to_string();
        let hook = self.hook.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(&line);
        }
        self.lines.lock().unwrap().push((record.level(), line));
        self.came.notify_all();
    }

    fn flush(&self) {}
}

impl Collector {
    fn lines(&self) -> Vec<(Level, String)> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn wait_for(&self, what: &str) {
        let deadline = Instant::now() + DEADLINE;
        let mut lines = self.lines.lock().unwrap();
        while !lines.iter().any(|(_, line)| line.contains(what)) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never logged: {what}; {lines:#?}");
            lines = self.came.wait_timeout(lines, left).unwrap().0;
        }
    }
}

/// The tests take turns: there is one logger.
fn begin(level: LevelFilter, hook: Option<Hook>) -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Somebody else has set it before, from the second test on.
    let _ = log::set_logger(&COLLECTOR);
    COLLECTOR
        .lines
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
    *COLLECTOR.hook.lock().unwrap() = hook;
    log::set_max_level(level);
    turn
}

fn of(origin: &Origin, n: u8, name: &str) -> DataChunk {
    let url = origin.url(name);
    let url = url.replace("://", &format!("://u{CANARY}:p{CANARY}@"));
    let block = u64::from(n);
    let query = format!("{url}?X-Signature={CANARY}");
    chunk(n, block..block + 1, [("f", query)])
}

fn origin() -> Origin {
    let origin = Origin::start();
    let query = |name: &str| format!("{name}?X-Signature={CANARY}");
    origin.file(&query("good"), bytes(1, 100_000));
    origin.script(&query("gone"), vec![Reply::Status(404)]);
    let content = Reply::File(bytes(2, 10).into());
    origin.script(&query("busy"), vec![Reply::Status(503), content]);
    origin
}

fn done(task: &data_manager::data_manager::ChunkTask) -> Result<(), data_manager::Error> {
    task.wait_timeout(DEADLINE).unwrap()
}

#[test]
fn what_is_logged_is_what_subscribers_are_told_in_that_order() {
    let _turn = begin(LevelFilter::Trace, None);
    let (dir, origin) = (temp_dir(), origin());
    std::fs::write(dir.path().join("odd\nname"), "").unwrap();
    let manager = open(dir.path());
    let events = manager.events();
    done(&manager.download_chunk(of(&origin, 1, "good"))).unwrap();
    done(&manager.download_chunk(of(&origin, 2, "gone"))).unwrap_err();
    done(&manager.download_chunk(of(&origin, 3, "busy"))).unwrap();
    manager.pause();
    manager.resume();
    done(&manager.delete_chunk(id(1))).unwrap();
    done(&manager.delete_chunk(id(2))).unwrap();
    manager.shutdown(DEADLINE).unwrap();

    let (progress, lines): (Vec<_>, Vec<_>) = COLLECTOR
        .lines()
        .into_iter()
        .partition(|(level, _)| *level == Level::Trace);
    assert!(!progress.is_empty());
    let logged: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
    let told = events.filter(|event| !matches!(event, Event::Progress { .. }));
    let told: Vec<String> = told.map(|event| event.to_string()).collect();
    assert_eq!(logged, told);
    for (level, what) in [
        (Level::Debug, "chunk 0101010101"),
        (Level::Debug, "is wanted"),
        (Level::Debug, "attempt 1 begins"),
        (Level::Info, "is available, 100000 bytes"),
        (Level::Warn, "cannot be had: "),
        (Level::Info, "attempt 1 failed, the next one is due in"),
        (Level::Debug, "is not wanted any more"),
        (Level::Info, "is removed"),
        (Level::Info, "paused"),
        (Level::Info, "resumed"),
        (Level::Warn, r"odd\nname"),
    ] {
        let found = |(at, line): &(Level, String)| *at == level && line.contains(what);
        assert!(lines.iter().any(found), "{level} {what}: {lines:#?}");
    }
    for (_, line) in progress.iter().chain(&lines) {
        assert!(!line.contains(CANARY), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

/// It may block for as long as it likes, and call whatever it likes.
#[test]
fn a_logger_that_blocks_or_calls_back_holds_nobody_up() {
    let gate = Gate::default();
    let manager: Arc<Mutex<Option<Arc<DataManagerImpl>>>> = Arc::default();
    let hook: Hook = {
        let (gate, manager) = (gate.clone(), manager.clone());
        Arc::new(move |line| {
            let manager = manager.lock().unwrap().clone();
            if let Some(manager) = manager {
                gate.wait_open();
                drop(manager.stats());
                drop(manager.chunk_status(&id(1)));
                drop(manager.events());
                if line.contains("is available") {
                    // What follows from it is logged behind it.
                    drop(manager.delete_chunk(id(3)));
                }
            }
        })
    };
    let _turn = begin(LevelFilter::Debug, Some(hook));
    let (dir, origin) = (temp_dir(), origin());
    let opened = Arc::new(builder(dir.path()).open().unwrap());
    *manager.lock().unwrap() = Some(opened.clone());
    done(&opened.download_chunk(of(&origin, 1, "good"))).unwrap();
    done(&opened.download_chunk(of(&origin, 3, "busy"))).unwrap();
    assert_eq!(COLLECTOR.lines(), []);
    assert_eq!(opened.list_chunks().len(), 2);

    gate.open();
    COLLECTOR.wait_for("is removed");
    manager.lock().unwrap().take();
    drop(opened);
    let lines = COLLECTOR.lines();
    let text = |at: usize| lines[at].1.as_str();
    assert!(text(0).contains("is wanted") && text(1).contains("attempt 1"));
    assert!(text(2).contains("is available") && text(3).contains("is wanted"));
}

#[test]
fn a_logger_that_panics_loses_that_line_only() {
    let hook: Hook = Arc::new(|line| assert!(!line.contains("is wanted"), "in a logger"));
    let _turn = begin(LevelFilter::Debug, Some(hook));
    let (dir, origin) = (temp_dir(), origin());
    let manager = open(dir.path());
    done(&manager.download_chunk(of(&origin, 1, "good"))).unwrap();
    COLLECTOR.wait_for("is available");
    manager.shutdown(DEADLINE).unwrap();
    let lines = COLLECTOR.lines();
    assert!(lines.iter().any(|(_, line)| line.contains("attempt 1")));
}

#[test]
fn only_what_is_asked_for_is_logged() {
    let _turn = begin(LevelFilter::Warn, None);
    let (dir, origin) = (temp_dir(), origin());
    let manager = open(dir.path());
    done(&manager.download_chunk(of(&origin, 1, "good"))).unwrap();
    done(&manager.download_chunk(of(&origin, 2, "gone"))).unwrap_err();
    manager.shutdown(DEADLINE).unwrap();
    let lines = COLLECTOR.lines();
    assert!(
        lines.iter().all(|(level, _)| *level == Level::Warn),
        "{lines:#?}"
    );
    assert!(lines[0].1.contains("cannot be had"));
}

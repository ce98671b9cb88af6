//! Where things happen: how it is written, and which are taken of many.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, bail};
use nix::errno::Errno;

use crate::stops::tracer::{Deed, Spot, Traced};

/// What is injected beside kills.
pub(crate) const ERRNOS: [(&str, Errno); 5] = [
    ("EIO", Errno::EIO),
    ("ENOSPC", Errno::ENOSPC),
    ("EROFS", Errno::EROFS),
    ("EMFILE", Errno::EMFILE),
    ("EINTR", Errno::EINTR),
];

/// A system call of an undisturbed run, and what is to happen there.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) label: String,
    pub(crate) path: String,
    /// Which of the calls of this label on this path; from 1.
    pub(crate) nth: u32,
    pub(crate) deed: Deed,
}

impl Point {
    /// `CALL:PATH:N:before`
    pub(crate) fn format(&self) -> String {
        let (label, path, nth) = (&self.label, &self.path, self.nth);
        format!("{label}:{path}:{nth}:{}", name_of(self.deed))
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Point> {
        let parts: Vec<&str> = text.split(':').collect();
        let [label, path, nth, deed] = parts[..] else {
            bail!("{text:?} is not CALL:PATH:N:WHAT");
        };
        Ok(Point {
            label: label.to_owned(),
            nth: nth.parse()?,
            deed: deed_of(deed).with_context(|| format!("nothing is called {deed}"))?,
            path: path.to_owned(),
        })
    }

    pub(crate) fn plan(&self) -> (Spot, Deed) {
        let spot = Spot::Nth(self.label.clone(), self.path.clone(), self.nth);
        (spot, self.deed)
    }
}

/// What it is called on the command line.
pub(crate) fn name_of(deed: Deed) -> &'static str {
    match deed {
        Deed::KillBefore => "before",
        Deed::KillAfter => "after",
        Deed::Short => "short",
        Deed::Fail(errno) => {
            let known = ERRNOS.iter().find(|(_, known)| *known == errno);
            known.map_or("?", |(name, _)| *name)
        }
    }
}

fn deed_of(name: &str) -> Option<Deed> {
    Some(match name {
        "before" => Deed::KillBefore,
        "after" => Deed::KillAfter,
        "short" => Deed::Short,
        _ => Deed::Fail(ERRNOS.iter().find(|(known, _)| *known == name)?.1),
    })
}

/// Before and after each call that changes something.
pub(crate) fn kills(traced: &Traced) -> Vec<Point> {
    let changing = traced.calls.iter().filter(|(call, _)| call.changes);
    changing
        .flat_map(|(call, nth)| {
            [Deed::KillBefore, Deed::KillAfter].map(|deed| Point {
                label: call.label.to_owned(),
                nth: *nth,
                deed,
                path: call.path.clone(),
            })
        })
        .collect()
}

/// Each error at each call, and half a write or half a read where there is something to halve.
pub(crate) fn errors(traced: &Traced) -> Vec<Point> {
    let mut points = Vec::new();
    for (call, nth) in &traced.calls {
        let short = call.count.is_some_and(|count| count > 1);
        let errnos = ERRNOS.iter().map(|(_, errno)| Deed::Fail(*errno));
        for deed in errnos.chain(short.then_some(Deed::Short)) {
            points.push(Point {
                label: call.label.to_owned(),
                nth: *nth,
                deed,
                path: call.path.clone(),
            });
        }
    }
    points
}

/// Puts things into an order in which each beginning is spread over all of them: that of the
/// numbers written backwards (van der Corput, 1935), from a place that the seed says.
pub(crate) fn spread<T>(things: Vec<T>, seed: u64) -> Vec<T> {
    let bits = usize::BITS - things.len().leading_zeros();
    let len = things.len().max(1);
    let turn = usize::try_from(seed).unwrap_or_default().wrapping_mul(7919) % len;
    let key = |at: usize| ((at + turn) % len).reverse_bits() >> (usize::BITS - bits.max(1));
    let mut keyed: Vec<(usize, T)> = things
        .into_iter()
        .enumerate()
        .map(|(at, thing)| (key(at), thing))
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, thing)| thing).collect()
}

/// Does `work` on each thing, on so many threads, until the time is over or too much has failed.
/// Returns how many were done.
pub(crate) fn on_threads<T: Sync>(
    (things, jobs, until): (&[T], usize, Option<Instant>),
    failures: &Failures,
    work: impl Fn(&T) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<usize> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    let broken = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && !failures.are_enough() {
                    let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        return;
                    };
                    if until.is_some_and(|until| Instant::now() > until) {
                        return;
                    }
                    match work(thing) {
                        Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => {
                            stop.store(true, Ordering::Relaxed);
                            broken.lock().map(|mut broken| *broken = Some(error)).ok();
                        }
                    }
                }
            });
        }
    });
    match broken.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(done.into_inner()),
    }
}

/// What did not hold.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    found: Mutex<BTreeMap<String, String>>,
}

impl Failures {
    /// More would say nothing new.
    const ENOUGH: usize = 60;

    pub(crate) fn add(&self, replay: String, error: &anyhow::Error) {
        println!("FAILED  --only '{replay}'\n        {error:#}");
        if let Ok(mut found) = self.found.lock() {
            found.insert(replay, format!("{error:#}"));
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.found.lock().map_or(0, |found| found.len())
    }

    fn are_enough(&self) -> bool {
        self.count() >= Self::ENOUGH
    }

    /// How many of them are of one script.
    pub(crate) fn of(&self, script: &str) -> usize {
        let of_it = |replay: &&String| replay.split(':').next() == Some(script);
        let found = self.found.lock();
        found.map_or(0, |found| found.keys().filter(of_it).count())
    }
}

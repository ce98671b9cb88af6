//! `errors`: each system call on the data directory fails once, in each way.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::anyhow;
use nix::errno::Errno;

use crate::stops::kills::{tell, undisturbed};
use crate::stops::options::Options;
use crate::stops::points::{self, Failures, Point, on_threads, spread};
use crate::stops::script::{self, Script};
use crate::stops::stage::{Stage, State};
use crate::stops::tracer::Deed;

/// How often what is not to be seen is looked for again, once it was seen.
const AGAIN: usize = 2;

/// The figures of one kind of error.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    injected: usize,
    /// The process spoke of a failure.
    told: usize,
    /// The process had done all before the call came.
    late: usize,
    failed: usize,
}

struct Run<'a> {
    stage: &'a Stage,
    failures: Failures,
    figures: Mutex<BTreeMap<&'static str, Figures>>,
}

/// What a script does where nothing happens.
struct Prepared<'a> {
    script: &'a Script,
    state: State,
    trouble: usize,
}

/// Runs the mode; whether all held.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let stage = Stage::set_up(options)?;
    let run = Run {
        stage: &stage,
        failures: Failures::default(),
        figures: Mutex::default(),
    };
    let begun = Instant::now();
    let scripts = script::all();
    if let Some(only) = &options.only {
        return run.only(only);
    }
    let (mut work, mut prepared) = (Vec::new(), Vec::new());
    for script in &scripts {
        let Some((ready, points)) = run.prepare(script)? else {
            continue;
        };
        work.extend(points.into_iter().map(|point| (prepared.len(), point)));
        prepared.push(ready);
    }
    let (of, work) = (work.len(), spread(work, options.seed));
    let until = options.seconds.map(|seconds| begun + seconds);
    let done = on_threads((&work, options.jobs, until), &run.failures, |item| {
        let (at, point) = item;
        run.inject(&prepared[*at], point);
        Ok(())
    })?;
    run.print();
    println!(
        "{done} of {of} points in {} scripts; {} failed; {:.0} s",
        scripts.len(),
        run.failures.count(),
        begun.elapsed().as_secs_f64()
    );
    Ok(run.failures.count() == 0)
}

impl Run<'_> {
    fn prepare<'a>(
        &self,
        script: &'a Script,
    ) -> anyhow::Result<Option<(Prepared<'a>, Vec<Point>)>> {
        let Some((state, played)) = undisturbed(self.stage, script, &self.failures)? else {
            return Ok(None);
        };
        let points = points::errors(&played.traced);
        let trouble = played.trouble();
        let prepared = Prepared {
            script,
            state,
            trouble,
        };
        Ok(Some((prepared, points)))
    }

    fn inject(&self, prepared: &Prepared<'_>, point: &Point) {
        let mut result = self.survives(prepared, point);
        for _ in 0..AGAIN {
            // Something else may have failed meanwhile, and been spoken of.
            if matches!(result, Ok((_, true))) && is_to_be_invisible(point) {
                result = self.survives(prepared, point);
            }
        }
        if matches!(result, Ok((_, true))) && is_to_be_invisible(point) {
            result = Err(anyhow!("a call that is to be made again was a failure"));
        }
        if let Ok(mut figures) = self.figures.lock() {
            let figures = figures.entry(points::name_of(point.deed)).or_default();
            match &result {
                Ok((true, told)) => {
                    figures.injected += 1;
                    figures.told += usize::from(*told);
                }
                Ok((false, _)) => figures.late += 1,
                Err(_) => {
                    figures.injected += 1;
                    figures.failed += 1;
                }
            }
        }
        if let Err(error) = result {
            let replay = format!("{}:{}", prepared.script.name, point.format());
            self.failures.add(replay, &error);
        }
    }

    /// Whether the error came, and whether the process spoke of it.
    fn survives(&self, prepared: &Prepared<'_>, point: &Point) -> anyhow::Result<(bool, bool)> {
        let mut state = self.stage.copy(&prepared.state)?;
        let plan = point.plan();
        let played = self
            .stage
            .play(&mut state, prepared.script.steps, Some(&plan))?;
        played.ensure_done()?;
        let told = played.trouble() > prepared.trouble;
        self.stage.check(&state)?;
        self.stage.forget(&state);
        Ok((played.traced.hit.is_some(), told))
    }

    /// Once more a script, with what is written behind its name: nothing, or `CALL:PATH:N:EIO`.
    fn only(&self, only: &str) -> anyhow::Result<bool> {
        let (script, point) = script::named(only)?;
        let (Some((prepared, _)), Some(point)) = (self.prepare(&script)?, point) else {
            return Ok(self.failures.count() == 0);
        };
        let point = Point::parse(point)?;
        let mut state = self.stage.copy(&prepared.state)?;
        tell(
            &self
                .stage
                .play(&mut state, script.steps, Some(&point.plan()))?,
        );
        self.inject(&prepared, &point);
        Ok(self.failures.count() == 0)
    }

    fn print(&self) {
        println!(
            "{:8} {:>9} {:>6} {:>6} {:>7}",
            "error", "injected", "told", "late", "failed"
        );
        let Ok(figures) = self.figures.lock() else {
            return;
        };
        for (kind, f) in figures.iter() {
            println!(
                "{kind:8} {:>9} {:>6} {:>6} {:>7}",
                f.injected, f.told, f.late, f.failed
            );
        }
    }
}

/// A signal that came in between is nobody's business where the standard library makes the call
/// again; of the other calls, none says so on a local disk. Half a write goes on with the other half.
fn is_to_be_invisible(point: &Point) -> bool {
    const REPEATED: [&str; 5] = ["openat.read", "read", "write", "sync", "ftruncate"];
    let creates = ["open", "openat", "openat2"].contains(&point.label.as_str());
    let repeated = creates || REPEATED.iter().any(|part| point.label.contains(part));
    match point.deed {
        Deed::Fail(Errno::EINTR) => repeated,
        Deed::Short => true,
        _ => false,
    }
}

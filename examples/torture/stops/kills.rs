//! `kills`: kill -9 before and after each system call that changes something, and again in the
//! recovery from what that left.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::time::Instant;

use crate::stops::look;
use crate::stops::options::Options;
use crate::stops::points::{self, Failures, Point, on_threads, spread};
use crate::stops::script::{self, RECOVERY, Script};
use crate::stops::stage::{Played, Stage, State};
use crate::stops::tracer;

/// How many kills a recovery gets where time is short.
const OF_A_RECOVERY: usize = 6;

/// Between a kill and the one in the recovery from it.
const THEN: &str = " then ";

/// The figures of one script.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    calls: usize,
    kills: usize,
    /// The process had done all before the call came.
    late: usize,
    states: usize,
    recoveries: usize,
    recovery_kills: usize,
}

struct Run<'a> {
    stage: &'a Stage,
    options: &'a Options,
    failures: Failures,
    figures: Mutex<BTreeMap<&'static str, Figures>>,
    /// How often a process was killed at each kind of call.
    at: Mutex<BTreeMap<&'static str, usize>>,
    /// The shapes of directories that are recovered.
    shapes: Mutex<HashSet<String>>,
    /// What kills left: of which script, how to have it again, and where it is.
    left: Mutex<Vec<(&'static str, String, State)>>,
}

/// Runs the mode; whether all held.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let stage = Stage::set_up(options)?;
    let run = Run {
        stage: &stage,
        options,
        failures: Failures::default(),
        figures: Mutex::default(),
        at: Mutex::default(),
        shapes: Mutex::default(),
        left: Mutex::default(),
    };
    if let Some(only) = &options.only {
        return run.only(only);
    }
    let begun = Instant::now();
    // What is left of the first part goes to the second.
    let first = options.seconds.map(|seconds| begun + seconds.mul_f64(0.6));
    let second = options.seconds.map(|seconds| begun + seconds);
    run.scripts(first)?;
    run.recoveries(second)?;
    run.print(begun);
    Ok(run.failures.count() == 0)
}

impl Run<'_> {
    /// Counts a kill, if it came.
    fn count_kill(&self, played: &Played) -> usize {
        if let (Some(call), Ok(mut at)) = (&played.traced.hit, self.at.lock()) {
            *at.entry(call.label).or_default() += 1;
        }
        usize::from(played.traced.hit.is_some())
    }

    fn note(&self, script: &'static str, change: impl FnOnce(&mut Figures)) {
        if let Ok(mut figures) = self.figures.lock() {
            change(figures.entry(script).or_default());
        }
    }

    /// Kills each script at each of its calls.
    fn scripts(&self, until: Option<Instant>) -> anyhow::Result<()> {
        let mut work = Vec::new();
        let scripts = script::all();
        let mut prepared = Vec::new();
        for script in &scripts {
            let Some((state, played)) = undisturbed(self.stage, script, &self.failures)? else {
                continue;
            };
            let points = points::kills(&played.traced);
            self.note(script.name, |figures| figures.calls = points.len() / 2);
            work.extend(points.into_iter().map(|point| (prepared.len(), point)));
            prepared.push((script, state));
        }
        let work = spread(work, self.options.seed);
        on_threads((&work, self.options.jobs, until), &self.failures, |item| {
            let (at, point) = item;
            let (script, state) = &prepared[*at];
            self.kill(script, state, point)
        })?;
        Ok(())
    }

    fn kill(&self, script: &Script, prepared: &State, point: &Point) -> anyhow::Result<()> {
        let mut state = self.stage.copy(prepared)?;
        let played = self
            .stage
            .play(&mut state, script.steps, Some(&point.plan()))?;
        let replay = format!("{}:{}", script.name, point.format());
        let hit = self.count_kill(&played);
        self.note(script.name, |figures| {
            figures.kills += hit;
            figures.late += 1 - hit;
        });
        self.keep(script.name, &replay, &state)?;
        if let Err(error) = self.survived(&played, &state) {
            self.failures.add(replay, &error);
        }
        self.stage.forget(&state);
        Ok(())
    }

    /// Whether all is well after a kill, or after an end that no kill came before.
    fn survived(&self, played: &Played, state: &State) -> anyhow::Result<()> {
        if played.traced.hit.is_none() {
            played.ensure_done()?;
        }
        self.stage.check(state)
    }

    /// Keeps a directory whose recovery is to be killed, unless there is one like it.
    fn keep(&self, script: &'static str, replay: &str, state: &State) -> anyhow::Result<()> {
        let shape = look::shape(&state.dir)?;
        let fresh = self
            .shapes
            .lock()
            .is_ok_and(|mut shapes| shapes.insert(shape));
        if fresh || self.options.all {
            let copy = self.stage.copy(state)?;
            self.note(script, |figures| figures.states += 1);
            if let Ok(mut left) = self.left.lock() {
                left.push((script, replay.to_owned(), copy));
            }
        }
        Ok(())
    }

    /// Kills the recovery of what the kills left.
    fn recoveries(&self, until: Option<Instant>) -> anyhow::Result<()> {
        let left = self.left.lock().map(|mut left| std::mem::take(&mut *left));
        let mut left = left.unwrap_or_default();
        left.sort_by(|a, b| a.1.cmp(&b.1));
        let left = spread(left, self.options.seed);
        on_threads((&left, self.options.jobs, until), &self.failures, |item| {
            let (script, replay, state) = item;
            self.recovery((script, replay), state, until)?;
            self.stage.forget(state);
            Ok(())
        })?;
        Ok(())
    }

    fn recovery(
        &self,
        (script, replay): (&'static str, &str),
        state: &State,
        until: Option<Instant>,
    ) -> anyhow::Result<()> {
        let mut copy = self.stage.copy(state)?;
        let played = self.stage.play(&mut copy, RECOVERY, None)?;
        self.stage.forget(&copy);
        if let Err(error) = played.ensure_done() {
            self.failures.add(replay.to_owned(), &error);
            return Ok(());
        }
        self.note(script, |figures| figures.recoveries += 1);
        let mut points = spread(points::kills(&played.traced), self.options.seed);
        if until.is_some() {
            points.truncate(OF_A_RECOVERY);
        }
        for point in &points {
            if until.is_some_and(|until| Instant::now() > until) {
                break;
            }
            let mut copy = self.stage.copy(state)?;
            let played = self.stage.play(&mut copy, RECOVERY, Some(&point.plan()))?;
            let hit = self.count_kill(&played);
            self.note(script, |figures| figures.recovery_kills += hit);
            if let Err(error) = self.survived(&played, &copy) {
                let replay = format!("{replay}{THEN}{}", point.format());
                self.failures.add(replay, &error);
            }
            self.stage.forget(&copy);
        }
        Ok(())
    }

    /// Once more a script, with what is written behind its name: nothing, or a kill as
    /// `CALL:PATH:N:before`, perhaps with one of the recovery behind it.
    fn only(&self, only: &str) -> anyhow::Result<bool> {
        let (script, points) = script::named(only)?;
        let Some(points) = points else {
            undisturbed(self.stage, &script, &self.failures)?;
            return Ok(self.failures.count() == 0);
        };
        let mut state = self.stage.prepare(&script)?;
        let mut steps = script.steps;
        for point in points.split(THEN) {
            let point = Point::parse(point)?;
            let played = self.stage.play(&mut state, steps, Some(&point.plan()))?;
            tell(&played);
            steps = RECOVERY;
        }
        if let Err(error) = self.stage.check(&state) {
            self.failures.add(only.to_owned(), &error);
        }
        Ok(self.failures.count() == 0)
    }

    fn print(&self, begun: Instant) {
        println!(
            "{:12} {:>6} {:>6} {:>5} {:>7} {:>11} {:>14} {:>7}",
            "script", "calls", "kills", "late", "states", "recoveries", "kills in them", "failed"
        );
        let Ok(figures) = self.figures.lock() else {
            return;
        };
        let (mut kills, mut again) = (0, 0);
        for (script, f) in figures.iter() {
            println!(
                "{script:12} {:>6} {:>6} {:>5} {:>7} {:>11} {:>14} {:>7}",
                f.calls,
                f.kills,
                f.late,
                f.states,
                f.recoveries,
                f.recovery_kills,
                self.failures.of(script)
            );
            kills += f.kills;
            again += f.recovery_kills;
        }
        if let Ok(at) = self.at.lock() {
            let at: Vec<String> = at.iter().map(|(call, n)| format!("{call} {n}")).collect();
            println!("killed at: {}", at.join(", "));
        }
        println!(
            "{} kills, {again} of them in recoveries; {} survived, {} failed; {:.0} s",
            kills + again,
            (kills + again).saturating_sub(self.failures.count()),
            self.failures.count(),
            begun.elapsed().as_secs_f64()
        );
    }
}

/// What a script finds, and what it does where nothing happens; `None` if not even that goes well.
pub(crate) fn undisturbed(
    stage: &Stage,
    script: &Script,
    failures: &Failures,
) -> anyhow::Result<Option<(State, Played)>> {
    let run = || {
        let state = stage.prepare(script)?;
        let mut copy = stage.copy(&state)?;
        let played = stage.play(&mut copy, script.steps, None)?;
        played.ensure_done()?;
        stage.check(&copy)?;
        stage.forget(&copy);
        Ok((state, played))
    };
    match run() {
        Ok(found) => Ok(Some(found)),
        Err(error) if tracer::is_missing(&error) => Err(error),
        Err(error) => {
            failures.add(script.name.to_owned(), &error);
            Ok(None)
        }
    }
}

/// What a process did and said, for a person.
pub(crate) fn tell(played: &Played) {
    for (call, nth) in &played.traced.calls {
        println!("  {}:{nth} {}", call.label, call.path);
    }
    println!(
        "  hit {:?}, ended with {:?}",
        played.traced.hit, played.traced.code
    );
    for line in &played.said {
        println!("  said: {line}");
    }
    print!("{}", played.errors);
}

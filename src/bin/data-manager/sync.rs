//! `data-manager sync`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::outcome::conclude;
use crate::output::Output;
use crate::place::Place;
use crate::report::Report;
use crate::settings::Settings;
use crate::whole::make_whole;
use crate::work::{Patience, Work};

const EXAMPLES: &str = "\
Examples:
  data-manager sync --assignment assignment.json
  data-manager sync --assignment https://scheduler.example.com/workers/7.json --watch --every 10s
  data-manager sync --assignment s3://bucket/worker-7.json --watch --json
  data-manager --data-dir /data sync --assignment a.json --bandwidth-limit 50MB --max-bytes 1TB
  data-manager --config worker.json sync --assignment a.json
  data-manager sync --assignment a.json --header data.example.com @token.txt

Without --watch it ends once all is reached, with 0 if every chunk is there, and 1 if not: then each
chunk that failed is on a line. What failed in a way that may pass is tried again until it comes,
or until nothing has moved for --give-up-after. With --watch it goes on until SIGINT or SIGTERM, which
is a good end: 0.";

/// Make the directory hold what an assignment says, and nothing else
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The assignment: a file, - for the standard input, or an http, https, s3 or file URL
    #[arg(long, value_name = "FILE|URL")]
    assignment: Place,
    /// Go on: ask for the assignment again and again
    #[arg(long, conflicts_with_all = ["give_up_after", "timeout"])]
    watch: bool,
    /// How often it is asked for
    #[arg(long, value_name = "TIME", default_value = "30s", requires = "watch")]
    #[arg(value_parser = crate::values::duration)]
    every: Duration,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    settings: Settings,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    match args.watch {
        true => watch(args, global, out),
        false => once(args, global, out),
    }
}

fn once(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    // What cannot be read is known before anything is touched.
    let local = args.assignment.read_local()?;
    let mut work = Work::begin(args.settings.builder(global)?)?;
    let asked = Arc::new(OnceLock::new());
    let (place, to_tell) = (args.assignment.clone(), asked.clone());
    work.job(move |manager| {
        let chunks = match local {
            Some(chunks) => chunks,
            None => place.read(manager)?,
        };
        let task = manager.set_assignment(chunks.iter().cloned());
        // Nobody else sets it.
        let _ = to_tell.set(chunks);
        let mut errors = Vec::from_iter(task.wait().err());
        errors.extend(make_whole(
            manager,
            to_tell.get().map_or(&[], Vec::as_slice),
        ));
        Ok(errors)
    })?;
    let mut report = Report::new(out);
    let ended = work.watch(&mut report, &args.patience);
    conclude(work, ended, asked.get().map(Vec::as_slice), report)
}

fn watch(args: &Args, global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    let builder = args.settings.builder(global)?;
    let (url, builder) = args.assignment.to_follow(builder)?;
    let work = Work::<()>::begin(builder)?;
    let follower = match work.manager().follow_assignment(&url, args.every) {
        Ok(follower) => follower,
        Err(error) => {
            work.end(&mut Report::new(out))?;
            return Err(error.into());
        }
    };
    let mut report = Report::of_follower(out, &follower);
    let ended = work.watch(&mut report, &Patience::default());
    work.end(&mut report)?;
    ended.map(|_| Exit::Done)
}

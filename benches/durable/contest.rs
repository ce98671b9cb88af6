//! Runs the processes in turn, and prints the table.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::figures::{median, median_ratio};
use crate::nginx::Nginx;
use crate::options::{Job, Options, Part, Place, durability};

const SYNCING: &str = "raw loop, fsync of each file";
const PLAIN: &str = "raw loop";
const LEVELS: [&str; 3] = ["full", "ordered", "none"];

/// One way to fetch it all, and what that took, round by round.
struct Runner {
    name: String,
    job: Job,
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

pub(crate) fn run(options: &Options, part: Part, nginx: &Nginx) -> anyhow::Result<()> {
    let load = part.load();
    println!(
        "\n{} chunks of {} files of {} bytes, from nginx on this machine; {} rounds in turn",
        load.chunks, load.files, load.file_bytes, options.rounds
    );
    let place = Place {
        origin: nginx.address(),
        load,
        dir: options.dir.clone(),
    };
    let mut runners = runners(options, &place);
    let mut kept = Vec::new();
    for _ in 0..options.rounds {
        for runner in &mut runners {
            let target = runner.once(options)?;
            // ext4 passes over inodes that were removed in the last minutes, one by one: with all that the
            // rounds before have removed, to create a file would be most of what is measured.
            if part == Part::Small {
                kept.push(target);
            }
        }
    }
    let of = |name: &str| runners.iter().find(|runner| runner.name == name);
    println!("                                   wall ms   CPU ms   wall/raw+fsync   CPU/raw");
    for runner in &runners {
        let ratio = |mine: &[f64], to: Option<&[f64]>| {
            to.map_or(f64::NAN, |other| median_ratio(mine, other))
        };
        println!(
            "  {:30} {:9.1} {:8.1} {:16.3} {:9.3}",
            runner.name,
            median(&runner.wall) * 1e3,
            median(&runner.cpu) * 1e3,
            ratio(&runner.wall, of(SYNCING).map(|other| &*other.wall)),
            ratio(&runner.cpu, of(PLAIN).map(|other| &*other.cpu)),
        );
    }
    println!("  goal of full: {}", goal(part));
    Ok(())
}

fn goal(part: Part) -> &'static str {
    match part {
        Part::Big => "wall/raw+fsync at most 1.15, CPU/raw at most 1.25",
        Part::Small => "wall/raw+fsync at most 1.00",
    }
}

/// All of them, or the one that was asked for; a level that the library does not have is left out.
fn runners(options: &Options, place: &Place) -> Vec<Runner> {
    let raw = |name: &str, fsync| {
        let place = place.clone();
        (name.to_owned(), Job::Raw { fsync, place })
    };
    let mut jobs = vec![raw(SYNCING, true), raw(PLAIN, false)];
    for level in LEVELS {
        let place = place.clone();
        if let Some(durability) = durability(level) {
            jobs.push((level.to_owned(), Job::Library { durability, place }));
        }
    }
    jobs.into_iter()
        .filter(|(name, _)| options.only.as_ref().is_none_or(|only| only == name))
        .map(|(name, job)| Runner {
            name,
            job,
            wall: Vec::new(),
            cpu: Vec::new(),
        })
        .collect()
}

impl Runner {
    /// One process, with a directory of its own on a disk that has nothing else to do.
    fn once(&mut self, options: &Options) -> anyhow::Result<TempDir> {
        let target = TempDir::new_in(&options.dir)?;
        let mut job = self.job.clone();
        match &mut job {
            Job::Library { place, .. } | Job::Raw { place, .. } => {
                place.dir = target.path().join("data");
            }
        }
        // What the runs before this one left behind is not for this one to wait for.
        let synced = Command::new("sync").status().context("cannot run sync")?;
        ensure!(synced.success(), "sync failed");
        let begun = Instant::now();
        let output = Command::new(std::env::current_exe()?)
            .args(job.to_arguments())
            .stderr(Stdio::inherit())
            .output()?;
        self.wall.push(begun.elapsed().as_secs_f64());
        ensure!(output.status.success(), "{} failed", self.name);
        let printed = String::from_utf8(output.stdout)?;
        self.cpu.push(printed.trim().parse()?);
        Ok(target)
    }
}

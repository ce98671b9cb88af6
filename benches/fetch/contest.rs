//! Runs the processes in turn, and prints the table.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tempfile::TempDir;

use crate::figures::{median, median_ratio};
use crate::library::sha256_of;
use crate::nginx::Nginx;
use crate::options::{Options, Place};

const RAW: &str = "raw-256";
const CURL: &str = "curl";
const USUAL: [&str; 6] = [
    RAW,
    "splice-256",
    "library",
    "library-4",
    "library-sha256",
    CURL,
];

/// The variable of the environment in which a process finds the digest of a file.
pub(crate) const SHA256: &str = "FETCH_SHA256";

/// One way to fetch it all, and what that took, round by round.
struct Runner {
    /// Its place in the first round, and in the table.
    turn: usize,
    name: String,
    /// Not a process of this benchmark.
    program: Option<PathBuf>,
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

pub(crate) fn run(options: &Options, nginx: &Nginx) -> anyhow::Result<()> {
    println!(
        "{} files of {} bytes, from nginx on this machine; {} rounds in turn",
        options.files, options.file_bytes, options.rounds
    );
    let digest = sha256_of(options.file_bytes);
    let mut runners = runners(options);
    for _ in 0..options.rounds {
        for runner in &mut runners {
            runner.once(options, nginx, &digest)?;
        }
        // Nobody always comes after the same one, whose pages the system still throws away.
        runners.rotate_left(1);
    }
    runners.sort_by_key(|runner| runner.turn);
    println!("                     wall ms   CPU ms    wall and CPU to: raw            curl");
    for runner in &runners {
        print!(
            "  {:16} {:9.1} {:8.1}                 ",
            runner.name,
            median(&runner.wall) * 1e3,
            median(&runner.cpu) * 1e3,
        );
        for other in [RAW, CURL] {
            match runners.iter().find(|runner| runner.name == other) {
                Some(other) => print!(
                    "{:6.3} {:6.3}   ",
                    median_ratio(&runner.wall, &other.wall),
                    median_ratio(&runner.cpu, &other.cpu)
                ),
                None => print!("     -      -   "),
            }
        }
        println!();
    }
    for peer in runners.iter().filter(|runner| runner.program.is_some()) {
        if let Some(ours) = runners.iter().find(|runner| runner.name == "library") {
            println!(
                "  library to {}: wall {:.3}, CPU {:.3}",
                peer.name,
                median_ratio(&ours.wall, &peer.wall),
                median_ratio(&ours.cpu, &peer.cpu)
            );
        }
    }
    println!(
        "  goals: library to raw at most 1.10 and 1.10, to curl 0.50 and 0.90, to reqwest 0.40 and 0.40"
    );
    Ok(())
}

fn runners(options: &Options) -> Vec<Runner> {
    let runner = |name: String, program| Runner {
        turn: 0,
        name,
        program,
        wall: Vec::new(),
        cpu: Vec::new(),
    };
    let mut names: Vec<String> = options.only.clone();
    if names.is_empty() {
        names = USUAL.map(str::to_owned).to_vec();
    }
    let mut runners: Vec<_> = names
        .into_iter()
        .map(|name| {
            let program = (name == CURL).then(|| PathBuf::from(CURL));
            runner(name, program)
        })
        .collect();
    for peer in &options.peers {
        let name = peer.file_name().unwrap_or_default();
        runners.push(runner(name.display().to_string(), Some(peer.clone())));
    }
    for (turn, runner) in runners.iter_mut().enumerate() {
        runner.turn = turn;
    }
    runners
}

impl Runner {
    /// One process, with a directory of its own on a disk that has nothing else to do.
    fn once(&mut self, options: &Options, nginx: &Nginx, digest: &str) -> anyhow::Result<()> {
        let target = TempDir::new_in(&options.dir)?;
        let place = Place {
            origin: nginx.address(),
            files: options.files,
            file_bytes: options.file_bytes,
            dir: target.path().join("data"),
        };
        let mut command = self.command(&place)?;
        command.env(SHA256, digest).stdout(Stdio::null());
        if self.name == CURL {
            // It shows its progress whatever it is told.
            command.stderr(Stdio::null());
        }
        // What the runs before this one left behind is not for this one to wait for.
        let synced = Command::new("sync").status().context("cannot run sync")?;
        ensure!(synced.success(), "sync failed");
        let (begun, before) = (Instant::now(), used()?);
        let status = command.status();
        let status = status.with_context(|| format!("cannot run {}", self.name))?;
        self.wall.push(begun.elapsed().as_secs_f64());
        self.cpu.push(used()? - before);
        ensure!(status.success(), "{} failed", self.name);
        Ok(())
    }

    fn command(&self, place: &Place) -> anyhow::Result<Command> {
        let Some(program) = &self.program else {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(place.to_arguments(&self.name));
            return Ok(command);
        };
        let mut command = Command::new(program);
        if self.name == CURL {
            command.args(["--silent", "--show-error", "--fail", "--parallel"]);
            command.args(["--create-dirs", "--output"]);
            command.arg(place.dir.join("#1"));
            command.arg(format!("http://{}/[0-{}]", place.origin, place.files - 1));
        } else {
            command.args(place.to_words());
        }
        Ok(command)
    }
}

/// The processor's time of all children that have ended, in seconds.
fn used() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}

//! Hostile ground: full disks, directories that nobody may write to, and what strangers plant.
//!
//! Each check is a process of its own with a directory of its own and a time limit, so one that
//! hangs or falls over says so and stops no other.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `full.rs` | no space, no inodes |
//! | `rights.rs` | a read-only mount, another user, the modes of what is made |
//! | `links.rs` | a symbolic link in place of everything |
//! | `things.rs` | FIFOs, devices and files in place of what the store expects |
//! | `world.rs` | chunks, stores, what is outside |

mod full;
mod links;
mod rights;
mod things;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::power::sandbox::{self, Sandbox, Side};
use world::Ground;

const HELP: &str = "\
Runs the store on hostile ground: full and read-only disks, another user, links, FIFOs, devices and
strangers' files in place of its own. Needs root and util-linux.

Usage: torture ground [OPTIONS]

Options:
  --only TEXT  only the checks whose names contain this
  --list       print the names";

/// A check that takes longer hangs.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// They wait more than they work.
const AT_A_TIME: usize = 4;

/// What a check does. What it returns is worth saying.
type Action = dyn Fn(&Ground) -> anyhow::Result<String>;

struct Check {
    name: String,
    run: Box<Action>,
}

fn checks() -> Vec<Check> {
    let mut checks = full::checks();
    checks.extend(rights::checks());
    checks.extend(links::checks());
    checks.extend(things::checks());
    checks
}

impl Check {
    fn new(
        name: impl Into<String>,
        run: impl Fn(&Ground) -> anyhow::Result<String> + 'static,
    ) -> Check {
        Check {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    match args {
        [first, name, dir] if first == "check" => return one(name, dir.as_ref()),
        [first, dir] if first == "nobody" => return rights::as_nobody(dir.as_ref()),
        [help] if help == "--help" => {
            println!("{HELP}");
            return Ok(());
        }
        _ => {}
    }
    let Side::Inside(sandbox, args) = sandbox::enter("ground", &["setpriv", "mknod"], args)? else {
        return Ok(());
    };
    let mut names: Vec<String> = checks().into_iter().map(|check| check.name).collect();
    match args {
        [] => {}
        [only, text] if only == "--only" => names.retain(|name| name.contains(text)),
        [list] if list == "--list" => {
            println!("{}", names.join("\n"));
            return Ok(());
        }
        _ => bail!("unknown arguments {}; try --help", args.join(" ")),
    }
    all(&sandbox, &names)
}

/// The child process of a check.
fn one(name: &str, dir: &Path) -> anyhow::Result<()> {
    let check = checks().into_iter().find(|check| check.name == name);
    let note = (check.context("no such check")?.run)(&Ground::at(dir))?;
    println!("{note}");
    Ok(())
}

fn all(sandbox: &Sandbox, names: &[String]) -> anyhow::Result<()> {
    let started = Instant::now();
    // Where the program lies now, another user may not go.
    let program = sandbox.path().join("torture");
    fs::copy(std::env::current_exe()?, &program).context("copy the program")?;
    let next = AtomicUsize::new(0);
    let ended: Mutex<BTreeMap<usize, anyhow::Result<String>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(name) = names.get(index) else { break };
                    let outcome = in_a_process(&program, sandbox, index, name);
                    if let Ok(mut ended) = ended.lock() {
                        ended.insert(index, outcome);
                    }
                }
            });
        }
    });
    let ended = ended.into_inner().ok().context("a check was lost")?;
    let mut failed = 0;
    for (name, outcome) in names.iter().zip(ended.values()) {
        match outcome {
            Ok(note) if note.is_empty() => println!("ok      {name}"),
            Ok(note) => println!("ok      {name} ({note})"),
            Err(error) => {
                println!("FAILED  {name}: {error:#}");
                failed += 1;
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "ground: {} checks in {seconds:.0} s, {failed} failed",
        names.len()
    );
    if failed > 0 {
        bail!("again: torture ground --only NAME");
    }
    Ok(())
}

fn in_a_process(
    program: &Path,
    sandbox: &Sandbox,
    index: usize,
    name: &str,
) -> anyhow::Result<String> {
    let dir = sandbox.path().join(format!("check-{index}"));
    fs::create_dir(&dir)?;
    let (said, complaints) = (dir.join("stdout"), dir.join("stderr"));
    let mut child = Command::new("sh")
        // Some would read a device until the memory is full.
        .args(["-c", "umask 022; ulimit -v 8000000; exec \"$0\" \"$@\""])
        .arg(program)
        .args(["ground", "check", name])
        .arg(&dir)
        .env("RUST_BACKTRACE", "0")
        .env("RUST_LIB_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(fs::File::create(&said)?)
        .stderr(fs::File::create(&complaints)?)
        .spawn()?;
    let deadline = Instant::now() + TIME_LIMIT;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill()?;
                child.wait()?;
                bail!("hangs");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let _ = sandbox::run(
        "umount",
        &["--recursive", sandbox::text(&dir.join("room"))?],
    );
    let _ = sandbox::run("umount", &[sandbox::text(&dir.join("room/data"))?]);
    let said = fs::read_to_string(said)?;
    let complaints = fs::read_to_string(complaints)?;
    if complaints.contains("panicked") || !status.success() {
        let text = complaints.trim().trim_start_matches("Error: ");
        bail!("{}", text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    Ok(said.trim().to_owned())
}

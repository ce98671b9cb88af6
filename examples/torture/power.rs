//! Power cuts: a file system stops in the middle of the work, comes back, and what the store had
//! acknowledged is held against what is there.
//!
//! A file in a loop mount holds an ext4 or xfs. A victim (this program again) works in it and says
//! what it has heard. At a random moment the file system is shut down: what was not synced is lost,
//! as after a power cut. It is mounted again, with another boot id; a stranger looks through the
//! directory, then the store opens it. What a disk loses out of its own cache is not in this.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `options.rs` | the command line |
//! | `sandbox.rs` | a mount namespace and a directory, which go with the process |
//! | `image.rs` | the file system, its cuts, the boot id |
//! | `world.rs` | which chunks there are, and their bytes |
//! | `words.rs` | what the victim says, and what it promises |
//! | `victim.rs` | the load |
//! | `verifier.rs` | the look afterwards |
//! | `figures.rs` | what was counted |

mod figures;
mod image;
mod options;
pub(crate) mod sandbox;
mod verifier;
mod victim;
mod words;
mod world;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use figures::Figures;
use image::{Boot, Cut, Image, Kind};
use options::Options;
use sandbox::{Sandbox, Side};
use verifier::Findings;
use victim::{Kind as Load, Orders, QUIET};
use words::{Promises, Word};
use world::World;

/// The longest that a victim works.
const LONGEST_LOAD: Duration = Duration::from_secs(3);
/// A process that has not opened the store by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    match args.split_first() {
        Some((first, rest)) if first == "victim" => return victim::run(rest),
        Some((first, rest)) if first == "verify" => return verifier::run(rest),
        _ => {}
    }
    let mut tools = vec!["mkfs.ext4", "mkfs.xfs", "xfs_io"];
    if args.iter().any(|arg| arg.starts_with("--plant-fault")) {
        tools.push("strace");
    }
    if args.iter().any(|arg| arg == "--help") {
        println!("{}", options::HELP);
        return Ok(());
    }
    let Side::Inside(sandbox, args) = sandbox::enter("power", &tools, args)? else {
        return Ok(());
    };
    cut_all(&sandbox, &Options::parse(args)?)
}

fn cut_all(sandbox: &Sandbox, options: &Options) -> anyhow::Result<()> {
    println!(
        "power: {} cuts a file system, durability {}, seed {}{}",
        options.cuts,
        options.durability,
        options.seed,
        match &options.fault {
            Some(when) => format!(", syncs that do nothing: {when}"),
            None => String::new(),
        }
    );
    let world = World::make(&sandbox.path().join("sources"))?;
    let mut boot = Boot::first(sandbox.path())?;
    let mut red = Vec::new();
    for kind in &options.kinds {
        let mut image = Image::make(sandbox.path(), *kind)?;
        let round = Round {
            options,
            world: &world,
            data_dir: image.path().join("data"),
        };
        let figures = round.cut_often(*kind, &mut image, &mut boot)?;
        println!("{}", figures.line(kind.name()));
        if figures.faults() > 0 {
            red.push(kind.name());
        }
    }
    let again = format!(
        "--durability {} --seed {}",
        options.durability, options.seed
    );
    match (&options.fault, red.len()) {
        (None, 0) => Ok(()),
        (None, _) => bail!("failed on {}: torture power {again}", red.join(", ")),
        (Some(_), found) if found == options.kinds.len() => {
            println!(
                "the planted fault was found on {}, as it should be",
                red.join(" and ")
            );
            Ok(())
        }
        (Some(_), _) => bail!("the planted fault was not found everywhere: {again}"),
    }
}

/// What every round on one file system has in common.
struct Round<'a> {
    options: &'a Options,
    world: &'a World,
    data_dir: PathBuf,
}

impl Round<'_> {
    fn cut_often(&self, kind: Kind, image: &mut Image, boot: &mut Boot) -> anyhow::Result<Figures> {
        let mut random = fastrand::Rng::with_seed(self.options.seed);
        let mut promises = Promises::none();
        let mut figures = Figures::default();
        let started = Instant::now();
        image.mount()?;
        while figures.cuts < self.options.cuts {
            for word in self.work_and_cut(image, &mut random)? {
                figures.acknowledged += u64::from(matches!(word, Word::Have(_)));
                figures.deleted += u64::from(matches!(word, Word::Gone(_)));
                promises.note(word);
            }
            figures.cuts += 1;
            back(image, boot)?;
            if random.u8(..4) == 0 && figures.cuts < self.options.cuts {
                self.recover_and_cut(image, &mut random)?;
                figures.cuts += 1;
                figures.in_recovery += 1;
                back(image, boot)?;
            }
            figures.note_promises(&promises);
            let findings = self.look(&promises)?;
            figures.note_findings(figures.cuts, &findings);
            promises.settle(&findings.visible);
            if self.options.fault.is_some() && figures.faults() > 0 {
                break;
            }
        }
        figures.took = started.elapsed();
        image.unmount()?;
        println!("  {}: done", kind.name());
        Ok(figures)
    }

    /// Lets a victim work, cuts the power, and returns all that it has said.
    fn work_and_cut(&self, image: &Image, random: &mut fastrand::Rng) -> anyhow::Result<Vec<Word>> {
        let (load, enough) = match random.bool() {
            true => (Load::Busy, random.usize(..400)),
            false => (Load::Quiet(random.u32(..12)), usize::MAX),
        };
        let mut victim = self.victim(random.u64(..), load)?;
        let words = victim.listen(enough);
        victim.is_alive(&self.complaints())?;
        match load {
            // Whatever is written after what was acknowledged last could make that last, too.
            Load::Quiet(_) => image.cut(Cut::Hard)?,
            _ => {
                // The sleep waits for nothing: it is what makes the moment of the cut a random one.
                std::thread::sleep(Duration::from_micros(random.u64(..150_000)));
                if random.bool() {
                    write_back_some(&self.data_dir, random);
                }
                image.cut(which(random))?;
            }
        }
        victim.end()?;
        let rest = victim.lines.iter().filter_map(|line| Word::parse(&line));
        let words = words.into_iter().chain(rest).collect();
        self.no_panic()?;
        Ok(words)
    }

    /// Cuts the power while a start sees to what the last cut left.
    fn recover_and_cut(&self, image: &Image, random: &mut fastrand::Rng) -> anyhow::Result<()> {
        let mut victim = self.victim(random.u64(..), Load::Idle)?;
        std::thread::sleep(Duration::from_micros(random.u64(..30_000)));
        image.cut(which(random))?;
        victim.end()?;
        self.no_panic()
    }

    fn no_panic(&self) -> anyhow::Result<()> {
        let said = std::fs::read_to_string(self.complaints())?;
        ensure!(!said.contains("panicked"), "the victim panicked: {said}");
        Ok(())
    }

    /// What the last victim wrote to stderr. After a cut every call fails, and it may say so; it may
    /// not fall over.
    fn complaints(&self) -> PathBuf {
        self.world.sources().with_file_name("victim.stderr")
    }

    fn orders(&self, seed: u64, load: Load) -> anyhow::Result<Vec<String>> {
        Orders {
            data_dir: self.data_dir.clone(),
            sources: self.world.sources().to_owned(),
            durability: self.options.durability.clone(),
            seed,
            load,
        }
        .to_args()
    }

    fn victim(&self, seed: u64, load: Load) -> anyhow::Result<Victim> {
        let this = std::env::current_exe()?;
        let mut command = match &self.options.fault {
            None => Command::new(this),
            // The call is not made, and its caller is told that all went well.
            Some(when) => {
                let syncs = "fsync,fdatasync,syncfs,sync_file_range";
                let inject = format!("inject={syncs}:retval=0:when={when}");
                let mut strace = Command::new("strace");
                strace.args(["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"]);
                strace.args(["-e", &format!("trace={syncs}"), "-e", &inject]);
                strace.arg(this);
                strace
            }
        };
        command
            .args(["power", "victim"])
            .args(self.orders(seed, load)?);
        Victim::start(command, self.complaints())
    }

    /// What a stranger and a start find.
    fn look(&self, promises: &Promises) -> anyhow::Result<Findings> {
        // Without syncs it is the start that sorts out what is broken.
        let broken = match self.options.durability.as_str() {
            "none" => Vec::new(),
            _ => verifier::stranger(&self.data_dir)?,
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["power", "verify"])
            .args(self.orders(0, Load::Idle)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(&serde_json::to_vec(promises)?)?;
        drop(stdin);
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "the start failed: {}",
            output.status
        );
        let mut findings: Findings = serde_json::from_slice(&output.stdout)?;
        findings.broken.extend(broken);
        Ok(findings)
    }
}

/// The kernel may write back what it likes, in any order: one file of a chunk and not the other. What
/// the victim has removed meanwhile is passed over.
fn write_back_some(dir: &Path, random: &mut fastrand::Rng) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            write_back_some(&path, random);
        } else if random.u8(..3) == 0 {
            let _ = File::open(&path).and_then(|file| file.sync_data());
        }
    }
}

/// The machine starts anew.
fn back(image: &mut Image, boot: &mut Boot) -> anyhow::Result<()> {
    image.unmount()?;
    boot.again()?;
    image.mount()
}

fn which(random: &mut fastrand::Rng) -> Cut {
    if random.bool() {
        Cut::Hard
    } else {
        Cut::JournalWritten
    }
}

/// A process that works until it is ended.
struct Victim {
    child: Child,
    /// Not the child's under strace. Absent once it has ended: the system may use it again.
    pid: Option<String>,
    lines: Receiver<String>,
}

impl Victim {
    fn start(mut command: Command, complaints: PathBuf) -> anyhow::Result<Victim> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(complaints)?)
            .spawn()?;
        let lines = listen(child.stdout.take().context("no stdout")?);
        let first = lines
            .recv_timeout(PATIENCE)
            .context("the victim says nothing")?;
        let pid = first.strip_prefix("pid ").context("no pid")?.to_owned();
        Ok(Victim {
            child,
            pid: Some(pid),
            lines,
        })
    }

    /// So many words, or until it falls silent, or has worked long enough.
    fn listen(&self, enough: usize) -> Vec<Word> {
        let deadline = Instant::now() + LONGEST_LOAD;
        let mut words = Vec::new();
        while words.len() < enough {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line == QUIET => break,
                Ok(line) => words.extend(Word::parse(&line)),
                Err(_) => break,
            }
        }
        words
    }

    fn is_alive(&mut self, complaints: &Path) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            self.pid = None;
            let said = std::fs::read_to_string(complaints)?;
            bail!("the victim ended by itself, {status}: {said}");
        }
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.pid.take() {
            sandbox::run("kill", &["-KILL", &pid])?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// What it says, line by line, until it ends.
fn listen(stdout: ChildStdout) -> Receiver<String> {
    let (said, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

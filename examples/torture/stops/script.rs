//! What a victim is told to do.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, bail};

use crate::stops::look;
use crate::stops::tracer::{Call, Deed, Spot};

/// One thing that a victim does, and waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Asks for a content of a chunk, and has it.
    Get(u8, u8),
    /// Asks for one that cannot be had, and is told so.
    Miss(u8),
    /// Deletes a chunk that nobody holds.
    Drop(u8),
    /// Holds a chunk.
    Hold(u8),
    /// Deletes a chunk that it holds, and waits until that will last.
    Bury(u8),
    /// Lets go of a chunk, and waits until it is gone if it is deleted.
    Release(u8),
    /// Makes exactly these chunks the wanted ones (a bit for each number), in their first content.
    Assign(u16),
    /// Waits until all is done that was begun, behind the start too.
    Settle,
    /// Waits until a damaged chunk is no longer visible.
    Found(u8),
    /// Shuts the manager down and opens it again.
    Restart,
    /// Shuts the manager down.
    Close,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Get(n, version) => write!(f, "get {n} {version}"),
            Step::Miss(n) => write!(f, "miss {n}"),
            Step::Drop(n) => write!(f, "drop {n}"),
            Step::Hold(n) => write!(f, "hold {n}"),
            Step::Bury(n) => write!(f, "bury {n}"),
            Step::Release(n) => write!(f, "release {n}"),
            Step::Assign(set) => write!(f, "assign {set}"),
            Step::Settle => write!(f, "settle"),
            Step::Found(n) => write!(f, "found {n}"),
            Step::Restart => write!(f, "restart"),
            Step::Close => write!(f, "close"),
        }
    }
}

impl FromStr for Step {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Step> {
        let mut words = text.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let mut number = || -> anyhow::Result<u16> {
            let word = words.next().context("a number is missing")?;
            Ok(word.parse()?)
        };
        let mut chunk = || anyhow::Ok(u8::try_from(number()?)?);
        Ok(match verb {
            "get" => Step::Get(chunk()?, chunk()?),
            "miss" => Step::Miss(chunk()?),
            "drop" => Step::Drop(chunk()?),
            "hold" => Step::Hold(chunk()?),
            "bury" => Step::Bury(chunk()?),
            "release" => Step::Release(chunk()?),
            "assign" => Step::Assign(number()?),
            "settle" => Step::Settle,
            "found" => Step::Found(chunk()?),
            "restart" => Step::Restart,
            "close" => Step::Close,
            _ => bail!("no step {text:?}"),
        })
    }
}

/// Several steps, as a command line takes them.
pub(crate) fn format(steps: &[Step]) -> String {
    let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
    steps.join(";")
}

/// The reverse of [`format`].
pub(crate) fn parse(steps: &str) -> anyhow::Result<Vec<Step>> {
    let steps = steps.split(';').filter(|step| !step.is_empty());
    steps.map(str::parse).collect()
}

/// A process that comes before, with what happens to it.
pub(crate) type Before = (&'static [Step], Option<(Spot, Deed)>);

/// What a victim does, and what it finds.
#[derive(Debug)]
pub(crate) struct Script {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// The processes that come before, one after the other.
    pub(crate) before: Vec<Before>,
    /// What somebody else does to the directory after that.
    pub(crate) damage: &'static [Damage],
    /// What is done by the process to which things happen.
    pub(crate) steps: &'static [Step],
}

/// What somebody else does to a chunk's directory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    /// A file gets shorter.
    Cut(u8),
    /// A file is gone.
    Lose(u8),
    /// The manifest is not what it was.
    Scribble(u8),
    /// A file that is not the library's appears. The chunk is whole.
    Stranger(u8),
}

impl Damage {
    /// The chunk that is not whole after it.
    pub(crate) fn spoils(self) -> Option<u8> {
        match self {
            Damage::Cut(n) | Damage::Lose(n) | Damage::Scribble(n) => Some(n),
            Damage::Stranger(_) => None,
        }
    }

    pub(crate) fn happen(self, dir: &Path) -> anyhow::Result<()> {
        let (Damage::Cut(n) | Damage::Lose(n) | Damage::Scribble(n) | Damage::Stranger(n)) = self;
        let chunk = look::chunk_dirs(dir)?
            .into_iter()
            .find(|seen| seen.n == n)
            .with_context(|| format!("there is no chunk {n} to damage"))?;
        let first = chunk.path.join("a.parquet");
        let manifest = chunk.path.join("_chunk.json");
        let done = match self {
            Damage::Cut(_) => fs::write(first, b"short"),
            Damage::Lose(_) => fs::remove_file(first),
            Damage::Scribble(_) => fs::write(manifest, b"{\"manifest\":{}}"),
            Damage::Stranger(_) => fs::write(chunk.path.join("a stranger's"), b"hands off"),
        };
        done.context("damage a chunk")
    }
}

/// What a start does and nothing else; what is asked of each state that a kill left.
pub(crate) const RECOVERY: &[Step] = &[Step::Settle];

/// All scripts.
pub(crate) fn all() -> Vec<Script> {
    use Damage::{Cut, Lose, Scribble, Stranger};
    use Step::{Assign, Bury, Close, Drop, Found, Get, Hold, Miss, Release, Restart, Settle};
    let fresh = |name, steps| Script {
        name,
        before: Vec::new(),
        damage: &[],
        steps,
    };
    vec![
        // From an empty directory: with records and without, into a new dataset and into an old one.
        fresh("commit", &[Get(1, 0), Get(2, 0), Get(4, 0)]),
        Script {
            before: vec![(&[Get(1, 0), Get(2, 0), Get(3, 0)], None)],
            ..fresh("delete", &[Drop(1), Get(1, 0), Drop(2), Settle])
        },
        Script {
            before: vec![(&[Get(1, 0), Get(2, 0), Get(3, 0)], None)],
            ..fresh(
                "held",
                &[
                    Hold(1),
                    Hold(2),
                    Hold(3),
                    Bury(1),
                    Bury(2),
                    Get(1, 0),
                    Release(2),
                    Bury(3),
                    Release(1),
                ],
            )
        },
        // Two contents of one id, side by side.
        Script {
            before: vec![(&[Get(1, 0), Get(2, 0)], None)],
            ..fresh(
                "replace",
                &[Hold(2), Bury(2), Get(2, 1), Release(2), Drop(1), Get(1, 1)],
            )
        },
        Script {
            before: vec![(&[Get(1, 0), Get(2, 0), Get(3, 0)], None)],
            ..fresh("assign", &[Assign(0b11_0100), Settle])
        },
        // What broke off is kept; what is deleted then is not.
        fresh(
            "broken_off",
            &[Miss(1), Drop(1), Miss(2), Get(2, 0), Settle],
        ),
        Script {
            before: vec![(&[Get(1, 0), Get(2, 0), Get(3, 0), Get(4, 0)], None)],
            damage: &[Cut(1), Scribble(2), Lose(4)],
            ..fresh(
                "damaged",
                &[
                    Found(1),
                    Found(2),
                    Found(4),
                    Settle,
                    Get(1, 0),
                    Get(2, 0),
                    Get(4, 0),
                    Drop(3),
                ],
            )
        },
        Script {
            before: vec![(&[Get(1, 0), Get(2, 0)], None)],
            damage: &[Stranger(2)],
            ..fresh("foreign", &[Settle, Drop(2), Get(2, 0)])
        },
        // A directory in which three processes were killed: a tombstone, a full trash, a staging
        // directory with files under their names.
        Script {
            before: vec![
                (&[Get(1, 0), Get(2, 0), Get(3, 0), Hold(2), Bury(2)], None),
                (
                    &[Drop(3)],
                    Some((Spot::First(empties_trash), Deed::KillBefore)),
                ),
                (&[Get(4, 0)], Some((Spot::First(commits), Deed::KillBefore))),
            ],
            ..fresh("crashed", &[Settle, Get(4, 0), Get(3, 0)])
        },
        Script {
            before: vec![(&[Get(1, 0)], None)],
            ..fresh("restart", &[Get(2, 0), Restart, Drop(1), Close])
        },
    ]
}

/// The script that a replay names, and what follows its name.
pub(crate) fn named(replay: &str) -> anyhow::Result<(Script, Option<&str>)> {
    let (name, points) = match replay.split_once(':') {
        Some((name, points)) => (name, Some(points)),
        None => (replay, None),
    };
    let script = all().into_iter().find(|script| script.name == name);
    let script = script.with_context(|| format!("there is no script {name}"))?;
    Ok((script, points))
}

fn empties_trash(call: &Call) -> bool {
    call.label.starts_with("unlink") && call.path.starts_with("_trash")
}

fn commits(call: &Call) -> bool {
    call.label.starts_with("rename") && call.path.contains("-> dataset_id=")
}

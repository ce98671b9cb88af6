//! The command line.

use crate::peers::Peer;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: peers [--rounds N] [--only NAME] [--peer NAME] [--quick] [--json FILE]

  --rounds N    turns that each peer gets with each workload (9)
  --only NAME   the workload of this name, or else all that have it in their names
  --peer NAME   ours, tokio, async-executor or futures; may be given more than once (all)
  --quick       a tenth of the work, and 3 rounds unless --rounds is given
  --json FILE   writes every single sample";

/// What to measure, and how often.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) only: Option<String>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) quick: bool,
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments; an error says what is wrong with them.
    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut rounds = None;
        let mut options = Self {
            rounds: 9,
            only: None,
            peers: Vec::new(),
            quick: false,
            json: None,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--rounds" => rounds = Some(number(&value()?)?),
                "--only" => options.only = Some(value()?),
                "--peer" => options.peers.push(peer(&value()?)?),
                "--quick" => options.quick = true,
                "--json" => options.json = Some(value()?.into()),
                // What `cargo bench` adds by itself.
                "--bench" => {}
                _ => return Err(format!("{arg} is not an option")),
            }
        }
        if options.peers.is_empty() {
            options.peers = Peer::ALL.to_vec();
        }
        options.rounds = rounds.unwrap_or(if options.quick { 3 } else { 9 });
        Ok(options)
    }
}

fn number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{text} is not a number of rounds")),
    }
}

fn peer(name: &str) -> Result<Peer, String> {
    Peer::ALL
        .into_iter()
        .find(|peer| peer.name() == name)
        .ok_or(format!("{name} is not a peer"))
}

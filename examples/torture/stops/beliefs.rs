//! What may be on disk after what a victim said.

use std::collections::{BTreeMap, BTreeSet};

use crate::stops::chunks::MISSING;

/// What may be found, as far as it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beliefs {
    /// For each chunk that was spoken of: the contents that a start may show; `None` for none.
    allowed: BTreeMap<u8, BTreeSet<Option<u8>>>,
    /// What somebody holds now.
    pub(crate) held: BTreeMap<u8, u8>,
    /// The names of directories that somebody else has damaged.
    pub(crate) spoiled: BTreeSet<String>,
    /// Whether somebody else did anything: something may be in quarantine then.
    pub(crate) touched: bool,
}

impl Beliefs {
    /// Takes a line of a victim in.
    pub(crate) fn hear(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let mut number = || words.next().and_then(|word| word.parse::<u8>().ok());
        let Some(n) = number() else { return };
        let version = number();
        let allowed = self
            .allowed
            .entry(n)
            .or_insert_with(|| BTreeSet::from([None]));
        match (verb, version) {
            // What cannot be had may not be found.
            ("want", Some(MISSING)) => {}
            ("want", Some(_)) => {
                allowed.insert(version);
            }
            ("have", Some(_)) => *allowed = BTreeSet::from([version]),
            ("drop", None) => {
                allowed.insert(None);
            }
            ("gone" | "buried", None) => *allowed = BTreeSet::from([None]),
            ("hold", Some(version)) => {
                self.held.insert(n, version);
            }
            ("release", None) => {
                self.held.remove(&n);
            }
            _ => {}
        }
    }

    /// The process that held something has ended.
    pub(crate) fn let_go(&mut self) {
        self.held.clear();
    }

    /// Somebody else has damaged this chunk.
    pub(crate) fn spoil(&mut self, n: u8, dir: String) {
        self.spoiled.insert(dir);
        self.allowed.entry(n).or_default().insert(None);
    }

    /// Whether a start may show this content of the chunk, or none of it.
    pub(crate) fn allow(&self, n: u8, version: Option<u8>) -> bool {
        match self.allowed.get(&n) {
            Some(allowed) => allowed.contains(&version),
            None => version.is_none(),
        }
    }

    /// The chunks that were spoken of, with the content to ask for.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (u8, u8)> {
        let latest = |(n, allowed): (&u8, &BTreeSet<Option<u8>>)| {
            (*n, allowed.iter().flatten().copied().max().unwrap_or(0))
        };
        self.allowed.iter().map(latest)
    }
}

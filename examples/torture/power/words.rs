//! What the victim says while it works, and what follows from it for the disk.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::world::{CHUNKS, Content};

/// A line of the victim's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It asks for this content, and does not know yet.
    Want(Content),
    /// This content is visible.
    Have(Content),
    /// It asks for the chunk to be gone, and does not know yet.
    Drop(u8),
    /// The chunk is gone, or is buried until its last reference goes.
    Gone(u8),
}

impl Word {
    pub(crate) fn parse(line: &str) -> Option<Word> {
        let mut parts = line.split(' ');
        let (word, n) = (parts.next()?, parts.next()?.parse().ok()?);
        let mut content = || {
            let revision = parts.next()?.parse().ok()?;
            Some(Content { n, revision })
        };
        Some(match word {
            "want" => Word::Want(content()?),
            "have" => Word::Have(content()?),
            "drop" => Word::Drop(n),
            "gone" => Word::Gone(n),
            _ => return None,
        })
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Want(content) => write!(f, "want {} {}", content.n, content.revision),
            Word::Have(content) => write!(f, "have {} {}", content.n, content.revision),
            Word::Drop(n) => write!(f, "drop {n}"),
            Word::Gone(n) => write!(f, "gone {n}"),
        }
    }
}

/// What has to be there after a cut, for each id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Due {
    /// This revision.
    There(u8),
    /// Nothing.
    Gone,
    /// Anything that is whole: it was asked to change, and nobody was told that it has.
    Either,
}

/// What was promised of every id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Promises(Vec<Due>);

impl Promises {
    pub(crate) fn none() -> Promises {
        Promises(vec![Due::Gone; usize::from(CHUNKS)])
    }

    pub(crate) fn note(&mut self, word: Word) {
        let (n, due) = match word {
            Word::Want(content) => (content.n, Due::Either),
            Word::Drop(n) => (n, Due::Either),
            Word::Have(content) => (content.n, Due::There(content.revision)),
            Word::Gone(n) => (n, Due::Gone),
        };
        self.0[usize::from(n)] = due;
    }

    /// What a start found counts from now on.
    pub(crate) fn settle(&mut self, visible: &[Option<u8>]) {
        self.0 = visible
            .iter()
            .map(|found| found.map_or(Due::Gone, Due::There))
            .collect();
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (u8, Due)> + '_ {
        (0..CHUNKS).zip(self.0.iter().copied())
    }
}

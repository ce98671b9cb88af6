//! What the commands share that look into a directory.

use std::ops::Range;

use data_manager::data_chunk::{ChunkId, DatasetId};
use data_manager::data_manager::view::{DirectoryView, ViewedChunk};
use data_manager::{Error, ErrorKind};

use crate::args::Global;
use crate::exit::{Failure, advice_for};
use crate::values;

/// The fewest digits of an id that are shown.
const FEWEST_DIGITS: usize = 8;

/// Looks into the directory, whoever owns it.
pub(crate) fn open(global: &Global) -> Result<DirectoryView, Failure> {
    DirectoryView::open(&global.data_dir).map_err(of_directory)
}

/// An error about the directory itself.
pub(crate) fn of_directory(error: Error) -> Failure {
    let advice = match error.kind() {
        ErrorKind::NotFound => Some("Name the data directory with --data-dir"),
        ErrorKind::Denied => Some("Run it as somebody who may read the directory"),
        kind => advice_for(kind),
    };
    let failure = Failure::from(error);
    match advice {
        Some(what) => failure.advise(what),
        None => failure,
    }
}

/// An error about a chunk that was seen a moment ago.
pub(crate) fn of_chunk(error: Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => {
            Failure::from(error).advise("Run it again: the directory's owner goes on meanwhile")
        }
        _ => of_directory(error),
    }
}

/// An id, or its first digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdPrefix(String);

/// Reads what is typed.
pub(crate) fn id_prefix(text: &str) -> Result<IdPrefix, String> {
    let digits = text.to_ascii_lowercase();
    let sound = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match sound && (1..=64).contains(&digits.len()) {
        true => Ok(IdPrefix(digits)),
        false => Err("an id has 64 hexadecimal digits; its first ones will do".to_owned()),
    }
}

impl IdPrefix {
    /// Whether the id begins so.
    pub(crate) fn begins(&self, id: &ChunkId) -> bool {
        values::hex(id).starts_with(&self.0)
    }

    /// The one of `ids` that begins so; `what` they are. Ids may come more than once.
    pub(crate) fn only_one<'a>(
        &self,
        what: &str,
        ids: impl Iterator<Item = &'a ChunkId>,
    ) -> Result<ChunkId, Failure> {
        let mut found: Vec<&ChunkId> = ids.filter(|id| self.begins(id)).collect();
        found.sort_unstable();
        found.dedup();
        let named = &self.0;
        match found[..] {
            [id] => Ok(*id),
            [] => Err(Failure::missing(format!("there is no {what} {named}"))
                .advise("Run status and ls, which show what is there")),
            [first, second, ..] => {
                let count = found.len();
                let (first, second) = (values::hex(first), values::hex(second));
                let message =
                    format!("{named} may be {count} {what}s, such as {first} and {second}");
                Err(Failure::usage(message).advise("Give more of its digits"))
            }
        }
    }
}

/// The dataset that is meant: one that has visible chunks.
pub(crate) fn dataset(view: &DirectoryView, named: &IdPrefix) -> Result<DatasetId, Failure> {
    let datasets = view.datasets();
    named.only_one(
        "dataset",
        datasets.iter().map(|dataset| &dataset.dataset_id),
    )
}

/// All visible chunks, by dataset and then in block order.
pub(crate) fn in_block_order(view: &DirectoryView) -> Vec<&ViewedChunk> {
    let mut chunks: Vec<&ViewedChunk> = view.chunks().iter().collect();
    sort(&mut chunks);
    chunks
}

/// By dataset, and then in block order.
pub(crate) fn sort(chunks: &mut [&ViewedChunk]) {
    chunks.sort_by_key(|chunk| (*chunk.dataset_id(), chunk.block_range().start, *chunk.id()));
}

/// How ids are shown: with so many digits as tell them apart, or all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits(usize);

impl Digits {
    pub(crate) const ALL: Digits = Digits(64);

    /// So many that each of `ids` is the only one that begins so.
    pub(crate) fn that_tell_apart<'a>(ids: impl Iterator<Item = &'a ChunkId>) -> Digits {
        let mut ids: Vec<&ChunkId> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        let pairs = ids
            .windows(2)
            .map(|pair| common_digits(pair[0], pair[1]) + 1);
        Digits(pairs.max().unwrap_or(0).max(FEWEST_DIGITS))
    }

    pub(crate) fn of(self, id: &ChunkId) -> String {
        let mut digits = values::hex(id);
        digits.truncate(self.0);
        digits
    }
}

fn common_digits(a: &ChunkId, b: &ChunkId) -> usize {
    let (a, b) = (values::hex(a), values::hex(b));
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// A range as it is typed.
pub(crate) fn range(blocks: &Range<u64>) -> String {
    format!("{}..{}", blocks.start, blocks.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_meant_by_its_first_digits() {
        let (one, two) = ([0x11; 32], [0x12; 32]);
        let ids = [one, two];
        let meant = |text: &str| id_prefix(text).unwrap().only_one("chunk", ids.iter());
        assert_eq!(meant("11").unwrap(), one);
        assert_eq!(meant(&"12".repeat(32)).unwrap(), two);
        assert_eq!(meant("1").unwrap_err().exit().code(), 2);
        assert_eq!(meant("2").unwrap_err().exit().code(), 4);
        assert!(id_prefix("").is_err() && id_prefix("xy").is_err());
        assert!(id_prefix(&"1".repeat(65)).is_err());
        assert_eq!(id_prefix("AB").unwrap(), id_prefix("ab").unwrap());
    }

    #[test]
    fn so_many_digits_are_shown_as_tell_ids_apart() {
        let (one, mut two) = ([0x11; 32], [0x11; 32]);
        assert_eq!(
            Digits::that_tell_apart([one].iter()).of(&one),
            "1".repeat(8)
        );
        two[5] = 0x12;
        let digits = Digits::that_tell_apart([one, two].iter());
        assert_eq!(digits.of(&two), "111111111112");
        assert_eq!(Digits::ALL.of(&two).len(), 64);
    }
}

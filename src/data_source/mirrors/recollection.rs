//! What is remembered of files: which place each came from last, and which places it did not come
//! well from. So that the next attempt at a file goes elsewhere before the place itself is given
//! up, and one that goes on asks whoever can.
//!
//! A place that gave a file whole is remembered just so. Nobody asks for a whole file again that
//! was good; most likely it had not the declared digest, and then somebody else has to be asked.

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

/// Notes older than that are forgotten: a place may have been mended.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);
/// At most twice so many files are remembered; the older half is forgotten when there are more.
const HALF: usize = 8192;

/// What is known of a file; places are numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Note {
    /// The place that it last came from.
    pub(super) last: Option<u8>,
    /// A bit for each place that it should not come from if there is another one.
    struck: u32,
    at: Duration,
}

impl Note {
    pub(super) fn is_struck(&self, place: usize) -> bool {
        self.struck & (1 << place) != 0
    }

    pub(super) fn strike(&mut self, place: usize) {
        self.struck |= 1 << place;
    }
}

/// The notes, by a number for the file.
#[derive(Debug, Default)]
pub(super) struct Recollection {
    young: HashMap<u64, Note>,
    old: HashMap<u64, Note>,
}

impl Recollection {
    pub(super) fn of(&self, now: Duration, file: u64) -> Note {
        let note = self.young.get(&file).or_else(|| self.old.get(&file));
        let fresh = note.filter(|note| now.saturating_sub(note.at) < KEPT_FOR);
        fresh.copied().unwrap_or_default()
    }

    pub(super) fn edit(&mut self, now: Duration, file: u64, change: impl FnOnce(&mut Note)) {
        let mut note = self.of(now, file);
        change(&mut note);
        note.at = now;
        if self.young.len() >= HALF {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(file, note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_kept_for_a_while_and_only_so_many() {
        let mut files = Recollection::default();
        let at = Duration::from_secs;
        files.edit(at(0), 1, |note| note.strike(2));
        files.edit(at(10), 1, |note| note.last = Some(3));
        let note = files.of(at(309), 1);
        assert!(note.is_struck(2) && !note.is_struck(1));
        assert_eq!(note.last, Some(3));
        assert!(!files.of(at(310), 1).is_struck(2));
        for file in 2..=(HALF as u64 + 1) {
            files.edit(at(10), file, |note| note.strike(0));
        }
        assert!(files.of(at(10), 1).is_struck(2));
        for file in 0..(10 * HALF as u64) {
            files.edit(at(11), 1_000_000 + file, |note| note.strike(0));
            assert!(files.young.len() + files.old.len() <= 2 * HALF);
        }
        assert!(!files.of(at(11), 1).is_struck(2));
    }
}

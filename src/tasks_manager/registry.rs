//! Every task that has not ended, so that the dropped manager can end it.
//!
//! A task that waits for a wake-up is in no queue. Without this list, nobody could find it.

use super::padded::Padded;
use super::sync::{Mutex, tuned};

/// Into how many tables the entries are spread, so that a thread that spawns and one that ends tasks seldom
/// meet at a lock.
const TABLES: usize = tuned(16, 1) as usize;

/// Tables of live tasks; places are used again.
///
/// As long as the most tasks that were ever alive at once: who spawns decides.
pub(crate) struct Registry<T> {
    /// Under each of these locks entries move in and out; what is taken out is dropped outside.
    tables: [Padded<Mutex<Table<T>>>; TABLES],
}

struct Table<T> {
    places: Vec<Place<T>>,
    /// The first of the empty places, or [`NONE`].
    free: u32,
    /// How many places are taken.
    entries: usize,
}

enum Place<T> {
    Taken(T),
    /// The next of the empty places, or [`NONE`].
    Free(u32),
}

/// Not a place. What comes after it does not fit into memory.
const NONE: u32 = u32::MAX;

impl<T> Registry<T> {
    pub(crate) fn new() -> Self {
        Self {
            tables: std::array::from_fn(|_| Padded(Mutex::new(Table::new()))),
        }
    }

    /// The table for a task at this address. The address and not a count, because nobody has to write it anywhere.
    fn table(&self, spot: usize) -> &Mutex<Table<T>> {
        // Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4): the upper bits of the product depend on all bits
        // of the address, whose lowest are always the same.
        let mixed = (spot as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.tables[(mixed >> 60) as usize % self.tables.len()]
    }

    /// Enters a task that lies at `spot`, and says its place.
    pub(crate) fn insert(&self, spot: usize, entry: T) -> u32 {
        self.table(spot).lock().insert(entry)
    }

    /// Takes an entry out, if it has not been drained.
    pub(crate) fn remove(&self, spot: usize, key: u32) {
        let entry = self.table(spot).lock().remove(key);
        drop(entry);
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.tables.iter().map(|table| table.lock().entries).sum()
    }

    /// Takes all out. Nothing is to be entered after this: its place might have two owners.
    pub(crate) fn drain(&self) -> impl Iterator<Item = T> + use<'_, T> {
        self.tables.iter().flat_map(|table| {
            let table = std::mem::replace(&mut *table.lock(), Table::new());
            table.places.into_iter().filter_map(|place| match place {
                Place::Taken(entry) => Some(entry),
                Place::Free(_) => None,
            })
        })
    }
}

impl<T> Table<T> {
    fn new() -> Self {
        Self {
            places: Vec::new(),
            free: NONE,
            entries: 0,
        }
    }

    fn insert(&mut self, entry: T) -> u32 {
        self.entries += 1;
        let key = self.free;
        if let Some(place) = self.places.get_mut(key as usize) {
            let Place::Free(next) = std::mem::replace(place, Place::Taken(entry)) else {
                unreachable!("the list of free places leads from one free place to the next");
            };
            self.free = next;
            return key;
        }
        let Ok(key) = u32::try_from(self.places.len()) else {
            unreachable!("so many tasks do not fit into memory");
        };
        self.places.push(Place::Taken(entry));
        key
    }

    fn remove(&mut self, key: u32) -> Option<T> {
        let place = self.places.get_mut(key as usize)?;
        match std::mem::replace(place, Place::Free(self.free)) {
            Place::Taken(entry) => {
                self.free = key;
                self.entries -= 1;
                Some(entry)
            }
            free @ Place::Free(_) => {
                *place = free;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Registry;

    #[test]
    fn places_are_used_again() {
        const SPOT: usize = 4096;
        let registry = Registry::new();
        let keys: Vec<_> = (0..3).map(|i| registry.insert(SPOT, i)).collect();
        registry.remove(SPOT, keys[1]);
        registry.remove(SPOT, keys[1]);
        assert_eq!((registry.len(), registry.insert(SPOT, 7)), (2, keys[1]));
        assert_eq!(registry.drain().collect::<Vec<_>>(), [0, 7, 2]);
        registry.remove(SPOT, keys[0]);
        assert_eq!(registry.len(), 0);
    }
}

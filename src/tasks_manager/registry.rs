//! Every task that has not ended, so that the dropped manager can end it.
//!
//! A task that waits for a wake-up is in no queue. Without this list, nobody could find it.

use super::sync::Mutex;

/// A table of live tasks; places are used again.
///
/// As long as the most tasks that were ever alive at once: who spawns decides.
pub(crate) struct Registry<T> {
    /// Under this lock entries move in and out; what is taken out is dropped outside.
    places: Mutex<Places<T>>,
}

struct Places<T> {
    table: Vec<Option<T>>,
    /// The empty places of the table.
    free: Vec<usize>,
}

impl<T> Registry<T> {
    pub(crate) fn new() -> Self {
        Self {
            places: Mutex::new(Places {
                table: Vec::new(),
                free: Vec::new(),
            }),
        }
    }

    /// Enters the first half of what `make` makes of its place, and hands back the second.
    ///
    /// `make` is called under the lock: it may allocate, and nothing else.
    pub(crate) fn insert_with<A>(&self, make: impl FnOnce(usize) -> (T, A)) -> A {
        let mut places = self.places.lock();
        if let Some(key) = places.free.pop() {
            let (entry, rest) = make(key);
            places.table[key] = Some(entry);
            rest
        } else {
            let (entry, rest) = make(places.table.len());
            places.table.push(Some(entry));
            rest
        }
    }

    /// Takes an entry out, if it has not been drained.
    pub(crate) fn remove(&self, key: usize) {
        let mut places = self.places.lock();
        let entry = places.table.get_mut(key).and_then(Option::take);
        if entry.is_some() {
            places.free.push(key);
        }
        drop(places);
        drop(entry);
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        let places = self.places.lock();
        places.table.len() - places.free.len()
    }

    /// Takes all out. Nothing is to be entered after this: its place might have two owners.
    pub(crate) fn drain(&self) -> impl Iterator<Item = T> + use<T> {
        let mut places = self.places.lock();
        places.free = Vec::new();
        std::mem::take(&mut places.table).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::Registry;

    #[test]
    fn places_are_used_again() {
        let registry = Registry::new();
        let keys: Vec<_> = (0..3)
            .map(|i| registry.insert_with(|key| (i, key)))
            .collect();
        registry.remove(keys[1]);
        registry.remove(keys[1]);
        assert_eq!(
            (registry.len(), registry.insert_with(|key| (7, key))),
            (2, keys[1])
        );
        assert_eq!(registry.drain().collect::<Vec<_>>(), [0, 7, 2]);
        registry.remove(keys[0]);
        assert_eq!(registry.len(), 0);
    }
}

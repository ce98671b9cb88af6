//! The one door through which the lock comes in, so that a model checker can put its own in place of it.

#[cfg(all(test, loom))]
pub(crate) use modelled::RwLock;
#[cfg(not(all(test, loom)))]
pub(crate) use parking_lot::RwLock;

/// loom's lock with the signatures of the real one: without poisoning.
#[cfg(all(test, loom))]
mod modelled {
    use loom::sync::{RwLockReadGuard, RwLockWriteGuard};

    #[derive(Debug, Default)]
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().expect("loom poisons no lock")
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().expect("loom poisons no lock")
        }
    }
}

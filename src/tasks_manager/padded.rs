//! A value that has its cache lines to itself.

use std::ops::Deref;

/// Keeps what different threads write apart. Two values in one cache line are passed back and forth between
/// the processors as if they were one. 128 bytes and not 64, because x86 fetches lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

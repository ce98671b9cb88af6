//! Counts the heap, while asked to: what an idle task costs.
//!
//! When it is not counting, it adds one load and a branch to each allocation, for every peer.
#![allow(unsafe_code)] // An allocator cannot be written without; these lines only pass on.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicIsize = AtomicIsize::new(0);
static BLOCKS: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize, blocks: isize) {
    if COUNTS.load(Relaxed) {
        BYTES.fetch_add(bytes, Relaxed);
        BLOCKS.fetch_add(blocks, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came in.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed(), 1);
        // SAFETY: the caller keeps the promises that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed(), -1);
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size.cast_signed() - layout.size().cast_signed(), 0);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// What has come and not gone since the count began.
#[derive(Debug)]
pub(crate) struct Growth {
    /// As asked for; the allocator rounds up.
    pub(crate) bytes: isize,
    pub(crate) blocks: isize,
}

/// Begins to count, from zero.
pub(crate) fn start() {
    BYTES.store(0, Relaxed);
    BLOCKS.store(0, Relaxed);
    COUNTS.store(true, Relaxed);
}

/// Ends the count.
pub(crate) fn stop() -> Growth {
    COUNTS.store(false, Relaxed);
    Growth {
        bytes: BYTES.load(Relaxed),
        blocks: BLOCKS.load(Relaxed),
    }
}

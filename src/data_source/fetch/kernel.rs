//! Long files of this machine: the kernel copies them, without a way through our buffer, and where the
//! file system can, copy and original share their blocks.
//!
//! The checksums are of what is in the copy, which is read back piece by piece. Whatever the kernel
//! does not like, down to an error of one of the disks, is left to reading and writing: that tells whose
//! it is.

use super::{FetchFailure, Fetcher};
use crate::data_source::Body;
use crate::data_source::checksums::Checksums;
use crate::data_source::local::Part;

/// Of shorter files nothing is gained.
const MIN_BYTES: u64 = 1 << 20;

/// So much at a time: between two pieces a cancellation is seen, and progress told.
pub(super) const PIECE_BYTES: usize = 8 << 20;

/// Blocks are shared whole, whatever their size up to this one.
const ALIGNMENT: u64 = 64 * 1024;

/// Whether the kernel is to be asked for a file of `total` bytes.
pub(super) fn is_for(body: &dyn Body, total: Option<u64>) -> bool {
    total.is_some_and(|total| total >= MIN_BYTES) && body.is_file()
}

/// How many bytes to ask for from `at` on, if no more than `room` may come and `left` are left: up to
/// the end of a block, where that is not too far.
fn up_to_a_boundary(at: u64, room: usize, left: u64) -> usize {
    let room = left.min(room as u64);
    let end = at.saturating_add(room);
    let boundary = end - end % ALIGNMENT;
    let count = if room < left && boundary > at {
        boundary - at
    } else {
        room
    };
    usize::try_from(count).unwrap_or(PIECE_BYTES)
}

impl Fetcher<'_> {
    /// Has the kernel append up to `room` of the `left` bytes that are still to come; 0 if they are
    /// to be read.
    pub(super) fn copy_by_kernel(
        &self,
        body: &mut dyn Body,
        (room, left): (usize, u64),
        part: &mut Part,
    ) -> Result<usize, FetchFailure> {
        let asked = up_to_a_boundary(part.len_bytes(), room, left);
        let copied = part.append_by(asked, |file, at| body.copy_into(file, at, asked));
        copied.map_err(|e| self.disk(e))
    }

    /// Takes the last `count` bytes of the copy into `sums`.
    pub(super) fn sum_up(
        &self,
        part: &Part,
        count: usize,
        buffer: &mut [u8],
        sums: &mut Checksums,
    ) -> Result<(), FetchFailure> {
        let summed = part.read_last(count as u64, buffer, |bytes| sums.update(bytes));
        summed.map_err(|e| self.disk(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_where_blocks_do() {
        let block = ALIGNMENT as usize;
        assert_eq!(up_to_a_boundary(0, 3 * block + 5, u64::MAX), 3 * block);
        assert_eq!(up_to_a_boundary(7, 2 * block, u64::MAX), 2 * block - 7);
        // Too little to come to the next one, and what is left.
        assert_eq!(up_to_a_boundary(7, 100, u64::MAX), 100);
        assert_eq!(
            up_to_a_boundary(0, 3 * block, 2 * ALIGNMENT + 5),
            2 * block + 5
        );
        assert_eq!(up_to_a_boundary(u64::MAX - 1, 5, 1), 1);
    }
}

//! What the kernel copies, without a way through our buffer: long files of this machine, which share
//! their blocks with the copy where the file system can; and long bodies, out of their socket.
//!
//! The checksums are of what is in the copy, which is read back piece by piece. Whatever the kernel
//! does not like, down to an error of one of the disks, is left to reading and writing: that tells whose
//! it is.

use super::{FetchFailure, Fetcher};
use crate::data_source::checksums::Checksums;
use crate::data_source::local::Part;
use crate::data_source::{Body, Copied, CopiesFrom};

/// Of shorter files nothing is gained.
pub(super) const MIN_BYTES: u64 = 1 << 20;

/// So much at a time: between two pieces a cancellation is seen, and progress told.
pub(super) const PIECE_BYTES: usize = 8 << 20;

/// Blocks are shared whole; of most file systems they have this size.
const BLOCK_BYTES: u64 = 4096;

/// How many bytes to ask for from `at` on, if no more than `room` may come and `left` are left: the
/// rest of a block or whole ones, so that what a limit on bandwidth cuts up is shared all the same.
fn up_to_a_boundary(at: u64, room: usize, left: u64) -> usize {
    let room = left.min(room as u64);
    let over = at % BLOCK_BYTES;
    let count = if over > 0 {
        room.min(BLOCK_BYTES - over)
    } else if room < BLOCK_BYTES || room == left {
        room
    } else {
        room - room % BLOCK_BYTES
    };
    usize::try_from(count).unwrap_or(PIECE_BYTES)
}

impl Fetcher<'_> {
    /// Has the kernel append up to `room` of the `left` bytes that are still to come; none if they are
    /// to be read.
    pub(super) fn copy_by_kernel(
        &self,
        body: &mut dyn Body,
        from: CopiesFrom,
        (room, left): (usize, u64),
        part: &mut Part,
    ) -> Result<Copied, FetchFailure> {
        let asked = match from {
            CopiesFrom::File => up_to_a_boundary(part.len_bytes(), room, left),
            CopiesFrom::Socket => usize::try_from(left).map_or(room, |left| left.min(room)),
        };
        let mut copied = Copied::default();
        let appended = part.append_by(asked, |file, at| {
            copied = body.copy_into(file, at, asked);
            copied.count
        });
        appended.map(|_| copied).map_err(|e| self.disk(e))
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
        assert_eq!(up_to_a_boundary(0, 3 * 4096 + 5, u64::MAX), 3 * 4096);
        assert_eq!(up_to_a_boundary(4096, 4096, u64::MAX), 4096);
        // The rest of a block, and what does not come to one.
        assert_eq!(up_to_a_boundary(7, 3 * 4096, u64::MAX), 4096 - 7);
        assert_eq!(up_to_a_boundary(7, 100, u64::MAX), 100);
        assert_eq!(up_to_a_boundary(8192, 100, u64::MAX), 100);
        // All that is left.
        assert_eq!(up_to_a_boundary(0, 3 * 4096, 2 * 4096 + 5), 2 * 4096 + 5);
        assert_eq!(up_to_a_boundary(u64::MAX - 1, 5, 1), 1);
    }
}

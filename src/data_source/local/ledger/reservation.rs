//! Promises of room: a transfer has its bytes before it asks for them, and no two have the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::layout::StagingKey;
use super::super::space::{FreeSpace, SpaceShortage};
use super::{Balance, Books, Known, Ledger};
use crate::error::Error;

/// For how long a chunk that found no room is believed to be as large as it was: so long its source
/// is not asked again, if there still is no room.
const KNOWN_FOR: Duration = Duration::from_secs(600);
/// Of how many chunks that is remembered.
const KNOWN_MAX: usize = 4096;

/// There is no room.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// There never will be, whatever is deleted.
    pub(crate) for_good: bool,
}

impl Ledger {
    /// Promises between `least` and `most` bytes to a file of `key`, in one step with whoever else
    /// asks; returns how many. With `keep` false it only says whether it would.
    fn reserve(&self, key: StagingKey, ask: &Ask) -> Result<u64, Refusal> {
        let refusal = match self.try_to_reserve(key, ask) {
            Err(refusal) => refusal,
            granted => return granted,
        };
        // A person may have taken away what was kept for them.
        if self.measure_quarantine_again() {
            self.try_to_reserve(key, ask)
        } else {
            Err(refusal)
        }
    }

    fn try_to_reserve(&self, key: StagingKey, ask: &Ask) -> Result<u64, Refusal> {
        let written = self.books.lock().written;
        let free = FreeSpace::of(&self.root);
        let mut books = self.books.lock();
        // What was written between the two looks was promised then, and is not any more: whatever
        // of it the file system did not know of yet has to be taken off.
        let since = books.written - written;
        let free = free.map(|free| FreeSpace {
            bytes: free.bytes.saturating_sub(since),
            ..free
        });
        books.balance.free = free.map(|free| free.bytes);
        books.grant(key, ask, free)
    }
}

impl Books {
    pub(super) fn grant(
        &mut self,
        key: StagingKey,
        ask: &Ask,
        free: Option<FreeSpace>,
    ) -> Result<u64, Refusal> {
        let has = self.staged.get(&key).copied().unwrap_or_default();
        let has = has.bytes.saturating_add(has.reserved);
        let now = Instant::now();
        let known = self.known.get(&key).filter(|known| known.until > now);
        let known = known.map_or(0, |known| known.len_bytes.saturating_sub(has));
        // Before anybody is asked how long the file is, what an earlier attempt heard counts.
        let least = if ask.keep {
            ask.least
        } else {
            ask.least.max(known)
        };
        let room = Room::of(&self.balance, free);
        if room.bytes < least {
            let needs = has.saturating_add(least);
            if ask.keep {
                self.remember(key, needs, now);
            }
            return Err(room.refuse(least, needs, &self.balance, free));
        }
        if !ask.keep {
            return Ok(0);
        }
        let granted = ask.most.min(room.bytes);
        self.stage(key).reserved += granted;
        self.balance.reserved += granted;
        Ok(granted)
    }
}

impl Books {
    fn remember(&mut self, key: StagingKey, len_bytes: u64, now: Instant) {
        if self.known.len() >= KNOWN_MAX {
            self.known.retain(|_, known| known.until > now);
        }
        if self.known.len() < KNOWN_MAX {
            let until = now + KNOWN_FOR;
            self.known.insert(key, Known { len_bytes, until });
        }
    }
}

/// How much may be promised, and what that is bounded by.
struct Room {
    bytes: u64,
    bound: SpaceShortage,
    /// The most that a chunk may have in all, if nothing else were there.
    ever: u64,
}

impl Room {
    fn of(balance: &Balance, free: Option<FreeSpace>) -> Room {
        let limits = balance.limits;
        let max = limits.max_bytes.unwrap_or(u64::MAX);
        let of_max = max.saturating_sub(balance.used());
        let spare = |bytes: u64| bytes.saturating_sub(limits.min_free_bytes);
        // What is reserved was promised, and is not on the disk yet.
        let of_disk = free.map_or(u64::MAX, |free| {
            spare(free.bytes).saturating_sub(balance.reserved)
        });
        let ever = free.map_or(u64::MAX, |free| spare(free.capacity)).min(max);
        let bound = match limits.min_free_bytes {
            _ if of_max <= of_disk => SpaceShortage::MaxBytes,
            0 => SpaceShortage::DiskFull,
            _ => SpaceShortage::MinFreeBytes,
        };
        Room {
            bytes: of_max.min(of_disk),
            bound,
            ever,
        }
    }

    fn refuse(
        &self,
        least: u64,
        needs: u64,
        balance: &Balance,
        free: Option<FreeSpace>,
    ) -> Refusal {
        let Room { bytes, bound, ever } = self;
        let mut text = format!("{least} bytes are needed, and there is room for {bytes}: ");
        let free = free.map_or(0, |free| free.bytes);
        text += &match bound {
            SpaceShortage::MaxBytes => {
                let max = balance.limits.max_bytes.unwrap_or(u64::MAX);
                format!("max_bytes is {max}, and {} are used", balance.used())
            }
            SpaceShortage::MinFreeBytes => {
                let min = balance.limits.min_free_bytes;
                format!("min_free_bytes is {min}, and the disk has {free} left")
            }
            _ => format!("the disk has {free} left"),
        };
        let for_good = needs > *ever;
        if for_good {
            text += &format!("; the chunk has {needs} at least, which can never fit");
        }
        let error = bound.error(text);
        Refusal { error, for_good }
    }
}

/// See [`Ledger::reserve`].
pub(super) struct Ask {
    pub(super) least: u64,
    pub(super) most: u64,
    /// False to hear only whether there is room.
    pub(super) keep: bool,
}

/// What is staged of one description, while somebody works on it.
#[derive(Debug)]
pub(in crate::data_source) struct StagedSpace {
    pub(super) ledger: Arc<Ledger>,
    pub(super) key: StagingKey,
}

impl Drop for StagedSpace {
    fn drop(&mut self) {
        let mut books = self.ledger.books.lock();
        books.stage(self.key).users -= 1;
        books.forget_if_unused(self.key);
    }
}

/// What one arriving file takes. What is reserved and did not come is given back at its end.
#[derive(Debug)]
pub(crate) struct PartSpace {
    staged: Arc<StagedSpace>,
    reserved: u64,
}

impl PartSpace {
    pub(in crate::data_source) fn new(staged: &Arc<StagedSpace>) -> Self {
        PartSpace {
            staged: staged.clone(),
            reserved: 0,
        }
    }

    /// Whether there is room for a byte, or for what the chunk was known to need: whether it makes
    /// sense to ask its source.
    pub(crate) fn look(&self) -> Result<(), Refusal> {
        let ask = Ask {
            least: 1,
            most: 1,
            keep: false,
        };
        let staged = &self.staged;
        staged.ledger.reserve(staged.key, &ask).map(|_| ())
    }

    /// Promises that there will be room for `least` more bytes, and for up to `most` if that many
    /// are free.
    pub(crate) fn reserve(&mut self, least: u64, most: u64) -> Result<(), Refusal> {
        if least == 0 {
            return Ok(());
        }
        let ask = Ask {
            least,
            most,
            keep: true,
        };
        let staged = &self.staged;
        self.reserved += staged.ledger.reserve(staged.key, &ask)?;
        Ok(())
    }

    /// How many bytes may still be written.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// So many were.
    pub(in crate::data_source) fn appended(&mut self, count: u64) {
        let kept = self.reserved.min(count);
        self.reserved -= kept;
        let mut books = self.staged.ledger.books.lock();
        books.written += count;
        books.balance.staged += count;
        let staged = books.stage(self.staged.key);
        staged.bytes += count;
        staged.reserved -= kept;
        books.balance.reserved -= kept;
    }

    /// So many that were there are gone.
    pub(in crate::data_source) fn dropped(&self, count: u64) {
        let mut books = self.staged.ledger.books.lock();
        let staged = books.stage(self.staged.key);
        let gone = staged.bytes.min(count);
        staged.bytes -= gone;
        books.balance.staged = books.balance.staged.saturating_sub(gone);
    }
}

impl Drop for PartSpace {
    fn drop(&mut self) {
        if self.reserved > 0 {
            let mut books = self.staged.ledger.books.lock();
            books.stage(self.staged.key).reserved -= self.reserved;
            books.balance.reserved -= self.reserved;
        }
    }
}

//! What there is too little of, and how much a file system has left.

use std::path::Path;

use crate::error::{Error, ErrorKind};

/// What there is too little of: why nothing is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpaceShortage {
    /// The file system has no room for more bytes.
    DiskFull,
    /// The file system has room for bytes, but not for one more file.
    NoInodes,
    /// The quota of the user, group or project is used up.
    Quota,
    /// The data directory would grow beyond `max_bytes`.
    MaxBytes,
    /// The file system would have less than `min_free_bytes` left.
    MinFreeBytes,
}

impl SpaceShortage {
    /// What an error of kind [`ErrorKind::NoSpace`] is about.
    pub(crate) fn of(error: &Error) -> SpaceShortage {
        if let Some(named) = named_in(error) {
            return named;
        }
        let over_quota = causes(error).any(|cause| {
            let io = cause.downcast_ref::<std::io::Error>();
            io.is_some_and(|io| io.kind() == std::io::ErrorKind::QuotaExceeded)
        });
        if over_quota {
            SpaceShortage::Quota
        } else {
            SpaceShortage::DiskFull
        }
    }

    /// An error that says so.
    pub(super) fn error(self, message: String) -> Error {
        Error::new(ErrorKind::NoSpace, message).with_cause(Named(self).into())
    }
}

/// Names the shortage among an error's causes.
#[derive(Debug)]
struct Named(SpaceShortage);

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            SpaceShortage::DiskFull => "the disk is full",
            SpaceShortage::NoInodes => "no inodes are left",
            SpaceShortage::Quota => "the quota is used up",
            SpaceShortage::MaxBytes => "max_bytes is reached",
            SpaceShortage::MinFreeBytes => "min_free_bytes is reached",
        })
    }
}

impl std::error::Error for Named {}

fn named_in(error: &Error) -> Option<SpaceShortage> {
    causes(error).find_map(|cause| cause.downcast_ref::<Named>().map(|named| named.0))
}

fn causes(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

/// What a file system says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FreeSpace {
    /// What an ordinary user may still write.
    pub(super) bytes: u64,
    /// All that it could ever hold.
    pub(super) capacity: u64,
    /// There is no room for one more file.
    pub(super) no_inodes: bool,
}

impl FreeSpace {
    /// Asks the file system of `dir`; `None` where it does not say.
    pub(super) fn of(dir: &Path) -> Option<FreeSpace> {
        let said = rustix::fs::statvfs(dir).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(said.f_frsize);
        // Some file systems that have no notion of it say nothing but zeros.
        (said.f_blocks > 0).then(|| FreeSpace {
            bytes: bytes(said.f_bavail),
            capacity: bytes(said.f_blocks),
            no_inodes: said.f_files > 0 && said.f_favail == 0,
        })
    }
}

/// The disk said that it is full: names it if that was for want of inodes, which a file system
/// reports with the same error.
pub(super) fn explain(error: Error, dir: &Path) -> Error {
    if error.kind() != ErrorKind::NoSpace || SpaceShortage::of(&error) != SpaceShortage::DiskFull {
        return error;
    }
    match FreeSpace::of(dir) {
        Some(free) if free.no_inodes && named_in(&error).is_none() => {
            error.with_cause(Named(SpaceShortage::NoInodes).into())
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_there_is_too_little_of() {
        let of = |code| SpaceShortage::of(&Error::io("write", io_error(code)).with_chunk([1; 32]));
        assert_eq!(of(enospc()), SpaceShortage::DiskFull);
        assert_eq!(of(edquot()), SpaceShortage::Quota);
        let named = SpaceShortage::MaxBytes.error("no".to_owned());
        // Decorating what somebody else holds too makes a copy, which must say the same.
        let shared = named.clone().with_chunk([2; 32]).with_file("f");
        assert_eq!(SpaceShortage::of(&shared), SpaceShortage::MaxBytes);
        assert_eq!(named.kind(), ErrorKind::NoSpace);
    }

    fn io_error(code: i32) -> std::io::Error {
        std::io::Error::from_raw_os_error(code)
    }

    fn enospc() -> i32 {
        rustix::io::Errno::NOSPC.raw_os_error()
    }

    fn edquot() -> i32 {
        rustix::io::Errno::DQUOT.raw_os_error()
    }
}

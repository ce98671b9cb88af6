//! System calls that touch the data directory: which, on what, and whether they change it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::libc;

/// A system call on something in the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The call's name. Of an opening that creates nothing, with `.read` behind it, or `.dir` where
    /// it is to be a directory.
    pub(crate) label: &'static str,
    /// On what, from the data directory on, [shortened](shorten); of a rename, `from -> to`.
    pub(crate) path: String,
    /// Whether it changes something, or makes a change last.
    pub(crate) changes: bool,
    /// The bytes it is to write or read.
    pub(crate) count: Option<u64>,
}

/// Where in the arguments the call says on what it works.
#[derive(Clone, Copy)]
enum Place {
    /// A file that is open.
    Fd,
    /// A path from the current directory on.
    Path,
    /// A directory that is open, and a path from there on.
    At,
    /// Two paths.
    Paths,
    /// Two of `At`.
    Ats,
}

/// What a process has asked of the system.
pub(crate) struct Request<'a> {
    pub(crate) number: u64,
    pub(crate) arguments: [u64; 6],
    /// The process's memory.
    pub(crate) memory: &'a File,
    pub(crate) pid: i32,
}

impl Request<'_> {
    /// The call, if it is on something in `dir`.
    pub(crate) fn decode(&self, dir: &Path) -> Option<Call> {
        let (label, place, changes) = self.kind()?;
        let [a, b, c, d, ..] = self.arguments;
        let path = match place {
            Place::Fd => self.opened(a)?,
            Place::Path => self.text(a)?,
            Place::At => self.at(a, b)?,
            Place::Paths => format!("{} -> {}", self.text(a)?, self.text(b)?),
            Place::Ats => format!("{} -> {}", self.at(a, b)?, self.at(c, d)?),
        };
        let root = dir.to_str()?;
        // The directory itself counts, what lies beside it does not.
        if path != root && !path.contains(&format!("{root}/")) {
            return None;
        }
        let counts = matches!(label, "write" | "pwrite64" | "read" | "pread64");
        Some(Call {
            label,
            path: shorten(&path.replace(&format!("{root}/"), "").replace(root, ".")),
            changes,
            count: counts.then_some(c),
        })
    }

    fn kind(&self) -> Option<(&'static str, Place, bool)> {
        let [_, b, c, ..] = self.arguments;
        let number = libc::c_long::try_from(self.number).ok()?;
        Some(match number {
            libc::SYS_write => ("write", Place::Fd, true),
            libc::SYS_pwrite64 => ("pwrite64", Place::Fd, true),
            libc::SYS_writev => ("writev", Place::Fd, true),
            libc::SYS_ftruncate => ("ftruncate", Place::Fd, true),
            libc::SYS_fallocate => ("fallocate", Place::Fd, true),
            libc::SYS_fsync => ("fsync", Place::Fd, true),
            libc::SYS_fdatasync => ("fdatasync", Place::Fd, true),
            libc::SYS_syncfs => ("syncfs", Place::Fd, true),
            libc::SYS_sync_file_range => ("sync_file_range", Place::Fd, true),
            libc::SYS_fchmod => ("fchmod", Place::Fd, true),
            libc::SYS_open => opening("open", Place::Path, b),
            libc::SYS_openat => opening("openat", Place::At, c),
            libc::SYS_openat2 => opening("openat2", Place::At, self.word(c)?),
            libc::SYS_creat => ("creat", Place::Path, true),
            libc::SYS_mkdir => ("mkdir", Place::Path, true),
            libc::SYS_mkdirat => ("mkdirat", Place::At, true),
            libc::SYS_rmdir => ("rmdir", Place::Path, true),
            libc::SYS_unlink => ("unlink", Place::Path, true),
            libc::SYS_unlinkat => ("unlinkat", Place::At, true),
            libc::SYS_truncate => ("truncate", Place::Path, true),
            libc::SYS_chmod => ("chmod", Place::Path, true),
            libc::SYS_fchmodat => ("fchmodat", Place::At, true),
            libc::SYS_utimensat => ("utimensat", Place::At, true),
            libc::SYS_rename => ("rename", Place::Paths, true),
            libc::SYS_link => ("link", Place::Paths, true),
            libc::SYS_symlink => ("symlink", Place::Paths, true),
            libc::SYS_renameat => ("renameat", Place::Ats, true),
            libc::SYS_renameat2 => ("renameat2", Place::Ats, true),
            libc::SYS_linkat => ("linkat", Place::Ats, true),
            libc::SYS_read => ("read", Place::Fd, false),
            libc::SYS_pread64 => ("pread64", Place::Fd, false),
            libc::SYS_getdents64 => ("getdents64", Place::Fd, false),
            libc::SYS_fstat => ("fstat", Place::Fd, false),
            libc::SYS_lseek => ("lseek", Place::Fd, false),
            libc::SYS_flock => ("flock", Place::Fd, false),
            libc::SYS_statx => ("statx", Place::At, false),
            libc::SYS_newfstatat => ("newfstatat", Place::At, false),
            libc::SYS_stat => ("stat", Place::Path, false),
            libc::SYS_lstat => ("lstat", Place::Path, false),
            libc::SYS_statfs => ("statfs", Place::Path, false),
            libc::SYS_fstatfs => ("fstatfs", Place::Fd, false),
            _ => return None,
        })
    }

    /// The path of a file that is open.
    fn opened(&self, fd: u64) -> Option<String> {
        let fd = low_half(fd);
        let link = if fd == libc::AT_FDCWD {
            format!("/proc/{}/cwd", self.pid)
        } else {
            format!("/proc/{}/fd/{fd}", self.pid)
        };
        let path = fs::read_link(link).ok()?;
        Some(path.to_str()?.trim_end_matches(" (deleted)").to_owned())
    }

    /// A path from the directory `fd` on.
    fn at(&self, fd: u64, address: u64) -> Option<String> {
        // Calls on an open file by its directory's interface give no path.
        let path = if address == 0 {
            String::new()
        } else {
            self.text(address)?
        };
        if path.starts_with('/') {
            return Some(path);
        }
        let from = self.opened(fd)?;
        Some(match path.as_str() {
            "" | "." => from,
            _ => format!("{from}/{path}"),
        })
    }

    /// The text at `address` in the process's memory, up to its NUL.
    fn text(&self, address: u64) -> Option<String> {
        let mut bytes = vec![0; 4096];
        let count = self.memory.read_at(&mut bytes, address).ok()?;
        bytes.truncate(count);
        let end = bytes.iter().position(|byte| *byte == 0)?;
        bytes.truncate(end);
        String::from_utf8(bytes).ok()
    }

    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.memory.read_exact_at(&mut bytes, address).ok()?;
        Some(u64::from_ne_bytes(bytes))
    }
}

/// Makes a path short enough to be read and typed, and the same in every run: long numbers without
/// the zeros in front, ids without what follows their first digits, chunks without generation and
/// what follows it.
fn shorten(path: &str) -> String {
    if let Some((from, to)) = path.split_once(" -> ") {
        return format!("{} -> {}", shorten(from), shorten(to));
    }
    let mut short = String::new();
    for (at, part) in path.split('/').enumerate() {
        let (front, parts) = match part.split_once("chunk=") {
            Some((front, rest)) => (
                format!("{front}chunk="),
                rest.splitn(5, '-').take(4).collect(),
            ),
            None => (String::new(), part.split('-').collect::<Vec<_>>()),
        };
        let parts: Vec<String> = parts.into_iter().map(shorten_word).collect();
        let slash = if at == 0 { "" } else { "/" };
        short.push_str(&format!("{slash}{front}{}", parts.join("-")));
    }
    short
}

fn shorten_word(word: &str) -> String {
    let (front, value) = word.rsplit_once('=').map_or(("", word), |(_, value)| {
        (&word[..word.len() - value.len()], value)
    });
    let long = value.len() >= 16 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let kept = match value.len() {
        _ if !long => value,
        20 => value.trim_start_matches('0'),
        _ => &value[..4],
    };
    format!("{front}{kept}")
}

/// An opening changes something only if it may create, or cut off.
fn opening(name: &'static str, place: Place, flags: u64) -> (&'static str, Place, bool) {
    let has = |flag: i32| flags & u64::from(flag.unsigned_abs()) != 0;
    if has(libc::O_CREAT) || has(libc::O_TRUNC) {
        return (name, place, true);
    }
    let label = match (name, has(libc::O_DIRECTORY)) {
        ("open", true) => "open.dir",
        ("open", false) => "open.read",
        ("openat", true) => "openat.dir",
        ("openat", false) => "openat.read",
        (_, true) => "openat2.dir",
        (_, false) => "openat2.read",
    };
    (label, place, false)
}

/// A descriptor is an `int`: what the other half of the register holds is nothing.
fn low_half(register: u64) -> i32 {
    let [a, b, c, d, ..] = register.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

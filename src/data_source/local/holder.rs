//! Who holds a data directory, for a person who wonders. Nobody decides anything by it: a lock would have
//! to be taken to be sure, and whoever opens the directory at that moment would be refused.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{major, minor};

use super::disk::Dir;
use super::layout::LOCK;

/// Who holds a data directory, as far as this machine's kernel says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DirectoryHolder {
    /// Nobody on this machine.
    Nobody,
    /// A process; a manager in it, or a guard that outlived one.
    Process {
        /// Its number.
        pid: u32,
        /// What the system calls it, at most 15 bytes; `None` if it does not say.
        name: Option<String>,
    },
    /// The system does not say who holds which lock.
    Unknown {
        /// Who held it last, or does still.
        last_pid: Option<u32>,
    },
}

impl DirectoryHolder {
    /// Asks the kernel, which lists all locks. A file system may have another number there than
    /// elsewhere (btrfs and overlays do): then what the holder wrote into `_lock` has to agree.
    pub(super) fn of(root: &Dir) -> DirectoryHolder {
        let last_pid = said_by(root);
        match fs::read_to_string("/proc/locks") {
            Ok(locks) => match holder_in(&locks, &identities(root), last_pid) {
                Some(pid) => DirectoryHolder::Process {
                    pid,
                    name: name_of(pid),
                },
                // Of processes outside a container nothing is listed inside.
                None if last_pid.is_some() && !sees_all_processes() => {
                    DirectoryHolder::Unknown { last_pid: None }
                }
                None => DirectoryHolder::Nobody,
            },
            Err(_) => DirectoryHolder::Unknown { last_pid },
        }
    }
}

impl fmt::Display for DirectoryHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirectoryHolder::Nobody => f.write_str("nobody"),
            DirectoryHolder::Process {
                pid,
                name: Some(name),
            } => write!(f, "process {pid} ({name})"),
            DirectoryHolder::Process { pid, name: None } => write!(f, "process {pid}"),
            DirectoryHolder::Unknown {
                last_pid: Some(pid),
            } => write!(f, "perhaps process {pid}"),
            DirectoryHolder::Unknown { last_pid: None } => {
                f.write_str("nobody, or an owner that cannot be seen from here")
            }
        }
    }
}

/// The number of the first of all namespaces of processes, which the kernel keeps for it.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

fn sees_all_processes() -> bool {
    let namespace = fs::read_link("/proc/self/ns/pid");
    namespace.map_or(true, |namespace| namespace == Path::new(FIRST_NAMESPACE))
}

/// What the locks are on, as [`Dir::identity`] has it.
fn identities(root: &Dir) -> Vec<(u64, u64)> {
    let found: [io::Result<_>; 2] = [root.identity("."), root.identity(LOCK)];
    found.into_iter().flatten().collect()
}

/// What the holder wrote for a person.
fn said_by(root: &Dir) -> Option<u32> {
    let said = root.read_bounded(LOCK, 64).ok()?;
    str::from_utf8(&said)
        .ok()?
        .lines()
        .next()?
        .trim()
        .parse()
        .ok()
}

/// The process that holds a lock on one of `identities`, in the kernel's words:
/// `1: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF`. Behind `->` stands who waits for it.
fn holder_in(locks: &str, identities: &[(u64, u64)], last_pid: Option<u32>) -> Option<u32> {
    let mut perhaps = None;
    for line in locks.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = fields[..] else {
            continue;
        };
        let Ok(pid) = pid.parse::<u32>() else {
            continue;
        };
        for (device, number) in identities {
            let (major, minor) = (major(*device), minor(*device));
            if place == format!("{major:02x}:{minor:02x}:{number}") {
                return Some(pid);
            }
            if place.rsplit(':').next() == Some(&number.to_string()) && last_pid == Some(pid) {
                perhaps = Some(pid);
            }
        }
    }
    perhaps
}

fn name_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    // A process may call itself anything; this is shown on terminals.
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF
2: FLOCK  ADVISORY  WRITE 22 08:01:77 0 EOF
2: -> FLOCK  ADVISORY  WRITE 33 08:01:77 0 EOF
3: FLOCK  ADVISORY  READ 44 00:2a:99 0 EOF
";

    #[test]
    fn the_holder_is_the_one_whose_lock_is_on_the_directory() {
        let device = rustix::fs::makedev(8, 1);
        assert_eq!(holder_in(LOCKS, &[(device, 77)], None), Some(22));
        assert_eq!(holder_in(LOCKS, &[(device, 78)], Some(22)), None);
        assert_eq!(holder_in("", &[(device, 77)], Some(22)), None);
    }

    #[test]
    fn under_another_device_number_the_lock_file_has_to_agree() {
        let device = rustix::fs::makedev(0, 7);
        assert_eq!(holder_in(LOCKS, &[(device, 99)], Some(44)), Some(44));
        assert_eq!(holder_in(LOCKS, &[(device, 99)], Some(45)), None);
        assert_eq!(holder_in(LOCKS, &[(device, 99)], None), None);
    }
}

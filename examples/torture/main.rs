//! The store under torture: `cargo run --release --example torture -- MODE [OPTIONS]`.
//!
//! | mode | what happens | where |
//! | --- | --- | --- |
//! | `kills` | kill -9 before and after each system call that changes the data directory, and again in the recovery | `stops/` |
//! | `errors` | each system call on the data directory fails once, in each way; writes and reads do half | `stops/` |
//! | `power` | the power of an ext4 and an xfs is cut under a working store | `power/` |
//! | `ground` | full and read-only disks, another user, links and strangers' things in place of what is the store's | `ground/` |
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod stops;

mod ground;
mod power;

use anyhow::bail;

/// Where a process can be stopped at its system calls.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod stops {
    pub(crate) fn run(_: &str, _: &[String]) -> anyhow::Result<()> {
        println!("skipped: needs Linux on x86_64");
        Ok(())
    }
}

const HELP: &str = "\
Tortures the store, and ends with 0 if all held.

Usage: cargo run --release --example torture -- MODE [OPTIONS]

Modes:
  kills         kill -9 before and after each system call that changes the data directory, and again
                in the recovery from each kind of state that this left
  errors        EIO, ENOSPC, EROFS, EMFILE, EINTR at each system call on it; half of a write or read
  power         power cuts on ext4 and xfs, each a new boot; needs root
  ground        hostile ground, one check after the other; needs root

Options of kills and errors:
  --seconds N   a sample, spread over all, of so long; everything if not given
  --seed N      which sample; 1 if not given
  --all         kills: recover each state, not each kind of state
  --durability LEVEL
                full, or another of the library's levels
  --only WHAT   one thing, as a failure prints it
  --dir D       where the directories are made; in memory if not given
  --jobs N      processes at a time; one for each CPU if not given

Options of power:
  --cuts N      how many, on each file system
  --fs FS       ext4, xfs or both
  --durability LEVEL
                full, ordered or none
  --plant-fault some syncs do nothing, and that has to be found";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((mode, rest)) = arguments.split_first() else {
        bail!("which mode? try --help");
    };
    match mode.as_str() {
        "kills" | "errors" | "victim" => stops::run(mode, rest),
        "power" => power::run(rest),
        "ground" => ground::run(rest),
        "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        _ => bail!("there is no mode {mode}; try --help"),
    }
}

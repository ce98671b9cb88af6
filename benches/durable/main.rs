//! What it costs that a chunk lasts: `cargo bench --bench durable`.
//!
//! The library, at each level of durability, in turn with a loop over raw sockets that fetches the same from
//! the same nginx on this machine. Each run is a process of its own, with a new target directory; what is
//! compared is the time and the processor's time of the whole process, its start and its end included.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `main.rs`, `options.rs` | which parts to run; the command line; parent and child |
//! | `nginx.rs` | the server that all of them fetch from |
//! | `contest.rs` | runs the processes in turn, and prints the table |
//! | `library.rs` | what a process of the library does |
//! | `raw.rs` | what a process of the loop does |
//! | `disk.rs` | which file system the target directories are on |
//! | `../common/medians.rs` | medians |
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

mod contest;
mod disk;
#[path = "../common/medians.rs"]
mod figures;
mod library;
mod nginx;
mod options;
mod raw;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use nginx::Nginx;
use options::{Command, HELP, Job, Part};

fn main() -> anyhow::Result<()> {
    match options::from_command_line()? {
        None => println!("{HELP}"),
        Some(Command::Contest(options)) => {
            println!("Targets in {}", disk::describe(&options.dir)?);
            for part in &options.parts {
                let Some(nginx) = Nginx::start(&options.dir, part.load().file_bytes)? else {
                    println!("skipped: needs nginx");
                    return Ok(());
                };
                contest::run(&options, *part, &nginx)?;
            }
        }
        Some(Command::Child(job)) => {
            match &job {
                Job::Library { durability, place } => library::run(*durability, place)?,
                Job::Raw { fsync, place } => raw::run(*fsync, place)?,
            }
            // At the very end, so that all of this process but its exit is in it.
            let used = clock_gettime(ClockId::ProcessCPUTime);
            let used = Duration::try_from(used)?;
            println!("{}", used.as_secs_f64());
        }
    }
    Ok(())
}

impl Part {
    fn load(self) -> options::Load {
        match self {
            Part::Big => options::Load {
                chunks: 4,
                files: 5,
                file_bytes: 40_000_000,
            },
            Part::Small => options::Load {
                chunks: 200,
                files: 10,
                file_bytes: 10_000,
            },
        }
    }
}

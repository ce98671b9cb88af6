//! What it costs to fetch large files: `cargo bench --bench fetch`.
//!
//! The library, durability `None`, in turn with a loop over raw sockets, with the kernel's own way from a socket
//! into a file, with curl and with whatever else is named, all from the same nginx on this machine. Each run is a process of
//! its own with a new target directory; what is compared is the time and the processor's time of the whole
//! process and of its children, start and end included.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `main.rs`, `options.rs` | parent and child; the command line |
//! | `contest.rs` | runs the processes in turn, and prints the table |
//! | `library.rs` | what a process of the library does |
//! | `raw.rs`, `splice.rs` | what a process of a loop does |
//!
//! Server, file system and medians are those of `benches/durable`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

mod contest;
#[path = "../durable/disk.rs"]
mod disk;
#[path = "../common/medians.rs"]
mod figures;
mod library;
#[path = "../durable/nginx.rs"]
mod nginx;
mod options;
mod raw;
mod splice;

use nginx::Nginx;
use options::{Command, HELP, Job};

fn main() -> anyhow::Result<()> {
    match options::from_command_line()? {
        None => println!("{HELP}"),
        Some(Command::Contest(options)) => {
            println!("Targets in {}", disk::describe(&options.dir)?);
            let Some(nginx) = Nginx::start(&options.dir, options.file_bytes)? else {
                println!("skipped: needs nginx");
                return Ok(());
            };
            contest::run(&options, &nginx)?;
        }
        Some(Command::Child(job, place)) => match job {
            Job::Library { slots, digest } => library::run(slots, digest, &place)?,
            Job::Raw(way) => raw::run(way, &place)?,
        },
    }
    Ok(())
}

//! A million chunks, and a thousand small ones: `cargo bench --bench scale`.
//!
//! Measured through the public interface only. What the lines mean is in `benches/RESULTS.md`, section "Scale".
//!
//! | file | what it is for |
//! | --- | --- |
//! | `main.rs`, `options.rs` | which parts to run; the command line |
//! | `calls.rs` | `download_chunk` and `delete_chunk`; memory; whose turn it is |
//! | `assignment.rs` | `set_assignment`, with a reader beside it |
//! | `small_files.rs` | a thousand chunks of one small file, in turn with `curl` |
//! | `opening.rs` | `open`, in turn with a walk that reads the same names |
//! | `bare.rs` | the same system calls without the library: what is possible |
//! | `origin.rs` | the HTTP server that both of them fetch from |
//! | `world.rs` | descriptions of chunks, sources, managers, memory |
//! | `figures.rs` | percentiles; medians are in `../common/medians.rs` |
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

mod assignment;
mod bare;
mod calls;
mod figures;
#[path = "../common/medians.rs"]
mod medians;
mod opening;
mod options;
mod origin;
mod small_files;
mod world;

use options::{HELP, Options, Part};

fn main() -> anyhow::Result<()> {
    let Some(options) = Options::from_command_line()? else {
        println!("{HELP}");
        return Ok(());
    };
    for part in &options.parts {
        match part {
            Part::Calls => calls::run(&options)?,
            Part::Turns => calls::turns(&options)?,
            Part::Assignment => assignment::run(&options)?,
            Part::SmallFiles => small_files::run(&options)?,
            Part::Opening => opening::run(&options)?,
            Part::OpenOnce => opening::open_once(&options.dir)?,
            Part::WalkOnce => opening::walk_once(&options.dir)?,
        }
    }
    Ok(())
}

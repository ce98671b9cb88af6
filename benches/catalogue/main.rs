//! What a lookup costs, alone and while everything changes: `cargo bench --bench catalogue`.
//!
//! Measured on [`DataCatalogue`] itself, without a disk: a manager's calls of the same names add nothing. What the
//! lines mean is in `benches/RESULTS.md`, section "The catalogue".
//!
//! | file | what it is for |
//! | --- | --- |
//! | `main.rs`, `options.rs` | which parts to run; the command line |
//! | `world.rs` | a catalogue of so many chunks, the same keys in bare trees, questions |
//! | `lookups.rs` | `find` against the bare tree; `cover`, `ids` |
//! | `crowd.rs` | several readers; readers beside a writer |
//! | `memory.rs` | bytes a chunk |
//! | `growth.rs` | from a thousand chunks to a million, and the plot of it |
//! | `figures.rs` | percentiles; medians are in `../common/medians.rs` |
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod crowd;
mod figures;
mod growth;
mod lookups;
#[path = "../common/medians.rs"]
mod medians;
mod memory;
mod options;
mod world;

use options::{HELP, Options, Part};

fn main() -> anyhow::Result<()> {
    let Some(options) = Options::from_command_line()? else {
        println!("{HELP}");
        return Ok(());
    };
    for part in &options.parts {
        match part {
            Part::Lookups => lookups::run(&options),
            Part::Crowd => crowd::run(&options),
            Part::Memory => memory::run(&options)?,
            Part::MemoryOnce => memory::once(&options)?,
            Part::Growth => growth::run(&options)?,
        }
    }
    Ok(())
}

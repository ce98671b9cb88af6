//! Does to the store what disks, people and machines do: `cargo run --release --example torture -- MODE`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what it is for"
)]

mod ground;
mod power;

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("power") => power::run(&args[1..]),
        Some("ground") => ground::run(&args[1..]),
        _ => bail!("say power or ground"),
    }
}

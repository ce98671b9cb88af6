//! A process that works on a data directory is stopped at its system calls, and something happens
//! to it there.
//!
//! After each, the directory is looked at as a stranger sees it: what readers take for a chunk is a
//! whole one, and what was held is in its place. Then it is opened: what was acknowledged holds, what
//! was deleted is gone from the disk, nothing else is there, the figures are the disk's, and whatever
//! is asked for can be had.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `kills.rs`, `errors.rs`, `options.rs` | the modes; their command line |
//! | `points.rs` | where something happens, how that is written, which are taken of many |
//! | `script.rs`, `chunks.rs` | what a process is to do, and with what |
//! | `victim.rs` | the process to which it happens: this program, run again |
//! | `tracer/` | stops it at its system calls |
//! | `stage.rs` | directories and processes |
//! | `beliefs.rs`, `look.rs`, `checks.rs` | what may be on disk, what is, and whether that is right |

mod beliefs;
mod checks;
mod chunks;
mod errors;
mod kills;
mod look;
mod options;
mod points;
mod script;
mod stage;
mod tracer;
mod victim;

use anyhow::bail;
use options::Options;
use victim::Terms;

/// Runs `kills`, `errors`, or the process that they are about.
pub(crate) fn run(mode: &str, arguments: &[String]) -> anyhow::Result<()> {
    let held = match (mode, arguments) {
        ("victim", [dir, origin, durability, steps]) => {
            let terms = Terms {
                origin: origin.into(),
                durability: serde_json::from_str(durability)?,
            };
            return victim::run(dir.as_ref(), &terms, &script::parse(steps)?);
        }
        ("kills", _) => kills::run(&Options::parse(arguments)?),
        ("errors", _) => errors::run(&Options::parse(arguments)?),
        _ => bail!("victim DIRECTORY ORIGIN DURABILITY STEPS"),
    };
    match held {
        Ok(true) => Ok(()),
        Ok(false) => std::process::exit(1),
        // In some containers nobody may.
        Err(error) if tracer::is_missing(&error) => {
            println!("skipped: {}", tracer::NEEDED);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

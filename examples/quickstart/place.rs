//! The data directory of a run: where it is, and whether it stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::options::Options;

/// A data directory.
pub(crate) struct Place {
    path: PathBuf,
    fate: Fate,
}

/// What becomes of the directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is removed at the end.
    Goes,
    /// `--keep` was given.
    IsKept,
    /// Something was in it before this run, which is not ours to remove.
    WasThere,
}

impl Place {
    /// The directory that the options ask for, or a fresh temporary one.
    pub(crate) fn prepare(options: &Options) -> anyhow::Result<Place> {
        let path = match &options.data_dir {
            Some(path) => path.clone(),
            None => tempfile::Builder::new()
                .prefix("data_manager-quickstart-")
                .tempdir()
                .context("make a temporary directory")?
                .keep(),
        };
        let fate = match (options.keep, is_empty(&path)?) {
            (true, _) => Fate::IsKept,
            (false, true) => Fate::Goes,
            (false, false) => Fate::WasThere,
        };
        Ok(Place { path, fate })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the directory if it is to go and still there.
    pub(crate) fn tidy_up(&self) -> anyhow::Result<()> {
        if self.fate != Fate::Goes {
            return Ok(());
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Says where the directory is now, and what else there is to try.
    pub(crate) fn say_what_is_next(&self) {
        let path = self.path.display();
        match self.fate {
            Fate::Goes => println!("\nRemoved   {path}"),
            Fate::IsKept => println!("\nKept      {path}"),
            Fate::WasThere => println!("\nLeft      {path}, since something was in it before"),
        }
        let dir = if self.fate == Fate::Goes {
            "DIR".to_owned()
        } else {
            path.to_string()
        };
        let again = format!("cargo run --release --example quickstart -- --data-dir {dir} --keep");
        let query = format!(
            "SELECT dataset_id, count(*) FROM read_parquet(\
             '{dir}/dataset_id=*/*/*.parquet', union_by_name=true) GROUP BY 1"
        );
        println!("\nTo try next");
        for (command, purpose) in [
            (
                again.as_str(),
                "keep the directory; run it twice: only what is missing is fetched",
            ),
            (
                &format!("{again} --rate 20"),
                "slowly: Ctrl-C half way, then again: it goes on there",
            ),
            (
                &format!("duckdb -c \"{query}\""),
                "any Hive-aware reader reads the directory as it is",
            ),
            (
                "cargo doc --open",
                "the documentation; ARCHITECTURE.md tells how it works",
            ),
            ("cargo test --all-features", "the tests"),
        ] {
            println!("  # {purpose}\n  {command}");
        }
    }
}

/// Also when the story ends early, as when nobody reads its output any more.
impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.tidy_up();
    }
}

/// Whether nothing is in the directory, or it is not there.
fn is_empty(path: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("look into {}", path.display())),
    }
}

//! A data directory as a stranger sees it: by its names and its files, without the library.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::stops::chunks;

/// A chunk's directory.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: PathBuf,
    /// Which chunk and which content, by the name.
    pub(crate) n: u8,
    pub(crate) version: u8,
}

/// Every directory that readers take for a chunk.
///
/// # Errors
/// If there is anything else where readers look.
pub(crate) fn chunk_dirs(dir: &Path) -> anyhow::Result<Vec<Seen>> {
    let mut seen = Vec::new();
    for dataset in entries(dir)? {
        let name = name_of(&dataset);
        if name.starts_with(['_', '.']) {
            continue;
        }
        if !name.starts_with("dataset_id=") {
            bail!("{name} is none of the library's names");
        }
        for path in entries(&dataset)? {
            let name = name_of(&path);
            let start = name
                .strip_prefix("chunk=")
                .and_then(|rest| rest.split('-').next())
                .and_then(|start| start.parse().ok());
            let Some((n, version)) = start.and_then(chunks::of_first_block) else {
                bail!("{name} is no chunk's name");
            };
            seen.push(Seen { path, n, version });
        }
    }
    Ok(seen)
}

/// Holds a chunk's files against what they have to be.
pub(crate) fn check_files(path: &Path, n: u8, version: u8) -> anyhow::Result<()> {
    for (name, content) in chunks::files(n, version) {
        let found = fs::read(path.join(name))
            .with_context(|| format!("chunk {n} {version}: {name} in {}", path.display()))?;
        if found != content {
            bail!(
                "chunk {n} {version}: {name} has {} bytes that are not its {} in {}",
                found.len(),
                content.len(),
                path.display()
            );
        }
    }
    Ok(())
}

/// What is in a directory, by name; nothing if it is not there.
pub(crate) fn entries(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

/// Names and sizes of everything in `dir`: two directories of one shape are the same to a start.
pub(crate) fn shape(dir: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    for path in entries(dir)? {
        let metadata = path.symlink_metadata()?;
        text.push_str(&name_of(&path));
        if metadata.is_dir() {
            text.push_str(&format!("/\n{}..\n", shape(&path)?));
        } else {
            text.push_str(&format!(" {}\n", metadata.len()));
        }
    }
    Ok(text)
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to)?;
    for path in entries(from)? {
        let target = to.join(name_of(&path));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    Ok(())
}

/// The bytes of all regular files below `dir` that `counts` accepts by their names.
pub(crate) fn bytes_below(dir: &Path, counts: fn(&str) -> bool) -> anyhow::Result<u64> {
    let mut sum = 0;
    for path in entries(dir)? {
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() {
            sum += bytes_below(&path, counts)?;
        } else if metadata.is_file() && counts(&name_of(&path)) {
            sum += metadata.len();
        }
    }
    Ok(sum)
}

pub(crate) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

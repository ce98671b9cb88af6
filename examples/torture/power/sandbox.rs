//! Where a mode may mount, fill and break what it likes: a mount namespace of its own, and a
//! directory that goes when the process does, however it ends.
//!
//! A mount that nobody else sees is gone with the last process of its namespace, and the loop device
//! under it is freed then: a Ctrl-C leaves nothing behind, and neither does a kill. The directory is
//! removed by a shell that waits for the end of this process outside the namespace, where nothing
//! is mounted in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

/// The hidden first argument of the process that runs in the namespace; the directory follows.
const INSIDE: &str = "inside";

/// Which side of the door this process is on.
pub(crate) enum Side<'a> {
    /// Something is missing here; why was said.
    Skipped,
    /// Inside, with a directory, and the arguments that are meant for the mode.
    Inside(Sandbox, &'a [String]),
}

/// A directory in a mount namespace of its own.
pub(crate) struct Sandbox {
    path: PathBuf,
}

/// Goes into a sandbox, by running this program again with the same arguments, if all that it
/// takes is here. Does not return outside then.
pub(crate) fn enter<'a>(
    mode: &str,
    tools: &[&str],
    args: &'a [String],
) -> anyhow::Result<Side<'a>> {
    if let [first, path, rest @ ..] = args
        && first == INSIDE
    {
        let path = PathBuf::from(path);
        return Ok(Side::Inside(Sandbox { path }, rest));
    }
    if let Some(missing) = missing(tools)? {
        println!("skipped: needs {missing}");
        return Ok(Side::Skipped);
    }
    let path = tempfile::Builder::new()
        .prefix("data_manager-torture-")
        .tempdir()
        .context("make a temporary directory")?
        .keep();
    // Other users take part.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    let end = janitor(&path)?;
    let failed = Command::new("unshare")
        .args(["--mount", "--"])
        .arg(std::env::current_exe()?)
        .args([OsStr::new(mode), OsStr::new(INSIDE), path.as_os_str()])
        .args(args)
        .stdin(end)
        .exec();
    Err(failed).context("run unshare")
}

/// What is not here of what a sandbox needs.
fn missing(tools: &[&str]) -> anyhow::Result<Option<String>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(Some("root".to_owned()));
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    let here = |tool: &str| std::env::split_paths(&search).any(|dir| dir.join(tool).is_file());
    let always = ["unshare", "mount", "umount"];
    if let Some(tool) = always.iter().chain(tools).find(|tool| !here(tool)) {
        return Ok(Some((*tool).to_owned()));
    }
    let may = run("unshare", &["--mount", "--", "true"]).is_ok();
    Ok((!may).then(|| "the right to make a mount namespace".to_owned()))
}

/// A shell that removes `path` once the other end of what is returned is closed. Signals of the
/// terminal do not reach it.
fn janitor(path: &Path) -> anyhow::Result<Stdio> {
    let mut shell = Command::new("sh")
        .args([
            "-c",
            "cat >/dev/null; rm -rf --one-file-system -- \"$1\"",
            "janitor",
        ])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("run sh")?;
    let end = shell.stdin.take().context("no pipe to the shell")?;
    Ok(end.into())
}

impl Sandbox {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Sandbox {
    /// What is mounted in it has to be unmounted by then; otherwise the shell outside does it.
    fn drop(&mut self) {
        let path = self.path.to_string_lossy();
        let _ = run("rm", &["-rf", "--one-file-system", "--", path.as_ref()]);
    }
}

/// Runs a tool that says nothing unless it fails.
pub(crate) fn run(tool: &str, args: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(tool)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {tool}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{tool} {}: {}",
        args.join(" "),
        said.trim()
    );
    Ok(())
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> anyhow::Result<&str> {
    match path.to_str() {
        Some(text) => Ok(text),
        None => bail!("{} is not UTF-8", path.display()),
    }
}

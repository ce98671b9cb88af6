//! A file system in a file, whose power can be cut.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::sandbox::{run, text};

/// Sparse: it takes as much room as is written.
const IMAGE_BYTES: u64 = 1 << 30;
/// A process that was killed may take a moment to let go of its files.
const UNMOUNT_DEADLINE: Duration = Duration::from_secs(20);
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Which file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
        }
    }
}

/// What is lost in a cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Everything that was not synced.
    Hard,
    /// What was not synced, but for the journal: names and renames that nobody synced are there,
    /// the data behind them is not.
    JournalWritten,
}

/// A loop mount.
pub(crate) struct Image {
    file: PathBuf,
    mount: PathBuf,
    mounted: bool,
}

impl Image {
    /// Makes the file system, and leaves it unmounted.
    pub(crate) fn make(dir: &Path, kind: Kind) -> anyhow::Result<Image> {
        let file = dir.join(format!("{}.img", kind.name()));
        let mount = dir.join(kind.name());
        File::create(&file)?.set_len(IMAGE_BYTES)?;
        fs::create_dir(&mount)?;
        run(&format!("mkfs.{}", kind.name()), &["-q", text(&file)?])?;
        Ok(Image {
            file,
            mount,
            mounted: false,
        })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    pub(crate) fn mount(&mut self) -> anyhow::Result<()> {
        run(
            "mount",
            &["-o", "loop", text(&self.file)?, text(&self.mount)?],
        )?;
        self.mounted = true;
        Ok(())
    }

    /// From here on nothing reaches the disk. Every call on it fails.
    pub(crate) fn cut(&self, cut: Cut) -> anyhow::Result<()> {
        let command = match cut {
            Cut::Hard => "shutdown",
            Cut::JournalWritten => "shutdown -f",
        };
        run("xfs_io", &["-x", "-c", command, text(&self.mount)?])
    }

    /// Whoever used it has ended.
    pub(crate) fn unmount(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + UNMOUNT_DEADLINE;
        loop {
            match run("umount", &[text(&self.mount)?]) {
                Ok(()) => break,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.mounted {
            let mount = self.mount.to_string_lossy();
            let _ = run("umount", &["--lazy", mount.as_ref()]);
        }
        let _ = fs::remove_file(&self.file);
    }
}

/// What the processes of this namespace take for the boot. Without it a cut would look like a kill:
/// what was not synced is trusted until the machine starts anew.
pub(crate) struct Boot {
    file: PathBuf,
    count: u64,
}

impl Boot {
    pub(crate) fn first(dir: &Path) -> anyhow::Result<Boot> {
        let mut boot = Boot {
            file: dir.join("boot_id"),
            count: 0,
        };
        boot.again()?;
        run("mount", &["--bind", text(&boot.file)?, BOOT_ID]).context("show another boot id")?;
        Ok(boot)
    }

    /// The machine starts anew.
    pub(crate) fn again(&mut self) -> anyhow::Result<()> {
        self.count += 1;
        let id = format!("70776572-6375-4000-8000-{:012}\n", self.count);
        fs::write(&self.file, id).context("write the boot id")
    }
}

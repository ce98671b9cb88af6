//! How a data directory is written: what is waited for, and who may read it.

/// How much of what is visible survives. A kill of the process loses nothing at any level; they
/// differ in what a power cut may do, and in what is waited for.
///
/// | | `Full` | `Ordered` | `None` |
/// | --- | --- | --- | --- |
/// | process killed | nothing is lost | nothing is lost | nothing is lost |
/// | power cut: a visible chunk is broken | never | never | possible, and found: it is read in full before it is visible again |
/// | power cut: a chunk whose task had ended is gone | never | possible, if it was committed or revived in the last moments | possible |
/// | power cut: a deleted chunk is back | never, once its task had ended | possible, for deletes of the last moments | possible |
/// | cost | each file, manifest and directory is synced, and each rename and delete | renames and deletes are not waited for | no wait for the disk at all |
///
/// The last moments are what the file system has not written yet, some 5 to 30 seconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Durability {
    /// Files, manifest and directories are synced before a chunk becomes visible, its rename before
    /// its task ends, and a delete before its task does.
    #[default]
    Full,
    /// Files, manifest and directories are synced before the rename that makes a chunk visible. The
    /// rename itself, tombstones and deletes are not waited for.
    Ordered,
    /// Nothing is synced: fast, for data that can be fetched again. A chunk's directory says in
    /// which boot it was committed; after another one the chunk is read before it is believed.
    None,
}

/// How a data directory is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StoreOptions {
    pub(crate) durability: Durability,
    /// Of new directories, exactly; without one 0700, less what the umask takes.
    pub(crate) dir_mode: Option<u32>,
    /// Of new files, exactly; without one 0600, less what the umask takes.
    pub(crate) file_mode: Option<u32>,
}

impl StoreOptions {
    /// The setting that is out of its range, and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let dir = self.dir_mode.unwrap_or(0o700);
        let file = self.file_mode.unwrap_or(0o600);
        if dir & 0o700 != 0o700 || dir > 0o7777 {
            return Err(("dir_mode", "has to let the owner read, write and enter"));
        }
        if file & 0o600 != 0o600 || file > 0o777 {
            return Err(("file_mode", "has to let the owner read and write"));
        }
        Ok(())
    }
}

impl From<Durability> for StoreOptions {
    fn from(durability: Durability) -> Self {
        StoreOptions {
            durability,
            ..StoreOptions::default()
        }
    }
}

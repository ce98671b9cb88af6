//! `file://`: files of this machine, under directories that the builder names and nowhere else.

mod list;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use fluent_uri::Uri;
use percent_encoding::percent_decode_str;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, copy_file_range};
use rustix::io::{Errno, retry_on_intr};

use super::{
    Body, ChangedUnderWay, Copied, CopiesFrom, DataSource, ListRequest, OpenRequest, Opened,
    SourceError,
};
use crate::data_chunk::DataChunk;
use crate::error::ErrorKind;

/// Serves `file:///path` for regular files below the given directories.
#[derive(Debug)]
pub struct FileSource {
    /// Each directory as it was named, made absolute, and as it is with its links resolved: a URL
    /// may be written either way.
    roots: Vec<PathBuf>,
}

impl FileSource {
    /// Serves what is below `roots`, and nothing if there are none. Looks the directories up.
    pub fn new(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        let forms = |root: PathBuf| {
            let named = std::path::absolute(&root).ok();
            let real = fs::canonicalize(&root).ok();
            named.into_iter().chain(real)
        };
        FileSource {
            roots: roots.into_iter().flat_map(forms).collect(),
        }
    }

    /// Where `path` is, if that may be served.
    fn real_path(&self, path: &Path) -> Result<PathBuf, SourceError> {
        // Resolving links first and comparing afterwards is what keeps a link inside a root from
        // leading out of it.
        let real = fs::canonicalize(path).map_err(|error| io_error(error, "find the file"))?;
        if !self.roots.iter().any(|root| is_below(&real, root)) {
            let cause = anyhow!("the file is outside the directories that may be served");
            return Err(SourceError::permanent(cause).with_kind(ErrorKind::Denied));
        }
        Ok(real)
    }

    fn open_below(&self, path: &Path) -> Result<File, SourceError> {
        let real = self.real_path(path)?;
        let opened = open_real(&real).map_err(|error| io_error(error, "open the file"))?;
        opened.ok_or_else(|| {
            let cause = anyhow!("it is not a regular file");
            SourceError::permanent(cause).with_kind(ErrorKind::Denied)
        })
    }
}

impl DataSource for FileSource {
    fn check(&self, url: &str) -> anyhow::Result<()> {
        let path = path_of(url)?;
        if self.roots.is_empty() {
            bail!("is file://, which is served from no directory: see serve_files_from");
        }
        if !self.roots.iter().any(|root| path.starts_with(root)) {
            bail!("is outside the directories that serve_files_from names");
        }
        Ok(())
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened, SourceError> {
        let path = path_of(request.url()).map_err(SourceError::permanent)?;
        let file = self.open_below(&path)?;
        let metadata = file
            .metadata()
            .map_err(|error| io_error(error, "look at the file"))?;
        let validator = validator_of(&metadata);
        if validator.is_some() && validator.as_deref() == request.unless_validator() {
            return Err(SourceError::unchanged());
        }
        let unchanged = validator.is_some() && validator.as_deref() == request.validator();
        let start = if unchanged {
            request.offset().min(metadata.len())
        } else {
            0
        };
        let body = FileBody {
            file,
            at: start,
            was: Looks::of(&metadata),
            by_kernel: true,
        };
        let mut opened = Opened::from_body(body)
            .starting_at(start)
            .with_total(metadata.len());
        opened.validator = validator;
        Ok(opened)
    }

    fn list(
        &self,
        request: &ListRequest<'_>,
        found: &mut dyn FnMut(DataChunk),
    ) -> Result<(), SourceError> {
        self.list_below(request, found)
    }
}

/// A file that is read while others may write it.
struct FileBody {
    file: File,
    /// Where the next byte is.
    at: u64,
    /// As it was when it was opened.
    was: Looks,
    /// The kernel copies it, as long as it does.
    by_kernel: bool,
}

/// What a change of a file changes.
#[derive(PartialEq, Eq)]
struct Looks {
    len_bytes: u64,
    modified: Option<SystemTime>,
}

impl Looks {
    fn of(metadata: &fs::Metadata) -> Looks {
        Looks {
            len_bytes: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

impl Read for FileBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.was.len_bytes.saturating_sub(self.at);
        let room = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..room], self.at)?;
        // All of it was of one content if nobody wrote from the first look to the last.
        if count == 0 && !buffer.is_empty() && Looks::of(&self.file.metadata()?) != self.was {
            return Err(io::Error::other(ChangedUnderWay));
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Body for FileBody {
    fn copies_from(&self) -> Option<CopiesFrom> {
        self.by_kernel.then_some(CopiesFrom::File)
    }

    fn copy_into(&mut self, target: &File, mut at: u64, len: usize) -> Copied {
        let asked = Instant::now();
        let mut from = self.at;
        let mut copy = || copy_file_range(&self.file, Some(&mut from), target, Some(&mut at), len);
        let count = loop {
            match copy() {
                Err(Errno::INTR) => {}
                copied => break copied.unwrap_or(0),
            }
        };
        self.at += count as u64;
        self.by_kernel = count > 0;
        let waited = asked.elapsed();
        Copied { count, waited }
    }
}

/// Opens the file at `real`, a path without links; `None` if it is no regular file. What was found
/// out about the path before may be over by now: somebody may have put a link in it, which is not
/// followed, or a FIFO, whose other end is not waited for.
fn open_real(real: &Path) -> io::Result<Option<File>> {
    // The kind first: opening a device may do something to it.
    if !fs::symlink_metadata(real)?.is_file() {
        return Ok(None);
    }
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let without_links =
        || rustix::fs::openat2(CWD, real, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    let opened = match retry_on_intr(without_links) {
        // An old kernel, or a sandbox that does not know the call: no link at the end, at least.
        Err(Errno::NOSYS | Errno::PERM) => {
            retry_on_intr(|| rustix::fs::openat(CWD, real, flags, Mode::empty()))
        }
        opened => opened,
    };
    let file = File::from(opened?);
    let is_file = file.metadata()?.is_file();
    Ok(is_file.then_some(file))
}

/// The path in a `file://` URL: absolute, decoded, without `.` and `..`.
fn path_of(url: &str) -> anyhow::Result<PathBuf> {
    let uri = Uri::parse(url).map_err(|_| anyhow!("is not a valid URL"))?;
    if !uri.scheme().as_str().eq_ignore_ascii_case("file") {
        bail!("is not file://");
    }
    if uri
        .authority()
        .is_some_and(|authority| !matches!(authority.host(), "" | "localhost"))
    {
        bail!("names another host");
    }
    if uri.query().is_some() {
        bail!("has a query, which files do not");
    }
    let path = percent_decode_str(uri.path().as_str())
        .decode_utf8()
        .context("the path is not UTF-8")?;
    let dots = path.split('/').any(|part| part == "." || part == "..");
    if !path.starts_with('/') || dots || path.contains('\0') {
        bail!("needs an absolute path without `.` and `..`");
    }
    Ok(PathBuf::from(path.into_owned()))
}

/// Whether `real`, which is canonical, is below `root` once that is canonical too.
fn is_below(real: &Path, root: &Path) -> bool {
    fs::canonicalize(root).is_ok_and(|root| real.starts_with(root))
}

/// Length, modification time and which file it is: what a change of the file changes. Time alone
/// goes by the ticks of the kernel's clock, in which a file is soon replaced by another one.
fn validator_of(metadata: &fs::Metadata) -> Option<String> {
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let (len, modified) = (metadata.len(), modified.as_nanos());
    Some(format!("{len}-{modified}-{:x}", metadata.ino()))
}

fn io_error(error: io::Error, action: &str) -> SourceError {
    let kind = error.kind();
    let cause = anyhow::Error::new(error).context(format!("cannot {action}"));
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SourceError::permanent(cause),
        io::ErrorKind::PermissionDenied => {
            SourceError::permanent(cause).with_kind(ErrorKind::Denied)
        }
        _ => SourceError::transient(cause).with_kind(ErrorKind::Io),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_source::CancelToken;

    fn read(source: &FileSource, url: &str) -> Result<String, SourceError> {
        let mut text = String::new();
        let mut opened = source.open(&OpenRequest::new(url, &CancelToken::new()))?;
        opened.reader.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn only_what_is_below_a_root_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir_all(root.join("a b")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(root.join("a b/c"), "inside").unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), root.join("link")).unwrap();
        let source = FileSource::new([root.clone()]);
        let url = |path: &Path| format!("file://{}", path.display()).replace(' ', "%20");

        assert_eq!(read(&source, &url(&root.join("a b/c"))).unwrap(), "inside");
        assert!(source.check(&url(&outside.join("secret"))).is_err());
        assert!(source.check(&url(&root.join("../outside/secret"))).is_err());
        assert!(
            source
                .check(&url(&root).replace("file://", "file://example.com"))
                .is_err()
        );
        for path in [outside.join("secret"), root.join("link"), root.clone()] {
            assert_eq!(
                read(&source, &url(&path)).unwrap_err().kind,
                ErrorKind::Denied
            );
        }
        let missing = read(&source, &url(&root.join("missing"))).unwrap_err();
        assert!(missing.permanent && missing.kind == ErrorKind::NotFound);
        assert!(
            FileSource::new([])
                .check(&url(&root.join("a b/c")))
                .is_err()
        );
    }

    /// As if it had been found without links, and regular, a moment ago.
    #[test]
    fn no_link_is_followed_that_was_put_there_since() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/f"), "secret").unwrap();
        std::os::unix::fs::symlink("real", root.join("dir")).unwrap();
        std::os::unix::fs::symlink("f", root.join("real/link")).unwrap();
        assert!(open_real(&root.join("real/f")).unwrap().is_some());
        assert!(open_real(&root.join("dir/f")).is_err());
        assert!(open_real(&root.join("real/link")).is_ok_and(|file| file.is_none()));
        assert!(open_real(&root.join("real")).unwrap().is_none());
    }

    #[test]
    fn resumes_only_an_unchanged_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "0123456789").unwrap();
        let source = FileSource::new([dir.path().to_owned()]);
        let url = format!("file://{}", path.display());
        let cancel = CancelToken::new();
        let validator = source
            .open(&OpenRequest::new(&url, &cancel))
            .unwrap()
            .validator
            .unwrap();
        let again = source
            .open(&OpenRequest::new(&url, &cancel).resume(4, &validator))
            .unwrap();
        assert_eq!((again.start, again.total), (4, Some(10)));
        let changed = source
            .open(&OpenRequest::new(&url, &cancel).resume(4, "other"))
            .unwrap();
        assert_eq!(changed.start, 0);
    }

    /// Opens a file of 3 MiB, has `change` done to it after `first` bytes, and reads on.
    fn read_while_it_changes(
        first: usize,
        by_kernel: bool,
        change: impl FnOnce(&File),
    ) -> io::Result<usize> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let content = vec![7; 3 << 20];
        fs::write(&path, &content).unwrap();
        // Or the change might come at the very time that is on the clock of the file system.
        let writer = File::options().write(true).open(&path).unwrap();
        writer.set_modified(UNIX_EPOCH).unwrap();
        let source = FileSource::new([dir.path().to_owned()]);
        let url = format!("file://{}", path.display());
        let mut body = (source.open(&OpenRequest::new(&url, &CancelToken::new())))
            .unwrap()
            .reader;
        let target = tempfile::tempfile().unwrap();
        let mut done = match by_kernel {
            true => body.copy_into(&target, 0, first).count,
            false => body.read(&mut vec![0; first]).unwrap(),
        };
        assert_eq!(done, first);
        change(&writer);
        if by_kernel {
            done += body
                .copy_into(&target, first as u64, content.len() - first)
                .count;
        }
        let rest = body.read_to_end(&mut Vec::new())?;
        Ok(done + rest)
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_an_error() {
        for by_kernel in [false, true] {
            for first in [1, 1 << 20, 3 << 20] {
                let read = |change: &dyn Fn(&File)| {
                    read_while_it_changes(first, by_kernel, |writer| change(writer))
                };
                assert_eq!(read(&|_| ()).unwrap(), 3 << 20);
                let changes: [&dyn Fn(&File); 4] = [
                    &|writer| writer.set_len(2 << 20).unwrap(),
                    &|writer| writer.set_len(0).unwrap(),
                    &|writer| writer.set_len(4 << 20).unwrap(),
                    &|writer| writer.write_all_at(b"x", 5).unwrap(),
                ];
                for (number, change) in changes.into_iter().enumerate() {
                    let error = read(change).unwrap_err();
                    assert!(ChangedUnderWay::is(&error), "{number}: {error}");
                }
            }
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(super) mod properties;

//! The door: what a description must be before anything is touched.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::OnceLock;

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::url::{host_of, parse_file_url};
use super::{ChunkId, DataChunk, DatasetId, Sha256Digest, hex_encode, redact_url};
use crate::error::Error;

/// The name of the JSON file inside a chunk's directory; no file of a chunk may have it.
pub(crate) const MANIFEST_NAME: &str = "_chunk.json";
/// The name of the folder inside a staging directory that remembers how far partial files are.
pub(crate) const PARTS_NAME: &str = "_parts";
/// The longest file name, in bytes, that the usual file systems take.
const MAX_FILE_NAME_BYTES: usize = 255;

/// A description that passed the door.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ChunkSpec {
    pub(crate) id: ChunkId,
    pub(crate) dataset_id: DatasetId,
    /// Half-open, never empty.
    pub(crate) block_range: Range<u64>,
    /// At least one; sorted by name. None for a chunk that was found on disk: its directory's name
    /// says no more of them than the fingerprint, and URLs are never stored.
    pub(crate) files: Vec<FileSpec>,
    /// A number for the content, as it was at the door: everything but the URLs goes into it, so that
    /// descriptions can be told apart by it where their files are not known. Names the staging
    /// directory and the chunk's, so it never changes.
    pub(crate) fingerprint: u64,
    /// What [`said_by`] gives for the description; 0 for a chunk that was found on disk.
    pub(crate) said: u64,
}

/// A number for what a description says, URLs included, never 0: two that differ have the same one
/// by chance only, and nobody can choose them so, since it is another one in each process.
pub(crate) fn said_by(chunk: &DataChunk) -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    let seed = *SEED.get_or_init(|| RandomState::new().hash_one(0u8));
    let mut hasher = Xxh3::with_seed(seed);
    hasher.update(&chunk.id);
    hasher.update(&chunk.dataset_id);
    hasher.update(&chunk.block_range.start.to_le_bytes());
    hasher.update(&chunk.block_range.end.to_le_bytes());
    // Whatever the order in which the map gives them.
    let file = |(name, url): (&String, &String)| {
        xxh3_64_with_seed(url.as_bytes(), xxh3_64_with_seed(name.as_bytes(), seed))
    };
    let files = chunk.files.iter().map(file);
    let files = files.fold(0u64, u64::wrapping_add);
    hasher.update(&files.to_le_bytes());
    hasher.digest().max(1)
}

/// One file of a [`ChunkSpec`].
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FileSpec {
    /// A single, harmless path component.
    pub(crate) name: String,
    /// The URL without fragment.
    pub(crate) url: String,
    /// The URL's scheme in lower case.
    pub(crate) scheme: Cow<'static, str>,
    /// The digest that the description declares.
    pub(crate) sha256: Option<Sha256Digest>,
}

impl FileSpec {
    /// What has to answer for this file: host and port, or the scheme where the URL names no host.
    pub(crate) fn host(&self) -> &str {
        host_of(&self.url)
    }
}

impl ChunkSpec {
    /// Checks a description; the error names the field at fault.
    ///
    /// Whether a source serves each scheme is not known here and is for the caller to check.
    pub(crate) fn check(chunk: DataChunk) -> Result<ChunkSpec, Error> {
        let said = said_by(&chunk);
        let DataChunk {
            id,
            dataset_id,
            block_range,
            files,
        } = chunk;
        let files = check_parts(&block_range, files).map_err(|error| error.with_chunk(id))?;
        let content = files
            .iter()
            .map(|file| (file.name.as_str(), file.sha256.as_ref()));
        let fingerprint = fingerprint((&id, &dataset_id), &block_range, content);
        Ok(ChunkSpec {
            id,
            dataset_id,
            block_range,
            files,
            fingerprint,
            said,
        })
    }

    /// What the name of a chunk's directory says of it.
    pub(crate) fn found(
        (id, dataset_id): (ChunkId, DatasetId),
        block_range: Range<u64>,
        fingerprint: u64,
    ) -> ChunkSpec {
        ChunkSpec {
            id,
            dataset_id,
            block_range,
            files: Vec::new(),
            fingerprint,
            said: 0,
        }
    }

    /// Whether both describe the same content: everything but the URLs.
    pub(crate) fn same_content(&self, other: &ChunkSpec) -> bool {
        self.first_difference(other).is_none()
    }

    /// The name of the first field in which the content differs.
    pub(crate) fn first_difference(&self, other: &ChunkSpec) -> Option<&'static str> {
        if std::ptr::eq(self, other) {
            None
        } else if self.id != other.id {
            Some("id")
        } else if self.dataset_id != other.dataset_id {
            Some("dataset_id")
        } else if self.block_range != other.block_range {
            Some("block_range")
        } else if self.fingerprint != other.fingerprint {
            let names = |spec: &ChunkSpec| -> Vec<String> {
                spec.files.iter().map(|file| file.name.clone()).collect()
            };
            // Of what was found on disk it is not known whether the names differ, or a digest.
            let same_names = self.has_urls() && names(self) == names(other);
            Some(if same_names { "sha256" } else { "files" })
        } else {
            None
        }
    }

    /// Whether the content is the same and so are the URLs.
    pub(crate) fn same_urls(&self, other: &ChunkSpec) -> bool {
        self.files
            .iter()
            .map(|f| &f.url)
            .eq(other.files.iter().map(|f| &f.url))
    }

    /// Whether the URLs are known, that is, whether the chunk can be fetched.
    pub(crate) fn has_urls(&self) -> bool {
        !self.files.is_empty()
    }
}

/// See [`ChunkSpec::fingerprint`]. Files in the order of their names, each with the digest that it
/// is declared to have.
pub(crate) fn fingerprint<'a>(
    (id, dataset_id): (&ChunkId, &DatasetId),
    block_range: &Range<u64>,
    files: impl Iterator<Item = (&'a str, Option<&'a Sha256Digest>)>,
) -> u64 {
    let mut hasher = Xxh3::new();
    let mut field = |bytes: &[u8]| {
        // Lengths go in too: ("ab", "c") and ("a", "bc") are not the same names.
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    field(id);
    field(dataset_id);
    field(&block_range.start.to_le_bytes());
    field(&block_range.end.to_le_bytes());
    for (name, sha256) in files {
        field(name.as_bytes());
        field(sha256.map_or(&[][..], |digest| &digest[..]));
    }
    hasher.digest()
}

fn check_parts(
    block_range: &Range<u64>,
    files: HashMap<String, String>,
) -> Result<Vec<FileSpec>, Error> {
    if block_range.is_empty() {
        let Range { start, end } = block_range;
        let reason = format!("{start}..{end} holds no block");
        return Err(Error::refused("block_range", reason));
    }
    if files.is_empty() {
        return Err(Error::refused("files", "a chunk has at least one file"));
    }
    let mut specs = Vec::with_capacity(files.len());
    for (name, url) in files {
        check_file_name(&name).map_err(|reason| {
            Error::refused("files", format!("the name {name:?} {reason}")).with_file(&name)
        })?;
        let parsed = parse_file_url(&url).map_err(|reason| {
            Error::refused("files", format!("the URL {reason}"))
                .with_file(&name)
                .with_url(redact_url(&url))
        })?;
        // Copied, not cut to size in its place: what is kept lies close together then, and what
        // comes in leaves no holes between.
        let url = parsed.location.to_owned();
        let (scheme, sha256) = (parsed.scheme, parsed.sha256);
        specs.push(FileSpec {
            name,
            url,
            scheme,
            sha256,
        });
    }
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(specs)
}

/// Whether `name` is a single path component that can do no harm in a chunk's directory. Asked at
/// the door and again of every manifest that is read back from disk.
pub(crate) fn check_file_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("is empty")
    } else if name == "." || name == ".." {
        Err("is not a file's name")
    } else if name.contains(['/', '\\']) {
        Err("has a path separator")
    } else if name.chars().any(char::is_control) {
        Err("has a control character")
    } else if name.len() > MAX_FILE_NAME_BYTES {
        Err("is longer than 255 bytes")
    } else if name == MANIFEST_NAME || name == PARTS_NAME {
        Err("is one of the library's own")
    } else {
        Ok(())
    }
}

impl std::fmt::Debug for ChunkSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkSpec")
            .field("id", &hex_encode(&self.id))
            .field("dataset_id", &hex_encode(&self.dataset_id))
            .field("block_range", &self.block_range)
            .field("files", &self.files)
            .finish()
    }
}

impl std::fmt::Debug for FileSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSpec")
            .field("name", &self.name)
            .field("url", &redact_url(&self.url))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(files: &[(&str, &str)]) -> DataChunk {
        DataChunk {
            id: [1; 32],
            dataset_id: [2; 32],
            block_range: 0..35,
            files: files
                .iter()
                .map(|(n, u)| ((*n).to_owned(), (*u).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn what_may_not_be_a_file_name() {
        let too_long = "x".repeat(256);
        for name in [
            "",
            ".",
            "..",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}b",
            &too_long,
            "_chunk.json",
            "_parts",
        ] {
            let error = ChunkSpec::check(chunk(&[(name, "http://h/a")])).unwrap_err();
            assert!(
                error.to_string().starts_with("files: "),
                "{name:?}: {error}"
            );
        }
        for name in ["a", "...", "_x", ".x", "ü.parquet", &"x".repeat(255)] {
            assert!(
                ChunkSpec::check(chunk(&[(name, "http://h/a")])).is_ok(),
                "{name:?}"
            );
        }
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges)]
    fn ranges_hold_at_least_one_block() {
        for range in [0..0, 5..5, 5..4, u64::MAX..u64::MAX, u64::MAX..0] {
            let bad = DataChunk {
                block_range: range,
                ..chunk(&[("a", "http://h/a")])
            };
            let error = ChunkSpec::check(bad).unwrap_err();
            assert!(error.to_string().starts_with("block_range: "), "{error}");
        }
    }

    #[test]
    fn urls_are_where_and_digests_are_what() {
        let digest = |d: &str| format!("http://h/a#sha256={}", d.repeat(32));
        let check = |url: &str| ChunkSpec::check(chunk(&[("a", url)])).unwrap();
        let plain = check("http://h/a");
        assert!(plain.same_content(&check("http://elsewhere/b?x")));
        assert!(!plain.same_urls(&check("http://elsewhere/b?x")));
        let declared = check(&digest("00"));
        assert_eq!(plain.first_difference(&declared), Some("sha256"));
        assert_ne!(plain.fingerprint, declared.fingerprint);
        let elsewhere = check("http://elsewhere/b?x");
        assert_eq!(plain.fingerprint, elsewhere.fingerprint);
    }

    #[test]
    fn what_says_something_else_has_another_number() {
        let digest = format!("http://h/b?x#sha256={}", "0a".repeat(32));
        let said = chunk(&[("a", "http://h/a"), ("b", &digest)]);
        assert_eq!(
            ChunkSpec::check(said.clone()).unwrap().said,
            said_by(&chunk(&[("b", &digest), ("a", "http://h/a")]))
        );
        let mut others = vec![said.clone(); 4];
        for (name, url) in [
            ("a", "http://h/a?"),
            ("a", ""),
            ("a", &digest),
            ("b", "http://h/b?x"),
            ("b", &digest.replace("0a", "0b")),
            ("c", "http://h/a"),
        ] {
            let mut other = said.clone();
            other.files.insert(name.to_owned(), url.to_owned());
            others.push(other);
        }
        others[0].id = [9; 32];
        others[1].dataset_id = [9; 32];
        others[2].block_range = 1..35;
        others[3].block_range = 0..36;
        // The same names and URLs, the other way round.
        others.push(chunk(&[("b", "http://h/a"), ("a", &digest)]));
        others.push(said);
        let numbers: std::collections::HashSet<u64> = others.iter().map(said_by).collect();
        assert_eq!(numbers.len(), others.len());
    }

    #[test]
    fn an_error_about_a_url_does_not_repeat_its_secrets() {
        let error =
            ChunkSpec::check(chunk(&[("a", "http://u:canary@h/a?canary#canary")])).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("http://h/a"), "{text}");
    }
}

//! `_chunk.json`: what a chunk's directory holds, written once before the chunk is committed.
//!
//! URLs are not in it. The checksum is over the manifest's own JSON in its canonical form, so
//! that a changed byte anywhere in it is noticed.

use std::io;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::disk::{Dir, is_no_dir};
use super::layout::ChunkName;
use super::stored::{Contents, FileSums};
use crate::data_chunk::{
    ChunkFile, ChunkId, ChunkSpec, DatasetId, FileSpec, MANIFEST_NAME, Sha256Digest,
};
use crate::data_chunk::{check_file_name, fingerprint, hex_decode, hex_encode};
use crate::data_source::FetchedFile;
use crate::error::{Error, ErrorKind};

/// The version of the format that this code writes and reads.
const VERSION: u32 = 1;
/// No sound manifest is longer; a longer one is not read.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// The content of `_chunk.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    manifest: Manifest,
    /// XXH3-64 of `manifest` as compact JSON, 16 hexadecimal digits.
    checksum: String,
}

/// What a committed chunk is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u32,
    id: String,
    dataset_id: String,
    block_range: Range<u64>,
    /// Sorted by name.
    files: Vec<FileEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    name: String,
    len_bytes: u64,
    /// XXH3-64 of the content, 16 hexadecimal digits.
    xxh3: String,
    /// The digest that the description declared, 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sha256: Option<String>,
}

impl Manifest {
    /// The manifest of a chunk whose files are `fetched`, in the order of `spec.files`.
    pub(super) fn new(spec: &ChunkSpec, fetched: &[FetchedFile]) -> Manifest {
        let entry = |(file, fetched): (&FileSpec, &FetchedFile)| FileEntry {
            name: file.name.clone(),
            len_bytes: fetched.len_bytes,
            xxh3: format!("{:016x}", fetched.xxh3),
            sha256: file.sha256.as_ref().map(hex_encode),
        };
        Manifest {
            version: VERSION,
            id: hex_encode(&spec.id),
            dataset_id: hex_encode(&spec.dataset_id),
            block_range: spec.block_range.clone(),
            files: spec.files.iter().zip(fetched).map(entry).collect(),
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let checksum = self.checksum();
        let envelope = Envelope {
            manifest: self.clone(),
            checksum,
        };
        let mut json = serde_json::to_vec_pretty(&envelope).unwrap_or_default();
        json.push(b'\n');
        json
    }

    fn checksum(&self) -> String {
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        format!("{:016x}", xxh3_64(&canonical))
    }

    /// Reads the manifest in `dir` and holds it against the directory's name.
    pub(super) fn read(
        dir: &Dir,
        dataset_id: DatasetId,
        name: &ChunkName,
    ) -> Result<Contents, Error> {
        let bytes = dir.read_bounded(MANIFEST_NAME, MAX_MANIFEST_BYTES);
        let bytes = bytes.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => damaged("the manifest is missing").with_chunk(name.id),
            io::ErrorKind::InvalidData => {
                damaged("the manifest is not a regular file").with_chunk(name.id)
            }
            // Too many open files, no permission: that says nothing about the chunk.
            _ => Error::io("read the manifest", error).with_chunk(name.id),
        })?;
        if version_of(&bytes).is_some_and(|version| version > VERSION) {
            let reason = "cannot read the manifest: a later version of this library wrote it";
            return Err(Error::new(ErrorKind::Denied, reason).with_chunk(name.id));
        }
        let read = parse(&bytes).map_err(|reason| damaged(reason).with_chunk(name.id))?;
        if read.agrees_with(dataset_id, name) {
            Ok(read.contents)
        } else {
            Err(damaged("name and manifest disagree").with_chunk(name.id))
        }
    }

    /// The names of the files that the manifest in `parent/name` lists; none where there is no sound
    /// manifest. An error where the disk would not let it be read: too many open files, or a bad
    /// sector, says nothing about what is in there, and ours must not be taken for a stranger's.
    pub(super) fn names_in(parent: &Dir, name: &str) -> Result<Vec<String>, Error> {
        let read = || {
            parent
                .open(name)?
                .read_bounded(MANIFEST_NAME, MAX_MANIFEST_BYTES)
        };
        let bytes = match read() {
            Ok(bytes) => bytes,
            Err(error) if is_no_dir(&error) || error.kind() == io::ErrorKind::InvalidData => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(Error::io("read the manifest of what is removed", error)),
        };
        let files = parse(&bytes).map(|read| read.contents.files);
        let files = files.unwrap_or_default().into_iter();
        Ok(files.map(|file| file.name).collect())
    }
}

/// What a manifest says, checked like any other input.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ReadBack {
    id: ChunkId,
    dataset_id: DatasetId,
    block_range: Range<u64>,
    contents: Contents,
}

impl ReadBack {
    /// Whether it is the manifest of the chunk that is called so.
    fn agrees_with(&self, dataset_id: DatasetId, name: &ChunkName) -> bool {
        self.id == name.id
            && self.dataset_id == dataset_id
            && self.block_range == name.block_range
            && self.fingerprint() == name.fingerprint
            && self.contents.len_bytes() == Some(name.len_bytes)
    }

    fn fingerprint(&self) -> u64 {
        let files = self.contents.files.iter().zip(&self.contents.sums);
        let files = files.map(|(file, sums)| (file.name.as_str(), sums.sha256.as_ref()));
        fingerprint((&self.id, &self.dataset_id), &self.block_range, files)
    }
}

/// The files of another directory's chunk, each with the digest that was declared, in the order of
/// their names; `None` if these are not the bytes of its manifest.
pub(in crate::data_source) fn declared_digests(
    bytes: &[u8],
    dataset_id: DatasetId,
    name: &ChunkName,
) -> Option<Vec<(ChunkFile, Option<Sha256Digest>)>> {
    let read = parse(bytes).ok()?;
    let Contents { files, sums } = read
        .agrees_with(dataset_id, name)
        .then_some(read.contents)?;
    let digests = sums.iter().map(|sums| sums.sha256);
    Some(files.into_iter().zip(digests).collect())
}

/// The version that a manifest says it has, whatever else is in it.
fn version_of(bytes: &[u8]) -> Option<u32> {
    let json: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    json.get("manifest")?
        .get("version")?
        .as_u64()?
        .try_into()
        .ok()
}

/// Parses what [`Manifest::to_json`] writes, and nothing that it would write differently.
fn parse(bytes: &[u8]) -> Result<ReadBack, &'static str> {
    let Envelope { manifest, checksum } =
        serde_json::from_slice(bytes).map_err(|_| "the manifest is not valid JSON of its kind")?;
    if manifest.version != VERSION {
        return Err("the manifest is of another version");
    }
    if manifest.checksum() != checksum {
        return Err("the manifest does not have its checksum");
    }
    let id: ChunkId = hex_decode(&manifest.id).ok_or("the manifest's id is malformed")?;
    let dataset_id =
        hex_decode(&manifest.dataset_id).ok_or("the manifest's dataset is malformed")?;
    if manifest.block_range.is_empty() || manifest.files.is_empty() {
        return Err("the manifest describes an empty chunk");
    }
    let mut files = Vec::with_capacity(manifest.files.len());
    let mut sums = Vec::with_capacity(manifest.files.len());
    for entry in manifest.files {
        check_file_name(&entry.name).map_err(|_| "the manifest names a file that may not be")?;
        let sha256 = entry
            .sha256
            .as_deref()
            .map(|text| hex_decode(text).ok_or("the manifest has a malformed digest"));
        sums.push(FileSums {
            xxh3: parse_xxh3(&entry.xxh3)?,
            sha256: sha256.transpose()?,
        });
        files.push(ChunkFile::new(entry.name, entry.len_bytes));
    }
    if !files.is_sorted_by(|a, b| a.name < b.name) {
        return Err("the manifest's files are out of order");
    }
    Ok(ReadBack {
        id,
        dataset_id,
        block_range: manifest.block_range,
        contents: Contents {
            files: files.into(),
            sums: sums.into(),
        },
    })
}

fn parse_xxh3(text: &str) -> Result<u64, &'static str> {
    let value =
        u64::from_str_radix(text, 16).map_err(|_| "the manifest has a malformed checksum")?;
    let canonical = format!("{value:016x}") == text;
    if canonical {
        Ok(value)
    } else {
        Err("the manifest has a malformed checksum")
    }
}

pub(super) fn damaged(reason: &str) -> Error {
    Error::new(ErrorKind::Damaged, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_chunk::DataChunk;

    fn sample() -> (ChunkSpec, Manifest) {
        let digest = format!("#sha256={}", "07".repeat(32));
        let files = [("a", ""), ("b", &digest)];
        let url = |digest: &str| format!("http://h/canary{digest}");
        let files = files.map(|(name, digest)| (name.to_owned(), url(digest)));
        let spec = ChunkSpec::check(DataChunk {
            id: [1; 32],
            dataset_id: [2; 32],
            block_range: 0..35,
            files: files.into(),
        });
        let fetched = [1, 2].map(|len_bytes| FetchedFile {
            len_bytes,
            xxh3: len_bytes << 60,
        });
        let spec = spec.unwrap();
        let manifest = Manifest::new(&spec, &fetched);
        (spec, manifest)
    }

    #[test]
    fn reads_back_without_urls() {
        let (spec, manifest) = sample();
        let json = manifest.to_json();
        assert!(!String::from_utf8(json.clone()).unwrap().contains("canary"));
        let read = parse(&json).unwrap();
        assert_eq!(read.fingerprint(), spec.fingerprint);
        assert_eq!((read.id, read.dataset_id), (spec.id, spec.dataset_id));
        let Contents { files, sums } = read.contents;
        let names: Vec<_> = files.iter().map(|f| (&*f.name, f.len_bytes)).collect();
        assert_eq!(names, [("a", 1), ("b", 2)]);
        assert_eq!(sums[1].xxh3, 2 << 60);
        assert_eq!(sums[1].sha256, Some([7; 32]));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let json = sample().1.to_json();
        let whole = parse(&json).unwrap();
        for at in 0..json.len() {
            let mut bad = json.clone();
            bad[at] ^= 1;
            if let Ok(read) = parse(&bad) {
                // White space may change without a change of meaning; nothing else may.
                assert_eq!(read, whole, "byte {at}");
                let changed = json[at];
                assert!(changed.is_ascii_whitespace(), "byte {at}: {changed}");
            }
        }
        assert!(parse(&json[..json.len() / 2]).is_err());
        assert!(parse(b"").is_err());
    }
}

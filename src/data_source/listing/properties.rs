//! What holds for whatever a listing is made of. Panics where it does not.
#![allow(
    unreachable_pub,
    reason = "the targets in `fuzz/` reach it, in their build"
)]

use std::collections::BTreeMap;

use super::{Listed, Listing};
use crate::data_chunk::{ChunkSpec, DataChunk};
use crate::data_source::SourceError;

/// Each manifest is the same text.
struct Said<'a>(&'a [u8]);

impl Listed for Said<'_> {
    fn url_of(&self, path: &str) -> String {
        let path: String = path.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("mem:{path}")
    }

    fn manifest(&self, _: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(Some(self.0.to_vec()))
    }
}

/// The lines of `text` are entries, each a size, a space and a path; the last line is every manifest.
/// Whatever chunk is given passes the door, and is made of entries alone.
pub fn listing(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let Some((manifest, lines)) = lines.split_last() else {
        return;
    };
    let entry = |line: &&str| {
        let (len, path) = line.split_once(' ')?;
        Some((path.to_owned(), len.parse::<u64>().ok()?))
    };
    let entries: Vec<(String, u64)> = lines.iter().filter_map(entry).collect();
    let chunks = list(&entries, manifest.as_bytes());
    let source = Said(&[]);
    let sizes: BTreeMap<String, u64> = entries
        .iter()
        .map(|(path, len)| (source.url_of(path), *len))
        .collect();
    for chunk in chunks {
        assert!(ChunkSpec::check(chunk.clone()).is_ok(), "{chunk:?}");
        for url in chunk.files.values() {
            let location = url.split('#').next().unwrap_or_default();
            assert!(sizes.contains_key(location), "{chunk:?}");
        }
    }
}

fn list(entries: &[(String, u64)], manifest: &[u8]) -> Vec<DataChunk> {
    let (source, mut chunks) = (Said(manifest), Vec::new());
    let mut found = |chunk| chunks.push(chunk);
    let mut listing = Listing::new(&source, &mut found);
    for (path, len_bytes) in entries {
        listing
            .entry(path, *len_bytes)
            .expect("no manifest fails to be read");
    }
    listing.finish().expect("no manifest fails to be read");
    chunks
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;
    use crate::data_chunk::{fingerprint, hex_encode};

    /// Of a chunk of these files, without digests.
    fn chunk_dir(blocks: Range<u64>, id: u8, len: u64, generation: u64, files: &[&str]) -> String {
        let ids = ([id; 32], [0xd5; 32]);
        let files = files.iter().map(|name| (*name, None));
        let fingerprint = fingerprint((&ids.0, &ids.1), &blocks, files);
        let (Range { start, end }, id) = (blocks, hex_encode(&ids.0));
        format!("chunk={start:020}-{end:020}-{id}-{len}-{generation}-{fingerprint:016x}")
    }

    const DATASET: &str =
        "dataset_id=d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5";

    fn line() -> impl Strategy<Value = String> {
        let dataset = prop_oneof![9 => Just(DATASET.to_owned()), 1 => ".{0,20}"];
        let chunk = (0u64..2, 0u64..3, 0u8..2, 0u64..4, 0u64..3).prop_map(
            |(start, end, id, len, generation)| {
                let files: [&[&str]; 2] = [&["a"], &["a", "b"]];
                chunk_dir(start..end, id, len, generation, files[usize::from(id)])
            },
        );
        let chunk = prop_oneof![9 => chunk, 1 => "chunk=.{0,20}"];
        let file = prop_oneof![8 => "[ab]", 1 => Just("_chunk.json".to_owned()), 1 => ".{0,10}"];
        (0u64..3, dataset, chunk, file)
            .prop_map(|(len, dataset, chunk, file)| format!("{len} {dataset}/{chunk}/{file}"))
    }

    proptest! {
        #[test]
        fn whatever_is_listed_passes_the_door(lines in proptest::collection::vec(line(), 0..12), manifest in ".{0,40}") {
            listing(&format!("{}\n{manifest}", lines.join("\n")));
        }

        #[test]
        fn any_text_is_survived(text in "(?s).{0,200}") {
            listing(&text);
        }
    }

    #[test]
    fn something_is_listed() {
        let chunk = chunk_dir(0..5, 1, 3, 1, &["a", "b"]);
        let entries = [("a", 1), ("b", 2)];
        let entries = entries.map(|(name, len)| (format!("{DATASET}/{chunk}/{name}"), len));
        assert_eq!(list(&entries, b"").len(), 1);
    }
}

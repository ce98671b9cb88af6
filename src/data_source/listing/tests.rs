use super::*;

const FILES: [(&str, u64); 2] = [("a", 3), ("b", 4)];

/// A source whose manifests are `manifest`, wherever they lie.
#[derive(Default)]
struct Store {
    manifest: Option<Vec<u8>>,
}

impl Listed for Store {
    fn url_of(&self, path: &str) -> String {
        format!("mem:{path}")
    }

    fn manifest(&self, _: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.manifest.clone())
    }
}

fn name(id: u8, start: u64, len_bytes: u64, generation: u64) -> ChunkName {
    let files = [("a", None), ("b", None)];
    let range = start..start + 10;
    ChunkName {
        fingerprint: fingerprint((&[id; 32], &[9; 32]), &range, files.into_iter()),
        block_range: range,
        id: [id; 32],
        len_bytes,
        generation,
        unsynced: None,
    }
}

fn path(name: &ChunkName) -> String {
    format!("dataset_id={}/{}", "09".repeat(32), name.format())
}

/// Every chunk that comes out of these files, by name and size.
fn listed_from(store: &Store, entries: &[(String, u64)]) -> Vec<DataChunk> {
    let mut chunks = Vec::new();
    let mut found = |chunk| chunks.push(chunk);
    let mut listing = Listing::new(store, &mut found);
    for (path, len) in entries {
        listing.entry(path, *len).unwrap();
    }
    listing.finish().unwrap();
    chunks
}

fn listed(entries: &[(String, u64)]) -> Vec<DataChunk> {
    listed_from(&Store::default(), entries)
}

fn entries(name: &ChunkName, files: &[(&str, u64)]) -> Vec<(String, u64)> {
    let entry = |(file, len): &(&str, u64)| (format!("{}/{file}", path(name)), *len);
    files.iter().map(entry).collect()
}

#[test]
fn a_whole_chunk_is_given_and_nothing_else() {
    let whole = name(1, 0, 7, 1);
    let mut all = vec![
        ("_lock".to_owned(), 0),
        ("_staging/x/_parts/0.part".to_owned(), 7),
        (format!("_trash/{}/a", whole.format()), 7),
        (format!("_quarantine/{}/a", whole.format()), 7),
        ("notes.txt".to_owned(), 1),
        ("dataset_id=09/a/b".to_owned(), 1),
    ];
    all.extend(entries(&whole, &FILES));
    all.extend(entries(&whole, &[("_chunk.json", 300)]));
    all.push((format!("dataset_id={}/other/a", "09".repeat(32)), 7));
    let chunks = listed(&all);
    assert_eq!(chunks.len(), 1);
    assert_eq!((chunks[0].id, chunks[0].dataset_id), ([1; 32], [9; 32]));
    assert_eq!(chunks[0].block_range, 0..10);
    assert_eq!(chunks[0].files["a"], format!("mem:{}/a", path(&whole)));
    assert_eq!(chunks[0].files.len(), 2);
}

#[test]
fn a_chunk_that_does_not_add_up_is_none() {
    let whole = name(1, 0, 7, 1);
    for files in [
        &[("a", 3)][..],
        &[("a", 3), ("b", 5)],
        &[("a", 3), ("b", 4), ("c", 1)],
        &[("a", 3), ("b", 4), ("c/d", 0)],
        &[("a", 3), ("b", 4), ("c\n", 0)],
        &[("a", 3), ("b", 4), ("_parts", 0)],
        &[("a", 3), ("a", 4)],
        &[("a", u64::MAX), ("b", 8)],
        &[("_chunk.json", 7)],
    ] {
        assert!(listed(&entries(&whole, files)).is_empty(), "{files:?}");
    }
    // An object in the place of a directory is nobody's file.
    let marked = [("", 0), ("a", 3), ("b", 4)];
    assert_eq!(listed(&entries(&whole, &marked)).len(), 1);
    assert!(listed(&entries(&whole, &[("", 7)])).is_empty());
}

#[test]
fn the_newest_generation_that_is_whole() {
    let of = |generation| name(1, 0, 7, generation);
    let newest = |generations: &[ChunkName]| {
        let all: Vec<_> = generations
            .iter()
            .flat_map(|g| entries(g, &FILES))
            .collect();
        let chunks = listed(&all);
        assert_eq!(chunks.len(), 1);
        chunks[0].files["a"].clone()
    };
    // Their names do not sort as numbers do.
    let (nine, ten) = (of(9), of(10));
    for both in [[ten.clone(), nine.clone()], [nine.clone(), ten.clone()]] {
        assert_eq!(newest(&both), format!("mem:{}/a", path(&ten)));
    }
    let mut broken = entries(&ten, &FILES[..1]);
    broken.extend(entries(&nine, &FILES));
    assert!(listed(&broken)[0].files["a"].contains(&nine.format()));
    // Other blocks are another chunk.
    let mut two = entries(&nine, &FILES);
    two.extend(entries(&name(1, 10, 7, 3), &FILES));
    assert_eq!(listed(&two).len(), 2);
}

#[test]
fn a_manifest_is_asked_where_digests_were_declared() {
    let declared = ChunkName {
        fingerprint: 1,
        ..name(1, 0, 7, 1)
    };
    let mut files = entries(&declared, &FILES);
    assert!(listed(&files).is_empty(), "nobody knows the digests");
    files.extend(entries(&declared, &[("_chunk.json", 10)]));
    assert!(listed(&files).is_empty(), "it is gone");
    let foreign = Store {
        manifest: Some(b"{}".to_vec()),
    };
    assert!(listed_from(&foreign, &files).is_empty());
    // The name stands for the files, so nobody asks.
    let mut plain = entries(&name(1, 0, 7, 1), &FILES);
    plain.extend(entries(&name(1, 0, 7, 1), &[("_chunk.json", 10)]));
    assert_eq!(listed_from(&foreign, &plain).len(), 1);
}

/// The sizes add up all the same.
#[test]
fn a_chunk_without_its_empty_file_is_none() {
    let mut name = name(1, 0, 7, 1);
    let files = [("a", None), ("b", None), ("empty", None)].into_iter();
    name.fingerprint = fingerprint((&[1; 32], &[9; 32]), &name.block_range, files);
    assert!(listed(&entries(&name, &FILES)).is_empty());
    let all = [("a", 3), ("b", 4), ("empty", 0)];
    assert_eq!(listed(&entries(&name, &all)).len(), 1);
}

#[test]
fn a_million_entries_pass_through() {
    let store = Store::default();
    let (mut count, chunks) = (0u64, 200_000);
    let mut found = |_| count += 1;
    let mut listing = Listing::new(&store, &mut found);
    for n in 0..chunks {
        let mut name = name(1, 10 * n, 5, n);
        let files = ["a", "b", "c", "d", "e"];
        let all = files.into_iter().map(|file| (file, None));
        name.fingerprint = fingerprint((&[1; 32], &[9; 32]), &name.block_range, all);
        let dir = path(&name);
        for file in files {
            listing.entry(&format!("{dir}/{file}"), 1).unwrap();
        }
        assert!(
            listing
                .group
                .as_ref()
                .is_some_and(|group| group.files.len() == 5)
        );
    }
    listing.finish().unwrap();
    assert_eq!(count, chunks);
}

proptest::proptest! {
    #[test]
    fn nothing_panics_and_all_that_comes_out_is_sound(
        paths in proptest::collection::vec(("[a-z_./=-]{0,12}|\\PC{0,8}", proptest::num::u64::ANY), 0..8),
        inside: bool,
    ) {
        let dir = path(&name(1, 0, 7, 1));
        let all: Vec<_> = paths
            .into_iter()
            .map(|(path, len)| (if inside { format!("{dir}/{path}") } else { path }, len % 8))
            .collect();
        for chunk in listed(&all) {
            proptest::prop_assert!(ChunkSpec::check(chunk).is_ok());
        }
    }
}

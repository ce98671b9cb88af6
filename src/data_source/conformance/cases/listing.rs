//! What a source says that it holds.

use std::collections::{BTreeMap, HashMap};

use super::{Bench, Stop, able, compare, content, ensure, failed};
use crate::data_chunk::DataChunk;
use crate::data_source::conformance::ChunkContent;
use crate::data_source::{CancelToken, ListRequest, SourceError};
use crate::error::ErrorKind;

pub(super) fn list(bench: &Bench) -> Result<(), Stop> {
    let held: Vec<ChunkContent> = (1..=5).map(chunk).collect();
    let url = bench.origin.put_chunks("list", &held);
    let url = able(url, "hold chunks")?;
    let nothing = bench.origin.put_chunks("list-nothing", &[]);
    for url in [
        url.trim_end_matches('/').to_owned(),
        format!("{}/", url.trim_end_matches('/')),
    ] {
        match ask(bench, &url) {
            Ok(found) => is_all(bench, found, &held)?,
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                return super::cannot("the source does not list what it holds");
            }
            Err(error) => return failed(format!("it does not list: {error}")),
        }
    }
    match nothing.map(|url| ask(bench, &url)) {
        Some(Ok(found)) => ensure(found.is_empty(), || {
            format!("where there is nothing, it finds {} chunks", found.len())
        }),
        Some(Err(error)) => ensure(error.kind() == ErrorKind::Unsupported, || {
            format!("nothing is there to list, which is an error: {error}")
        }),
        None => Ok(()),
    }
}

fn chunk(n: u8) -> ChunkContent {
    let start = u64::from(n) * 10;
    let file = |name: &str, seed| (name.to_owned(), content(seed, 1_000 + usize::from(n)));
    ChunkContent {
        id: [n; 32],
        dataset_id: [0x40 + n % 2; 32],
        block_range: start..start + 10,
        // A space and a percent sign have to be written otherwise in a URL.
        files: BTreeMap::from([
            file("a.parquet", 300 + start),
            file("b 100%.bin", 301 + start),
        ]),
    }
}

fn ask(bench: &Bench, url: &str) -> Result<Vec<DataChunk>, SourceError> {
    let (mut found, cancel) = (Vec::new(), CancelToken::new());
    let request = ListRequest::new(url, &cancel);
    bench
        .source
        .list(&request, &mut |chunk| found.push(chunk))?;
    Ok(found)
}

/// Each chunk once, and each of its URLs serves its file.
fn is_all(bench: &Bench, found: Vec<DataChunk>, held: &[ChunkContent]) -> Result<(), Stop> {
    let count = found.len();
    let found: HashMap<_, _> = found.into_iter().map(|chunk| (chunk.id, chunk)).collect();
    ensure(count == held.len() && found.len() == held.len(), || {
        format!(
            "of {} chunks it finds {} in {count}",
            held.len(),
            found.len()
        )
    })?;
    for chunk in held {
        let Some(said) = found.get(&chunk.id) else {
            return failed("it finds a chunk that is not there, and not one that is");
        };
        let is_same = said.dataset_id == chunk.dataset_id && said.block_range == chunk.block_range;
        ensure(is_same && said.files.len() == chunk.files.len(), || {
            format!("of blocks {:?} it says {said:?}", chunk.block_range)
        })?;
        for (name, bytes) in &chunk.files {
            let Some(url) = said.files.get(name) else {
                return failed(format!("of {name:?} it says nothing"));
            };
            // As the caller does: what follows is for whoever checks the file.
            let url = url.split('#').next().unwrap_or_default();
            if let Err(reason) = bench.source.check(url) {
                return failed(format!("it refuses a URL that it found: {reason}"));
            }
            compare(&bench.fetch(url)?.bytes, bytes)?;
        }
    }
    Ok(())
}

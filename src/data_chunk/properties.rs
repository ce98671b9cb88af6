//! What holds for every text that this module reads, whoever wrote it. The tests here ask it of what
//! `proptest` makes up, the targets in `fuzz/` of what libFuzzer finds. Each function panics where it
//! does not hold.
#![allow(
    unreachable_pub,
    reason = "the targets in `fuzz/` reach it, in their build"
)]

use std::path::{Component, Path};

use fluent_uri::Uri;
use serde_json::Value;

use super::url::{host_of, parse_file_url};
use super::{AssignmentDocument, ChunkSpec, DataChunk, check_file_name, hex_encode, redact_url};

/// A chunk that is accepted says, in the fields that are known, what is written of it.
pub fn chunk_json(bytes: &[u8]) {
    let Ok(chunk) = serde_json::from_slice::<DataChunk>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&chunk).expect("a chunk is written");
    let again: DataChunk = serde_json::from_slice(&written).expect("what is written is read");
    assert_eq!(again, chunk);
    assert_eq!(serde_json::to_vec(&again).expect("written"), written);
    if let (Ok(read), Ok(written)) = (value_of(bytes), value_of(&written)) {
        assert_eq!(known_fields(&read), written);
    }
    if let Ok(spec) = ChunkSpec::check(chunk.clone()) {
        assert_eq!(spec.files.len(), chunk.files.len());
        assert!(spec.files.is_sorted_by(|a, b| a.name < b.name));
    }
    chunk.files.keys().for_each(|name| file_name(name));
    chunk.files.values().for_each(|text| url(text));
}

/// The same of a document, which has no id twice.
pub fn assignment(bytes: &[u8]) {
    let read = AssignmentDocument::from_json(bytes);
    let derived = serde_json::from_slice::<AssignmentDocument>(bytes);
    assert_eq!(derived.ok().as_ref(), read.as_ref().ok());
    let Ok(document) = read else {
        return;
    };
    let written = document.to_json();
    let again = AssignmentDocument::from_json(written.as_bytes()).expect("what is written is read");
    assert_eq!(again, document);
    assert_eq!(again.to_json(), written);
    if let (Ok(read), Ok(written)) = (value_of(bytes), value_of(written.as_bytes())) {
        let chunks = |value: &Value| value["chunks"].as_array().cloned().unwrap_or_default();
        let read: Vec<Value> = chunks(&read).iter().map(known_fields).collect();
        assert_eq!(read, chunks(&written));
    }
}

fn value_of(bytes: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(bytes)
}

/// What another reader, which knows of no chunks, finds in the fields of a chunk.
fn known_fields(chunk: &Value) -> Value {
    let mut chunk = chunk.clone();
    if let Some(fields) = chunk.as_object_mut() {
        let known = ["id", "dataset_id", "block_range", "files"];
        fields.retain(|name, _| known.contains(&name.as_str()));
    }
    chunk
}

/// A URL is taken apart without loss, and what is shown of it holds nothing that authorises.
pub fn url(text: &str) {
    let shown = redact_url(text);
    assert_eq!(redact_url(&shown), shown, "redacted twice");
    match (Uri::parse(text), Uri::parse(&*shown)) {
        (Ok(whole), Ok(shown)) => {
            let authority = shown.authority();
            assert!(authority.is_none_or(|authority| authority.userinfo().is_none()));
            assert!(shown.query().is_none() && shown.fragment().is_none());
            assert_eq!(
                (shown.scheme(), shown.path()),
                (whole.scheme(), whole.path())
            );
            let host =
                |uri: Uri<&str>| uri.authority().map(|authority| authority.host().to_owned());
            assert_eq!(host(shown), host(whole));
        }
        (Err(_), Err(_)) => assert_eq!(shown, "<invalid url>"),
        (whole, _) => panic!("{shown} stands for {}", whole.is_ok()),
    }
    let Ok(parsed) = parse_file_url(text) else {
        return;
    };
    let bare = parse_file_url(parsed.location).expect("a URL without its fragment is one");
    assert_eq!(
        (bare.location, &bare.scheme),
        (parsed.location, &parsed.scheme)
    );
    assert_eq!(bare.sha256, None);
    let written = match &parsed.sha256 {
        None => parsed.location.to_owned(),
        Some(digest) => format!("{}#sha256={}", parsed.location, hex_encode(digest)),
    };
    // Of a declared digest the case is free; all else stays as it is.
    let (rest, digest) = written.split_at(parsed.location.len());
    assert!(text.starts_with(rest) && text[rest.len()..].eq_ignore_ascii_case(digest));
    assert_eq!(parse_file_url(&written).as_ref(), Ok(&parsed));
    host(parsed.location);
}

fn host(location: &str) {
    let uri = Uri::parse(location).expect("a location is a URL");
    let said = uri.authority().map(|authority| {
        let port = authority.port().map(|port| format!(":{port}"));
        format!("{}{}", authority.host(), port.unwrap_or_default())
    });
    let said = said.filter(|said| !said.is_empty());
    let said = said.unwrap_or_else(|| uri.scheme().as_str().to_owned());
    assert_eq!(host_of(location), said);
}

/// A file name that is accepted is one component of a path, and stays in its directory.
pub fn file_name(name: &str) {
    if check_file_name(name).is_err() {
        return;
    }
    let mut components = Path::new(name).components();
    assert_eq!(components.next(), Some(Component::Normal(name.as_ref())));
    assert_eq!(components.next(), None);
    let path = Path::new("/dir").join(name);
    assert_eq!(path.parent(), Some(Path::new("/dir")));
    assert_eq!(path.as_os_str().len(), "/dir/".len() + name.len());
    assert!(name.len() <= 255 && !name.bytes().any(|byte| byte < 0x20 || byte == 0x7f));
}

#[cfg(test)]
mod tests;

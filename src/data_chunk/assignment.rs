//! What a scheduler writes for a worker: the chunks that it shall hold, as one JSON document.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::error::Category;

use super::digest::NOT_AN_ID;
use super::json::{NAME_TWICE, object};
use super::{ChunkId, DataChunk, hex_encode};
use crate::error::Error;

/// The chunks that a worker shall hold, as a scheduler hands them over:
/// `{"chunks": [ … ]}`, each entry a [`DataChunk`].
///
/// A document is taken whole or refused whole. `chunks` has to be there, so that a document that
/// was cut, or is not one at all, never means "no chunks"; `{"chunks": []}` does. Fields that are
/// not known, here and in a chunk, are let pass, so that a scheduler may say more than this version
/// reads; they are not written back. A field or a file name that is there twice is refused, and so
/// is an id in two entries, even if these agree: one of them is a mistake, and nobody can know which.
///
/// Whether a file name is safe or a range is empty is not asked here but by whoever takes the chunks:
/// one bad entry then spoils nothing (`DataManagerImpl::set_assignment`).
///
/// ```
/// use data_manager::data_chunk::AssignmentDocument;
///
/// let document = AssignmentDocument::from_json(br#"{"chunks": [], "epoch": 7}"#)?;
/// assert_eq!(document.to_json(), r#"{"chunks":[]}"#);
/// assert!(AssignmentDocument::from_json(br#"{"chunk": []}"#).is_err());
/// # Ok::<(), data_manager::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AssignmentDocument {
    /// The chunks, in the order of the document.
    pub chunks: Vec<DataChunk>,
}

#[derive(Deserialize)]
struct Fields {
    chunks: Vec<DataChunk>,
}

impl AssignmentDocument {
    /// The document that names `chunks`. Whoever reads it refuses an id that is there twice.
    pub fn new(chunks: impl IntoIterator<Item = DataChunk>) -> Self {
        AssignmentDocument {
            chunks: chunks.into_iter().collect(),
        }
    }

    /// Reads a whole document.
    ///
    /// # Errors
    /// Of kind [`Refused`](crate::ErrorKind::Refused); the text says where and why, and repeats
    /// nothing of the document but the id that is there twice.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let fields = object(&mut deserializer);
        let Fields { chunks } = fields
            .and_then(|fields| deserializer.end().map(|()| fields))
            .map_err(|error| refused(why(&error)))?;
        match first_twice(&chunks) {
            Some(id) => Err(refused(ID_TWICE).with_chunk(id)),
            None => Ok(AssignmentDocument { chunks }),
        }
    }

    /// The document as compact JSON, on one line: equal documents give equal bytes. URLs are in it
    /// whole: do not log it.
    pub fn to_json(&self) -> String {
        // Nothing in a document can fail to be written: strings, numbers, and keys that are strings.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for AssignmentDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Fields { chunks } = object(deserializer)?;
        match first_twice(&chunks) {
            Some(id) => {
                let id = hex_encode(&id);
                Err(de::Error::custom(format_args!("{ID_TWICE}: {id}")))
            }
            None => Ok(AssignmentDocument { chunks }),
        }
    }
}

const ID_TWICE: &str = "two chunks have the same id";

fn refused(reason: impl std::fmt::Display) -> Error {
    Error::refused("assignment document", reason)
}

fn first_twice(chunks: &[DataChunk]) -> Option<ChunkId> {
    let mut seen = HashSet::with_capacity(chunks.len());
    let mut ids = chunks.iter().map(|chunk| &chunk.id);
    ids.find(|id| !seen.insert(*id)).copied()
}

/// What is wrong and where, in words that are known not to be the document's: what `serde` says of
/// a value it cannot use repeats the value, and that may be a URL.
fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = match error.classify() {
        Category::Eof => "ends too early",
        Category::Syntax | Category::Io => "is not valid JSON",
        Category::Data => named_field(&text).unwrap_or_else(|| known_reason(&text)),
    };
    format!("{reason} (line {} column {})", error.line(), error.column())
}

/// The reason of an error about a field of ours: `missing field` and `duplicate field` are only ever
/// said of fields that are known.
fn named_field(text: &str) -> Option<&str> {
    let rest = ["missing field `", "duplicate field `"]
        .into_iter()
        .find_map(|start| text.strip_prefix(start))?;
    let name_len = rest.find('`')?;
    Some(&text[..text.len() - rest.len() + name_len + 1])
}

fn known_reason(text: &str) -> &'static str {
    let known = [NOT_AN_ID, NAME_TWICE];
    let known = known.into_iter().find(|known| text.starts_with(known));
    known.unwrap_or("a value is of the wrong kind")
}

#[cfg(test)]
mod tests;

//! Rows of a range of blocks, out of the Parquet files of the chunks that hold it.
//!
//! A query holds a guard for each chunk that it still has to read. Whatever is assigned meanwhile, their
//! files stay, at the same paths; a chunk is let go as soon as its rows are read.
//!
//! The answer is lines of JSON. Each is an object with one key, which says what the line is:
//!
//! | line | what it says |
//! | --- | --- |
//! | `{"cover": {"chunks": […], "missing": […]}}` | first: what is read, and which blocks no chunk here has |
//! | `{"row": {…}}` | a row, its columns by name |
//! | `{"end": {"rows": …, "is_whole": …, …}}` | last: all was sent; `is_whole` if no block was missing and no limit met |
//! | `{"error": "…"}` | last, instead: there is more, and it cannot be read |
//!
//! An answer whose last line is neither of these two was cut.

mod plan;
mod table;

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use data_manager::data_chunk::ChunkId;
use data_manager::data_manager::{ChunkGuard, RangeCover};
use serde_json::{Value, json};

use super::names::hex;
use plan::Part;
use table::{Row, Table, TableError};

/// The column that says which block a row is of, unless it is said otherwise.
const BLOCK_COLUMN: &str = "block_number";
/// A piece of the answer ends after so many bytes, or so many rows that were looked at: then another
/// query has its turn.
const PIECE_BYTES: usize = 64 * 1024;
const PIECE_ROWS: u64 = 4096;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The file of each chunk that has the rows.
    pub(crate) file: String,
    /// All, if none is named.
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) block_column: String,
    /// The most rows.
    pub(crate) limit: u64,
}

impl Wanted {
    /// Reads `file=…&columns=a,b&limit=…&block_column=…`.
    pub(crate) fn parse(parameters: &[(String, String)]) -> anyhow::Result<Wanted> {
        let mut wanted = Wanted {
            file: String::new(),
            columns: None,
            block_column: BLOCK_COLUMN.to_owned(),
            limit: u64::MAX,
        };
        for (name, value) in parameters {
            match name.as_str() {
                "file" => wanted.file.clone_from(value),
                "columns" => wanted.columns = Some(value.split(',').map(str::to_owned).collect()),
                "block_column" => wanted.block_column.clone_from(value),
                "limit" => wanted.limit = value.parse().context("limit is no number")?,
                _ => bail!("there is no parameter {name:?}"),
            }
        }
        ensure!(
            !wanted.file.is_empty(),
            "file=… says which file has the rows"
        );
        Ok(wanted)
    }
}

/// What becomes of a query that cannot begin.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is the asker's fault, or no chunk has it.
    Asked(String),
    /// It is ours: this chunk cannot be read.
    Unreadable(ChunkId, anyhow::Error),
}

/// How much was done for a query.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    rows: u64,
    row_groups: usize,
    row_groups_skipped: usize,
}

/// A query under way. As an iterator it gives the answer in pieces.
pub(crate) struct Query {
    wanted: Wanted,
    /// What is being read, and of which chunk.
    at: Option<(Table, ChunkGuard)>,
    /// What is still to be read, the next one last.
    parts: Vec<Part<ChunkGuard>>,
    missing: Vec<Range<u64>>,
    /// The first line, until it is sent.
    head: Option<String>,
    tally: Tally,
    deadline: Instant,
    is_over: bool,
    /// Told of a chunk that cannot be read.
    complain: Box<dyn Fn(&ChunkId) + Send>,
}

impl Query {
    /// Looks into the first file, so that what cannot be answered is known before the answer begins.
    pub(crate) fn begin(
        wanted: Wanted,
        blocks: &Range<u64>,
        cover: RangeCover,
        within: Duration,
        complain: impl Fn(&ChunkId) + Send + 'static,
    ) -> Result<Query, Refused> {
        for chunk in &cover.chunks {
            if !chunk.files().iter().any(|file| file.name == wanted.file) {
                let (id, file) = (hex(chunk.id()), &wanted.file);
                return Err(Refused::Asked(format!("chunk {id} has no file {file:?}")));
            }
        }
        let head = json!({ "cover": describe(&cover) });
        let ranged = cover.chunks.into_iter().map(|chunk| {
            let order = (chunk.block_range(), *chunk.id());
            (order, chunk)
        });
        let mut parts = plan::plan(ranged, blocks);
        parts.reverse();
        let mut query = Query {
            wanted,
            at: None,
            parts,
            missing: cover.missing,
            head: Some(format!("{head}\n")),
            tally: Tally::default(),
            deadline: Instant::now() + within,
            is_over: false,
            complain: Box::new(complain),
        };
        query.open_next()?;
        Ok(query)
    }

    /// Opens the next file, if there is one.
    fn open_next(&mut self) -> Result<(), Refused> {
        self.at = None;
        let Some(Part { blocks, chunk }) = self.parts.pop() else {
            return Ok(());
        };
        let path = chunk.path().join(&self.wanted.file);
        let columns = self.wanted.columns.as_deref();
        match Table::open(&path, columns, &self.wanted.block_column, blocks) {
            Ok(table) => {
                let (all, skipped) = table.row_groups();
                self.tally.row_groups += all;
                self.tally.row_groups_skipped += skipped;
                self.at = Some((table, chunk));
                Ok(())
            }
            Err(TableError::Asked(what)) => Err(Refused::Asked(what)),
            Err(TableError::Unreadable(error)) => {
                (self.complain)(chunk.id());
                Err(Refused::Unreadable(*chunk.id(), error))
            }
        }
    }

    /// Adds lines until the piece is long enough. True at the end.
    fn fill(&mut self, piece: &mut Vec<u8>) -> anyhow::Result<bool> {
        for _ in 0..PIECE_ROWS {
            if self.tally.rows == self.wanted.limit {
                return Ok(true);
            }
            let Some((table, chunk)) = &mut self.at else {
                return Ok(true);
            };
            match table.next() {
                None => self.open_next()?,
                Some(Ok(Row::Elsewhere)) => {}
                Some(Ok(Row::Of(row))) => {
                    self.tally.rows += 1;
                    push_line(piece, &json!({ "row": row }));
                }
                Some(Err(error)) => {
                    (self.complain)(chunk.id());
                    return Err(Refused::Unreadable(*chunk.id(), error).into());
                }
            }
            if piece.len() >= PIECE_BYTES {
                break;
            }
        }
        ensure!(Instant::now() < self.deadline, "the time for it is over");
        Ok(false)
    }

    fn end(&self) -> Value {
        let met_limit = self.at.is_some();
        json!({ "end": {
            "rows": self.tally.rows,
            "is_whole": self.missing.is_empty() && !met_limit,
            "met_limit": met_limit,
            "row_groups": self.tally.row_groups,
            "row_groups_skipped": self.tally.row_groups_skipped,
        }})
    }
}

impl Iterator for Query {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.is_over {
            return None;
        }
        let mut piece = self.head.take().unwrap_or_default().into_bytes();
        let last = match self.fill(&mut piece) {
            Ok(false) => return Some(piece),
            Ok(true) => self.end(),
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        push_line(&mut piece, &last);
        self.is_over = true;
        // Whoever has the query may keep it for longer than the chunks are needed.
        (self.at, self.parts) = (None, Vec::new());
        Some(piece)
    }
}

impl From<Refused> for anyhow::Error {
    fn from(refused: Refused) -> anyhow::Error {
        match refused {
            Refused::Asked(what) => anyhow::Error::msg(what),
            Refused::Unreadable(chunk, error) => error.context(format!("chunk {}", hex(&chunk))),
        }
    }
}

fn push_line(piece: &mut Vec<u8>, line: &Value) {
    piece.extend_from_slice(line.to_string().as_bytes());
    piece.push(b'\n');
}

/// Which chunks hold a range, and what none does.
pub(crate) fn describe(cover: &RangeCover) -> Value {
    let chunk = |chunk: &ChunkGuard| json!({ "id": hex(chunk.id()), "block_range": range(&chunk.block_range()) });
    let chunks: Vec<Value> = cover.chunks.iter().map(chunk).collect();
    let missing: Vec<Value> = cover.missing.iter().map(range).collect();
    json!({ "chunks": chunks, "missing": missing })
}

/// A half-open range.
pub(crate) fn range(blocks: &Range<u64>) -> Value {
    json!({ "start": blocks.start, "end": blocks.end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood_or_refused() {
        let parse = |pairs: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            Wanted::parse(&pairs.iter().map(owned).collect::<Vec<_>>())
        };
        let wanted = parse(&[("file", "f"), ("columns", "a,b"), ("limit", "7")]).unwrap();
        assert_eq!(wanted.columns.unwrap(), ["a", "b"]);
        assert_eq!((wanted.limit, &*wanted.block_column), (7, BLOCK_COLUMN));
        for bad in [("limit", "7"), ("limit", "-1"), ("limits", "7")] {
            parse(&[bad]).unwrap_err();
        }
    }
}

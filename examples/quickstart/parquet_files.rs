//! Makes Parquet files, and looks into them.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use parquet::basic::{Compression, Repetition, Type as PhysicalType};
use parquet::data_type::Int64Type;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Field;
use parquet::schema::types::Type;

/// The column that every file begins with.
const BLOCK_NUMBER: &str = "block_number";

/// What can be seen of a file at a glance.
pub(crate) struct Peek {
    pub(crate) rows: i64,
    /// The block of the first row.
    pub(crate) first_block: u64,
}

/// Reads a file's footer and its first row.
pub(crate) fn peek(path: &Path) -> anyhow::Result<Peek> {
    read(path).with_context(|| format!("read {}", path.display()))
}

fn read(path: &Path) -> anyhow::Result<Peek> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let rows = reader.metadata().file_metadata().num_rows();
    let first = reader
        .get_row_iter(None)?
        .next()
        .context("the file has no rows")??;
    let block = first
        .get_column_iter()
        .find(|(name, _)| *name == BLOCK_NUMBER);
    let first_block = match block {
        Some((_, Field::Long(number))) => u64::try_from(*number)?,
        Some((_, Field::ULong(number))) => *number,
        _ => bail!("there is no column {BLOCK_NUMBER}"),
    };
    Ok(Peek { rows, first_block })
}

/// A Parquet file of `rows` rows, spread evenly over `blocks`: the block number, and `columns` of
/// numbers that depend on nothing but the arguments. Stored plain, so its size is known and it is
/// made fast.
pub(crate) fn make<const N: usize>(
    blocks: &Range<u64>,
    columns: [&str; N],
    rows: u64,
) -> anyhow::Result<Vec<u8>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let schema = Arc::new(schema(&columns)?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        let values = match index {
            0 => block_numbers(blocks, rows)?,
            _ => numbers(blocks.start ^ hash(columns[index - 1]), rows),
        };
        column
            .typed::<Int64Type>()
            .write_batch(&values, None, None)?;
        column.close()?;
        index += 1;
    }
    group.close()?;
    Ok(writer.into_inner()?)
}

fn schema(columns: &[&str]) -> anyhow::Result<Type> {
    let names = std::iter::once(&BLOCK_NUMBER).chain(columns);
    let column = |name: &&str| {
        let column = Type::primitive_type_builder(name, PhysicalType::INT64)
            .with_repetition(Repetition::REQUIRED);
        column.build().map(Arc::new)
    };
    let fields = names.map(column).collect::<Result<Vec<_>, _>>()?;
    Ok(Type::group_type_builder("rows")
        .with_fields(fields)
        .build()?)
}

fn block_numbers(blocks: &Range<u64>, rows: u64) -> anyhow::Result<Vec<i64>> {
    let count = blocks.end - blocks.start;
    let number = |row: u64| i64::try_from(blocks.start + row * count / rows);
    (0..rows).map(|row| Ok(number(row)?)).collect()
}

fn numbers(seed: u64, rows: u64) -> Vec<i64> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..rows)
        .map(|_| random.i64(0..1_000_000_000_000))
        .collect()
}

fn hash(name: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(name.as_bytes())
}

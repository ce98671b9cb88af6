//! One Parquet file, and those of its rows that lie in a range of blocks.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow};
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use parquet::file::statistics::Statistics;
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::{ColumnDescriptor, Type};
use serde_json::{Map, Value};

/// A file that is being read.
pub(super) struct Table {
    rows: RowIter<'static>,
    blocks: Range<u64>,
    block_column: String,
    /// The block column is read for its blocks only, and not shown.
    hides_block: bool,
    row_groups: (usize, usize),
}

/// What was read.
pub(super) enum Row {
    /// A row of the range.
    Of(Value),
    /// A row that is not.
    Elsewhere,
}

/// Why a file cannot be read.
pub(super) enum TableError {
    /// It does not have what is asked for.
    Asked(String),
    Unreadable(anyhow::Error),
}

impl Table {
    pub(super) fn open(
        path: &Path,
        columns: Option<&[String]>,
        block_column: &str,
        blocks: Range<u64>,
    ) -> Result<Table, TableError> {
        let unreadable = |error: anyhow::Error| {
            let name = path.file_name().unwrap_or_default().display().to_string();
            TableError::Unreadable(error.context(name))
        };
        let file = File::open(path).map_err(|error| unreadable(error.into()))?;
        let (column, range) = (block_column.to_owned(), blocks.clone());
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&seen);
        let is_read = move |group: &RowGroupMetaData, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            may_have(group, &column, &range)
        };
        let options = ReadOptionsBuilder::new().with_predicate(Box::new(is_read));
        let reader = SerializedFileReader::new_with_options(file, options.build())
            .map_err(|error| unreadable(error.into()))?;
        let row_groups = seen.load(Ordering::Relaxed);
        let skipped = row_groups - reader.num_row_groups();
        let schema = reader.metadata().file_metadata().schema();
        let projection = project(schema, columns, block_column).map_err(TableError::Asked)?;
        let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection));
        Ok(Table {
            rows: rows.map_err(|error| unreadable(error.into()))?,
            blocks,
            block_column: block_column.to_owned(),
            hides_block: columns.is_some_and(|columns| !columns.iter().any(|c| c == block_column)),
            row_groups: (row_groups, skipped),
        })
    }

    /// How many row groups there are, and how many of them need not be read.
    pub(super) fn row_groups(&self) -> (usize, usize) {
        self.row_groups
    }

    fn show(&self, row: parquet::record::Row) -> anyhow::Result<Row> {
        let mut shown = Map::new();
        let mut is_here = false;
        for (name, field) in row.into_columns() {
            if name == self.block_column {
                is_here = match block_of(&field)? {
                    Some(block) => self.blocks.contains(&block),
                    None => false,
                };
                if !is_here {
                    break;
                }
                if self.hides_block {
                    continue;
                }
            }
            shown.insert(name, field.to_json_value());
        }
        Ok(match is_here {
            true => Row::Of(Value::Object(shown)),
            false => Row::Elsewhere,
        })
    }
}

impl Iterator for Table {
    type Item = anyhow::Result<Row>;

    fn next(&mut self) -> Option<anyhow::Result<Row>> {
        let row = self.rows.next()?.context("a row cannot be read");
        Some(row.and_then(|row| self.show(row)))
    }
}

/// The columns to be read: those that are asked for, and the block column.
fn project(schema: &Type, columns: Option<&[String]>, block_column: &str) -> Result<Type, String> {
    let known: BTreeSet<&str> = schema
        .get_fields()
        .iter()
        .map(|field| field.name())
        .collect();
    let asked = columns.unwrap_or_default().iter().map(String::as_str);
    let wanted: BTreeSet<&str> = asked.chain([block_column]).collect();
    if let Some(unknown) = wanted.difference(&known).next() {
        return Err(format!(
            "there is no column {unknown:?}; there are {known:?}"
        ));
    }
    let fields = schema.get_fields().iter();
    let fields: Vec<_> = fields
        .filter(|field| columns.is_none() || wanted.contains(field.name()))
        .cloned()
        .collect();
    let block = fields.iter().find(|field| field.name() == block_column);
    if !block.is_some_and(|field| is_whole_number(field)) {
        return Err(format!("{block_column:?} is no column of whole numbers"));
    }
    let projection = Type::group_type_builder(schema.name()).with_fields(fields);
    projection.build().map_err(|error| error.to_string())
}

/// One in each row: no list of them, and nothing else that is kept as one, such as a time.
fn is_whole_number(field: &Type) -> bool {
    use ConvertedType::{INT_8, INT_16, INT_32, INT_64, NONE, UINT_8, UINT_16, UINT_32, UINT_64};
    let info = field.get_basic_info();
    let is_one = field.is_primitive() && info.repetition() != Repetition::REPEATED;
    let physical = [PhysicalType::INT32, PhysicalType::INT64];
    let converted = [
        NONE, INT_8, INT_16, INT_32, INT_64, UINT_8, UINT_16, UINT_32, UINT_64,
    ];
    is_one
        && physical.contains(&field.get_physical_type())
        && matches!(
            info.logical_type_ref(),
            None | Some(LogicalType::Integer(_))
        )
        && converted.contains(&info.converted_type())
}

/// Whether a row group may have a row of the range. Statistics that are missing rule nothing out.
fn may_have(group: &RowGroupMetaData, block_column: &str, blocks: &Range<u64>) -> bool {
    let is_it = |column: &&ColumnChunkMetaData| column.column_path().parts() == [block_column];
    let least_and_most = group.columns().iter().find(is_it).and_then(bounds);
    least_and_most.is_none_or(|(least, most)| {
        least < i128::from(blocks.end) && most >= i128::from(blocks.start)
    })
}

/// The least and the greatest number of a column.
fn bounds(column: &ColumnChunkMetaData) -> Option<(i128, i128)> {
    let unsigned = is_unsigned(column.column_descr());
    let statistics = column.statistics()?;
    // The fields that earlier writers used have no order that holds for unsigned numbers.
    if statistics.is_min_max_deprecated() {
        return None;
    }
    match statistics {
        Statistics::Int64(of) => {
            let number = |n: i64| match unsigned {
                true => i128::from(n.cast_unsigned()),
                false => i128::from(n),
            };
            Some((number(*of.min_opt()?), number(*of.max_opt()?)))
        }
        Statistics::Int32(of) => {
            let number = |n: i32| match unsigned {
                true => i128::from(n.cast_unsigned()),
                false => i128::from(n),
            };
            Some((number(*of.min_opt()?), number(*of.max_opt()?)))
        }
        _ => None,
    }
}

fn is_unsigned(column: &ColumnDescriptor) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    let by_logical = matches!(
        column.logical_type_ref(),
        Some(LogicalType::Integer(kind)) if !kind.is_signed
    );
    by_logical || [UINT_8, UINT_16, UINT_32, UINT_64].contains(&column.converted_type())
}

/// The number of a block; a row may have none.
fn block_of(field: &Field) -> anyhow::Result<Option<u64>> {
    Ok(match field {
        Field::Null => None,
        Field::Byte(n) => u64::try_from(*n).ok(),
        Field::Short(n) => u64::try_from(*n).ok(),
        Field::Int(n) => u64::try_from(*n).ok(),
        Field::Long(n) => u64::try_from(*n).ok(),
        Field::UByte(n) => Some((*n).into()),
        Field::UShort(n) => Some((*n).into()),
        Field::UInt(n) => Some((*n).into()),
        Field::ULong(n) => Some(*n),
        _ => return Err(anyhow!("a block number is no number")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, physical: PhysicalType, logical: Option<LogicalType>) -> Arc<Type> {
        let column = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        Arc::new(column.build().unwrap())
    }

    #[test]
    fn a_time_or_a_list_is_no_block_number() {
        let list = Type::primitive_type_builder("list", PhysicalType::INT64)
            .with_repetition(Repetition::REPEATED);
        let scaled = Type::primitive_type_builder("scaled", PhysicalType::INT64)
            .with_repetition(Repetition::REQUIRED)
            .with_converted_type(ConvertedType::DECIMAL)
            .with_precision(9)
            .with_scale(2);
        let fields = vec![
            column("plain", PhysicalType::INT64, None),
            column(
                "short",
                PhysicalType::INT32,
                Some(LogicalType::integer(16, false)),
            ),
            column("day", PhysicalType::INT32, Some(LogicalType::Date)),
            Arc::new(list.build().unwrap()),
            Arc::new(scaled.build().unwrap()),
        ];
        let schema = Type::group_type_builder("rows").with_fields(fields);
        let schema = schema.build().unwrap();
        for good in ["plain", "short"] {
            project(&schema, None, good).unwrap();
        }
        for bad in ["day", "list", "scaled"] {
            let refused = project(&schema, None, bad).unwrap_err();
            assert!(refused.contains("whole numbers"), "{refused}");
        }
    }
}

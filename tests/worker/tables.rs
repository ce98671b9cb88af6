//! Parquet files whose rows are known.

use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{PrimitiveTypeBuilder, Type};
use serde_json::{Value, json};

/// What a file is made of.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) blocks: Range<u64>,
    pub(crate) rows_per_block: u64,
    pub(crate) blocks_per_row_group: u64,
    /// The bytes of one column.
    pub(crate) payload: usize,
    pub(crate) block_column: &'static str,
}

impl Table {
    pub(crate) fn new(blocks: Range<u64>) -> Table {
        Table {
            blocks,
            rows_per_block: 3,
            blocks_per_row_group: 10,
            payload: 8,
            block_column: "block_number",
        }
    }

    /// The rows of these blocks, as a query has to show them.
    pub(crate) fn rows(&self, blocks: Range<u64>) -> Vec<Value> {
        let blocks = blocks.filter(|block| self.blocks.contains(block));
        let numbered = blocks.flat_map(|block| (0..self.rows_per_block).map(move |n| (block, n)));
        let row = |(block, n)| json!({ self.block_column: block, "amount": amount(block, n), "payload": self.payload(block) });
        numbered.map(row).collect()
    }

    pub(crate) fn to_parquet(&self, compression: Compression) -> Vec<u8> {
        let properties = WriterProperties::builder().set_compression(compression);
        let (schema, properties) = (
            Arc::new(schema(self.block_column)),
            Arc::new(properties.build()),
        );
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
        let mut start = self.blocks.start;
        while start < self.blocks.end {
            let end = self.blocks.end.min(start + self.blocks_per_row_group);
            self.write_group(&mut writer, start..end);
            start = end;
        }
        writer.into_inner().unwrap()
    }

    fn write_group(&self, writer: &mut SerializedFileWriter<Vec<u8>>, blocks: Range<u64>) {
        let rows: Vec<(u64, u64)> = blocks
            .flat_map(|block| (0..self.rows_per_block).map(move |n| (block, n)))
            .collect();
        let mut group = writer.next_row_group().unwrap();
        let numbers = |of: &dyn Fn(u64, u64) -> i64| -> Vec<i64> {
            rows.iter().map(|(block, n)| of(*block, *n)).collect()
        };
        for values in [
            numbers(&|block, _| block.cast_signed()),
            numbers(&|block, n| amount(block, n)),
        ] {
            let mut column = group.next_column().unwrap().unwrap();
            let typed = column.typed::<Int64Type>();
            typed.write_batch(&values, None, None).unwrap();
            column.close().unwrap();
        }
        let payload = |(block, _): &(u64, u64)| ByteArray::from(self.payload(*block).as_str());
        let payloads: Vec<ByteArray> = rows.iter().map(payload).collect();
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<ByteArrayType>();
        typed.write_batch(&payloads, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }

    fn payload(&self, block: u64) -> String {
        format!("{block:0>width$}", width = self.payload)
    }
}

/// Negative for some, and too long for a float for others.
fn amount(block: u64, n: u64) -> i64 {
    let large = i64::MAX - (block * 100 + n).cast_signed();
    if n.is_multiple_of(2) { large } else { -large }
}

/// The block number is unsigned, as indexers write it.
fn schema(block_column: &str) -> Type {
    let columns = [
        column(block_column, PhysicalType::INT64)
            .with_logical_type(Some(LogicalType::integer(64, false)))
            .with_converted_type(ConvertedType::UINT_64),
        column("amount", PhysicalType::INT64),
        column("payload", PhysicalType::BYTE_ARRAY)
            .with_logical_type(Some(LogicalType::String))
            .with_converted_type(ConvertedType::UTF8),
    ];
    let columns = columns.map(|column| Arc::new(column.build().unwrap()));
    let schema = Type::group_type_builder("rows").with_fields(columns.into());
    schema.build().unwrap()
}

fn column(name: &str, physical: PhysicalType) -> PrimitiveTypeBuilder<'_> {
    Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED)
}

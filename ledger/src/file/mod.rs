//! Data files: a sorted batch as Parquet bytes, with what its commit says about it.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayData, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::columns::Kind;
use crate::schema::{PARTITION, Table};
use crate::{Date, Error};

mod statistics;

use self::statistics::Statistics;

/// Row groups are bounded in bytes so that neither writing nor reading one needs more memory than this.
pub(crate) const ROW_GROUP_BYTES: usize = 64 << 20;
const ROW_GROUP_ROWS: usize = 256 << 10;
/// What a batch may take in memory while a file is read, going by its row group's average row.
const BATCH_BYTES: i64 = 8 << 20;
const BATCH_ROWS_MAX: i64 = 8_192;
/// Rows of a table that is not sorted, which have bodies, are copied so many at a time.
const UNSORTED_STEP_ROWS: usize = 1_024;
/// What takes no more in memory is stored as it is: a codec costs more time than it saves bytes.
const PLAIN_BYTES_MAX: usize = 512;

/// A data file ready to be stored.
#[derive(Debug)]
pub struct EncodedFile {
    /// The day all rows belong to.
    pub date: Date,
    /// The file.
    pub bytes: Bytes,
    /// Rows in it.
    pub rows: usize,
    /// SHA-256 of `bytes`, hexadecimal: Parquet pages carry no checksum of their own.
    pub sha256: String,
    /// Delta statistics (Delta protocol, "Per-file Statistics").
    pub statistics: String,
}

/// Splits `batch` by day, sorts each part and encodes it.
///
/// `keep` names the rows that go in, in any order. CPU-bound: call it off the polling task.
///
/// # Errors
/// [`Error::Internal`] if the batch is not one of `table`.
pub fn encode(table: &'static Table, batch: &RecordBatch, keep: &[u32]) -> Result<Vec<EncodedFile>, Error> {
    let days =
        batch.column_by_name(PARTITION).and_then(|column| column.as_primitive_opt::<arrow::datatypes::Date32Type>());
    let Some(days) = days else {
        return Err(Error::Internal { invariant: "a batch has its partition column", found: table.name.into() });
    };
    let mut by_day: std::collections::BTreeMap<i32, Vec<u32>> = std::collections::BTreeMap::new();
    for &row in keep {
        let day = days.values().get(row as usize).copied().unwrap_or_default();
        by_day.entry(day).or_default().push(row);
    }
    by_day.into_iter().map(|(day, rows)| encode_day(table, batch, Date::from_days(day), &rows)).collect()
}

fn encode_day(table: &'static Table, batch: &RecordBatch, date: Date, rows: &[u32]) -> Result<EncodedFile, Error> {
    let columns: Vec<usize> =
        (0..batch.num_columns()).filter(|&at| batch.schema_ref().field(at).name() != PARTITION).collect();
    let batch = batch.project(&columns).map_err(Error::arrow)?;
    let mut encoder = Encoder::new(table, date, &batch.schema(), &Expected::of(&batch, rows.len()))?;
    // What is sorted is sorted whole.
    let step = if table.sorted_by.is_empty() { UNSORTED_STEP_ROWS } else { rows.len().max(1) };
    for rows in rows.chunks(step) {
        let chunk = take_record_batch(&batch, &UInt32Array::from(rows.to_vec())).map_err(Error::arrow)?;
        encoder.push(&chunk)?;
    }
    encoder.finish()
}

/// What a file will hold, about.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) rows: usize,
    /// Memory that is never written to costs nothing, a buffer that grows is there twice for a while.
    pub(crate) bytes: usize,
    /// Columns that compression gains nothing in.
    pub(crate) plain: Vec<ColumnPath>,
}

impl Expected {
    fn of(batch: &RecordBatch, rows: usize) -> Self {
        Self { rows, bytes: rows.min(ROW_GROUP_ROWS) * 96, plain: plain(batch) }
    }
}

/// Columns of `batch` that compression gains nothing in.
pub(crate) fn plain(batch: &RecordBatch) -> Vec<ColumnPath> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    let leaves = columns.flat_map(|(field, values)| leaves(field.name(), &values.to_data()));
    leaves.filter(|(_, values)| is_plain(values)).map(|(path, _)| path.into()).collect()
}

/// The Parquet columns of a column: maps and lists store what is in them.
fn leaves(name: &str, values: &ArrayData) -> Vec<(Vec<String>, ArrayData)> {
    match (values.data_type(), values.child_data()) {
        (DataType::Map(entries, _), [within]) => {
            let DataType::Struct(fields) = entries.data_type() else { return Vec::new() };
            let path = |leaf: &str| vec![name.into(), entries.name().clone(), leaf.into()];
            fields.iter().zip(within.child_data()).map(|(field, leaf)| (path(field.name()), leaf.clone())).collect()
        }
        (DataType::List(element), [within]) => {
            vec![(vec![name.into(), "list".into(), element.name().clone()], within.clone())]
        }
        _ => vec![(vec![name.into()], values.clone())],
    }
}

fn is_plain(values: &ArrayData) -> bool {
    let is_empty = values.null_count() == values.len();
    is_empty || values.get_slice_memory_size().is_ok_and(|bytes| bytes <= PLAIN_BYTES_MAX)
}

/// Writes the rows of one day as a data file, chunk by chunk: memory is one row group and the file.
pub(crate) struct Encoder {
    table: &'static Table,
    date: Date,
    writer: ArrowWriter<Vec<u8>>,
    statistics: Statistics,
}

impl Encoder {
    /// A file of `schema`, the columns of `table` without its day.
    pub(crate) fn new(
        table: &'static Table,
        date: Date,
        schema: &SchemaRef,
        expected: &Expected,
    ) -> Result<Self, Error> {
        // The Arrow schema stays out of the file: dictionaries are ours while building, readers see plain text.
        let properties = properties(table, schema, expected);
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let buffer = Vec::with_capacity(expected.bytes);
        let writer = ArrowWriter::try_new_with_options(buffer, Arc::clone(schema), options).map_err(Error::parquet)?;
        Ok(Self { table, date, writer, statistics: Statistics::new(table) })
    }

    /// Adds a chunk. In a table that is sorted it is sorted, and ends its row group: a row group is what Parquet calls sorted.
    pub(crate) fn push(&mut self, chunk: &RecordBatch) -> Result<(), Error> {
        let chunk = sorted(self.table, chunk)?;
        self.statistics.add(&chunk)?;
        self.writer.write(&chunk).map_err(Error::parquet)?;
        match self.table.sorted_by.is_empty() {
            true => Ok(()),
            false => self.writer.flush().map_err(Error::parquet),
        }
    }

    /// Bytes of the file so far.
    pub(crate) fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    pub(crate) fn finish(self) -> Result<EncodedFile, Error> {
        let bytes: Bytes = self.writer.into_inner().map_err(Error::parquet)?.into();
        let sha256 = hex(&Sha256::digest(&bytes));
        let Statistics { rows, .. } = self.statistics;
        Ok(EncodedFile { date: self.date, rows, sha256, statistics: self.statistics.to_json(), bytes })
    }
}

fn sorted(table: &Table, batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let columns: Vec<SortColumn> = table
        .sorted_by
        .iter()
        .filter_map(|name| batch.column_by_name(name))
        .map(|values| SortColumn { values: Arc::clone(values), options: Some(SortOptions::default()) })
        .collect();
    if columns.is_empty() {
        return Ok(batch.clone());
    }
    let order = lexsort_to_indices(&columns, None).map_err(Error::arrow)?;
    take_record_batch(batch, &order).map_err(Error::arrow)
}

/// Numbers compress fast at zstd level 1 and gain nothing above it; bodies gain a third at level 3. Most columns of a batch
/// hold next to nothing, and a codec for each of them was a fifth of the time of a report over many small files.
fn properties(table: &'static Table, schema: &SchemaRef, expected: &Expected) -> WriterProperties {
    let zstd = |level| Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default());
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("daybook ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(zstd(1))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for column in table.columns {
        let path = ColumnPath::from(column.name);
        match column.kind {
            Kind::Bytes | Kind::Text => builder = builder.set_column_dictionary_enabled(path.clone(), false),
            Kind::Word => {}
            _ => continue,
        }
        if column.said {
            builder = builder.set_column_compression(path.clone(), zstd(3));
        }
        if matches!(column.kind, Kind::Bytes | Kind::Text) {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
        if column.name == "entry_id" {
            builder = builder
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::Chunk)
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), 0.01)
                .set_column_bloom_filter_max_ndv(path, expected.rows.min(ROW_GROUP_ROWS) as u64);
        }
    }
    for path in &expected.plain {
        builder = builder.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
    }
    let position = |name: &&str| schema.index_of(name).ok().and_then(|at| i32::try_from(at).ok());
    let order: Option<Vec<_>> = table.sorted_by.iter().map(position).collect();
    // Positions of leaf columns equal those of fields only while no map precedes them.
    let order = order.filter(|order| !order.is_empty() && flat_before(table, order));
    let order = order.map(|order| {
        order.into_iter().map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true }).collect()
    });
    builder.set_sorting_columns(order).build()
}

fn flat_before(table: &Table, order: &[i32]) -> bool {
    let last = order.iter().max().and_then(|last| usize::try_from(*last).ok()).unwrap_or(0);
    let files = table.columns.iter().filter(|column| column.name != PARTITION);
    files.take(last).all(|c| !matches!(c.kind, Kind::TextMap | Kind::BytesMap | Kind::DecimalMap))
}

/// The rows of a data file in order, in the columns of `table` without its day, words as dictionaries.
///
/// # Errors
/// Parquet's, if the file is none or has other columns.
pub fn read(table: &'static Table, bytes: Bytes) -> Result<ParquetRecordBatchReader, ParquetError> {
    let options = ArrowReaderOptions::new().with_schema(stored_schema(table));
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?;
    let widest = builder.metadata().row_groups().iter().map(|group| group.total_byte_size() / group.num_rows().max(1));
    let rows = (BATCH_BYTES / widest.max().unwrap_or(1).max(1)).clamp(1, BATCH_ROWS_MAX);
    builder.with_batch_size(usize::try_from(rows).unwrap_or(1)).build()
}

/// What `stated`, the statistics of a data file in its commit, says that its rows do not bear out. Reads the columns that have any.
///
/// # Errors
/// As [`read`].
pub fn statistics_fault(table: &'static Table, bytes: Bytes, stated: &str) -> Result<Option<String>, ParquetError> {
    let mut statistics = Statistics::new(table);
    let options = ArrowReaderOptions::new().with_schema(stored_schema(table));
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), statistics.columns());
    for batch in builder.with_projection(mask).build()? {
        statistics.add(&batch?).map_err(|error| ParquetError::External(error.into()))?;
    }
    Ok(statistics.fault(stated))
}

/// The columns of a data file as they are built: the day is in the log.
pub(crate) fn stored_schema(table: &Table) -> SchemaRef {
    let building = table.building_schema();
    let stored = building.fields().iter().filter(|field| field.name() != PARTITION).cloned();
    Arc::new(Schema::new(stored.collect::<Vec<_>>()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text += &format!("{byte:02x}");
        text
    })
}

/// The bytes of exactly `2 * N` hexadecimal digits.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    // `from_str_radix` takes a sign too.
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, Date32Array, StringArray};
    use arrow::datatypes::Date32Type;
    use parquet::arrow::ArrowSchemaConverter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::schema::{QUARANTINE, QuarantineBuilder};

    fn batch(rows: &[(i32, &str)]) -> RecordBatch {
        let mut builder = QuarantineBuilder::default();
        for (at, (day, topic)) in rows.iter().enumerate() {
            builder.event_date.append_value(*day);
            builder.batch_id.append_value("b");
            builder.quarantined_at.append_value(1_795_170_000_123_456 + i64::try_from(at).unwrap());
            builder.topic.append_value(topic);
            builder.kafka_partition.append_value(0);
            builder.kafka_offset.append_value(i64::try_from(at).unwrap());
            builder.kafka_timestamp.append_null();
            builder.key.append_null();
            builder.value.append_value(b"\xff\x00bytes");
            builder.headers.keys().append_value("h");
            builder.headers.values().append_value(b"\xfe");
            builder.headers.append(true).unwrap();
            builder.format.append_null();
            builder.error_code.append_value("DECODE-001");
            builder.error_message.append_value("x");
        }
        builder.finish().unwrap()
    }

    #[test]
    fn a_batch_becomes_a_file_a_day_without_the_rows_left_out() {
        let batch = batch(&[(20_000, "b"), (20_001, "a"), (20_000, "c"), (20_000, "d")]);
        let files = encode(&QUARANTINE, &batch, &[0, 1, 2]).unwrap();
        assert_eq!(files.iter().map(|f| (f.date.days(), f.rows)).collect::<Vec<_>>(), [(20_000, 2), (20_001, 1)]);

        let file = files.into_iter().next().unwrap();
        assert_eq!(file.sha256, hex(&Sha256::digest(&file.bytes)));
        let read: Vec<_> = ParquetRecordBatchReaderBuilder::try_new(file.bytes)
            .unwrap()
            .build()
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let topics = read[0].column_by_name("topic").unwrap();
        assert_eq!(topics.as_ref(), &StringArray::from(vec!["b", "c"]) as &dyn Array);
        assert!(read[0].column_by_name(PARTITION).is_none(), "the day is in the log, not in the file");
    }

    #[test]
    fn only_columns_with_something_to_compress_have_a_codec() {
        let rows = vec![(20_000, "b"); 200];
        let files = encode(&QUARANTINE, &batch(&rows), &(0..200).collect::<Vec<_>>()).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(files[0].bytes.clone()).unwrap();
        let columns = reader.metadata().row_group(0).columns();
        let compressed = |name: &str| {
            let column = columns.iter().find(|column| column.column_path().string() == name).unwrap();
            column.compression() != Compression::UNCOMPRESSED
        };
        assert!(compressed("topic") && compressed("value") && compressed("headers.key_value.key"));
        assert!(!compressed("key") && !compressed("format") && !compressed("kafka_timestamp"));
        let files = encode(&QUARANTINE, &batch(&[(20_000, "b")]), &[0]).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(files[0].bytes.clone()).unwrap();
        let columns = reader.metadata().row_group(0).columns();
        assert!(columns.iter().all(|column| column.compression() == Compression::UNCOMPRESSED));
    }

    #[test]
    fn columns_are_named_as_parquet_names_them() {
        for table in Table::ALL {
            let schema = stored_schema(table);
            let named = plain(&RecordBatch::new_empty(Arc::clone(&schema)));
            let stored = ArrowSchemaConverter::new().convert(&schema).unwrap();
            let stored: Vec<_> = stored.columns().iter().map(|column| column.path().clone()).collect();
            assert_eq!(named, stored, "{}", table.name);
        }
    }

    #[test]
    fn statistics_bound_every_value() {
        let batch = batch(&[(20_000, "b"), (20_000, "a\"")]);
        let statistics: serde_json::Value =
            serde_json::from_str(&encode(&QUARANTINE, &batch, &[0, 1]).unwrap()[0].statistics).unwrap();
        assert_eq!(statistics["numRecords"], 2);
        assert_eq!(statistics["minValues"]["topic"], "a\"");
        assert_eq!(statistics["maxValues"]["topic"], "b");
        assert_eq!(statistics["minValues"]["quarantined_at"], "2026-11-20T10:20:00.123000Z");
        assert_eq!(statistics["maxValues"]["quarantined_at"], "2026-11-20T10:20:00.124000Z");
        assert_eq!(statistics["nullCount"]["kafka_offset"], 0);
    }

    #[test]
    fn a_batch_without_its_day_is_refused() {
        let day: ArrayRef = Arc::new(Date32Array::from(vec![1]));
        assert!(day.as_primitive_opt::<Date32Type>().is_some());
        let batch = RecordBatch::try_from_iter([("other", day)]).unwrap();
        assert!(matches!(encode(&QUARANTINE, &batch, &[0]), Err(Error::Internal { .. })));
    }

    #[test]
    fn hexadecimal_is_read_back_and_nothing_else_is() {
        assert_eq!(unhex(&hex(&[0, 0x7f, 0xff])), Some([0, 0x7f, 0xff]));
        for text in ["", "0", "+f", "0g", "\u{e9}", "0000"] {
            assert_eq!(unhex::<1>(text), None, "{text}");
        }
    }
}

//! Bills as tables: CSV and Parquet, row by row, each cell as text with its digits as written.

use std::io::Read;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, MapArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use daybook_ledger::Instant;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use super::error::Problem;
use super::members::json_text;

/// Rows read at once from a Parquet file.
const BATCH_ROWS: usize = 8_192;

/// The names of a table's columns.
#[derive(Debug)]
pub(super) struct Header {
    names: Vec<String>,
    keys: Vec<String>,
}

impl Header {
    fn new(names: impl Iterator<Item = String>) -> Self {
        let names: Vec<String> = names.map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
        let keys = names.iter().map(|name| key(name)).collect();
        Self { names, keys }
    }

    /// The position of `name`, however it is spelt: `line_item_usage_type`, `lineItem/UsageType`.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let key = key(name);
        self.keys.iter().position(|known| *known == key)
    }
}

/// A name without case and punctuation.
fn key(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// One row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    header: &'a Header,
    cells: Vec<Option<&'a str>>,
    /// From 1: the row of a Parquet file, or the line of a CSV file on which it begins, the header being the first.
    pub(super) number: i64,
}

impl<'a> Row<'a> {
    /// The cell of the column `name`, unless it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.cells.get(self.header.position(name)?).copied().flatten()
    }

    /// As [`Row::text`], owned.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(String::from)
    }

    /// The cell of `name`, which the row must have.
    pub(super) fn required(&self, name: &str, expected: &'static str) -> Result<&'a str, Problem> {
        self.text(name).ok_or_else(|| Problem::new(name, None, expected))
    }

    /// The cells of columns other than `known` as a JSON object of texts.
    pub(super) fn extra(&self, known: &[&str]) -> Option<String> {
        let known: Vec<String> = known.iter().map(|name| key(name)).collect();
        let cells = self.header.names.iter().zip(&self.header.keys).zip(&self.cells);
        let others = cells.filter(|((_, key), _)| !known.contains(key));
        let members: Vec<_> = others
            .filter_map(|((name, _), cell)| Some(format!("{}:{}", json_text(name), json_text((*cell)?))))
            .collect();
        (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
    }
}

/// What went wrong with a table: the table itself, or one of its rows.
pub(super) enum Failed<E> {
    Table(String),
    Row(E),
}

/// Gives the header and each row of a CSV file.
pub(super) fn csv_rows<E>(
    input: impl Read,
    check: impl FnOnce(&Header) -> Result<(), E>,
    mut each: impl FnMut(&Row<'_>) -> Result<(), E>,
) -> Result<(), Failed<E>> {
    let broken = |error: csv::Error| Failed::Table(error.to_string());
    // Not flexible: a row of another length has its cells under the wrong names.
    let mut reader = csv::ReaderBuilder::new().from_reader(input);
    let header = Header::new(reader.headers().map_err(broken)?.iter().map(String::from));
    check(&header).map_err(Failed::Row)?;
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(broken)? {
        let line = record.position().map_or(0, csv::Position::line);
        let number = i64::try_from(line).unwrap_or(i64::MAX);
        let cells = record.iter().map(|cell| Some(cell).filter(|cell| !is_nothing(cell))).collect();
        each(&Row { header: &header, cells, number }).map_err(Failed::Row)?;
    }
    Ok(())
}

/// Gives the header and each row of a Parquet file.
pub(super) fn parquet_rows<E>(
    input: impl ChunkReader + 'static,
    check: impl FnOnce(&Header) -> Result<(), E>,
    mut each: impl FnMut(&Row<'_>) -> Result<(), E>,
) -> Result<(), Failed<E>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(input).map_err(|error| Failed::Table(error.to_string()))?;
    let header = Header::new(builder.schema().fields().iter().map(|field| field.name().clone()));
    check(&header).map_err(Failed::Row)?;
    let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|error| Failed::Table(error.to_string()))?;
    let mut number = 0;
    for batch in reader {
        let columns = batch.and_then(|batch| texts(&batch)).map_err(|error| Failed::Table(error.to_string()))?;
        let rows = columns.first().map_or(0, StringArray::len);
        for at in 0..rows {
            number += 1;
            let cell = |column: &StringArray, at: usize| column.is_valid(at).then_some(at);
            let cells = columns.iter().map(|column| cell(column, at).map(|at| column.value(at)));
            let cells = cells.map(|cell| cell.filter(|cell| !is_nothing(cell))).collect();
            each(&Row { header: &header, cells, number }).map_err(Failed::Row)?;
        }
    }
    Ok(())
}

/// How exporters of CSV write "nothing".
fn is_nothing(cell: &str) -> bool {
    cell.trim().is_empty() || cell == "null" || cell == "NULL"
}

fn texts(batch: &RecordBatch) -> Result<Vec<StringArray>, arrow::error::ArrowError> {
    batch.columns().iter().map(text_of).collect()
}

/// A column as text. A float becomes the shortest decimal that reads back as the same float, which is what its writer meant.
fn text_of(column: &ArrayRef) -> Result<StringArray, arrow::error::ArrowError> {
    Ok(match column.data_type() {
        DataType::Float64 => {
            let floats: &Float64Array = column.as_primitive::<Float64Type>();
            floats.iter().map(|float| float.map(|float| float.to_string())).collect()
        }
        DataType::Float32 => {
            let floats: &Float32Array = column.as_primitive::<Float32Type>();
            floats.iter().map(|float| float.map(|float| float.to_string())).collect()
        }
        DataType::Timestamp(..) => {
            let utc = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
            let instants = utc.as_primitive::<TimestampMicrosecondType>();
            instants.iter().map(|micros| micros.map(|micros| Instant::from_micros(micros).to_string())).collect()
        }
        DataType::Map(..) => map_texts(column.as_map())?,
        DataType::Struct(_) | DataType::List(_) | DataType::LargeList(_) => {
            let options = FormatOptions::new();
            let formatter = ArrayFormatter::try_new(column, &options)?;
            (0..column.len()).map(|at| column.is_valid(at).then(|| formatter.value(at).to_string())).collect()
        }
        _ => cast(column, &DataType::Utf8)?.as_string::<i32>().clone(),
    })
}

/// Maps as JSON objects, as the same bill's CSV has them.
fn map_texts(maps: &MapArray) -> Result<StringArray, arrow::error::ArrowError> {
    let (keys, values) = (cast(maps.keys(), &DataType::Utf8)?, cast(maps.values(), &DataType::Utf8)?);
    let (keys, values) = (keys.as_string::<i32>(), values.as_string::<i32>());
    let offsets = maps.offsets();
    let text = |at: usize| {
        let range = offsets.get(at).zip(offsets.get(at + 1))?;
        let (from, to) = (usize::try_from(*range.0).ok()?, usize::try_from(*range.1).ok()?);
        let pairs = (from..to).filter(|at| values.is_valid(*at));
        let pairs: Vec<_> =
            pairs.map(|at| format!("{}:{}", json_text(keys.value(at)), json_text(values.value(at)))).collect();
        (maps.is_valid(at) && !pairs.is_empty()).then(|| format!("{{{}}}", pairs.join(",")))
    };
    Ok((0..maps.len()).map(text).collect())
}

/// The pairs of a JSON object of tags; a value that is no text stays as JSON.
pub(super) fn tags(field: &str, json: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut members: super::members::Members<'_> =
        serde_json::from_str(json).map_err(|_| Problem::new(field, Some(json), "a JSON object"))?;
    let mut tags = Vec::new();
    for name in members.names() {
        if let Some(json) = members.take(&name) {
            tags.push((name, serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())));
        }
    }
    Ok(tags)
}

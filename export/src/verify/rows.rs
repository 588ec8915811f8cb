//! Reads the data files of a bundle again, as readers of other makers would, within bounds.

use std::io::{BufRead, BufReader};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use daybook_ledger::schema::Column;
use parquet::arrow::ProjectionMask;

use super::calls::Calls;
use super::fit;
use crate::describe::DESCRIPTOR;
use crate::format::{SHIELD, text_columns};
use crate::reader::Bundle;
use crate::totals::Totals;
use crate::{Format, Part};

/// A longer row of a table that is summed is refused: numbers are narrow.
const ROW_BYTES_MAX: usize = 64 << 20;
/// Text given to a decoder before its rows are taken out.
const DECODE_BYTES: usize = 4 << 20;
const DECODE_ROWS: usize = 8_192;
/// One more than is ever asked for: a full CSV decoder leaves the line feed after the last row's carriage return.
const DECODER_ROWS: usize = DECODE_ROWS + 1;

/// What is counted of the files of one table in one format.
#[derive(Debug)]
pub(super) struct Counted {
    /// Whether texts in CSV have a shield before them.
    is_formula_safe: bool,
    pub(super) totals: Totals,
    /// Of `usage` in the format that a ledger is made from.
    pub(super) calls: Calls,
}

impl Counted {
    pub(super) fn new(part: Part, is_formula_safe: bool) -> Self {
        Self { is_formula_safe, totals: Totals::new(part), calls: Calls::default() }
    }
}

/// Adds the rows of the file called `name`, which is said to have `declared`, to those `counted`; answers how many there are, or
/// why they cannot be read.
pub(super) fn add_file(
    bundle: &Bundle,
    name: &str,
    part: Part,
    format: Format,
    declared: Option<u64>,
    counted: &mut Counted,
) -> Result<u64, String> {
    let before = counted.totals.rows();
    let columns = Totals::columns(part);
    match format {
        Format::Parquet => add_parquet(bundle, name, part, declared, counted)?,
        Format::Jsonl | Format::Csv => {
            let file = bundle.open_file(name).map_err(|error| error.to_string())?;
            let mut lines = Lines::new(BufReader::with_capacity(1 << 20, file), format == Format::Csv);
            if format == Format::Csv {
                check_header(&mut lines, part)?;
            }
            match columns.is_empty() {
                true => counted.totals.add_rows(lines.count_rest()?),
                false => add_text(lines, part, format, &columns, counted)?,
            }
        }
    }
    Ok(counted.totals.rows() - before)
}

/// Rows of the text file called `name`: lines, or in CSV rows below the header.
pub(super) fn count_rows(bundle: &Bundle, name: &str, format: Format) -> Result<u64, String> {
    let file = bundle.open_file(name).map_err(|error| error.to_string())?;
    let is_csv = format == Format::Csv;
    let rows = Lines::new(BufReader::with_capacity(1 << 20, file), is_csv).count_rest()?;
    Ok(rows.saturating_sub(is_csv.into()))
}

/// Rows that are not as many as declared are not read.
fn add_parquet(
    bundle: &Bundle,
    name: &str,
    part: Part,
    declared: Option<u64>,
    counted: &mut Counted,
) -> Result<(), String> {
    let is_usage = part == Part::Usage;
    let mut columns = Totals::columns(part);
    columns.extend(fit::columns(part));
    let file = bundle.open_random(name).map_err(|error| error.to_string())?;
    let builder = super::parquet::open_table(file, part, &columns)?;
    let rows = builder.metadata().file_metadata().num_rows();
    let rows = u64::try_from(rows).map_err(|_| format!("its footer says {rows} rows"))?;
    if let Some(declared) = declared.filter(|declared| *declared != rows) {
        return Err(format!("its footer says {rows} rows, {DESCRIPTOR} says {declared}"));
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let reader = builder.with_projection(mask).build();
    for batch in reader.map_err(|error| error.to_string())? {
        let batch = batch.map_err(|error| error.to_string())?;
        fit::check(part, &batch)?;
        counted.totals.add(&batch).map_err(|error| error.to_string())?;
        if is_usage {
            counted.calls.add(&batch)?;
        }
    }
    Ok(())
}

fn check_header(lines: &mut Lines<impl BufRead>, part: Part) -> Result<(), String> {
    let names: Vec<_> = text_columns(part.spec()).into_iter().map(|column| column.name).collect();
    let header = lines.next_row()?.unwrap_or_default();
    match header.trim_ascii_end() == names.join(",").as_bytes() {
        true => Ok(()),
        false => Err("its first line is not the header of the table".into()),
    }
}

/// Rows go through the readers of `arrow`, which share nothing with our writers.
fn add_text(
    mut lines: Lines<impl BufRead>,
    part: Part,
    format: Format,
    columns: &[&str],
    counted: &mut Counted,
) -> Result<(), String> {
    let mut decoder = Decoder::new(part, format, columns)?;
    let least = if format == Format::Jsonl { object_bytes_min(part) } else { 0 };
    let (mut bytes, mut rows) = (0, 0);
    while let Some(line) = lines.next_row()? {
        if line.len() < least {
            return Err(format!("a row has {} bytes, every column takes {least}", line.len()));
        }
        bytes += line.len();
        rows += 1;
        decoder.feed(line)?;
        if bytes >= DECODE_BYTES || rows >= DECODE_ROWS {
            take(&mut decoder, counted, rows)?;
            (bytes, rows) = (0, 0);
        }
    }
    take(&mut decoder, counted, rows)
}

/// In JSON every column is always there: `"name":0` and what parts it from the next.
fn object_bytes_min(part: Part) -> usize {
    text_columns(part.spec()).iter().map(|column| column.name.len() + r#""":0,"#.len()).sum()
}

fn take(decoder: &mut Decoder, counted: &mut Counted, rows: usize) -> Result<(), String> {
    let mut batch = decoder.flush()?;
    if counted.is_formula_safe && matches!(decoder, Decoder::Csv(_)) {
        batch = batch.map(without_shields).transpose()?;
    }
    let found = batch.as_ref().map_or(0, RecordBatch::num_rows);
    if found != rows {
        return Err(format!("{rows} lines have {found} rows"));
    }
    batch.map_or(Ok(()), |batch| counted.totals.add(&batch).map_err(|error| error.to_string()))
}

fn without_shields(batch: RecordBatch) -> Result<RecordBatch, String> {
    let bare = |text: &str| text.strip_prefix(SHIELD).unwrap_or(text).to_owned();
    let columns = batch.columns().iter().map(|column| -> ArrayRef {
        match column.as_string_opt::<i32>() {
            Some(texts) => Arc::new(texts.iter().map(|text| text.map(bare)).collect::<StringArray>()),
            None => Arc::clone(column),
        }
    });
    RecordBatch::try_new(batch.schema(), columns.collect()).map_err(|error| error.to_string())
}

enum Decoder {
    Json(Box<arrow::json::reader::Decoder>),
    Csv(Box<arrow::csv::reader::Decoder>),
}

impl Decoder {
    fn new(part: Part, format: Format, columns: &[&str]) -> Result<Self, String> {
        match format {
            Format::Csv => {
                let header = text_columns(part.spec());
                let field = |(name, column): (&str, Option<&Column>)| {
                    Field::new(name, column.map_or(DataType::Utf8, |column| column.kind.data_type()), true)
                };
                let is_wanted = |name: &str| columns.contains(&name);
                let fields: Vec<_> = header
                    .iter()
                    .map(|text| field((&text.name, Some(text.column).filter(|_| is_wanted(&text.name)))))
                    .collect();
                let wanted = (0..).zip(&header).filter(|(_, text)| is_wanted(&text.name)).map(|(at, _)| at).collect();
                let builder = arrow::csv::ReaderBuilder::new(Arc::new(Schema::new(fields)));
                let builder = builder.with_projection(wanted).with_batch_size(DECODER_ROWS);
                Ok(Self::Csv(Box::new(builder.build_decoder())))
            }
            _ => {
                let builder = arrow::json::ReaderBuilder::new(schema_of(part, columns)).with_batch_size(DECODER_ROWS);
                let decoder = builder.build_decoder().map_err(|error| error.to_string())?;
                Ok(Self::Json(Box::new(decoder)))
            }
        }
    }

    fn feed(&mut self, line: &[u8]) -> Result<(), String> {
        let taken = match self {
            Self::Json(decoder) => decoder.decode(line),
            Self::Csv(decoder) => decoder.decode(line),
        };
        match taken.map_err(|error| error.to_string())? == line.len() {
            true => Ok(()),
            false => Err("a line has more than one row".into()),
        }
    }

    fn flush(&mut self) -> Result<Option<RecordBatch>, String> {
        let batch = match self {
            Self::Json(decoder) => decoder.flush(),
            Self::Csv(decoder) => decoder.flush(),
        };
        batch.map_err(|error| error.to_string())
    }
}

fn schema_of(part: Part, columns: &[&str]) -> SchemaRef {
    let wanted = part.spec().columns.iter().filter(|column| columns.contains(&column.name));
    Arc::new(Schema::new(wanted.map(|c| Field::new(c.name, c.kind.data_type(), true)).collect::<Vec<_>>()))
}

/// Rows of text: lines, or in CSV lines whose quotes are closed.
struct Lines<R> {
    reader: R,
    is_quoted: bool,
    row: Vec<u8>,
    row_bytes_max: usize,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R, is_csv: bool) -> Self {
        Self { reader, is_quoted: is_csv, row: Vec::new(), row_bytes_max: ROW_BYTES_MAX }
    }

    /// The next row with its end, of at most `row_bytes_max`.
    fn next_row(&mut self) -> Result<Option<&[u8]>, String> {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        let bytes_max = self.row_bytes_max;
        let whole = self.read_row(|bytes| {
            row.extend_from_slice(bytes);
            match row.len() <= bytes_max {
                true => Ok(()),
                false => Err(format!("a row is longer than {bytes_max} bytes")),
            }
        });
        self.row = row;
        Ok(whole?.then_some(&self.row))
    }

    fn count_rest(&mut self) -> Result<u64, String> {
        let mut rows = 0;
        while self.read_row(|_| Ok(()))? {
            rows += 1;
        }
        Ok(rows)
    }

    /// Hands one row to `take` in pieces; false at the end of the file.
    fn read_row(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), String>) -> Result<bool, String> {
        let mut in_quotes = false;
        let mut is_empty = true;
        loop {
            let buffer = self.reader.fill_buf().map_err(|error| error.to_string())?;
            if buffer.is_empty() {
                return match is_empty {
                    true => Ok(false),
                    false => Err("its last row has no end".into()),
                };
            }
            is_empty = false;
            let end = buffer.iter().position(|byte| {
                in_quotes ^= self.is_quoted && *byte == b'"';
                *byte == b'\n' && !in_quotes
            });
            let (row, _) = buffer.split_at(end.map_or(buffer.len(), |end| end + 1));
            let length = row.len();
            take(row)?;
            self.reader.consume(length);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, is_csv: bool) -> Result<u64, String> {
        // A small buffer, so that rows cross its end.
        Lines::new(BufReader::with_capacity(3, text.as_bytes()), is_csv).count_rest()
    }

    #[test]
    fn rows_end_at_line_ends_outside_quotes() {
        assert_eq!(rows("{\"a\":1}\n{\"a\":\"\\\"\"}\n", false), Ok(2));
        assert_eq!(rows("a,\"b\r\nc\"\"\r\n\"\r\nd,e\r\n", true), Ok(2));
        assert_eq!(rows("", true), Ok(0));
    }

    #[test]
    fn a_row_is_held_up_to_a_bound() {
        let next = |text: &str| {
            let mut lines = Lines::new(text.as_bytes(), false);
            lines.row_bytes_max = 4;
            lines.next_row().map(|row| row.map(<[u8]>::to_vec))
        };
        assert_eq!(next("abc\nd\n"), Ok(Some(b"abc\n".to_vec())));
        assert_eq!(next("abcd\n"), Err("a row is longer than 4 bytes".into()));
    }

    #[test]
    fn a_file_cut_short_is_named() {
        assert_eq!(rows("{}\n{", false), Err("its last row has no end".into()));
        assert_eq!(rows("a,\"b\r\n", true), Err("its last row has no end".into()));
    }
}

//! Rows as text or files, one format a module. Every format but the table takes the same memory however many rows
//! there are.

mod cells;
mod csv;
pub(crate) mod html;
mod json;
mod markdown;
mod number;
mod parquet;
mod table;

use std::borrow::Cow;
use std::fmt;
use std::io::{ErrorKind, Write};
use std::str::FromStr;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use daybook_ledger::Usd;

use crate::{Error, Rows};

/// How rows are written.
///
/// In every text format a decimal keeps all its places (in a map those that are not zero at its end), an instant is RFC 3339 in the session's zone (`Z` in UTC) and
/// bytes are lower-case hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns drawn for people, numbers to the right; null is `NULL`.
    Table,
    /// RFC 4180 with a header; null is an empty field, lists and maps are JSON.
    Csv,
    /// As [`Format::Csv`], separated by tabs.
    Tsv,
    /// One array of objects. A decimal with places is a string, because readers take JSON numbers for floats.
    Json,
    /// One object a line, as in [`Format::Json`].
    Ndjson,
    /// A table in Markdown; null is an empty cell.
    Markdown,
    /// A page that needs nothing but itself, for people: numbers are rounded beside their exact value, and null is said to
    /// be not known.
    Html,
    /// A Parquet file, zstd.
    Parquet,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 8] =
        [Self::Table, Self::Csv, Self::Tsv, Self::Json, Self::Ndjson, Self::Markdown, Self::Html, Self::Parquet];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Parquet => "parquet",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that names no format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format")]
pub struct NotAFormat(String);

impl FromStr for Format {
    type Err = NotAFormat;

    fn from_str(text: &str) -> Result<Self, NotAFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| NotAFormat(text.into()))
    }
}

/// An amount as people read it: cents from one dollar on, below it two digits that count.
pub fn rounded(amount: Usd) -> String {
    number::money(amount.pico(), daybook_ledger::SCALE.unsigned_abs().into())
}

/// Text of a log or of a bundle may hold sequences that move the cursor, rename the window, or turn the direction of what
/// follows: they are shown, not obeyed.
pub fn printable(text: &str) -> Cow<'_, str> {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_plain = |c: char| (!c.is_control() && !turns(c)) || matches!(c, '\n' | '\t');
    match text.chars().all(is_plain) {
        true => text.into(),
        false => text.chars().flat_map(|c| if is_plain(c) { vec![c] } else { c.escape_default().collect() }).collect(),
    }
}

/// So many of something: `1 file`, `2 files`, `3 entries`.
pub fn counted<N: fmt::Display + PartialEq + From<u8>>(count: N, one: &str) -> String {
    match one.strip_suffix('y') {
        _ if count == N::from(1) => format!("1 {one}"),
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {one}s"),
    }
}

/// How rows are drawn for people, in [`Format::Table`] and [`Format::Markdown`].
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// Rows a table shows; the others are counted.
    pub rows_max: u64,
    /// Characters a line of a table may have; of a wider one, each row becomes lines of `column: value`.
    pub width_max: usize,
    /// Whether money is [`rounded`].
    pub rounded: bool,
}

impl Default for Drawing {
    /// Every row, as wide as need be, every digit.
    fn default() -> Self {
        Self { rows_max: u64::MAX, width_max: usize::MAX, rounded: false }
    }
}

/// What became of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Rows written.
    pub rows: u64,
    /// Rows the table had no room for.
    pub left_out: u64,
}

/// Turns batches into bytes of one format.
trait Encode: Send {
    /// Adds the rows of `batch`; what is ready goes to `out`.
    fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), Error>;
    /// Adds what ends the result and says how many rows were left out.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<u64, Error>;
}

fn encoder(format: Format, schema: SchemaRef, drawing: Drawing) -> Result<Box<dyn Encode>, Error> {
    Ok(match format {
        Format::Table => Box::new(table::Table::new(schema, drawing)),
        Format::Csv => Box::new(csv::Csv::new(schema, b',')),
        Format::Tsv => Box::new(csv::Csv::new(schema, b'\t')),
        Format::Json => Box::new(json::Json::new()),
        Format::Ndjson => Box::new(json::Ndjson),
        Format::Markdown => Box::new(markdown::Markdown::new(schema, drawing.rounded)),
        Format::Html => Box::new(html::Html::new(schema)),
        Format::Parquet => Box::new(parquet::Parquet::new(&schema)?),
    })
}

/// Writes `rows` to `out` as `format`, for people as `drawing` says.
///
/// A reader that closes the pipe has what it wanted: the query stops, which is no error.
///
/// # Errors
/// [`Error::Output`], [`Error::NotInFormat`], and those of the query itself.
pub async fn render(
    mut rows: Rows,
    format: Format,
    drawing: Drawing,
    out: &mut (dyn Write + Send),
) -> Result<Rendered, Error> {
    let mut writer = Writer::new(format, rows.schema(), drawing, out)?;
    while let Some(batch) = rows.next().await? {
        if !writer.push(&batch)? {
            return Ok(writer.rendered);
        }
    }
    writer.finish()
}

/// Rows on their way out, for whoever makes them batch by batch.
pub(crate) struct Writer<'o> {
    encoder: Box<dyn Encode>,
    buffer: Vec<u8>,
    out: &'o mut (dyn Write + Send),
    rendered: Rendered,
}

impl<'o> Writer<'o> {
    pub(crate) fn new(
        format: Format,
        schema: SchemaRef,
        drawing: Drawing,
        out: &'o mut (dyn Write + Send),
    ) -> Result<Self, Error> {
        let encoder = encoder(format, schema, drawing)?;
        Ok(Self { encoder, buffer: Vec::new(), out, rendered: Rendered::default() })
    }

    /// Adds rows; false if nobody reads any more.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<bool, Error> {
        self.encoder.encode(batch, &mut self.buffer)?;
        self.rendered.rows += batch.num_rows() as u64;
        write(self.out, &mut self.buffer)
    }

    pub(crate) fn finish(mut self) -> Result<Rendered, Error> {
        self.rendered.left_out = self.encoder.finish(&mut self.buffer)?;
        self.rendered.rows -= self.rendered.left_out;
        write(self.out, &mut self.buffer)?;
        Ok(self.rendered)
    }
}

/// Writes and empties `buffer`; false if nobody reads any more.
fn write(out: &mut dyn Write, buffer: &mut Vec<u8>) -> Result<bool, Error> {
    let written = out.write_all(buffer).and_then(|()| out.flush());
    buffer.clear();
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(source) => Err(Error::Output { source }),
    }
}

fn not_in(format: Format) -> impl Fn(arrow::error::ArrowError) -> Error {
    move |error| Error::NotInFormat { format: format.as_str(), message: error.to_string() }
}

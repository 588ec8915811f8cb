//! The columns of a batch, ready to be written as text row by row.

use std::borrow::Cow;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Int32Array, ListArray, MapArray, PrimitiveArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use daybook_ledger::ColumnKind as Kind;
use daybook_ledger::schema::{Column, Table};

use super::text::{DayText, Dialect, Json, push_decimal, push_instant, push_int};
use crate::Error;

/// Bytes that identify something; all other bytes are what somebody sent.
pub(crate) const HEX_COLUMNS: [&str; 4] = ["entry_id", "content_sha256", "line_id", "supersedes"];
/// Ends the name of the column that says how sent bytes became text.
const ENCODING_SUFFIX: &str = "_encoding";

/// A column of a text format.
#[derive(Clone, Debug)]
pub(crate) struct TextColumn {
    pub(crate) name: Cow<'static, str>,
    /// The ledger's column it comes from.
    pub(crate) column: &'static Column,
    /// Whether it only says how the column before it is encoded.
    pub(crate) is_encoding: bool,
}

/// The columns of `table` in JSONL and CSV: its own, and one more after each that holds sent bytes.
pub(crate) fn text_columns(table: &'static Table) -> Vec<TextColumn> {
    let mut columns = Vec::new();
    for column in table.columns {
        columns.push(TextColumn { name: column.name.into(), column, is_encoding: false });
        if holds_sent_bytes(column) {
            let name = format!("{}{ENCODING_SUFFIX}", column.name).into();
            columns.push(TextColumn { name, column, is_encoding: true });
        }
    }
    columns
}

fn holds_sent_bytes(column: &Column) -> bool {
    matches!(column.kind, Kind::Bytes | Kind::BytesMap) && !HEX_COLUMNS.contains(&column.name)
}

/// One column of one batch.
pub(crate) struct Cell<'a> {
    array: &'a dyn Array,
    values: Values<'a>,
}

enum Values<'a> {
    Hex(&'a BinaryArray),
    Sent(&'a BinaryArray),
    SentEncoding(&'a BinaryArray),
    SentMap(&'a MapArray, &'a StringArray, &'a BinaryArray),
    SentMapEncoding(&'a MapArray, &'a BinaryArray),
    Text(&'a StringArray),
    Word { keys: &'a Int32Array, words: &'a StringArray, written: Vec<Vec<u8>> },
    Int(&'a PrimitiveArray<Int64Type>),
    Short(&'a PrimitiveArray<Int32Type>),
    Bool(&'a BooleanArray),
    Instant(&'a PrimitiveArray<TimestampMicrosecondType>, DayText),
    Day(&'a PrimitiveArray<Date32Type>, DayText),
    Decimal(&'a PrimitiveArray<Decimal128Type>),
    Words(&'a ListArray, &'a StringArray),
    TextMap(&'a MapArray, &'a StringArray, &'a StringArray),
    DecimalMap(&'a MapArray, &'a StringArray, &'a PrimitiveArray<Decimal128Type>),
}

/// The cells of `batch` in the order of [`text_columns`].
pub(crate) fn cells<'a>(
    table: &'static Table,
    batch: &'a RecordBatch,
    dialect: &impl Dialect,
) -> Result<Vec<Cell<'a>>, Error> {
    let cell = |text: &TextColumn| {
        let array = batch.column_by_name(text.column.name);
        let cell = array.and_then(|array| Some(Cell { array, values: values(text, array.as_ref(), dialect)? }));
        cell.ok_or_else(|| Error::Internal {
            invariant: "a batch has the columns of its table",
            found: format!("{}.{}", table.name, text.column.name),
        })
    };
    text_columns(table).iter().map(cell).collect()
}

fn values<'a>(text: &TextColumn, array: &'a dyn Array, dialect: &impl Dialect) -> Option<Values<'a>> {
    Some(match text.column.kind {
        Kind::Bytes if text.is_encoding => Values::SentEncoding(array.as_binary_opt()?),
        Kind::Bytes if holds_sent_bytes(text.column) => Values::Sent(array.as_binary_opt()?),
        Kind::Bytes => Values::Hex(array.as_binary_opt()?),
        Kind::Text => Values::Text(array.as_string_opt()?),
        Kind::Word => word(array, dialect)?,
        Kind::Int => Values::Int(primitive(array)?),
        Kind::Short => Values::Short(primitive(array)?),
        Kind::Bool => Values::Bool(array.as_boolean_opt()?),
        Kind::Instant => Values::Instant(primitive(array)?, DayText::default()),
        Kind::Day => Values::Day(primitive(array)?, DayText::default()),
        Kind::Decimal => Values::Decimal(primitive(array)?),
        Kind::Words => {
            let list: &ListArray = array.as_list_opt()?;
            Values::Words(list, list.values().as_string_opt()?)
        }
        Kind::TextMap => {
            let map = array.as_map_opt()?;
            Values::TextMap(map, map.keys().as_string_opt()?, map.values().as_string_opt()?)
        }
        Kind::BytesMap => {
            let map = array.as_map_opt()?;
            let values = map.values().as_binary_opt()?;
            match text.is_encoding {
                true => Values::SentMapEncoding(map, values),
                false => Values::SentMap(map, map.keys().as_string_opt()?, values),
            }
        }
        Kind::DecimalMap => {
            let map = array.as_map_opt()?;
            Values::DecimalMap(map, map.keys().as_string_opt()?, primitive(map.values())?)
        }
    })
}

fn primitive<T: ArrowPrimitiveType>(array: &dyn Array) -> Option<&PrimitiveArray<T>> {
    array.as_primitive_opt()
}

/// Words are written once per dictionary and copied per row, unless the dictionary is the larger of the two.
fn word<'a>(array: &'a dyn Array, dialect: &impl Dialect) -> Option<Values<'a>> {
    let dictionary = array.as_dictionary_opt::<Int32Type>()?;
    let words: &StringArray = dictionary.values().as_string_opt()?;
    let write = |word: Option<&str>| {
        let mut out = Vec::new();
        dialect.text(&mut out, word.unwrap_or_default());
        out
    };
    let written = if words.len() <= array.len() { words.iter().map(write).collect() } else { Vec::new() };
    Some(Values::Word { keys: dictionary.keys(), words, written })
}

impl Cell<'_> {
    /// Appends the value of `row`.
    pub(crate) fn push(&mut self, dialect: &impl Dialect, out: &mut Vec<u8>, row: usize) {
        if self.array.is_null(row) {
            return dialect.null(out);
        }
        match &mut self.values {
            Values::Hex(bytes) => dialect.plain(out, |out| push_hex(out, bytes.value(row))),
            Values::Sent(bytes) => push_sent(dialect, out, bytes.value(row)),
            Values::SentEncoding(bytes) => push_encoding(dialect, out, is_text(bytes.value(row))),
            Values::Text(text) => dialect.text(out, text.value(row)),
            Values::Word { keys, words, written } => {
                let at = usize::try_from(keys.value(row)).unwrap_or(usize::MAX);
                match written.get(at) {
                    Some(written) => out.extend_from_slice(written),
                    None => dialect.text(out, words.value(at)),
                }
            }
            Values::Int(numbers) => push_int(out, numbers.value(row)),
            Values::Short(numbers) => push_int(out, numbers.value(row).into()),
            Values::Bool(flags) => out.extend_from_slice(if flags.value(row) { b"true" } else { b"false" }),
            Values::Instant(instants, day) => {
                dialect.plain(out, |out| push_instant(out, instants.value(row), day));
            }
            Values::Day(days, day) => {
                dialect.plain(out, |out| out.extend_from_slice(day.of(days.value(row)).as_bytes()));
            }
            Values::Decimal(amounts) => dialect.plain(out, |out| push_decimal(out, amounts.value(row))),
            nested => {
                let mut json = Vec::new();
                match push_nested(&mut json, nested, row) {
                    Some(encoding) => push_encoding(dialect, out, encoding),
                    None => dialect.nested(out, &json),
                }
            }
        }
    }
}

/// Appends a list or map as JSON; answers instead whether all its bytes are text if that is the question.
fn push_nested(out: &mut Vec<u8>, values: &Values<'_>, row: usize) -> Option<bool> {
    match values {
        Values::Words(list, words) => {
            push_items(out, *b"[]", entries(list.value_offsets(), row), |out, at| Json.text(out, words.value(at)));
        }
        Values::TextMap(map, keys, values) => {
            push_map(out, map, keys, row, |out, at| Json.text(out, values.value(at)));
        }
        Values::DecimalMap(map, keys, values) => {
            push_map(out, map, keys, row, |out, at| Json.plain(out, |out| push_decimal(out, values.value(at))));
        }
        Values::SentMap(map, keys, values) => {
            let as_text = entries(map.value_offsets(), row).all(|at| is_text(values.value(at)));
            push_map(out, map, keys, row, |out, at| match std::str::from_utf8(values.value(at)) {
                Ok(text) if as_text => Json.text(out, text),
                _ => Json.text(out, &BASE64.encode(values.value(at))),
            });
        }
        Values::SentMapEncoding(map, values) => {
            return Some(entries(map.value_offsets(), row).all(|at| is_text(values.value(at))));
        }
        _ => {}
    }
    None
}

/// Positions of the items of `row`.
fn entries(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| offsets.get(row).and_then(|at| usize::try_from(*at).ok()).unwrap_or_default();
    at(row)..at(row + 1)
}

fn push_map(
    out: &mut Vec<u8>,
    map: &MapArray,
    keys: &StringArray,
    row: usize,
    push_value: impl Fn(&mut Vec<u8>, usize),
) {
    push_items(out, *b"{}", entries(map.value_offsets(), row), |out, at| {
        Json.text(out, keys.value(at));
        out.push(b':');
        push_value(out, at);
    });
}

fn push_items(
    out: &mut Vec<u8>,
    [open, close]: [u8; 2],
    items: std::ops::Range<usize>,
    push: impl Fn(&mut Vec<u8>, usize),
) {
    out.push(open);
    let first = items.start;
    for at in items {
        if at > first {
            out.push(b',');
        }
        push(out, at);
    }
    out.push(close);
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// Sent bytes are text where they are UTF-8, base64 where they are not; the next column says which.
fn push_sent(dialect: &impl Dialect, out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => dialect.text(out, text),
        Err(_) => dialect.text(out, &BASE64.encode(bytes)),
    }
}

fn push_encoding(dialect: &impl Dialect, out: &mut Vec<u8>, is_text: bool) {
    dialect.text(out, if is_text { "utf-8" } else { "base64" });
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

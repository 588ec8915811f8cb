//! The text of a row that its leaf is made from, the same whichever file the row lies in.
//!
//! JSON as RFC 8785 writes it: names sorted, no spaces, values as in the JSON Lines of a bundle. A column without a value is
//! left out, so a column that comes with a later version of Daybook changes no leaf.

use arrow::array::{Array as _, ArrayRef, AsArray as _, MapArray, RecordBatch};
use arrow::datatypes::{Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};

use crate::columns::Kind;
use crate::file::hex;
use crate::schema::{Column, PARTITION, Table};
use crate::{Date, Error, Instant, Usd};

/// Whether rows of `table` are sealed. Bodies may be erased; `usage` has their digests.
pub fn is_sealed(table: &Table) -> bool {
    !table.is_of_bodies()
}

/// The columns of a sealed table that its leaves depend on, by name: all but those that may have to be erased.
pub fn sealed_columns(table: &'static Table) -> Vec<&'static Column> {
    let mut columns: Vec<_> = table.columns.iter().filter(|column| !column.said).collect();
    columns.sort_by_key(|column| column.name);
    columns
}

/// The rows of a record batch as text.
#[derive(Debug)]
pub struct RowTexts<'a> {
    columns: Vec<(&'static Column, Option<&'a ArrayRef>)>,
    date: Date,
    rows: usize,
}

impl<'a> RowTexts<'a> {
    /// The rows of `batch`, which is of a data file of `table` for the day `date`. A column it does not have is null.
    pub fn new(table: &'static Table, date: Date, batch: &'a RecordBatch) -> Self {
        let columns = sealed_columns(table).into_iter().map(|column| (column, batch.column_by_name(column.name)));
        Self { columns: columns.collect(), date, rows: batch.num_rows() }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Puts the text of `row` in place of what is in `out`.
    ///
    /// # Errors
    /// [`Error::Internal`] if a column has another type than its table's.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        out.clear();
        out.push(b'{');
        for (column, array) in &self.columns {
            let array = array.filter(|array| array.is_valid(row));
            if array.is_none() && column.name != PARTITION {
                continue;
            }
            if out.len() > 1 {
                out.push(b',');
            }
            push_text(out, column.name);
            out.push(b':');
            match array {
                None => push_quoted(out, &self.date.to_string()),
                Some(array) => push_value(out, column.kind, array, row).ok_or_else(|| Error::Internal {
                    invariant: "a data file has the types of its table",
                    found: format!("{} is {}", column.name, array.data_type()),
                })?,
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// The text of a commit of a table, for its own leaf.
pub fn commit_text(table: &str, version: u64, sha256: &str) -> Vec<u8> {
    format!("{{\"sha256\":\"{sha256}\",\"table\":\"{table}\",\"version\":{version}}}").into_bytes()
}

fn push_value(out: &mut Vec<u8>, kind: Kind, array: &ArrayRef, row: usize) -> Option<()> {
    match kind {
        Kind::Bytes => push_quoted(out, &hex(array.as_binary_opt::<i32>()?.value(row))),
        Kind::Text | Kind::Word => push_text(out, array.as_string_opt::<i32>()?.value(row)),
        Kind::Int => push_plain(out, array.as_primitive_opt::<Int64Type>()?.value(row)),
        Kind::Short => push_plain(out, array.as_primitive_opt::<Int32Type>()?.value(row)),
        Kind::Bool => push_plain(out, array.as_boolean_opt()?.value(row)),
        Kind::Instant => {
            let micros = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
            push_quoted(out, &Instant::from_micros(micros).to_string());
        }
        Kind::Day => push_quoted(out, &Date::from_days(array.as_primitive_opt::<Date32Type>()?.value(row)).to_string()),
        Kind::Decimal => push_quoted(out, &decimal(array, row)?),
        Kind::Words => {
            let words = array.as_list_opt::<i32>()?.value(row);
            let words = words.as_string_opt::<i32>()?;
            push_items(out, *b"[]", 0..words.len(), |out, at| {
                push_text(out, words.value(at));
                Some(())
            })?;
        }
        Kind::TextMap => push_map(out, array.as_map_opt()?, row, |out, values, at| {
            push_text(out, values.as_string_opt::<i32>()?.value(at));
            Some(())
        })?,
        Kind::BytesMap => push_map(out, array.as_map_opt()?, row, |out, values, at| {
            push_quoted(out, &hex(values.as_binary_opt::<i32>()?.value(at)));
            Some(())
        })?,
        Kind::DecimalMap => push_map(out, array.as_map_opt()?, row, |out, values, at| {
            push_quoted(out, &decimal(values, at)?);
            Some(())
        })?,
    }
    Some(())
}

fn decimal(array: &ArrayRef, row: usize) -> Option<String> {
    Some(Usd::from_pico(array.as_primitive_opt::<Decimal128Type>()?.value(row)).to_string())
}

fn push_plain(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Text that needs no escape.
fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // Writing to a Vec cannot fail.
    serde_json::to_writer(out, text).ok();
}

/// A map with its keys sorted: Parquet readers need not keep their order.
fn push_map(
    out: &mut Vec<u8>,
    map: &MapArray,
    row: usize,
    push: impl Fn(&mut Vec<u8>, &ArrayRef, usize) -> Option<()>,
) -> Option<()> {
    let entries = map.value(row);
    let (keys, values) = (entries.columns().first()?.as_string_opt::<i32>()?, entries.columns().get(1)?);
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|at| keys.value(*at));
    push_items(out, *b"{}", order.into_iter(), |out, at| {
        push_text(out, keys.value(at));
        out.push(b':');
        push(out, values, at)
    })
}

fn push_items(
    out: &mut Vec<u8>,
    [open, close]: [u8; 2],
    items: impl Iterator<Item = usize>,
    push: impl Fn(&mut Vec<u8>, usize) -> Option<()>,
) -> Option<()> {
    out.push(open);
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(out, item)?;
    }
    out.push(close);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{QUARANTINE, USAGE};

    #[test]
    fn names_come_sorted_and_bodies_stay_out() {
        let names = |table| sealed_columns(table).into_iter().map(|column| column.name).collect::<Vec<_>>();
        assert!(names(&USAGE).is_sorted() && names(&USAGE).len() == USAGE.columns.len());
        assert_eq!(
            names(&QUARANTINE),
            [
                "batch_id",
                "error_code",
                "event_date",
                "format",
                "kafka_offset",
                "kafka_partition",
                "kafka_timestamp",
                "quarantined_at",
                "topic"
            ]
        );
        assert!(!is_sealed(&crate::schema::CONTENT) && !is_sealed(&crate::schema::CONTENT_PARTIAL));
    }
}

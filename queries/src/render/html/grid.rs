//! The rows of a result as values for people: what a column counts follows from its name and its type.

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Field, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use daybook_ledger::Date;

use crate::render::number;
use crate::{Error, Session};

/// What a page shows of one result; the rest is counted.
const ROWS_MAX: usize = 1_000;
/// Bytes of text that end a table before its rows do.
const BYTES_MAX: usize = 4 << 20;

/// What a column counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// US dollars, with so many decimal places.
    Usd(u32),
    /// A part of 1.
    Share(u32),
    /// Any other number.
    Number(u32),
    /// A UTC day.
    Day,
    /// Yes or no.
    Truth,
    /// A word of the ledger, such as `locked_in`.
    Word,
    /// Anything else.
    Text,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    /// As many as the unit says: 10⁻¹² dollars, days since 1970, 0 or 1.
    Number(i128),
    Text(String),
}

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) values: Vec<Value>,
}

/// Rows held in memory.
#[derive(Debug)]
pub(crate) struct Grid {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: usize,
    /// Rows that were not kept.
    pub(crate) left_out: usize,
    bytes: usize,
}

impl Unit {
    pub(crate) fn of(field: &Field) -> Self {
        let words: Vec<&str> = field.name().split('_').collect();
        let has = |word: &str| words.contains(&word);
        match field.data_type() {
            DataType::Decimal128(_, scale) => match u32::try_from(*scale).unwrap_or(0) {
                // Days, and what a simulation assumes, are no dollars.
                places if has("days") || has("at") || has("growth") => Self::Number(places),
                places if places == 12 || has("cost") || has("usd") => Self::Usd(places),
                6 => Self::Share(6),
                places => Self::Number(places),
            },
            data_type if data_type.is_integer() => Self::Number(0),
            DataType::Date32 => Self::Day,
            DataType::Boolean => Self::Truth,
            _ if number::WORDS.contains(&field.name().as_str()) => Self::Word,
            _ => Self::Text,
        }
    }

    /// Whether values line up at their right end.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Usd(_) | Self::Share(_) | Self::Number(_))
    }

    /// A value as people read it.
    pub(crate) fn display(self, value: i128) -> String {
        match self {
            Self::Usd(places) => number::usd(value, places),
            Self::Share(places) => number::share(value, places),
            Self::Number(places) => number::plain(value, places),
            Self::Day => {
                i32::try_from(value).map_or_else(|_| value.to_string(), |day| Date::from_days(day).to_string())
            }
            Self::Truth => if value == 0 { "no" } else { "yes" }.into(),
            Self::Word | Self::Text => value.to_string(),
        }
    }
}

impl Column {
    fn new(field: &Field) -> Self {
        Self { name: field.name().clone(), unit: Unit::of(field), values: Vec::new() }
    }

    fn push(&mut self, array: &ArrayRef, rows: usize) -> Result<(), ArrowError> {
        let rows = 0..rows.min(array.len());
        match self.unit {
            Unit::Usd(_) | Unit::Share(_) | Unit::Number(_) => {
                let places = i8::try_from(self.places()).unwrap_or(0);
                let numbers = cast(array, &DataType::Decimal128(38, places))?;
                let numbers = numbers.as_primitive::<Decimal128Type>();
                self.values.extend(rows.map(|at| number_or_null(numbers, at, numbers.value(at))));
            }
            Unit::Day => {
                let days = array.as_primitive::<Date32Type>();
                self.values.extend(rows.map(|at| number_or_null(days, at, days.value(at).into())));
            }
            Unit::Truth => {
                let truths = array.as_boolean();
                self.values.extend(rows.map(|at| number_or_null(truths, at, truths.value(at).into())));
            }
            Unit::Word | Unit::Text => {
                let texts = ArrayFormatter::try_new(array, &FormatOptions::new())?;
                let is_list = matches!(array.data_type(), DataType::List(_) | DataType::LargeList(_));
                for at in rows {
                    let text = || texts.value(at).to_string();
                    self.values.push(match array.is_null(at) {
                        true => Value::Null,
                        false if is_list => Value::Text(text().trim_matches(['[', ']']).into()),
                        false => Value::Text(text()),
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn places(&self) -> u32 {
        match self.unit {
            Unit::Usd(places) | Unit::Share(places) | Unit::Number(places) => places,
            Unit::Day | Unit::Truth | Unit::Word | Unit::Text => 0,
        }
    }

    pub(crate) fn value(&self, row: usize) -> &Value {
        self.values.get(row).unwrap_or(&Value::Null)
    }

    /// The number in `row`, if there is one.
    pub(crate) fn number(&self, row: usize) -> Option<i128> {
        match self.value(row) {
            Value::Number(number) => Some(*number),
            Value::Null | Value::Text(_) => None,
        }
    }

    /// The value in `row` as people read it. What is not known is said to be so; it is never 0.
    pub(crate) fn display(&self, row: usize) -> String {
        match self.value(row) {
            Value::Null if self.unit.is_number() => "not known".into(),
            Value::Null => "none".into(),
            Value::Number(number) => self.unit.display(*number),
            Value::Text(text) if self.unit == Unit::Word => text.replace('_', " "),
            Value::Text(text) => text.clone(),
        }
    }

    fn bytes(&self, row: usize) -> usize {
        match self.value(row) {
            Value::Text(text) => text.len(),
            Value::Null | Value::Number(_) => 16,
        }
    }
}

fn number_or_null(array: &dyn Array, at: usize, number: i128) -> Value {
    if array.is_null(at) { Value::Null } else { Value::Number(number) }
}

impl Grid {
    /// Without rows.
    pub(crate) fn new(schema: &Schema) -> Self {
        let columns = schema.fields().iter().map(|field| Column::new(field)).collect();
        Self { columns, rows: 0, left_out: 0, bytes: 0 }
    }

    /// The answer of `sql`: its first rows, and how many there are beyond them.
    pub(crate) async fn load(session: &Session, sql: &str) -> Result<Self, Error> {
        let mut rows = session.run(sql).await?;
        let mut grid = Self::new(&rows.schema());
        while let Some(batch) = rows.next().await? {
            let room = if grid.bytes < BYTES_MAX { ROWS_MAX.saturating_sub(grid.rows) } else { 0 };
            let kept = batch.slice(0, room.min(batch.num_rows()));
            grid.push(&kept).map_err(super::not_in(super::Format::Html))?;
            grid.left_out += batch.num_rows() - kept.num_rows();
        }
        Ok(grid)
    }

    /// Adds the rows of `batch`.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            column.push(array, batch.num_rows())?;
        }
        let added = self.rows..self.rows + batch.num_rows();
        self.bytes +=
            added.clone().flat_map(|row| self.columns.iter().map(move |column| column.bytes(row))).sum::<usize>();
        self.rows = added.end;
        Ok(())
    }

    /// The column named `name`.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

//! A column of a dataset: its name and type in the specification, and what fills it.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::FocusVersion;
use crate::Error;

/// A column, once for every version.
pub(super) struct Column<R: 'static> {
    /// As the specification spells it.
    pub(super) name: &'static str,
    /// Whether every row has a value.
    pub(super) required: bool,
    /// The versions that have it.
    pub(super) versions: &'static [FocusVersion],
    /// Its type and where its values come from.
    pub(super) fill: Fill<R>,
}

/// How a value is made; decimals as whole numbers of their last place.
pub(super) enum Fill<R: 'static> {
    /// Text.
    Text(fn(&R) -> Option<Cow<'_, str>>),
    /// A JSON object as text.
    Json(fn(&R) -> Option<Cow<'_, str>>),
    /// US dollars for one pricing unit, twelve places.
    Price(fn(&R) -> Option<i128>),
    /// A quantity, six places: a price times a quantity has the places of a cost.
    Quantity(fn(&R) -> Option<i128>),
    /// US dollars, eighteen places.
    Cost(fn(&R) -> Option<i128>),
    /// A whole number, in columns of our own alone.
    Count(fn(&R) -> Option<i64>),
    /// An instant, in microseconds.
    Instant(fn(&R) -> Option<i64>),
}

pub(super) const BOTH: &[FocusVersion] = FocusVersion::ALL;
pub(super) const OLD: &[FocusVersion] = &[FocusVersion::V1_2];
pub(super) const NEW: &[FocusVersion] = &[FocusVersion::V1_4];

/// A column that may be null.
pub(super) const fn may<R>(name: &'static str, versions: &'static [FocusVersion], fill: Fill<R>) -> Column<R> {
    Column { name, required: false, versions, fill }
}

/// A column every row fills.
pub(super) const fn must<R>(name: &'static str, versions: &'static [FocusVersion], fill: Fill<R>) -> Column<R> {
    Column { name, required: true, versions, fill }
}

/// A column that models of vendors' APIs have nothing for.
pub(super) const fn unused<R>(name: &'static str, versions: &'static [FocusVersion]) -> Column<R> {
    may(name, versions, Fill::Text(|_| None))
}

const PRECISION: u8 = 38;

impl<R> Fill<R> {
    fn data_type(&self) -> DataType {
        match self {
            Self::Text(_) | Self::Json(_) => DataType::Utf8,
            Self::Price(_) => DataType::Decimal128(PRECISION, 12),
            Self::Quantity(_) => DataType::Decimal128(PRECISION, 6),
            Self::Cost(_) => DataType::Decimal128(PRECISION, 18),
            Self::Count(_) => DataType::Int64,
            Self::Instant(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// The type in the metadata object, and the places of a decimal.
    pub(super) fn spec_type(&self) -> (&'static str, Option<u8>) {
        match self {
            Self::Text(_) => ("STRING", None),
            Self::Json(_) => ("JSON", None),
            Self::Price(_) => ("DECIMAL", Some(12)),
            Self::Quantity(_) => ("DECIMAL", Some(6)),
            Self::Cost(_) => ("DECIMAL", Some(18)),
            Self::Count(_) => ("INTEGER", None),
            Self::Instant(_) => ("DATETIME", None),
        }
    }

    fn array(&self, rows: &[R]) -> ArrayRef {
        let decimals = |fill: &fn(&R) -> Option<i128>| -> ArrayRef {
            let values: Decimal128Array = rows.iter().map(fill).collect();
            Arc::new(values.with_data_type(self.data_type()))
        };
        match self {
            Self::Text(fill) | Self::Json(fill) => Arc::new(rows.iter().map(fill).collect::<StringArray>()),
            Self::Price(fill) | Self::Quantity(fill) | Self::Cost(fill) => decimals(fill),
            Self::Count(fill) => Arc::new(rows.iter().map(fill).collect::<Int64Array>()),
            Self::Instant(fill) => {
                let values: TimestampMicrosecondArray = rows.iter().map(fill).collect();
                Arc::new(values.with_timezone("UTC"))
            }
        }
    }
}

/// The columns `version` has, in order.
pub(super) fn of<R>(columns: &[Column<R>], version: FocusVersion) -> impl Iterator<Item = &Column<R>> {
    columns.iter().filter(move |column| column.versions.contains(&version))
}

pub(super) fn schema<R>(columns: &[Column<R>], version: FocusVersion) -> SchemaRef {
    let field = |column: &Column<R>| Field::new(column.name, column.fill.data_type(), !column.required);
    Arc::new(Schema::new(of(columns, version).map(field).collect::<Vec<_>>()))
}

/// `rows` in the columns of `version`.
///
/// # Errors
/// [`Error::Internal`] if a column every row fills has a null.
pub(super) fn record_batch<R>(columns: &[Column<R>], version: FocusVersion, rows: &[R]) -> Result<RecordBatch, Error> {
    let arrays = of(columns, version).map(|column| column.fill.array(rows)).collect();
    RecordBatch::try_new(schema(columns, version), arrays).map_err(|error| Error::Internal {
        invariant: "every required column of FOCUS is filled",
        found: error.to_string(),
    })
}

//! What a table's commits say about its data files, as columns: a query over a year looks at thousands of files at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Date32Array, UInt64Array};
use arrow::compute;
use arrow::datatypes::{DataType, Int32Type, Int64Type, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, ScalarValue, Statistics};
use datafusion::error::Result;
use daybook_ledger::schema::{self, PARTITION};
use daybook_ledger::{ColumnKind, DataFile, Instant, SCALE, Usd};
use serde_json::value::RawValue;

/// A scan of up to so many files carries their bounds, for what is only known while a query runs (the tenth largest cost
/// so far, the keys of a join). DataFusion holds some 25 kB a file for them, outside of the memory limit.
const FILES_WITH_BOUNDS_MAX: usize = 256;

/// Delta statistics of one file (Delta protocol, "Per-file Statistics").
#[derive(serde::Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Delta<'a> {
    num_records: Option<u64>,
    #[serde(borrow, default)]
    min_values: HashMap<String, &'a RawValue>,
    #[serde(borrow, default)]
    max_values: HashMap<String, &'a RawValue>,
    #[serde(borrow, default)]
    null_count: HashMap<String, &'a RawValue>,
}

/// Bounds of one column in each file; null where unknown.
#[derive(Clone, Debug)]
struct Bounds {
    min: ArrayRef,
    max: ArrayRef,
    nulls: UInt64Array,
}

/// What is known about a list of files, column by column.
#[derive(Clone, Debug)]
pub(crate) struct FileStatistics {
    rows: UInt64Array,
    days: Date32Array,
    columns: HashMap<&'static str, Bounds>,
}

impl FileStatistics {
    /// Reads the statistics of `files`; `schema` gives each column's type.
    pub(crate) fn read(table: &'static schema::Table, schema: &SchemaRef, files: &[DataFile]) -> Result<Self> {
        // Statistics that cannot be read are statistics that are not there: the file is then always read.
        let deltas: Vec<Delta<'_>> = files
            .iter()
            .map(|file| file.statistics.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
            .collect();
        let mut columns = HashMap::new();
        for column in table.columns.iter().filter(|column| column.prune && column.name != PARTITION) {
            let data_type = schema.field_with_name(column.name)?.data_type();
            columns.insert(column.name, Bounds::read(column.name, column.kind, data_type, &deltas)?);
        }
        Ok(Self {
            rows: deltas.iter().map(|delta| delta.num_records).collect(),
            days: files.iter().map(|file| file.date.days()).collect::<Vec<_>>().into(),
            columns,
        })
    }

    /// The day of each file.
    pub(crate) fn days(&self) -> &Date32Array {
        &self.days
    }

    /// What is known about the files `keep` selects.
    pub(crate) fn filter(&self, keep: &BooleanArray) -> Result<Self> {
        let kept = |column: &ArrayRef| compute::filter(column, keep);
        let mut columns = HashMap::with_capacity(self.columns.len());
        for (name, bounds) in &self.columns {
            let nulls = compute::filter(&bounds.nulls, keep)?.as_primitive().clone();
            columns.insert(*name, Bounds { min: kept(&bounds.min)?, max: kept(&bounds.max)?, nulls });
        }
        Ok(Self {
            rows: compute::filter(&self.rows, keep)?.as_primitive().clone(),
            days: compute::filter(&self.days, keep)?.as_primitive().clone(),
            columns,
        })
    }

    /// Totals over all files, columns in the order of `schema`: exact where every file says so, which lets a plain
    /// `count(*)` be answered without reading any.
    pub(crate) fn totals(&self, schema: &SchemaRef, bytes: u64) -> Statistics {
        let of = |field: &arrow::datatypes::FieldRef| match self.columns.get(field.name().as_str()) {
            Some(bounds) => bounds.total(&self.rows),
            None if field.name() == PARTITION => day_total(&self.days),
            None => ColumnStatistics::new_unknown(),
        };
        Statistics {
            num_rows: exact_sum(&self.rows),
            total_byte_size: usize::try_from(bytes).map_or(Precision::Absent, Precision::Inexact),
            column_statistics: schema.fields().iter().map(of).collect(),
        }
    }

    /// What is known of each file alone, columns in the order of `schema`, for pruning while a query runs.
    pub(crate) fn per_file(&self, schema: &SchemaRef) -> Result<Vec<Option<Arc<Statistics>>>> {
        if self.rows.len() > FILES_WITH_BOUNDS_MAX {
            return Ok(vec![None; self.rows.len()]);
        }
        (0..self.rows.len()).map(|file| Ok(Some(Arc::new(self.one_file(schema, file)?)))).collect()
    }

    fn one_file(&self, schema: &SchemaRef, file: usize) -> Result<Statistics> {
        let mut statistics = Statistics::new_unknown(schema);
        statistics.num_rows = count_at(&self.rows, file);
        for (field, column) in schema.fields().iter().zip(&mut statistics.column_statistics) {
            let Some(bounds) = self.columns.get(field.name().as_str()) else { continue };
            let known =
                |value: ScalarValue| if value.is_null() { Precision::Absent } else { Precision::Inexact(value) };
            column.min_value = known(ScalarValue::try_from_array(&bounds.min, file)?);
            column.max_value = known(ScalarValue::try_from_array(&bounds.max, file)?);
            column.null_count = count_at(&bounds.nulls, file);
        }
        Ok(statistics)
    }
}

impl Bounds {
    fn read(name: &str, kind: ColumnKind, data_type: &DataType, deltas: &[Delta<'_>]) -> Result<Self> {
        let column = |bound: Bound, pick: fn(&Delta<'_>, &str) -> Option<String>| {
            let null = ScalarValue::try_from(data_type)?;
            let values = deltas.iter().map(|delta| {
                let text = pick(delta, name)?;
                bound.read(&text, kind, data_type)
            });
            ScalarValue::iter_to_array(values.map(|value| value.unwrap_or_else(|| null.clone())))
        };
        if deltas.is_empty() {
            let none = arrow::array::new_empty_array(data_type);
            return Ok(Self { min: Arc::clone(&none), max: none, nulls: UInt64Array::from(Vec::<u64>::new()) });
        }
        Ok(Self {
            min: column(Bound::Min, |delta, name| delta.min_values.get(name).map(|raw| raw.get().into()))?,
            max: column(Bound::Max, |delta, name| delta.max_values.get(name).map(|raw| raw.get().into()))?,
            nulls: deltas.iter().map(|delta| delta.null_count.get(name)?.get().parse::<u64>().ok()).collect(),
        })
    }

    fn total(&self, rows: &UInt64Array) -> ColumnStatistics {
        let mut total = ColumnStatistics::new_unknown();
        total.null_count = exact_sum(&self.nulls);
        // A file without bounds is one of nulls only, or one of which nothing is known.
        let known = (0..rows.len()).all(|file| {
            self.min.is_valid(file)
                || (rows.is_valid(file) && self.nulls.is_valid(file) && rows.value(file) == self.nulls.value(file))
        });
        // Only whole numbers are stored as they are: instants are rounded outwards, text may be cut.
        if known {
            let (min, max) = match self.min.data_type() {
                DataType::Int64 => (
                    compute::min(self.min.as_primitive::<Int64Type>()).map(|value| ScalarValue::Int64(Some(value))),
                    compute::max(self.max.as_primitive::<Int64Type>()).map(|value| ScalarValue::Int64(Some(value))),
                ),
                DataType::Int32 => (
                    compute::min(self.min.as_primitive::<Int32Type>()).map(|value| ScalarValue::Int32(Some(value))),
                    compute::max(self.max.as_primitive::<Int32Type>()).map(|value| ScalarValue::Int32(Some(value))),
                ),
                _ => (None, None),
            };
            total.min_value = min.map_or(Precision::Absent, Precision::Exact);
            total.max_value = max.map_or(Precision::Absent, Precision::Exact);
        }
        total
    }
}

#[derive(Clone, Copy)]
enum Bound {
    Min,
    Max,
}

impl Bound {
    /// One bound from its JSON text; `None` if it is not what the column holds.
    fn read(self, text: &str, kind: ColumnKind, data_type: &DataType) -> Option<ScalarValue> {
        let value = match kind {
            ColumnKind::Int => ScalarValue::Int64(Some(text.parse().ok()?)),
            ColumnKind::Short => ScalarValue::Int32(Some(text.parse().ok()?)),
            ColumnKind::Instant => {
                let micros = Instant::parse(&serde_json::from_str::<String>(text).ok()?)?.micros();
                // Other writers cut to the millisecond, which lowers a maximum.
                let micros = match self {
                    Self::Min => micros,
                    Self::Max => micros.checked_add(999)?,
                };
                // Built in the column's zone: a cast would read the instant as a local time.
                let DataType::Timestamp(_, zone) = data_type else { return None };
                return Some(ScalarValue::TimestampMicrosecond(Some(micros), zone.clone()));
            }
            ColumnKind::Text | ColumnKind::Word => ScalarValue::Utf8(Some(serde_json::from_str(text).ok()?)),
            // A decimal is a JSON number; one in quotes is not a bound by value.
            ColumnKind::Decimal => {
                let pico = Usd::parse(text).ok()?.pico();
                ScalarValue::Decimal128(Some(pico), daybook_ledger::PRECISION, SCALE)
            }
            _ => return None,
        };
        value.cast_to(data_type).ok()
    }
}

fn count_at(counts: &UInt64Array, at: usize) -> Precision<usize> {
    let count = counts.is_valid(at).then(|| usize::try_from(counts.value(at)).ok()).flatten();
    count.map_or(Precision::Absent, Precision::Exact)
}

/// The sum, if every part is known.
fn exact_sum(counts: &UInt64Array) -> Precision<usize> {
    let sum = (counts.null_count() == 0).then(|| compute::sum(counts).unwrap_or(0));
    sum.and_then(|sum| usize::try_from(sum).ok()).map_or(Precision::Absent, Precision::Exact)
}

fn day_total(days: &Date32Array) -> ColumnStatistics {
    let day = |day: Option<i32>| day.map_or(Precision::Absent, |day| Precision::Exact(ScalarValue::Date32(Some(day))));
    ColumnStatistics {
        null_count: Precision::Exact(0),
        min_value: day(compute::min(days)),
        max_value: day(compute::max(days)),
        ..ColumnStatistics::new_unknown()
    }
}

impl PruningStatistics for FileStatistics {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name() {
            PARTITION => Some(Arc::new(self.days.clone())),
            name => self.columns.get(name).map(|bounds| Arc::clone(&bounds.min)),
        }
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name() {
            PARTITION => Some(Arc::new(self.days.clone())),
            name => self.columns.get(name).map(|bounds| Arc::clone(&bounds.max)),
        }
    }

    fn num_containers(&self) -> usize {
        self.rows.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        match column.name() {
            PARTITION => Some(Arc::new(UInt64Array::from(vec![0; self.days.len()]))),
            name => self.columns.get(name).map(|bounds| Arc::new(bounds.nulls.clone()) as ArrayRef),
        }
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.rows.clone()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

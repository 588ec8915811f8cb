//! What a commit says of a data file, so that readers can leave it out (Delta protocol, "Per-file Statistics").

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use serde_json::Value;

use crate::schema::{PARTITION, Table};
use crate::{Error, Instant};

/// Text longer than this is no use for pruning.
const STATISTIC_CHARS_MAX: usize = 128;

/// Row count, and minimum, maximum and nulls of the columns that prune.
pub(super) struct Statistics {
    pub(super) rows: usize,
    columns: Vec<ColumnBounds>,
}

struct ColumnBounds {
    name: &'static str,
    nulls: usize,
    range: Range,
}

/// The smallest and the largest value of a column.
enum Range {
    /// There was none so far.
    Empty,
    Of(Bound, Bound),
    /// Of no use: too long.
    Unknown,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    Number(i64),
    Micros(i64),
    Text(String),
}

impl Statistics {
    pub(super) fn new(table: &Table) -> Self {
        let columns = table.pruning_columns().filter(|name| *name != PARTITION);
        Self { rows: 0, columns: columns.map(|name| ColumnBounds { name, nulls: 0, range: Range::Empty }).collect() }
    }

    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.rows += batch.num_rows();
        for bounds in &mut self.columns {
            let column = batch.column_by_name(bounds.name).ok_or_else(|| Error::Internal {
                invariant: "a batch has the columns of its table",
                found: format!("{} is missing", bounds.name),
            })?;
            bounds.nulls += column.null_count();
            let range = std::mem::replace(&mut bounds.range, Range::Empty);
            bounds.range = range.joined(Range::of(column)?);
        }
        Ok(())
    }

    pub(super) fn to_json(&self) -> String {
        let list = |texts: Vec<String>| texts.join(",");
        let ranges = |pick: fn(&Bound, &Bound) -> String| {
            let known = self.columns.iter().filter_map(|column| match &column.range {
                Range::Of(min, max) => Some(format!("\"{}\":{}", column.name, pick(min, max))),
                Range::Empty | Range::Unknown => None,
            });
            list(known.collect())
        };
        let nulls = self.columns.iter().map(|column| format!("\"{}\":{}", column.name, column.nulls));
        format!(
            "{{\"numRecords\":{},\"minValues\":{{{}}},\"maxValues\":{{{}}},\"nullCount\":{{{}}}}}",
            self.rows,
            ranges(|min, _| min.to_json(0)),
            ranges(|_, max| max.to_json(999)),
            list(nulls.collect())
        )
    }

    /// The columns that have bounds.
    pub(super) fn columns(&self) -> Vec<&'static str> {
        self.columns.iter().map(|column| column.name).collect()
    }

    /// What `stated` says of a column that the rows added do not bear out; readers leave out files by it. Wider bounds are none:
    /// an earlier version may have written them.
    pub(super) fn fault(&self, stated: &str) -> Option<String> {
        let [stated, own] =
            [stated, &self.to_json()].map(|text| serde_json::from_str::<Value>(text).unwrap_or_default());
        for name in self.columns() {
            for kind in ["minValues", "maxValues", "nullCount"] {
                let of = |all: &Value| all.get(kind)?.get(name).cloned();
                let Some((said, found)) = of(&stated).zip(of(&own)) else { continue };
                let order = compare(&said, &found);
                let is_wide = match kind {
                    "minValues" => order == Some(Ordering::Less),
                    "maxValues" => order == Some(Ordering::Greater),
                    _ => false,
                };
                if !is_wide && order != Some(Ordering::Equal) {
                    return Some(format!("its commit says {kind} of `{name}` are {said}"));
                }
            }
        }
        None
    }
}

/// `None` if the two are of different kinds.
fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => Some(one.as_i64()?.cmp(&other.as_i64()?)),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

impl Range {
    fn of(column: &ArrayRef) -> Result<Self, Error> {
        use arrow::compute::{max, max_string, min, min_string};
        let range = |ends: Option<(i64, i64)>, bound: fn(i64) -> Bound| match ends {
            Some((low, high)) => Self::Of(bound(low), bound(high)),
            None => Self::Empty,
        };
        if let Some(values) = column.as_primitive_opt::<Int64Type>() {
            return Ok(range(min(values).zip(max(values)), Bound::Number));
        }
        if let Some(values) = column.as_primitive_opt::<Int32Type>() {
            let ends = min(values).zip(max(values)).map(|(low, high)| (i64::from(low), i64::from(high)));
            return Ok(range(ends, Bound::Number));
        }
        if let Some(values) = column.as_primitive_opt::<TimestampMicrosecondType>() {
            return Ok(range(min(values).zip(max(values)), Bound::Micros));
        }
        let words = match column.as_any_dictionary_opt() {
            Some(dictionary) => Arc::clone(dictionary.values()),
            None => Arc::clone(column),
        };
        let words = cast(&words, &DataType::Utf8).map_err(Error::arrow)?;
        let words = words.as_string::<i32>();
        let short = |text: &str| text.chars().count() <= STATISTIC_CHARS_MAX;
        Ok(match min_string(words).zip(max_string(words)) {
            None => Self::Empty,
            Some((low, high)) if short(low) && short(high) => {
                Self::Of(Bound::Text(low.into()), Bound::Text(high.into()))
            }
            Some(_) => Self::Unknown,
        })
    }

    fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Empty, range) | (range, Self::Empty) => range,
            (Self::Of(low, high), Self::Of(other_low, other_high)) => {
                Self::Of(low.min(other_low), high.max(other_high))
            }
        }
    }
}

impl Bound {
    /// Delta statistics hold milliseconds: an instant is rounded down after `micros` are added.
    fn to_json(&self, micros: i64) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Micros(at) => {
                let millis = at.saturating_add(micros).div_euclid(1_000);
                format!("\"{}\"", Instant::from_micros(millis.saturating_mul(1_000)))
            }
            Self::Text(text) => Value::from(text.as_str()).to_string(),
        }
    }
}

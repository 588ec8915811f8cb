//! Counts and sums of a bundle's rows, taken the same way when they are written and when they are verified.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use daybook_ledger::schema::USAGE;
use daybook_ledger::{Instant, Usd};
use serde_json::{Value, json};

use crate::{Error, Part};

/// In the totals of `usage`: rows of calls that have one already, if there are any.
pub(crate) const REPEATED_ROWS: &str = "repeated_rows";

/// Totals of one table.
#[derive(Debug)]
pub(crate) struct Totals {
    part: Part,
    rows: u64,
    usage: UsageTotals,
    error_codes: BTreeMap<Option<String>, u64>,
}

/// Sums of `usage`.
#[derive(Debug, Default)]
struct UsageTotals {
    tokens: BTreeMap<&'static str, Sum>,
    list_cost: Sum,
    reported_cost: BTreeMap<Option<String>, Sum>,
    started_at: Option<(i64, i64)>,
    offsets: BTreeMap<(Option<String>, Option<i32>), Offsets>,
}

/// A sum and how many rows have no value: no value is not zero.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    total: i128,
    nulls: u64,
}

#[derive(Clone, Copy, Debug)]
struct Offsets {
    rows: u64,
    first: i64,
    last: i64,
}

/// Columns of `usage` that count tokens.
fn token_columns() -> impl Iterator<Item = &'static str> {
    USAGE.columns.iter().filter(|column| column.unit == "tokens").map(|column| column.name)
}

impl Totals {
    pub(crate) fn new(part: Part) -> Self {
        Self { part, rows: 0, usage: UsageTotals::default(), error_codes: BTreeMap::new() }
    }

    /// The columns [`Totals::add`] reads.
    pub(crate) fn columns(part: Part) -> Vec<&'static str> {
        const OTHERS: [&str; 7] = [
            "list_cost",
            "reported_cost",
            "reported_currency",
            "started_at",
            "topic",
            "kafka_partition",
            "kafka_offset",
        ];
        match part {
            Part::Usage | Part::Corrections => token_columns().chain(OTHERS).collect(),
            Part::Quarantine => vec!["error_code"],
            _ => Vec::new(),
        }
    }

    /// Takes in rows that have at least [`Totals::columns`].
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.rows += batch.num_rows() as u64;
        match self.part {
            Part::Usage | Part::Corrections => self.usage.add(batch),
            Part::Quarantine => {
                for code in words(batch, "error_code")?.iter() {
                    *self.error_codes.entry(code.map(String::from)).or_default() += 1;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes in rows whose columns nobody sums.
    pub(crate) fn add_rows(&mut self, rows: u64) {
        self.rows = self.rows.saturating_add(rows);
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// As `summary.json` has them.
    pub(crate) fn to_json(&self) -> Value {
        match self.part {
            Part::Usage | Part::Corrections => self.usage.to_json(self.rows),
            Part::Quarantine => {
                let codes: Vec<_> =
                    self.error_codes.iter().map(|(code, rows)| json!({"error_code": code, "rows": rows})).collect();
                json!({"rows": self.rows, "error_codes": codes})
            }
            _ => json!({"rows": self.rows}),
        }
    }
}

impl UsageTotals {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        for name in token_columns() {
            let tokens = primitive::<Int64Type>(batch, name)?;
            let sum = self.tokens.entry(name).or_default();
            sum.add(tokens.iter().map(|count| count.map(i128::from)))?;
        }
        self.list_cost.add(primitive::<Decimal128Type>(batch, "list_cost")?.iter())?;
        self.add_reported(batch)?;
        let started_at = primitive::<TimestampMicrosecondType>(batch, "started_at")?;
        let bounds = arrow::compute::min(started_at).zip(arrow::compute::max(started_at));
        self.started_at = match (self.started_at, bounds) {
            (Some((low, high)), Some((min, max))) => Some((low.min(min), high.max(max))),
            (known, new) => known.or(new),
        };
        self.add_offsets(batch)
    }

    /// What gateways report may be in several currencies, which do not add up.
    fn add_reported(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let costs = primitive::<Decimal128Type>(batch, "reported_cost")?;
        let currencies = words(batch, "reported_currency")?;
        let mut found: BTreeMap<Option<&str>, Sum> = BTreeMap::new();
        for (cost, currency) in costs.iter().zip(currencies.iter()) {
            found.entry(currency).or_default().add([cost])?;
        }
        for (currency, new) in found {
            let known = self.reported_cost.entry(currency.map(String::from)).or_default();
            known.add([Some(new.total)])?;
            known.nulls += new.nulls;
        }
        Ok(())
    }

    fn add_offsets(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let topics = words(batch, "topic")?;
        let partitions = primitive::<Int32Type>(batch, "kafka_partition")?;
        let offsets = primitive::<Int64Type>(batch, "kafka_offset")?;
        // Rows of a batch come from few partitions: look their names up once a batch, not once a row.
        let mut found: BTreeMap<(Option<&str>, Option<i32>), Offsets> = BTreeMap::new();
        for ((topic, partition), offset) in topics.iter().zip(partitions.iter()).zip(offsets.iter()) {
            let Some(offset) = offset else { continue };
            let one = Offsets { rows: 1, first: offset, last: offset };
            found.entry((topic, partition)).and_modify(|known| known.join(one)).or_insert(one);
        }
        for ((topic, partition), new) in found {
            let key = (topic.map(String::from), partition);
            self.offsets.entry(key).and_modify(|known| known.join(new)).or_insert(new);
        }
        Ok(())
    }

    fn to_json(&self, rows: u64) -> Value {
        let instant = |micros: i64| Instant::from_micros(micros).to_string();
        let tokens: serde_json::Map<_, _> = token_columns()
            .map(|name| {
                let sum = self.tokens.get(name).copied().unwrap_or_default();
                (name.to_owned(), json!({"sum": sum.total.to_string(), "nulls": sum.nulls}))
            })
            .collect();
        let reported: Vec<_> = self
            .reported_cost
            .iter()
            .map(|(currency, sum)| json!({"currency": currency, "sum": sum.money(), "nulls": sum.nulls}))
            .collect();
        let offsets: Vec<_> = self
            .offsets
            .iter()
            .map(|((topic, partition), offsets)| {
                json!({
                    "topic": topic, "kafka_partition": partition, "rows": offsets.rows,
                    "first_offset": offsets.first, "last_offset": offsets.last,
                })
            })
            .collect();
        json!({
            "rows": rows,
            "started_at": {
                "min": self.started_at.map(|(low, _)| instant(low)),
                "max": self.started_at.map(|(_, high)| instant(high)),
            },
            "tokens": tokens,
            "list_cost": {"sum": self.list_cost.money(), "nulls": self.list_cost.nulls},
            "reported_cost": reported,
            "offsets": offsets,
        })
    }
}

impl Sum {
    fn add(&mut self, values: impl IntoIterator<Item = Option<i128>>) -> Result<(), Error> {
        for value in values {
            match value {
                Some(value) => {
                    let overflow = || Error::Internal {
                        invariant: "events are capped so that no sum leaves 128 bits",
                        found: format!("{} + {value}", self.total),
                    };
                    self.total = self.total.checked_add(value).ok_or_else(overflow)?;
                }
                None => self.nulls += 1,
            }
        }
        Ok(())
    }

    fn money(self) -> String {
        Usd::from_pico(self.total).to_string()
    }
}

impl Offsets {
    fn join(&mut self, other: Self) {
        self.rows += other.rows;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

fn missing(name: &str) -> Error {
    Error::Internal { invariant: "a batch has the columns of its table", found: name.into() }
}

fn primitive<'a, T: arrow::datatypes::ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a arrow::array::PrimitiveArray<T>, Error> {
    batch.column_by_name(name).and_then(|column| column.as_primitive_opt()).ok_or_else(|| missing(name))
}

/// A column of words, whether it has them as text, as references or in a dictionary.
pub(crate) fn words(batch: &RecordBatch, name: &str) -> Result<StringViewArray, Error> {
    let column = batch.column_by_name(name).ok_or_else(|| missing(name))?;
    let text = cast(column, &DataType::Utf8View).map_err(Error::arrow)?;
    text.as_string_view_opt().cloned().ok_or_else(|| missing(name))
}

//! What is compared: sums of the ledger's calls by half hour, and of bills by period.

use std::collections::BTreeSet;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type};
use daybook_ledger::price::Book;
use daybook_ledger::{Date, Instant};

use super::rates::FINE;
use super::{Cause, ReconcileOptions};
use crate::{Error, Session};

/// Rates can change with the hour, and some do at half past.
const HALF_HOUR_MICROS: i64 = 1_800_000_000;

/// One, as the quantities of meters count.
const ONE: i128 = 1_000_000_000_000;

/// Calls of one half hour that share everything a rate depends on.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    /// The first instant of the half hour.
    pub(super) at: Instant,
    pub(super) tier: Option<String>,
    pub(super) batch: bool,
    pub(super) region: Option<String>,
    pub(super) priced: bool,
    pub(super) calls: i64,
    pub(super) input_max: i64,
    /// Counts by word of [`FINE`].
    pub(super) counts: [i128; FINE.len()],
    /// 10⁻¹² dollars.
    pub(super) list_cost: i128,
}

/// Lines of bills that share everything that is told apart here.
#[derive(Clone, Debug)]
pub(super) struct Billed {
    pub(super) provider: Option<String>,
    pub(super) source: String,
    pub(super) is_cost: bool,
    pub(super) day: Date,
    /// How many days it is about, from `day` on.
    pub(super) days: i32,
    pub(super) model: Option<String>,
    pub(super) line_item: Option<String>,
    pub(super) meter: Option<String>,
    pub(super) tier: Option<String>,
    pub(super) batch: Option<bool>,
    pub(super) category: String,
    pub(super) correction: bool,
    pub(super) currency: Option<String>,
    pub(super) lines: i64,
    pub(super) requests: Option<i64>,
    /// Input, cache reads, writes of 5 minutes, of 1 hour, all writes, output, web searches; `None` if no line counts any.
    pub(super) counts: [Option<i128>; 7],
    pub(super) metered_tokens: Option<i128>,
    /// 10⁻¹² of `currency`.
    pub(super) cost: i128,
}

impl Billed {
    /// Whether it is about usage, which calls can account for.
    pub(super) fn is_usage(&self) -> bool {
        !self.is_cost || Cause::of_charge(&self.category, self.correction, self.meter.as_deref()).is_none()
    }

    /// The day after the last it is about.
    pub(super) fn end(&self) -> Date {
        Date::from_days(self.day.days().saturating_add(self.days.max(1)))
    }
}

/// The calls a provider could bill, by half hour; a day more on both sides, for bills whose days begin elsewhere.
pub(super) async fn calls(session: &Session, options: &ReconcileOptions, book: &Book) -> Result<Vec<Calls>, Error> {
    let mut found = Vec::new();
    for batch in session.run(&calls_sql(options, book)).await?.collect().await? {
        let table = Table::new(&batch)?;
        for row in 0..batch.num_rows() {
            let mut counts = [0; FINE.len()];
            for (at, count) in counts.iter_mut().enumerate() {
                *count = table.number(11 + at, row).unwrap_or(0);
            }
            if let Some(searches) = counts.last_mut() {
                *searches /= ONE;
            }
            found.push(Calls {
                provider: table.text(0, row),
                model: table.text(1, row),
                at: Instant::from_micros(table.long(2, row).saturating_mul(HALF_HOUR_MICROS)),
                tier: table.text(3, row),
                batch: table.long(4, row) == 1,
                region: table.text(5, row),
                priced: table.long(7, row) == 1,
                calls: table.long(8, row),
                input_max: table.long(9, row),
                list_cost: table.number(10, row).unwrap_or(0),
                counts,
            });
        }
    }
    Ok(found)
}

fn calls_sql(options: &ReconcileOptions, book: &Book) -> String {
    // A context band begins above its threshold, or with it: each side of each threshold is a group of its own.
    let thresholds: BTreeSet<u32> = book.rows().filter_map(|row| row.unit.above_k).collect();
    let band = thresholds.iter().map(|k| format!("(input_tokens > {k}000)::bigint + (input_tokens >= {k}000)::bigint"));
    let band = band.chain(["0".to_owned()]).collect::<Vec<_>>().join(" + ");
    let columns = [
        "uncached_input_tokens",
        "cache_read_input_tokens",
        "cache_write_5m_input_tokens",
        "cache_write_30m_input_tokens",
        "cache_write_1h_input_tokens",
        "cache_write_12h_input_tokens",
        "cache_write_unstated_input_tokens",
        "input_audio_tokens",
        "input_image_tokens",
        "output_text_tokens",
        "reasoning_tokens",
        "output_audio_tokens",
        "output_image_tokens",
    ];
    let sums = columns.map(|column| format!("sum({column}::decimal(38, 0))")).join(", ");
    let window = window(options, "event_date", 1);
    format!(
        "SELECT provider, coalesce(response_model, request_model), \
         started_at::bigint / {HALF_HOUR_MICROS}, lower(service_tier), \
         coalesce(array_has(features, 'batch'), false)::bigint, region, coalesce({band}, 0), \
         (list_cost IS NOT NULL)::bigint, count(*), coalesce(max(input_tokens), 0), sum(list_cost), {sums}, \
         sum(meters['web_search_requests']) \
         FROM usage WHERE coalesce(gateway_cache_hit, false) = false{window} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"
    )
}

/// The lines of bills that hold now.
pub(super) async fn billed(session: &Session, options: &ReconcileOptions) -> Result<Vec<Billed>, Error> {
    let window = window(options, "day", 0);
    // To the nearest, because days on which clocks change have 23 or 25 hours.
    let days = "(period_end::bigint - period_start::bigint + 43200000000) / 86400000000";
    let sql = format!(
        "SELECT provider, source, report, day::integer::bigint, model, line_item, meter, lower(service_tier), \
         batch::bigint, charge_category, correction::bigint, currency, count(*), sum(requests), \
         sum(input_tokens::decimal(38, 0)), sum(cache_read_input_tokens::decimal(38, 0)), \
         sum(cache_write_5m_input_tokens::decimal(38, 0)), sum(cache_write_1h_input_tokens::decimal(38, 0)), \
         sum(cache_write_input_tokens::decimal(38, 0)), sum(output_tokens::decimal(38, 0)), \
         sum(meters['web_search_requests']), sum(metered_tokens::decimal(38, 0)), sum(billed_cost), \
         {days} \
         FROM billing_current WHERE true{window} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 24"
    );
    let mut found = Vec::new();
    for batch in session.run(&sql).await?.collect().await? {
        let table = Table::new(&batch)?;
        for row in 0..batch.num_rows() {
            let mut counts = [None; 7];
            for (at, count) in counts.iter_mut().enumerate() {
                *count = table.number(14 + at, row);
            }
            if let Some(searches) = counts.last_mut() {
                *searches = searches.map(|count| count / ONE);
            }
            found.push(Billed {
                provider: table.text(0, row),
                source: table.text(1, row).unwrap_or_default(),
                is_cost: table.text(2, row).as_deref() == Some("cost_report"),
                day: Date::from_days(i32::try_from(table.long(3, row)).unwrap_or(0)),
                days: i32::try_from(table.long(23, row)).unwrap_or(1),
                model: table.text(4, row),
                line_item: table.text(5, row),
                meter: table.text(6, row),
                tier: table.text(7, row),
                batch: table.number(8, row).map(|batch| batch == 1),
                category: table.text(9, row).unwrap_or_default(),
                correction: table.long(10, row) == 1,
                currency: table.text(11, row),
                lines: table.long(12, row),
                requests: table.number(13, row).and_then(|count| i64::try_from(count).ok()),
                counts,
                metered_tokens: table.number(21, row),
                cost: table.number(22, row).unwrap_or(0),
            });
        }
    }
    Ok(found)
}

fn window(options: &ReconcileOptions, column: &str, margin_days: i32) -> String {
    let mut sql = String::new();
    if let Some(from) = options.from {
        sql += &format!(" AND {column} >= DATE '{}'", Date::from_days(from.days() - margin_days));
    }
    if let Some(to) = options.to {
        sql += &format!(" AND {column} < DATE '{}'", Date::from_days(to.days() + margin_days));
    }
    if let Some(provider) = &options.provider {
        sql += &format!(" AND provider = '{}'", provider.replace('\'', "''"));
    }
    sql
}

/// A batch, cell by cell: text, whole numbers, and decimals as their raw value.
struct Table {
    columns: Vec<Column>,
}

enum Column {
    Text(arrow::array::StringArray),
    Number(Vec<Option<i128>>),
}

impl Table {
    fn new(batch: &RecordBatch) -> Result<Self, Error> {
        let broken = |error: arrow::error::ArrowError| Error::Internal {
            invariant: "a report reads the columns it names",
            found: error.to_string(),
        };
        let mut columns = Vec::new();
        for array in batch.columns() {
            columns.push(match array.data_type() {
                DataType::Decimal128(..) => Column::Number(array.as_primitive::<Decimal128Type>().iter().collect()),
                kind if kind.is_integer() => {
                    let whole = cast(array, &DataType::Decimal128(38, 0)).map_err(broken)?;
                    Column::Number(whole.as_primitive::<Decimal128Type>().iter().collect())
                }
                _ => Column::Text(cast(array, &DataType::Utf8).map_err(broken)?.as_string::<i32>().clone()),
            });
        }
        Ok(Self { columns })
    }

    fn text(&self, column: usize, row: usize) -> Option<String> {
        match self.columns.get(column)? {
            Column::Text(texts) => texts.is_valid(row).then(|| texts.value(row).to_owned()),
            Column::Number(_) => None,
        }
    }

    fn number(&self, column: usize, row: usize) -> Option<i128> {
        match self.columns.get(column)? {
            Column::Number(numbers) => numbers.get(row).copied().flatten(),
            Column::Text(_) => None,
        }
    }

    fn long(&self, column: usize, row: usize) -> i64 {
        self.number(column, row).and_then(|number| i64::try_from(number).ok()).unwrap_or(0)
    }
}

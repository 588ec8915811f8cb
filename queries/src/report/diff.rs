//! Two valuations of the same calls, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Field, Int64Type, Schema};
use daybook_ledger::price::{RECORDED, is_valuation_name};
use daybook_ledger::{ColumnKind, Date, Usd};

use crate::{Error, Rows, Session, names};

/// What a line of the report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Who bills.
    Provider,
    /// The model that served, else the one asked for.
    Model,
    /// UTC day.
    Day,
}

impl By {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Provider, Self::Model, Self::Day];

    /// Its name, and its column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Day => "day",
        }
    }
}

impl FromStr for By {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|by| by.as_str() == text);
        known.ok_or_else(|| Error::Invalid { message: format!("`{text}` is none of provider, model, day") })
    }
}

/// What to compare.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// A valuation, or [`RECORDED`]: the costs in `usage`.
    pub a: String,
    /// The other one.
    pub b: String,
    /// One line for each of these; one for everything if empty.
    pub by: Vec<By>,
    /// The first day; from the first entry on if `None`.
    pub from: Option<Date>,
    /// The first day not to compare any more; to the last entry if `None`.
    pub to: Option<Date>,
}

/// Sums over calls that both valuations know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Calls both know, priced or not.
    pub calls: i64,
    /// Their cost in the first; `None` when it prices none of them.
    pub a_cost: Option<Usd>,
    /// Their cost in the second.
    pub b_cost: Option<Usd>,
    /// The second less the first, over calls that both price.
    pub difference: Option<Usd>,
    /// Calls that both price, at different costs.
    pub changed_calls: i64,
    /// Calls the first does not price.
    pub a_unpriced: i64,
    /// Calls the second does not price.
    pub b_unpriced: i64,
    /// Calls only the first knows.
    pub a_only: i64,
    /// Calls only the second knows.
    pub b_only: i64,
}

impl Compared {
    fn add(&mut self, other: &Self) {
        let sum = |a: Option<Usd>, b: Option<Usd>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        self.calls += other.calls;
        self.a_cost = sum(self.a_cost, other.a_cost);
        self.b_cost = sum(self.b_cost, other.b_cost);
        self.difference = sum(self.difference, other.difference);
        self.changed_calls += other.changed_calls;
        self.a_unpriced += other.a_unpriced;
        self.b_unpriced += other.b_unpriced;
        self.a_only += other.a_only;
        self.b_only += other.b_only;
    }
}

type Key = (Option<String>, Option<String>, Option<Date>);

/// Compares two valuations, day by day, so that memory is that of the busiest day. Also gives the sums over all lines.
///
/// # Errors
/// [`Error::UnknownValuation`]; those of queries.
pub async fn diff(session: &Session, options: &DiffOptions) -> Result<(Rows, Compared), Error> {
    let known = valuations(session).await?;
    for name in [&options.a, &options.b] {
        if name != RECORDED && !known.contains(name) {
            return Err(unknown(name, &known));
        }
    }
    let mut total = Compared::default();
    let mut lines: BTreeMap<Key, Compared> = BTreeMap::new();
    for day in days(session, options).await? {
        for (mut key, sums) in of_day(session, options, day).await? {
            total.add(&sums);
            key.0 = key.0.filter(|_| options.by.contains(&By::Provider));
            key.1 = key.1.filter(|_| options.by.contains(&By::Model));
            key.2 = Some(day).filter(|_| options.by.contains(&By::Day));
            lines.entry(key).or_default().add(&sums);
        }
    }
    Ok((Rows::of(session, record_batch(&lines, &options.by)?), total))
}

fn unknown(name: &str, known: &BTreeSet<String>) -> Error {
    let all = || known.iter().map(String::as_str).chain([RECORDED]);
    Error::UnknownValuation {
        name: name.into(),
        nearest: names::nearest(name, all()).map(String::from),
        valid: all().map(String::from).collect(),
    }
}

async fn valuations(session: &Session) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    for batch in session.run("SELECT DISTINCT valuation FROM valuations").await?.collect().await? {
        let column = cast(batch.column(0), &DataType::Utf8).map_err(broken)?;
        names.extend(column.as_string::<i32>().iter().flatten().map(String::from));
    }
    Ok(names)
}

async fn days(session: &Session, options: &DiffOptions) -> Result<BTreeSet<Date>, Error> {
    let mut days = BTreeSet::new();
    for batch in session.run("SELECT DISTINCT event_date FROM usage").await?.collect().await? {
        let column = batch.column(0).as_primitive::<Date32Type>();
        days.extend(column.iter().flatten().map(Date::from_days));
    }
    days.retain(|day| options.from.is_none_or(|from| from <= *day) && options.to.is_none_or(|to| *day < to));
    Ok(days)
}

/// The lines of one day, by provider and model.
async fn of_day(session: &Session, options: &DiffOptions, day: Date) -> Result<Vec<(Key, Compared)>, Error> {
    let mut lines = Vec::new();
    for batch in session.run(&day_sql(&options.a, &options.b, day)).await?.collect().await? {
        let text = |at: usize| cast(batch.column(at), &DataType::Utf8).map_err(broken);
        let (providers, models) = (text(0)?, text(1)?);
        let name = |names: &ArrayRef, row| names.is_valid(row).then(|| names.as_string::<i32>().value(row).to_owned());
        let count = |at: usize, row| batch.column(at).as_primitive::<Int64Type>().value(row);
        let cost = |at: usize, row| {
            let costs = batch.column(at).as_primitive::<Decimal128Type>();
            costs.is_valid(row).then(|| Usd::from_pico(costs.value(row)))
        };
        lines.extend((0..batch.num_rows()).map(|row| {
            let sums = Compared {
                calls: count(2, row),
                a_cost: cost(3, row),
                b_cost: cost(4, row),
                difference: cost(5, row),
                changed_calls: count(6, row),
                a_unpriced: count(7, row),
                b_unpriced: count(8, row),
                a_only: count(9, row),
                b_only: count(10, row),
            };
            ((name(&providers, row), name(&models, row), None), sums)
        }));
    }
    Ok(lines)
}

fn day_sql(a: &str, b: &str, day: Date) -> String {
    let (cost_a, in_a, join_a) = side("a", a, day);
    let (cost_b, in_b, join_b) = side("b", b, day);
    format!(
        "SELECT provider, model, count(*) FILTER (WHERE in_a AND in_b), \
         CAST(sum(a_cost) FILTER (WHERE in_a AND in_b) AS decimal(38, 12)), \
         CAST(sum(b_cost) FILTER (WHERE in_a AND in_b) AS decimal(38, 12)), \
         CAST(sum(b_cost - a_cost) AS decimal(38, 12)), \
         count(*) FILTER (WHERE a_cost <> b_cost), \
         count(*) FILTER (WHERE in_a AND in_b AND a_cost IS NULL), \
         count(*) FILTER (WHERE in_a AND in_b AND b_cost IS NULL), \
         count(*) FILTER (WHERE in_a AND NOT in_b), count(*) FILTER (WHERE in_b AND NOT in_a) \
         FROM (SELECT u.provider, coalesce(u.response_model, u.request_model) AS model, \
         {cost_a} AS a_cost, {in_a} AS in_a, {cost_b} AS b_cost, {in_b} AS in_b \
         FROM (SELECT * FROM usage WHERE event_date = DATE '{day}') u{join_a}{join_b}) GROUP BY provider, model"
    )
}

/// The cost, whether the call is known, and the join, of one side. Names are checked words: nothing to escape.
fn side(alias: &str, name: &str, day: Date) -> (String, String, String) {
    if name == RECORDED || !is_valuation_name(name) {
        return ("u.list_cost".into(), "true".into(), String::new());
    }
    let join = format!(
        " LEFT JOIN (SELECT entry_id, list_cost FROM valuations WHERE valuation = '{name}' \
         AND event_date = DATE '{day}') {alias} ON {alias}.entry_id = u.entry_id"
    );
    (format!("{alias}.list_cost"), format!("{alias}.entry_id IS NOT NULL"), join)
}

fn record_batch(lines: &BTreeMap<Key, Compared>, by: &[By]) -> Result<RecordBatch, Error> {
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for by in By::ALL.into_iter().filter(|each| by.contains(each)) {
        let column: ArrayRef = match by {
            By::Provider => Arc::new(lines.keys().map(|key| key.0.as_deref()).collect::<StringArray>()),
            By::Model => Arc::new(lines.keys().map(|key| key.1.as_deref()).collect::<StringArray>()),
            By::Day => Arc::new(lines.keys().map(|key| key.2.map(Date::days)).collect::<Date32Array>()),
        };
        columns.push((by.as_str(), column));
    }
    let count = |of: fn(&Compared) -> i64| -> ArrayRef {
        Arc::new(lines.values().map(|sums| Some(of(sums))).collect::<Int64Array>())
    };
    let cost = |of: fn(&Compared) -> Option<Usd>| -> ArrayRef {
        let costs = lines.values().map(|sums| of(sums).map(Usd::pico)).collect::<Decimal128Array>();
        Arc::new(costs.with_data_type(ColumnKind::Decimal.data_type()))
    };
    columns.extend([
        ("calls", count(|sums| sums.calls)),
        ("a_cost", cost(|sums| sums.a_cost)),
        ("b_cost", cost(|sums| sums.b_cost)),
        ("difference", cost(|sums| sums.difference)),
        ("changed_calls", count(|sums| sums.changed_calls)),
        ("a_unpriced", count(|sums| sums.a_unpriced)),
        ("b_unpriced", count(|sums| sums.b_unpriced)),
        ("a_only", count(|sums| sums.a_only)),
        ("b_only", count(|sums| sums.b_only)),
    ]);
    let fields: Vec<_> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(broken)
}

fn broken(error: arrow::error::ArrowError) -> Error {
    Error::Internal { invariant: "a report has the columns it names", found: error.to_string() }
}

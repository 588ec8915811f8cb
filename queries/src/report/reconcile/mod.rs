//! A ledger against its providers' bills: where they differ, by how much, and why as far as that can be known.
//!
//! `load` sums both sides, `cells` and `models` put them side by side, `listed` values counts, `causes` explains each model's
//! days with the help of `boundary` (other days), `semantics` (misread counts) and `prices` (other rates). All amounts are
//! exact; the causes of a difference sum to it.

mod boundary;
mod causes;
mod cells;
mod listed;
mod load;
mod models;
mod prices;
mod rates;
mod semantics;
mod vector;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use daybook_ledger::price::Book;
use daybook_ledger::{ColumnKind, Date, Usd};

use super::By;
use crate::{Error, Rows, Session, counted, rounded};

/// Why a ledger and a bill differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Usage on the bill of which the ledger has no call.
    MissingCalls,
    /// Calls in the ledger that are not on the bill.
    MissingOnBill,
    /// Calls that the bill puts on another day.
    Boundary,
    /// The ledger reads the provider's counts otherwise than the bill; an identity shows how.
    TokenSemantics,
    /// The counts differ, and nobody can say why.
    TokenCounts,
    /// The counts agree and the rates differ.
    Price,
    /// Every rate on the bill is the same share below list.
    Discount,
    /// Billed in another service tier, or batch.
    Tier,
    /// Calls without a price in the ledger.
    Unpriced,
    /// Lines of which nobody knows the model.
    UnmappedModel,
    /// What is billed by other meters than tokens: pictures, seconds.
    OtherMeters,
    /// A credit, a refund, or a discount billed as a line.
    Credit,
    /// Tax.
    Tax,
    /// Commitments, minimums and capacity that no call accounts for.
    Commitment,
    /// Other lines of the biller's own.
    Adjustment,
    /// A correction of an earlier period.
    Correction,
    /// Rounding.
    Rounding,
    /// What no cause accounts for.
    Unexplained,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 18] = [
        Self::MissingCalls,
        Self::MissingOnBill,
        Self::Boundary,
        Self::TokenSemantics,
        Self::TokenCounts,
        Self::Price,
        Self::Discount,
        Self::Tier,
        Self::Unpriced,
        Self::UnmappedModel,
        Self::OtherMeters,
        Self::Credit,
        Self::Tax,
        Self::Commitment,
        Self::Adjustment,
        Self::Correction,
        Self::Rounding,
        Self::Unexplained,
    ];

    /// Its name in the column `cause`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingCalls => "missing_calls",
            Self::MissingOnBill => "missing_on_bill",
            Self::Boundary => "boundary",
            Self::TokenSemantics => "token_semantics",
            Self::TokenCounts => "token_counts",
            Self::Price => "price",
            Self::Discount => "discount",
            Self::Tier => "tier",
            Self::Unpriced => "unpriced",
            Self::UnmappedModel => "unmapped_model",
            Self::OtherMeters => "other_meters",
            Self::Credit => "credit",
            Self::Tax => "tax",
            Self::Commitment => "commitment",
            Self::Adjustment => "adjustment",
            Self::Correction => "correction",
            Self::Rounding => "rounding",
            Self::Unexplained => "unexplained",
        }
    }

    /// The cause a line is by itself, unless it is a line about usage.
    fn of_charge(category: &str, correction: bool, meter: Option<&str>) -> Option<Self> {
        match category {
            _ if correction => Some(Self::Correction),
            "credit" => Some(Self::Credit),
            "tax" => Some(Self::Tax),
            "purchase" => Some(Self::Commitment),
            "adjustment" => Some(Self::Adjustment),
            _ if meter == Some("provisioned") => Some(Self::Commitment),
            _ => None,
        }
    }
}

/// One cause of one difference.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    cause: Cause,
    /// 10⁻¹² dollars.
    amount: i128,
    detail: String,
}

/// Something about the comparison as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Note {
    NoBill { provider: String, calls: i64, list_cost: i128 },
    OtherCurrency { provider: String, source: String, currency: String, cost: i128 },
    BilledTwice { provider: String, source: String, currency: String, cost: i128 },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |pico: &i128| rounded(Usd::from_pico(*pico));
        match self {
            Self::NoBill { provider, calls, list_cost } => {
                let calls = counted(*calls, "call");
                write!(f, "{provider} has no bill; left out: {calls}, {} USD", amount(list_cost))
            }
            Self::OtherCurrency { provider, source, currency, cost } => {
                write!(
                    f,
                    "{source} bills {} {currency} for {provider}: other currencies are not compared",
                    amount(cost)
                )
            }
            Self::BilledTwice { provider, source, currency, cost } => write!(
                f,
                "{source} bills {} {currency} for {provider} that another source bills too: it is left out",
                amount(cost)
            ),
        }
    }
}

/// How much may differ: an amount of dollars, or a share of what is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// Dollars.
    Amount(Usd),
    /// Per cent of what is billed.
    Percent(Usd),
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Amount(Usd::ZERO)
    }
}

impl FromStr for Tolerance {
    type Err = String;

    /// Reads `0.01` or `0.5%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| Usd::parse(text).ok().filter(|number| !number.is_negative());
        let read = match text.strip_suffix('%') {
            Some(percent) => number(percent).map(Self::Percent),
            None => number(text).map(Self::Amount),
        };
        read.ok_or_else(|| format!("`{text}` is no tolerance; use dollars such as `0.01`, or a share such as `0.5%`"))
    }
}

impl Tolerance {
    fn allows(self, difference: i128, billed: i128) -> bool {
        match self {
            Self::Amount(most) => difference.abs() <= most.pico(),
            // Both sides times 10¹⁴, so that nothing is divided.
            Self::Percent(most) => {
                let share = billed.unsigned_abs().checked_mul(most.pico().unsigned_abs());
                let off = difference.unsigned_abs().checked_mul(100_000_000_000_000);
                share.zip(off).map_or(difference == 0, |(share, off)| off <= share)
            }
        }
    }
}

/// What to compare.
#[derive(Clone, Debug)]
pub struct ReconcileOptions {
    /// The first day; that of the first bill of each provider if `None`.
    pub from: Option<Date>,
    /// The first day not to compare any more; the day after what the last bill is about if `None`.
    pub to: Option<Date>,
    /// Only this provider.
    pub provider: Option<String>,
    /// One line for each of these.
    pub by: Vec<By>,
    /// How much a line may differ.
    pub tolerance: Tolerance,
}

/// A comparison.
#[derive(Debug)]
pub struct Reconciled {
    /// Per line its sums, then its causes. Sums stand on the first row of a line only, amounts on those of its causes, so
    /// that every column adds up.
    pub rows: Rows,
    /// The first and the last day that is compared, by provider.
    pub windows: BTreeMap<String, (Date, Date)>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// Whether every line is within the tolerance.
    pub is_within: bool,
    /// Lines beyond it.
    pub beyond: usize,
    /// Dollars in the ledger.
    pub list_cost: Usd,
    /// Dollars billed.
    pub billed_cost: Usd,
    /// Dollars that no cause accounts for, each counted as positive.
    pub unexplained: Usd,
}

type Key = (Option<String>, Option<String>, Option<Date>);

/// The sums of one line.
#[derive(Debug, Default)]
struct Line {
    calls: i64,
    list_cost: i128,
    billed_cost: i128,
    is_valued: bool,
    /// Providers and days of which a part is counted and has no rate.
    unknown: BTreeSet<(String, Date)>,
    /// Those of which the line has what is left of a bill for all models: it then has all that was billed.
    remainders: BTreeSet<(String, Date)>,
    causes: BTreeMap<Cause, (i128, Vec<String>)>,
}

impl Line {
    fn difference(&self) -> i128 {
        self.billed_cost - self.list_cost
    }

    fn is_unknown(&self) -> bool {
        !self.unknown.is_subset(&self.remainders)
    }

    fn is_beyond(&self, tolerance: Tolerance) -> bool {
        self.is_unknown() || !tolerance.allows(self.difference(), self.billed_cost)
    }

    fn detail(&self) -> Option<String> {
        let detail = match (self.is_unknown(), self.is_valued) {
            (true, _) => "the usage report's counts differ from the ledger's, and no list rate values them",
            (false, true) => "usage report at list rates, no bill",
            (false, false) => return None,
        };
        Some(detail.into())
    }
}

/// Compares the ledger's costs and counts with the bills in it, at the ledger's prices.
///
/// # Errors
/// Those of queries.
pub async fn reconcile(session: &Session, book: &Book, options: &ReconcileOptions) -> Result<Reconciled, Error> {
    let calls = load::calls(session, options, book).await?;
    let billed = load::billed(session, options).await?;
    let cells::Compared { timelines, windows, notes } = cells::build(calls, billed, book, (options.from, options.to));
    if windows.is_empty() {
        let left_out = notes.iter().filter(|note| !matches!(note, Note::NoBill { .. }));
        let notes = left_out.map(|note| format!("; {note}")).collect();
        return Err(Error::NoBill { of: what_is_billed(options), notes });
    }
    let lines = lines(&timelines, book, &options.by);
    let unexplained = lines.values().filter_map(|line| line.causes.get(&Cause::Unexplained));
    let unexplained = unexplained.map(|(amount, _)| amount.abs()).sum();
    let beyond = lines.values().filter(|line| line.is_beyond(options.tolerance)).count();
    Ok(Reconciled {
        windows,
        notes: notes.iter().map(ToString::to_string).collect(),
        is_within: beyond == 0,
        beyond,
        list_cost: Usd::from_pico(lines.values().map(|line| line.list_cost).sum()),
        billed_cost: Usd::from_pico(lines.values().map(|line| line.billed_cost).sum()),
        unexplained: Usd::from_pico(unexplained),
        rows: Rows::of(session, record_batch(&lines, &options.by)?),
    })
}

/// `of openai from 2026-11-01 to before 2026-12-01`, as far as it was asked for.
fn what_is_billed(options: &ReconcileOptions) -> String {
    let provider = options.provider.as_ref().map(|provider| format!(" of {provider}"));
    let from = options.from.map(|from| format!(" from {from}"));
    let to = options.to.map(|to| format!(" to before {to}"));
    [provider, from, to].into_iter().flatten().collect()
}

fn lines(timelines: &cells::Timelines, book: &Book, by: &[By]) -> BTreeMap<Key, Line> {
    let mut lines: BTreeMap<Key, Line> = BTreeMap::new();
    let zones = boundary::zones(timelines);
    for ((provider, model), timeline) in timelines {
        let zone = zones.get(provider.as_str()).copied();
        let mut explained = causes::explain(causes::Subject { provider, model, book, zone }, timeline);
        for (day, cell) in &timeline.days {
            let key = (
                by.contains(&By::Provider).then(|| provider.clone()),
                by.contains(&By::Model).then(|| model.clone()),
                by.contains(&By::Day).then_some(*day),
            );
            let line = lines.entry(key).or_default();
            line.calls += cell.calls;
            line.list_cost += cell.list_cost;
            line.billed_cost += cell.billed();
            line.is_valued |= cell.bill.is_valued;
            let of_day = || (provider.clone(), *day);
            line.unknown.extend(cell.bill.is_unknown.then(of_day));
            line.remainders.extend(cell.bill.is_remainder.then(of_day));
            for Finding { cause, amount, detail } in explained.remove(day).unwrap_or_default() {
                let (sum, details) = line.causes.entry(cause).or_default();
                *sum += amount;
                if !detail.is_empty() && !details.contains(&detail) {
                    details.push(detail);
                }
            }
        }
    }
    lines
}

/// At most three details of a cause, and how many more there are.
fn joined(details: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    let shown = details.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(" | ");
    let more = details.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" | and {more} more") } else { String::new() };
    (!details.is_empty()).then(|| shown + &more)
}

/// A row of the report: a line itself, or one of its causes.
struct Shown<'l> {
    key: &'l Key,
    line: Option<&'l Line>,
    cause: Option<(Cause, i128)>,
    detail: Option<String>,
}

/// Each line, then its causes.
fn shown(lines: &BTreeMap<Key, Line>) -> Vec<Shown<'_>> {
    let mut rows = Vec::new();
    for (key, line) in lines {
        rows.push(Shown { key, line: Some(line), cause: None, detail: line.detail() });
        let causes = line.causes.iter().filter(|(_, (amount, _))| *amount != 0);
        rows.extend(causes.map(|(cause, (amount, details))| Shown {
            key,
            line: None,
            cause: Some((*cause, *amount)),
            detail: joined(details),
        }));
    }
    rows
}

fn record_batch(lines: &BTreeMap<Key, Line>, by: &[By]) -> Result<RecordBatch, Error> {
    let rows = shown(lines);
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for each in By::ALL.into_iter().filter(|each| by.contains(each)) {
        let column: ArrayRef = match each {
            By::Provider => Arc::new(rows.iter().map(|row| row.key.0.as_deref()).collect::<StringArray>()),
            By::Model => Arc::new(rows.iter().map(|row| row.key.1.as_deref()).collect::<StringArray>()),
            By::Day => Arc::new(rows.iter().map(|row| row.key.2.map(Date::days)).collect::<Date32Array>()),
        };
        columns.push((each.as_str(), column));
    }
    let money = |amounts: Vec<Option<i128>>| -> ArrayRef {
        let amounts = amounts.into_iter().collect::<Decimal128Array>();
        Arc::new(amounts.with_data_type(ColumnKind::Decimal.data_type()))
    };
    let of_line = |amount: fn(&Line) -> i128| money(rows.iter().map(|row| row.line.map(amount)).collect());
    let known = |amount: fn(&Line) -> i128| {
        money(rows.iter().map(|row| row.line.filter(|line| !line.is_unknown()).map(amount)).collect())
    };
    columns.extend([
        ("calls", Arc::new(rows.iter().map(|row| row.line.map(|line| line.calls)).collect::<Int64Array>()) as ArrayRef),
        ("list_cost", of_line(|line| line.list_cost)),
        ("billed_cost", known(|line| line.billed_cost)),
        ("difference", known(Line::difference)),
        ("cause", Arc::new(rows.iter().map(|row| row.cause.map(|(cause, _)| cause.as_str())).collect::<StringArray>())),
        ("amount", money(rows.iter().map(|row| row.cause.map(|(_, amount)| amount)).collect())),
        ("detail", Arc::new(rows.iter().map(|row| row.detail.clone()).collect::<StringArray>())),
    ]);
    let fields: Vec<_> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| Error::Internal { invariant: "a report has the columns it names", found: error.to_string() })
}

#[cfg(test)]
mod tests;

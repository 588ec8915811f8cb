//! Why a ledger and a bill differ: each cause with its dollars, and what is left without one.

use std::collections::BTreeMap;

use daybook_ledger::Date;
use daybook_ledger::price::Book;

use super::cells::{Cell, Timeline};
use super::semantics::identity;
use super::vector::{Bucket, Vector, to_pico};
use super::{Cause, Finding, boundary, prices};

/// What is explained: a model of a provider, by the prices of the ledger.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
    pub(super) book: &'a Book,
}

/// The causes of each day's difference. They sum to it exactly: what has no cause is a finding too.
pub(super) fn explain(subject: Subject<'_>, timeline: &Timeline) -> BTreeMap<Date, Vec<Finding>> {
    let moved = boundary::find(timeline);
    let findings = timeline.days.iter().map(|(day, cell)| {
        let mut found = cell.bill.charges.clone();
        let rest = cell.bill.cost - cell.list_cost;
        found.extend(explain_usage(subject, *day, cell, rest, moved.get(day)));
        (*day, close(found, cell))
    });
    findings.collect()
}

/// Adds what the causes leave over.
fn close(mut found: Vec<Finding>, cell: &Cell) -> Vec<Finding> {
    found.retain(|finding| finding.amount != 0);
    let explained: i128 = found.iter().map(|finding| finding.amount).sum();
    let left = cell.difference() - explained;
    // Each call, line and bucket was rounded to twelve places once.
    let roundings = i128::from(cell.calls) + i128::from(cell.bill.lines) + 16;
    if left != 0 {
        let (cause, detail) = match left.abs() <= roundings {
            true => (Cause::Rounding, "to twelve places"),
            false => (Cause::Unexplained, ""),
        };
        found.push(Finding { cause, amount: left, detail: detail.into() });
    }
    found
}

fn explain_usage(subject: Subject<'_>, day: Date, cell: &Cell, rest: i128, moved: Option<&String>) -> Vec<Finding> {
    let finding = |cause, amount, detail: &str| vec![Finding { cause, amount, detail: detail.into() }];
    let bill = &cell.bill;
    if bill.is_unmapped && cell.calls == 0 {
        return finding(Cause::UnmappedModel, rest, "no model is known by the name on the bill");
    }
    if bill.is_remainder {
        return finding(Cause::Price, rest, "the bill names no model: all it bills against its usage at list rates");
    }
    let counted = bill.counted.or((bill.lines == 0).then(Vector::default));
    let Some(counted) = counted else {
        // Dollars alone tell little: whole days that are missing, or days that cancel.
        return match (cell.calls, moved) {
            (_, Some(detail)) => finding(Cause::Boundary, rest, detail),
            (0, None) => finding(Cause::MissingCalls, rest, "the ledger has no call of it that day"),
            _ => Vec::new(),
        };
    };
    if cell.rates.is_empty() {
        return without_rates(cell, counted, rest);
    }
    let rates = cell.rates.plain();
    let mut found = Vec::new();
    let unpriced = cell.unpriced.times(&rates);
    if cell.unpriced_calls > 0 {
        let detail = format!("{} calls without a price, at the rates of the others", cell.unpriced_calls);
        found.push(Finding { cause: Cause::Unpriced, amount: to_pico(unpriced.sum()), detail });
    }
    let volume = Volume::of(subject, day, cell, counted, moved);
    let expected = cell.listed + unpriced + volume.dollars;
    found.extend(volume.finding);
    if !bill.is_valued {
        found.extend(prices::explain(subject, day, cell, counted, expected));
    }
    found
}

/// A model the price book does not know: the bill's own rates have to do.
fn without_rates(cell: &Cell, counted: Vector, rest: i128) -> Vec<Finding> {
    if cell.calls == 0 {
        let detail = "the ledger has no call of it that day".to_owned();
        return vec![Finding { cause: Cause::MissingCalls, amount: rest, detail }];
    }
    let delta = counted - cell.counted;
    let implied = |bucket: Bucket| match counted.get(bucket) {
        0 => 0,
        count => cell.bill.dollars.get(bucket) * delta.get(bucket) / count,
    };
    let volume = to_pico(Bucket::ALL.into_iter().map(implied).sum());
    let mut found = Vec::new();
    if !delta.is_zero() {
        let (cause, detail) = missing(cell, delta);
        found.push(Finding { cause, amount: volume, detail });
    }
    if cell.unpriced_calls > 0 {
        let detail = format!("{} calls of a model without a price", cell.unpriced_calls);
        found.push(Finding { cause: Cause::Unpriced, amount: rest - volume, detail });
    }
    found
}

/// The dollars of counts that differ.
struct Volume {
    /// At the ledger's rates, 10⁻¹⁸.
    dollars: Vector,
    finding: Option<Finding>,
}

impl Volume {
    fn of(subject: Subject<'_>, day: Date, cell: &Cell, counted: Vector, moved: Option<&String>) -> Self {
        let (called, billed) = comparable(cell.counted, counted);
        let delta = billed - called;
        if let Some(by_tier) = by_tier(subject, day, cell, delta) {
            return by_tier;
        }
        if delta.is_zero() {
            return Self { dollars: Vector::default(), finding: None };
        }
        let dollars = delta.times(&cell.rates.plain());
        let (cause, detail) = match moved {
            Some(detail) => (Cause::Boundary, detail.clone()),
            None => match identity(called, billed, cell.reasoning) {
                Some(detail) => (Cause::TokenSemantics, detail),
                None => missing(cell, delta),
            },
        };
        Self { dollars, finding: Some(Finding { cause, amount: to_pico(dollars.sum()), detail }) }
    }
}

/// Counts that agree in sum and differ by tier, on a bill that tells tiers.
fn by_tier(subject: Subject<'_>, day: Date, cell: &Cell, delta: Vector) -> Option<Volume> {
    let told = cell.bill.tiers.keys().any(|tier| tier != "standard");
    if !told || !delta.is_zero() || cell.bill.tiers == cell.tiers {
        return None;
    }
    let mut dollars = Vector::default();
    let mut names: Vec<&String> = cell.bill.tiers.keys().chain(cell.tiers.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |tiers: &BTreeMap<String, Vector>, name: &String| tiers.get(name).copied().unwrap_or_default();
    for name in &names {
        let moved = of(&cell.bill.tiers, name) - of(&cell.tiers, name);
        let tier = (Some(name.as_str()), name.as_str() == "batch");
        let rates = cell.context.rates_in(subject.book, subject.provider, subject.model, day, tier);
        dollars += moved.times(&rates.plain());
    }
    let list = |tiers: &BTreeMap<String, Vector>| tiers.keys().cloned().collect::<Vec<_>>().join(", ");
    let detail = format!("tiers on the bill: {}; in the ledger: {}", list(&cell.bill.tiers), list(&cell.tiers));
    let finding = Finding { cause: Cause::Tier, amount: to_pico(dollars.sum()), detail };
    Some(Volume { dollars, finding: Some(finding) })
}

/// Both sides with cache writes in one bucket, where one of them does not tell lifetimes.
fn comparable(called: Vector, billed: Vector) -> (Vector, Vector) {
    let untold = |side: Vector| side.get(Bucket::Write) != 0;
    if !untold(called) && !untold(billed) {
        return (called, billed);
    }
    // The bucket whose rate was paid: that of the side which tells.
    let known = [called, billed].into_iter().flat_map(|side| Bucket::WRITES.map(|bucket| (side.get(bucket), bucket)));
    let told = known.filter(|(count, bucket)| *count != 0 && *bucket != Bucket::Write).max().map(|(_, bucket)| bucket);
    let bucket = told.unwrap_or(Bucket::Write);
    (called.with_writes_in(bucket), billed.with_writes_in(bucket))
}

/// Counts differ and nothing better is known: calls are missing on one side, or the same calls count other tokens.
fn missing(cell: &Cell, delta: Vector) -> (Cause, String) {
    let requests = cell.bill.requests;
    let known = requests.map(|requests| format!("{requests} requests on the bill, {} calls in the ledger", cell.calls));
    let detail = |text: &str| known.clone().unwrap_or_else(|| text.into());
    if cell.calls == 0 {
        return (Cause::MissingCalls, "the ledger has no call of it that day".into());
    }
    if cell.bill.counted.is_none() {
        return (Cause::MissingOnBill, format!("the bill has no line for {} calls of that day", cell.calls));
    }
    if requests == Some(cell.calls) {
        return (Cause::TokenCounts, format!("both have {} calls, with other counts", cell.calls));
    }
    if delta.is_positive() {
        (Cause::MissingCalls, detail("the bill counts more tokens than the ledger"))
    } else if delta.is_negative() {
        (Cause::MissingOnBill, detail("the ledger counts more tokens than the bill"))
    } else {
        (Cause::TokenCounts, detail("some counts are higher on the bill, others in the ledger"))
    }
}

impl Cell {
    /// Billed less ledger, 10⁻¹² dollars.
    pub(super) fn difference(&self) -> i128 {
        self.billed() - self.list_cost
    }

    /// Everything billed, 10⁻¹² dollars.
    pub(super) fn billed(&self) -> i128 {
        self.bill.cost + self.bill.charges.iter().map(|charge| charge.amount).sum::<i128>()
    }
}

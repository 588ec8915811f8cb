//! Why a ledger and a bill differ: each cause with its dollars, and what is left without one.

use std::collections::BTreeMap;

use daybook_ledger::Date;
use daybook_ledger::price::Book;

use super::cells::{Cell, Timeline};
use super::listed::Volume;
use super::semantics::identity;
use super::vector::{Bucket, Vector, to_pico};
use super::{Cause, Finding, boundary, prices};

/// What is explained: a model of a provider, by the prices of the ledger.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
    pub(super) book: &'a Book,
    /// How many hours after UTC's the days of the provider's bills begin, if not with them.
    pub(super) zone: Option<i64>,
}

/// The causes of each day's difference. They sum to it exactly: what has no cause is a finding too.
pub(super) fn explain(subject: Subject<'_>, timeline: &Timeline) -> BTreeMap<Date, Vec<Finding>> {
    let moved = boundary::find(timeline, subject.zone);
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
    let (Some(counted), Some(volume)) = (cell.billed_counts(), cell.volume) else {
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
    let mut found = Vec::new();
    if cell.unpriced_calls > 0 {
        let detail = format!("{} calls without a price, at the rates of the others", cell.unpriced_calls);
        found.push(Finding { cause: Cause::Unpriced, amount: to_pico(volume.unpriced.sum()), detail });
    }
    if let Some((cause, detail)) = volume_cause(cell, &volume, moved) {
        found.push(Finding { cause, amount: to_pico(volume.over.sum()), detail });
    }
    if !bill.is_valued {
        let expected = cell.used.listed + volume.unpriced + volume.over;
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
    let delta = counted - cell.used.counted;
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

/// Why counts differ.
fn volume_cause(cell: &Cell, volume: &Volume, moved: Option<&String>) -> Option<(Cause, String)> {
    let delta = volume.billed - volume.called;
    if !volume.differs {
        return None;
    }
    if delta.is_zero() {
        let billed: Vec<&str> = cell.bill.tiers.keys().map(String::as_str).collect();
        let called: Vec<&str> = cell.tiers.keys().map(String::as_str).collect();
        let (billed, called) = (billed.join(", "), called.join(", "));
        return Some((Cause::Tier, format!("tiers on the bill: {billed}; in the ledger: {called}")));
    }
    if let Some(detail) = moved {
        return Some((Cause::Boundary, detail.clone()));
    }
    match identity(volume.called, volume.billed, cell.reasoning) {
        Some(detail) => Some((Cause::TokenSemantics, detail)),
        None => Some(missing(cell, delta)),
    }
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

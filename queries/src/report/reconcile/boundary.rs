//! Calls that a bill puts on another day.

use std::collections::BTreeMap;

use daybook_ledger::Date;

use super::cells::{Cell, Timeline};
use super::vector::Vector;

/// The farthest that a biller's days begin from UTC's.
const HOURS_MAX: i64 = 14;

/// The days whose difference is one of days, with what shows it.
pub(super) fn find(timeline: &Timeline) -> BTreeMap<Date, String> {
    let deltas: Vec<(Date, Vector)> =
        timeline.days.iter().filter_map(|(day, cell)| Some((*day, billed(cell)? - cell.counted))).collect();
    if let Some(offset) = zone(timeline, &deltas) {
        let start = offset.rem_euclid(24);
        let detail = format!("the bill's days begin at {start:02}:00 UTC ({:+} h)", -offset);
        let moved = deltas.iter().filter(|(_, delta)| !delta.is_zero());
        return moved.map(|(day, _)| (*day, detail.clone())).collect();
    }
    let detail = |first: Date, last: Date| format!("moved between {first} and {last}: these days cancel");
    let counts = runs(&deltas, Vector::is_zero).into_iter().map(|(day, (first, last))| (day, detail(first, last)));
    let mut found: BTreeMap<Date, String> = counts.collect();
    // A bill without counts: its dollars have to cancel.
    let dollars: Vec<(Date, i128)> = timeline
        .days
        .iter()
        .filter(|(_, cell)| billed(cell).is_none())
        .map(|(day, cell)| (*day, cell.bill.cost - cell.list_cost))
        .collect();
    found.extend(runs(&dollars, |sum| *sum == 0).into_iter().map(|(day, (first, last))| (day, detail(first, last))));
    found
}

/// What the bill counts; nothing where it has no line; `None` where it has lines that count nothing.
fn billed(cell: &Cell) -> Option<Vector> {
    cell.bill.counted.or((cell.bill.lines == 0).then(Vector::default))
}

/// How many hours after UTC's the biller's days begin, if that alone makes every day agree.
fn zone(timeline: &Timeline, deltas: &[(Date, Vector)]) -> Option<i64> {
    if deltas.iter().all(|(_, delta)| delta.is_zero()) {
        return None;
    }
    let agrees = |offset: i64| {
        timeline.days.iter().filter_map(|(day, cell)| Some((*day, billed(cell)?))).all(|(day, billed)| {
            let first = i64::from(day.days()) * 24 + offset;
            let hours = timeline.hours.range(first..first + 24).map(|(_, counted)| *counted);
            hours.fold(Vector::default(), |sum, counted| sum + counted) == billed
        })
    };
    (1..=HOURS_MAX).flat_map(|hours| [hours, -hours]).find(|offset| agrees(*offset))
}

/// Days in a row whose differences cancel to nothing, each with the first and last day of its row.
fn runs<T: Copy + std::ops::Add<Output = T>>(
    deltas: &[(Date, T)],
    is_zero: impl Fn(&T) -> bool,
) -> BTreeMap<Date, (Date, Date)> {
    let mut found = BTreeMap::new();
    let mut rest = deltas;
    while let Some(((first, delta), after)) = rest.split_first() {
        let mut sum = *delta;
        let mut last = *first;
        let mut length = 0;
        if !is_zero(delta) {
            for (at, (day, delta)) in after.iter().enumerate() {
                if day.days() != last.days() + 1 || is_zero(delta) {
                    break;
                }
                (sum, last) = (sum + *delta, *day);
                if is_zero(&sum) {
                    length = at + 1;
                    break;
                }
            }
        }
        let run = deltas.iter().map(|(day, _)| *day).filter(|day| length > 0 && first <= day && *day <= last);
        found.extend(run.map(|day| (day, (*first, last))));
        rest = after.get(length..).unwrap_or_default();
    }
    found
}

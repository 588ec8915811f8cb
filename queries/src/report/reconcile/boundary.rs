//! Calls that a bill puts on another day.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use daybook_ledger::Date;

use super::cells::{Cell, Timeline, Timelines};
use super::vector::Vector;

/// The farthest that a biller's days begin from UTC's.
const HOURS_MAX: i64 = 14;

/// The days whose difference is one of days, with what shows it; `zone` as in [`zones`].
pub(super) fn find(timeline: &Timeline, zone: Option<i64>) -> BTreeMap<Date, String> {
    let deltas = deltas(timeline);
    if let Some(offset) = zone.filter(|offset| agrees(timeline, *offset)) {
        let start = offset.rem_euclid(24);
        let detail = format!("the bill's days begin at {start:02}:00 UTC ({:+} h)", -offset);
        let moved = deltas.iter().filter(|(_, delta)| !delta.is_zero());
        return moved.map(|(day, _)| (*day, detail.clone())).collect();
    }
    let detail = |first: Date, last: Date| format!("moved between {first} and {last}: these days cancel");
    let counts =
        runs(timeline, &deltas, Vector::is_zero).into_iter().map(|(day, (first, last))| (day, detail(first, last)));
    let mut found: BTreeMap<Date, String> = counts.collect();
    // A bill without counts: its dollars have to cancel.
    let dollars: Vec<(Date, i128)> = timeline
        .days
        .iter()
        .filter(|(_, cell)| cell.billed_counts().is_none())
        .map(|(day, cell)| (*day, cell.bill.cost - cell.list_cost))
        .collect();
    let dollars = runs(timeline, &dollars, |sum| *sum == 0);
    found.extend(dollars.into_iter().map(|(day, (first, last))| (day, detail(first, last))));
    found
}

/// How many hours after UTC's the days of each provider's bills begin: the least that alone makes most of its models agree, and
/// none disagree that agrees as it is.
pub(super) fn zones(timelines: &Timelines) -> BTreeMap<&str, i64> {
    let mut of_provider: BTreeMap<&str, Vec<&Timeline>> = BTreeMap::new();
    for ((provider, _), timeline) in timelines {
        of_provider.entry(provider).or_default().push(timeline);
    }
    of_provider.into_iter().filter_map(|(provider, timelines)| Some((provider, zone(timelines)?))).collect()
}

fn zone(mut timelines: Vec<&Timeline>) -> Option<i64> {
    // That no call is left on days without a bill shows nothing: any zone far enough away does that.
    timelines
        .retain(|timeline| timeline.days.values().any(|cell| cell.billed_counts().is_some_and(|sum| !sum.is_zero())));
    let (right, wrong): (Vec<&Timeline>, Vec<&Timeline>) =
        timelines.into_iter().partition(|timeline| deltas(timeline).iter().all(|(_, delta)| delta.is_zero()));
    let explained = |offset: i64| match right.iter().all(|timeline| agrees(timeline, offset)) {
        true => wrong.iter().filter(|timeline| agrees(timeline, offset)).count(),
        false => 0,
    };
    let offsets = (1..=HOURS_MAX).flat_map(|hours| [hours, -hours]);
    let found = offsets.map(|offset| (explained(offset), offset)).filter(|(models, _)| *models > 0);
    found.min_by_key(|(models, _)| Reverse(*models)).map(|(_, offset)| offset)
}

/// Billed less called, of the days on which the bill counts.
fn deltas(timeline: &Timeline) -> Vec<(Date, Vector)> {
    let delta = |(day, cell): (&Date, &Cell)| Some((*day, cell.billed_counts()? - cell.used.counted));
    timeline.days.iter().filter_map(delta).collect()
}

/// Whether every day agrees if it begins `offset` hours after UTC's.
fn agrees(timeline: &Timeline, offset: i64) -> bool {
    let hour = |day: Date| i64::from(day.days()) * 24 + offset;
    timeline.days.iter().filter_map(|(day, cell)| Some((*day, cell.billed_counts()?))).all(|(day, billed)| {
        let hours = timeline.hours.range(hour(day)..hour(timeline.end(day)));
        hours.fold(Vector::default(), |sum, (_, counted)| sum + *counted) == billed
    })
}

/// Days in a row whose differences cancel to nothing, each with the first and last day of its row.
fn runs<T: Copy + std::ops::Add<Output = T>>(
    timeline: &Timeline,
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
                if *day != timeline.end(last) || is_zero(delta) {
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

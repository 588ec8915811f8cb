//! Capacity that is paid by the hour, spread over the calls of the hour.

use std::collections::BTreeMap;

use crate::{Date, EntryId, Instant, Usd};

use super::book::Row;
use super::past::PastCall;
use super::{Book, PriceStatus};

const HOURS_A_DAY: i64 = 24;
const MICROS_AN_HOUR: i64 = 3_600_000_000;

/// Who used what capacity in which hours of one day.
#[derive(Debug, Default)]
pub(super) struct Day {
    hours: BTreeMap<(String, i64), Hour>,
}

#[derive(Debug, Default)]
struct Hour {
    usd: Usd,
    /// The calls to spread it over, sorted once all are there.
    ids: Vec<EntryId>,
    /// Whether it was spread over earlier calls already.
    spread: bool,
}

/// What a price of capacity is called in `price_id`: `azure/gpt-5*@2026-01-01`.
pub(super) fn id(row: &Row) -> String {
    format!("{}/{}@{}", row.provider, row.model, row.effective_from)
}

fn hour(at: Instant) -> i64 {
    at.micros().div_euclid(MICROS_AN_HOUR)
}

impl Day {
    /// Takes note of a call; `known` if it has its share already.
    pub(super) fn note(&mut self, book: &Book, past: &PastCall<'_>, known: bool) {
        let call = past.call();
        if book.price(&call).status != PriceStatus::Provisioned {
            return;
        }
        let Some(row) = book.capacity(&call) else { return };
        let hour = self.hours.entry((id(row), hour(call.at))).or_default();
        hour.usd = row.usd_per_million;
        hour.spread |= known;
        if !known {
            hour.ids.push(past.entry_id);
        }
    }

    /// No more calls come.
    pub(super) fn close(&mut self) {
        self.hours.values_mut().for_each(|hour| hour.ids.sort_unstable());
    }

    /// The share of a call and what it is a share of: equal parts, the last digits to the calls with the smallest ids, so
    /// that the shares of an hour add up to its price. Nothing if the hour was spread before the call came.
    pub(super) fn share(&self, book: &Book, past: &PastCall<'_>) -> Option<(Usd, String)> {
        let call = past.call();
        let id = id(book.capacity(&call)?);
        let hour = self.hours.get(&(id.clone(), hour(call.at)))?;
        let rank = i128::try_from(hour.ids.binary_search(&past.entry_id).ok()?).ok()?;
        let calls = i128::try_from(hour.ids.len()).ok().filter(|calls| *calls > 0)?;
        let (part, left_over) = (hour.usd.pico() / calls, hour.usd.pico() % calls);
        let share = if hour.spread { 0 } else { part + i128::from(rank < left_over) };
        Some((Usd::from_pico(share), id))
    }

    /// Hours in which each capacity was used.
    pub(super) fn used_hours(&self) -> BTreeMap<&str, i64> {
        let mut used = BTreeMap::new();
        for (id, _) in self.hours.keys() {
            *used.entry(id.as_str()).or_default() += 1;
        }
        used
    }
}

/// Hours that were paid and not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// How many.
    pub hours: i64,
    /// What they cost.
    pub cost: Usd,
}

/// For each price of capacity the hours of `days` (half-open) that are not among `used`; those begun by `now` only.
pub(super) fn idle(
    book: &Book,
    days: (Date, Date),
    now: Instant,
    used: &BTreeMap<String, i64>,
) -> BTreeMap<String, Idle> {
    let midnight = |day: Date| i64::from(day.days()) * HOURS_A_DAY;
    let begun = hour(now) + 1;
    let mut idle = BTreeMap::new();
    for row in book.capacities() {
        let from = row.effective_from.max(days.0);
        let to = row.effective_to.map_or(days.1, |to| to.min(days.1));
        let paid = (midnight(to).min(begun) - midnight(from)).max(0);
        let id = id(row);
        let hours = (paid - used.get(&id).copied().unwrap_or(0)).max(0);
        if hours > 0 {
            let cost = Usd::from_pico(row.usd_per_million.pico() * i128::from(hours));
            idle.insert(id, Idle { hours, cost });
        }
    }
    idle
}

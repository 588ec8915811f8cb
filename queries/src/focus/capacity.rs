//! Capacity that a contract pays by the hour, used or not: its fixed charges, day by day.
//!
//! An hour is used if a call ran on the capacity in it. What of the capacity that call took, no event says.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use daybook_ledger::Date;

use super::FocusOptions;
use super::charge::{Charge, Sku};
use super::drawdown::{self, Applied};
use super::sum::{Model, Place};
use super::vendor::Vendor;
use crate::registry::{Capacity, Contract};
use crate::{Error, Session};

/// What is metered.
pub(super) const METER: &str = "Provisioned Capacity";
/// A unit held for an hour.
pub(super) const UNIT: &str = "Unit-Hours";
const HOURS_A_DAY: usize = 24;
/// In 10⁻⁶.
const ONE: i128 = 1_000_000;

/// Calls on capacity: hours of the day in which they ran, and how many ran.
#[derive(Default)]
struct Used {
    hours: BTreeSet<i64>,
    calls: i64,
}

/// By day, contract and model.
type Calls = BTreeMap<(Date, String, String), Used>;

/// The charges of every capacity from day to day, up to the last day of the ledger.
pub(super) async fn charges(session: &Session, options: &FocusOptions, last: Date) -> Result<Vec<Charge>, Error> {
    let contracts = &session.registry().contracts;
    if contracts.iter().all(|contract| contract.capacity.is_empty()) {
        return Ok(Vec::new());
    }
    let calls = calls(session).await?;
    let mut charges = Vec::new();
    for contract in contracts {
        for capacity in &contract.capacity {
            for day in days(contract, capacity, options, last) {
                let used = used(&calls, contract, capacity, day);
                let hours = used.hours.len().min(HOURS_A_DAY);
                let parts = [(hours, false), (HOURS_A_DAY - hours, true)].into_iter().filter(|(hours, _)| *hours > 0);
                charges.extend(
                    parts.map(|(hours, is_unused)| charge(contract, capacity, day, (hours, is_unused), used.calls)),
                );
            }
        }
    }
    Ok(charges)
}

fn days(contract: &Contract, capacity: &Capacity, options: &FocusOptions, last: Date) -> impl Iterator<Item = Date> {
    let until = options.to.map(|to| Date::from_days(to.days().saturating_sub(1)));
    let ends = [Some(last), capacity.ends_on, contract.ends_on, until].into_iter().flatten().min().unwrap_or(last);
    let starts =
        [Some(capacity.starts_on), Some(contract.starts_on), options.from].into_iter().flatten().max().unwrap_or(last);
    (starts.days()..=ends.days()).map(Date::from_days)
}

fn used(calls: &Calls, contract: &Contract, capacity: &Capacity, day: Date) -> Used {
    let of_day = calls.range((day, contract.name.clone(), String::new())..);
    let of_contract = of_day.take_while(|((on, name, _), _)| *on == day && *name == contract.name);
    let mut sum = Used::default();
    for (_, used) in of_contract.filter(|((.., model), _)| capacity.model.matches(model)) {
        sum.hours.extend(&used.hours);
        sum.calls += used.calls;
    }
    sum
}

fn charge(
    contract: &Contract,
    capacity: &Capacity,
    day: Date,
    (hours, is_unused): (usize, bool),
    calls: i64,
) -> Charge {
    let provider = contract.providers.first().map(|provider| provider.as_str()).unwrap_or_default();
    let model = capacity.model.as_str();
    let quantity = i128::try_from(hours).unwrap_or_default() * i128::from(capacity.units) * ONE;
    let price = capacity.usd_per_unit_hour.pico();
    let (cost, id) = (price * quantity, format!("{provider}/{model}/capacity"));
    let what = if is_unused { "in which no call ran" } else { "in which calls ran" };
    Charge {
        place: Place::of_contract(
            &contract.name,
            Model { provider: provider.into(), id: model.into(), ..Model::default() },
            day,
        ),
        vendor: Vendor::of(provider),
        category: "Usage",
        frequency: "Recurring",
        description: format!("{METER} of {model}: {} units, {hours} hours {what}", capacity.units),
        list_cost: cost,
        contracted_cost: cost,
        billed_cost: cost,
        effective_cost: cost,
        sku: Some(Sku {
            id: id.clone(),
            price_id: id,
            meter: METER,
            details: "{}".into(),
            pricing_category: "Committed",
            consumed: (!is_unused).then_some((quantity, UNIT)),
            quantity,
            unit: UNIT.into(),
            list_unit_price: price,
            contracted_unit_price: price,
        }),
        price_id: None,
        applied: Some(Applied {
            contract: contract.name.clone(),
            commitment: drawdown::id("capacity", model),
            cost,
            unit_hours: Some(quantity),
        }),
        is_unused,
        calls: (!is_unused).then_some(calls),
    }
}

/// Every hour with a call on capacity.
async fn calls(session: &Session) -> Result<Calls, Error> {
    let sql = "SELECT event_date, contract, model, date_part('hour', started_at)::bigint AS hour, count(*) AS calls FROM calls \
               WHERE price_status = 'provisioned' AND contract IS NOT NULL GROUP BY 1, 2, 3, 4";
    let mut calls = Calls::new();
    for batch in session.run(sql).await?.collect().await? {
        add(&batch, &mut calls)
            .ok_or_else(|| Error::Internal { invariant: "hours of calls have their columns", found: sql.into() })?;
    }
    Ok(calls)
}

fn add(batch: &RecordBatch, calls: &mut Calls) -> Option<()> {
    let [day, contract, model, hour, count] = batch.columns() else { return None };
    let day = day.as_primitive_opt::<Date32Type>()?;
    let (contract, model) = (cast(contract, &DataType::Utf8).ok()?, cast(model, &DataType::Utf8).ok()?);
    let (contract, model) = (contract.as_string_opt::<i32>()?, model.as_string_opt::<i32>()?);
    let (hour, count) = (hour.as_primitive_opt::<Int64Type>()?, count.as_primitive_opt::<Int64Type>()?);
    for row in 0..batch.num_rows() {
        let model = if model.is_valid(row) { model.value(row) } else { "" };
        let key = (Date::from_days(day.value(row)), contract.value(row).to_owned(), model.to_owned());
        let used = calls.entry(key).or_default();
        used.hours.insert(hour.value(row));
        used.calls += count.value(row);
    }
    Some(())
}

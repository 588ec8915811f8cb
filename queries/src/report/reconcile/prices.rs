//! Counts agree, dollars do not: tier, another day's price, a discount, or rates of the bill's own.

use daybook_ledger::{Date, Usd};

use super::causes::Subject;
use super::cells::Cell;
use super::rates::Rates;
use super::vector::{Bucket, Vector, to_pico};
use super::{Cause, Finding};

/// Why what is billed differs from `expected`, which is what `counted` comes to at the ledger's rates.
pub(super) fn explain(subject: Subject<'_>, day: Date, cell: &Cell, counted: Vector, expected: Vector) -> Vec<Finding> {
    let bill = &cell.bill;
    // Costs of the entries for what no bucket counts, such as pictures by the piece.
    let ledger_other = cell.list_cost - to_pico(cell.used.listed.sum());
    let bill_other = bill.cost - to_pico(bill.dollars.sum());
    let is_bucketed = !bill.dollars.is_zero() || bill.cost == 0;
    let over = bill.cost - to_pico(expected.sum()) - ledger_other;
    if over == 0 || bill.lines == 0 {
        return Vec::new();
    }
    let found = |cause, detail: String| vec![Finding { cause, amount: over, detail }];
    if let Some(detail) = rounded(cell, over) {
        return found(Cause::Rounding, detail);
    }
    if let Some((cause, detail)) = other_tier(subject, day, cell, counted) {
        return found(cause, detail);
    }
    if let Some(detail) = other_day(subject, cell, counted) {
        return found(Cause::Price, detail);
    }
    if !is_bucketed {
        return found(Cause::Price, below("the whole", bill.cost, to_pico(expected.sum()) + ledger_other));
    }
    if let Some(detail) = discount(bill.dollars, expected) {
        let amount = to_pico(bill.dollars.sum()) - to_pico(expected.sum());
        let cause = if amount < 0 { Cause::Discount } else { Cause::Price };
        return others(vec![Finding { cause, amount, detail }], bill_other, ledger_other);
    }
    let buckets = Bucket::ALL.into_iter().filter_map(|bucket| by_bucket(bucket, counted, bill.dollars, expected));
    others(buckets.collect(), bill_other, ledger_other)
}

/// Adds the cost of what no bucket counts.
fn others(mut found: Vec<Finding>, billed: i128, ledger: i128) -> Vec<Finding> {
    if billed != ledger && (billed != 0 || ledger != 0) {
        let detail = format!("not tokens: {} billed, {} in the ledger", dollars(billed), dollars(ledger));
        found.push(Finding { cause: Cause::OtherMeters, amount: billed - ledger, detail });
    }
    found
}

fn by_bucket(bucket: Bucket, counted: Vector, billed: Vector, expected: Vector) -> Option<Finding> {
    let (billed, expected, count) = (billed.get(bucket), expected.get(bucket), counted.get(bucket));
    let amount = to_pico(billed - expected);
    let rate = |atto: i128| dollars(if count == 0 { 0 } else { atto / count });
    let detail = match count {
        0 => format!("{}: billed without a count", bucket.as_str()),
        _ => format!("{}: {} per million billed, {} listed", bucket.as_str(), rate(billed), rate(expected)),
    };
    (amount != 0).then_some(Finding { cause: Cause::Price, amount, detail })
}

/// Whether the bill is the exact cost rounded to the places it has.
fn rounded(cell: &Cell, over: i128) -> Option<String> {
    const PLACES: [(u32, i128); 10] = [
        (2, 10_000_000_000),
        (3, 1_000_000_000),
        (4, 100_000_000),
        (5, 10_000_000),
        (6, 1_000_000),
        (7, 100_000),
        (8, 10_000),
        (9, 1_000),
        (10, 100),
        (11, 10),
    ];
    let (places, unit) = PLACES.into_iter().find(|(_, unit)| cell.bill.cost % unit == 0)?;
    let lines = i128::from(cell.bill.lines.max(1));
    let is_small = over.abs().saturating_mul(100) < cell.bill.cost.abs();
    (over.abs() * 2 <= unit * lines && is_small).then(|| format!("the bill's amounts have {places} places"))
}

/// Whether the bill is what its counts cost in another tier, or in their own by a sheet that the ledger's calls were not
/// priced with.
fn other_tier(subject: Subject<'_>, day: Date, cell: &Cell, counted: Vector) -> Option<(Cause, String)> {
    let costs = |tier: &str| {
        let key = (Some(tier), tier == "batch");
        let rates = cell.context.rates_in(subject.book, subject.provider, subject.model, day, key);
        is_cost(&rates, counted, cell)
    };
    let tier = ["standard", "batch", "flex", "priority"].into_iter().find(|tier| costs(tier))?;
    let ledger: Vec<&str> = cell.tiers.keys().map(String::as_str).collect();
    Some(match ledger == [tier] {
        true => (
            Cause::Price,
            "billed at the prices in force now; the calls were recorded at others (`daybook reprice`)".into(),
        ),
        false => (Cause::Tier, format!("billed at {tier} rates; the ledger has {}", ledger.join(", "))),
    })
}

/// Whether the bill is what its counts cost before the rates changed, or after.
fn other_day(subject: Subject<'_>, cell: &Cell, counted: Vector) -> Option<String> {
    let (from, to) = cell.rates.in_force?;
    let holds =
        |day: Date| is_cost(&cell.context.rates(subject.book, subject.provider, subject.model, day), counted, cell);
    if holds(Date::from_days(from.days() - 1)) {
        return Some(format!("billed at the rates in force until {from}"));
    }
    to.filter(|to| holds(*to)).map(|to| format!("billed at the rates in force from {to}"))
}

fn is_cost(rates: &Rates, counted: Vector, cell: &Cell) -> bool {
    let cost = to_pico(counted.times(&rates.plain()).sum());
    let slack = i128::from(cell.bill.lines) + 8;
    !rates.is_empty() && cost != 0 && (cost - cell.bill.cost).abs() <= slack
}

/// The share off, if it is the same of every bucket.
fn discount(billed: Vector, expected: Vector) -> Option<String> {
    let parts = |bucket| (billed.get(bucket), expected.get(bucket));
    let used: Vec<(i128, i128)> =
        Bucket::ALL.into_iter().map(parts).filter(|(billed, listed)| *billed != 0 || *listed != 0).collect();
    let shares: Option<Vec<i128>> = used.iter().map(|(billed, listed)| millionths(*billed, *listed)).collect();
    let shares = shares.filter(|shares| shares.len() > 1)?;
    let (low, high) = (shares.iter().min()?, shares.iter().max()?);
    (high - low <= 1).then(|| below("every rate", billed.sum(), expected.sum()))
}

/// `part / whole` in millionths, half up.
fn millionths(part: i128, whole: i128) -> Option<i128> {
    (whole > 0).then(|| (part * 2_000_000 + whole).div_euclid(whole * 2))
}

fn below(what: &str, billed: i128, listed: i128) -> String {
    let share = millionths(billed, listed).map(|share| 1_000_000 - share);
    let percent = |share: i128| dollars(share.abs() * 100_000_000);
    match share {
        Some(share) if share >= 0 => format!("{what} is {} % below list", percent(share)),
        Some(share) => format!("{what} is {} % above list", percent(share)),
        None => format!("{what} has no list price"),
    }
}

/// An amount without its trailing zeros.
fn dollars(pico: i128) -> String {
    let text = Usd::from_pico(pico).to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
